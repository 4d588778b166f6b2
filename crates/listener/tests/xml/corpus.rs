//! The corpus of nasty inputs: `corpus/README.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use switchyard_listener::fuzzing::StreamMachine;
use switchyard_listener::xml::{Framer, Limits, Outcome};
use switchyard_listener::{ListenerConfig, Secret};

use crate::checks::check_forwarding;
use crate::expat::{Expat, Verdict};
use crate::framed::{END, HEADER, read_each_way};
use crate::seen::by_rxml;

/// What a parser says that is not what the directory says, why, and to which files.
const DIFFERENCES: [(Other, &str, &[&str]); 13] = [
    (
        Other::Rxml,
        "goes by the fifth edition of XML 1.0, and not all receivers do (contract X4)",
        &[
            "elements/not-well-formed/name-beyond-bmp.xml",
            "elements/not-well-formed/name-late-character.xml",
            "elements/not-well-formed/name-late-start.xml",
            "headers/not-well-formed/name-late.xml",
        ],
    ),
    (
        Other::Rxml,
        "lets a namespace have characters that no URI has, and not all receivers do (contract X4)",
        &[
            "elements/not-well-formed/namespace-with-brace.xml",
            "elements/not-well-formed/namespace-with-control-by-reference.xml",
            "elements/not-well-formed/namespace-with-markup.xml",
            "elements/not-well-formed/namespace-with-space-by-reference.xml",
            "elements/not-well-formed/namespace-with-white-space.xml",
            "headers/not-well-formed/namespace-of-prefix-with-brace.xml",
        ],
    ),
    (
        Other::Rxml,
        "takes the last of two declarations of one prefix",
        &["elements/not-well-formed/namespace-default-declared-twice.xml"],
    ),
    (
        Other::Rxml,
        "lets the namespace of xmlns be declared",
        &[
            "elements/not-well-formed/namespace-default-xmlns.xml",
            "elements/not-well-formed/namespace-other-prefix-for-xmlns.xml",
        ],
    ),
    (
        Other::Rxml,
        "refuses a carriage return alone in an attribute value",
        &["elements/accepted/attribute-white-space-literal.xml"],
    ),
    (
        Other::Rxml,
        "has bounds of its own on the length of tokens",
        &[
            "elements/accepted/text-character-reference-leading-zeros.xml",
            "headers/policy-violation/long-attribute.xml",
            "headers/policy-violation/long-white-space.xml",
        ],
    ),
    (
        Other::Rxml,
        "knows one XML declaration, that of a stand-alone document of version 1.0",
        &[
            "headers/accepted/declaration-standalone-no.xml",
            "headers/accepted/declaration-xml-1.1.xml",
        ],
    ),
    (
        Other::Rxml,
        "refuses white space before the root",
        &["headers/accepted/white-space-first.xml"],
    ),
    (
        Other::Rxml,
        "reads UTF-8 alone, as we do",
        &[
            "headers/unsupported-encoding/declared-latin1.xml",
            "headers/unsupported-encoding/declared-us-ascii.xml",
            "headers/unsupported-encoding/declared-utf16.xml",
            "headers/unsupported-encoding/declared-utf8-without-hyphen.xml",
            "headers/unsupported-encoding/utf16-big-without-mark.xml",
            "headers/unsupported-encoding/utf16-big.xml",
            "headers/unsupported-encoding/utf16-little-without-mark.xml",
            "headers/unsupported-encoding/utf16-little.xml",
        ],
    ),
    (
        Other::Expat,
        "takes a byte order mark, which XMPP forbids (RFC 6120 §11.6)",
        &[
            "headers/not-well-formed/byte-order-mark-and-declaration.xml",
            "headers/not-well-formed/byte-order-mark.xml",
        ],
    ),
    (
        Other::Expat,
        "refuses with some separators what is not the namespace that XMPP prescribes",
        &[
            "headers/invalid-namespace/content-white-space.xml",
            "headers/invalid-namespace/streams-with-space.xml",
        ],
    ),
    (
        Other::Expat,
        "does not look at the version",
        &[
            "headers/not-well-formed/declaration-version-empty.xml",
            "headers/not-well-formed/declaration-version-two.xml",
        ],
    ),
    (
        Other::Expat,
        "calls it malformed where XML has no such thing; we name what it looks like",
        &[
            "elements/restricted-xml/declaration-between-stanzas.xml",
            "elements/restricted-xml/dtd-between-stanzas.xml",
            "elements/restricted-xml/dtd-entity-bomb.xml",
            "elements/restricted-xml/dtd-external-entity.xml",
            "elements/restricted-xml/dtd-within-stanza.xml",
            "elements/restricted-xml/element-declaration.xml",
            "elements/restricted-xml/entity-declaration.xml",
            "headers/restricted-xml/declaration-upper-case.xml",
        ],
    ),
];

/// The other parsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Rxml,
    Expat,
}

/// A file of the corpus.
struct Case {
    /// Its path within the corpus.
    name: String,
    bytes: Vec<u8>,
    /// The directory that it is in.
    outcome: String,
}

