//! expat, by way of Python, which brings it along.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::seen::{Seen, add_text};

/// A process that parses documents.
pub(crate) struct Expat {
    process: Child,
    documents: Option<ChildStdin>,
    answers: ChildStdout,
}

/// What expat says to a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Well-formed: what is within its root.
    Accepted(Vec<Seen>),
    /// It comes upon what XML allows and XMPP forbids: a comment, for example.
    Restricted(String),
    /// Not well-formed, or not namespace-well-formed.
    Refused(String),
}

// === impl Expat ===

impl Expat {
    pub(crate) fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/xml/expat.py");
        let process = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.expect("python3 is needed for its expat: install it");
        Self {
            documents: process.stdin.take(),
            answers: process.stdout.take().unwrap(),
            process,
        }
    }

    pub(crate) fn parse(&mut self, document: &[u8]) -> Verdict {
        let len = u32::try_from(document.len()).unwrap();
        let documents = self.documents.as_mut().unwrap();
        let request = [&len.to_be_bytes(), document].concat();
        documents.write_all(&request).unwrap();
        let mut len = [0; 4];
        self.answers.read_exact(&mut len).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(len) as usize];
        self.answers.read_exact(&mut answer).unwrap();
        verdict(&String::from_utf8(answer).unwrap())
    }

    /// What is within the root of `document`, if expat accepts it and XMPP does not forbid it.
    pub(crate) fn seen(&mut self, document: &[u8]) -> Option<Vec<Seen>> {
        match self.parse(document) {
            Verdict::Accepted(seen) => Some(seen),
            Verdict::Restricted(_) | Verdict::Refused(_) => None,
        }
    }
}

impl Drop for Expat {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.documents.take());
        let _status = self.process.wait();
    }
}

fn verdict(answer: &str) -> Verdict {
    let mut records = answer.split_terminator('\x1e').map(|record| {
        let fields: Vec<&str> = record.split_terminator('\x1f').collect();
        fields
    });
    let first = records.next().unwrap();
    match first[..] {
        ["ok"] => {}
        ["restricted", what] => return Verdict::Restricted(what.to_owned()),
        ["error", why] => return Verdict::Refused(why.to_owned()),
        _ => panic!("{answer}"),
    }
    let mut seen = Vec::new();
    for fields in records {
        let depth = fields[1].parse().unwrap();
        if fields[0] == "text" {
            add_text(&mut seen, depth, fields[2]);
            continue;
        }
        let name = |fields: &[&str]| (fields[0].to_owned(), fields[1].to_owned());
        let attributes = fields[4..].chunks(3);
        let attributes = attributes.map(|fields| (name(fields), fields[2].to_owned()));
        let mut attributes: Vec<_> = attributes.collect();
        attributes.sort();
        seen.push(Seen::Element {
            depth,
            name: name(&fields[2..4]),
            attributes,
        });
    }
    // The root.
    seen.remove(0);
    Verdict::Accepted(seen)
}