impl Case {
    fn is_different_to(&self, other: Other) -> bool {
        let mut known = DIFFERENCES.iter().filter(|(parser, ..)| *parser == other);
        known.any(|(.., names)| names.contains(&&*self.name))
    }
}

fn corpus(part: &str) -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xml/corpus");
    let entries = |directory: &Path| {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let files = entries(&root.join(part))
        .into_iter()
        .flat_map(|path| entries(&path));
    let case = |path: PathBuf| {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        Case {
            outcome: name.split('/').nth(1).unwrap().to_owned(),
            bytes: std::fs::read(&path).unwrap(),
            name,
        }
    };
    files.map(case).collect()
}

/// What the other parsers have to say to a `document` of this `outcome`.
fn check_others(case: &Case, document: &[u8], expat: &mut Expat) {
    let by_rxml = by_rxml(document).is_some();
    let by_expat = expat.parse(document);
    let (rxml, is_as_expected) = match &*case.outcome {
        "not-well-formed" | "unfinished" => (false, matches!(by_expat, Verdict::Refused(_))),
        "restricted-xml" => (false, matches!(by_expat, Verdict::Restricted(_))),
        // Refused for other reasons, if at all.
        _ => (true, matches!(by_expat, Verdict::Accepted(_))),
    };
    let (name, differs) = (&case.name, |other| case.is_different_to(other));
    assert_eq!(by_rxml == rxml, !differs(Other::Rxml), "{name}: rxml");
    assert_eq!(
        is_as_expected,
        !differs(Other::Expat),
        "{name}: {by_expat:?}"
    );
}

/// Ends of pieces that are a little different each time.
fn uneven_cuts(len: usize) -> Vec<usize> {
    let sizes = [1, 2, 3, 5, 8, 13].into_iter().cycle();
    let ends = sizes.scan(0, |end, size| {
        *end += size;
        Some(*end)
    });
    ends.take_while(|end| *end < len).collect()
}

#[test]
fn contract_x_elements_have_the_outcome_that_the_corpus_says() {
    let mut expat = Expat::start();
    let cases = corpus("elements");
    assert!(cases.len() > 150, "{}", cases.len());
    for case in cases {
        let end = if case.outcome == "unfinished" {
            ""
        } else {
            END
        };
        let input = [&case.bytes, end.as_bytes()].concat();
        let reading = read_each_way(HEADER, &input, &uneven_cuts(input.len()));
        let outcome = match &reading.outcome {
            Outcome::Error(error) => error.kind.condition().as_str(),
            Outcome::End if reading.consumed == input.len() => "accepted",
            Outcome::End => "closed",
            Outcome::More => "unfinished",
            other => panic!("{}: {other:?}", case.name),
        };
        if outcome != case.outcome {
            println!("OUT {}: {:?}", case.name, reading.outcome);
        }
        if !case.is_different_to(Other::Rxml) {
            check_forwarding(HEADER, &case.bytes, &mut by_rxml);
        }
        check_forwarding(HEADER, &case.bytes, &mut |document| expat.seen(document));
        // What is behind the end of the stream is not looked at.
        if outcome != "closed" {
            let document = [HEADER.as_bytes(), &input].concat();
            check_others(&case, &document, &mut expat);
        }
    }
}

/// The outcome of a stream, from its first byte to its last.
fn of_stream(input: &[u8], step: usize) -> String {
    let mut framer = Framer::new(Limits::default());
    let ends = (step..input.len()).step_by(step).chain([input.len()]);
    let reads = ends.map(|end| framer.read_header(&input[..end]));
    let mut reads = reads.skip_while(|read| *read == Ok(None));
    let header = match reads.next() {
        None => return "unfinished".to_owned(),
        Some(Err(error)) => return error.kind.condition().to_string(),
        Some(Ok(header)) => header.unwrap(),
    };
    drop(reads);
    let config = ListenerConfig::new(([127, 0, 0, 1], 0).into(), Secret::new("secret"));
    let mut machine = StreamMachine::new(Arc::new(config)).unwrap();
    match machine.header(&header) {
        Err(ending) => match ending.condition {
            Some(condition) => condition.to_string(),
            None => "accepted".to_owned(),
        },
        Ok(_) => {
            let progress = framer.read_elements(&input[header.len..], 1, &mut Vec::new());
            assert_eq!(progress.outcome, Outcome::End);
            "accepted".to_owned()
        }
    }
}

#[test]
fn contract_s4_headers_have_the_outcome_that_the_corpus_says() {
    let mut expat = Expat::start();
    let cases = corpus("headers");
    assert!(cases.len() > 50, "{}", cases.len());
    for case in cases {
        for step in [usize::MAX, 1, 3] {
            assert_eq!(of_stream(&case.bytes, step), case.outcome, "{}", case.name);
        }
        check_others(&case, &case.bytes, &mut expat);
    }
}

#[test]
fn every_known_difference_is_one_of_the_corpus() {
    let names: Vec<String> = ["elements", "headers"]
        .into_iter()
        .flat_map(corpus)
        .map(|case| case.name)
        .collect();
    for name in DIFFERENCES.iter().flat_map(|(.., names)| *names) {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}
