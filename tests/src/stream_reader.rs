use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::mem;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rxml::error::EndOrError;
use rxml::parser::{Options, WithOptions};
use rxml::{Event, Parse, Parser};

use crate::Element;

const CHUNK: usize = 64 * 1024;

/// The receiving half of a stream: reads a socket through a strict parser of XML as XMPP restricts
/// it, and hands out what it finds element by element.
#[derive(Debug)]
pub struct StreamReader {
    socket: TcpStream,
    parser: Parser,
    /// Received, and not yet handed out.
    bytes: Vec<u8>,
    /// How many of `bytes`, from the front, are the events that the parser has reported so far ...
    parsed: usize,
    /// ... and how many of them belong to what is handed out already.
    consumed: usize,
    header: Option<Element>,
    /// The unfinished first-level element and those inside it.
    open: Vec<Element>,
    complete: VecDeque<Element>,
    ended: bool,
}

impl StreamReader {
    /// Reads what the server sends over `socket`.
    #[must_use]
    pub fn new(socket: TcpStream) -> Self {
        let parser = Parser::with_options(Options {
            max_token_length: CHUNK,
            ..Options::default()
        });
        Self {
            socket,
            parser,
            bytes: Vec::new(),
            parsed: 0,
            consumed: 0,
            header: None,
            open: Vec::new(),
            complete: VecDeque::new(),
            ended: false,
        }
    }

    /// The stream's header, without its content.
    ///
    /// # Errors
    ///
    /// When none comes, or not XML.
    pub fn header(&mut self, patience: Duration) -> Result<Element> {
        let deadline = Instant::now() + patience;
        while self.header.is_none() {
            ensure!(self.fill(deadline)?, "no stream header within {patience:?}");
        }
        self.header.clone().context("no stream header")
    }

    /// The next first-level element; `None` if none is complete after `patience`.
    ///
    /// # Errors
    ///
    /// When the stream has ended, breaks, or is not well-formed.
    pub fn element(&mut self, patience: Duration) -> Result<Option<Element>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(element) = self.complete.pop_front() {
                return Ok(Some(element));
            }
            ensure!(!self.ended, "the stream has ended");
            if !self.fill(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Everything up to the end of the stream, for which it waits: the closing tag, nothing behind
    /// it, and the end of the connection.
    ///
    /// # Errors
    ///
    /// When the stream does not end in time, breaks, or is not well-formed.
    pub fn rest(&mut self, patience: Duration) -> Result<Vec<Element>> {
        let deadline = Instant::now() + patience;
        while !self.ended {
            ensure!(
                self.fill(deadline)?,
                "the stream did not end within {patience:?}"
            );
        }
        let rest = self.complete.drain(..).collect();
        self.end(patience)?;
        Ok(rest)
    }

    /// Waits for the end: the closing tag, nothing behind it, and the end of the connection.
    ///
    /// # Errors
    ///
    /// When anything else comes first.
    pub fn end(&mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while !self.ended {
            ensure!(
                self.fill(deadline)?,
                "the stream did not end within {patience:?}"
            );
        }
        if let Some(element) = self.complete.pop_front() {
            bail!("the stream ended after one more element: {element:?}");
        }
        let mut rest = [0; 64];
        self.socket.set_read_timeout(Some(patience))?;
        let count = self
            .socket
            .read(&mut rest)
            .context("after the closing tag")?;
        ensure!(count == 0, "{count} bytes behind the closing tag");
        Ok(())
    }

    /// Reads and parses what is there; false if nothing came until `deadline`.
    fn fill(&mut self, deadline: Instant) -> Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.socket
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let start = self.bytes.len();
        self.bytes.resize(start + CHUNK, 0);
        let result = self.socket.read(&mut self.bytes[start..]);
        self.bytes.truncate(start + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => bail!("the connection ended before the stream did"),
            Ok(_) => self.parse(start).map(|()| true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error).context("the connection broke"),
        }
    }

    fn parse(&mut self, start: usize) -> Result<()> {
        let bytes = mem::take(&mut self.bytes);
        let mut fresh = &bytes[start..];
        let outcome = loop {
            match self.parser.parse(&mut fresh, false) {
                Ok(Some(event)) => self.take_event(event, &bytes)?,
                Ok(None) | Err(EndOrError::NeedMoreData) => break Ok(()),
                Err(EndOrError::Error(error)) => break Err(error),
            }
        };
        outcome.with_context(|| {
            format!(
                "malformed XML from the server: {}",
                String::from_utf8_lossy(&bytes[self.consumed..])
            )
        })?;
        self.bytes = bytes;
        self.bytes.drain(..self.consumed);
        self.parsed -= self.consumed;
        self.consumed = 0;
        Ok(())
    }

    fn take_event(&mut self, event: Event, bytes: &[u8]) -> Result<()> {
        self.parsed += event.metrics().len();
        match event {
            Event::XmlDeclaration(..) => {}
            Event::StartElement(_, (namespace, name), attributes) => {
                let mut element = Element {
                    namespace: namespace.to_string(),
                    name: name.to_string(),
                    ..Element::default()
                };
                for ((namespace, name), value) in attributes.iter() {
                    let key = if namespace.is_none() {
                        name.to_string()
                    } else {
                        format!("{{{namespace}}}{name}")
                    };
                    element.attributes.insert(key, value.clone());
                }
                if self.header.is_none() {
                    element.raw = self.hand_out(bytes);
                    self.header = Some(element);
                } else {
                    self.open.push(element);
                }
            }
            Event::Text(_, text) => match self.open.last_mut() {
                Some(element) => element.text.push_str(&text),
                None => {
                    ensure!(text.trim().is_empty(), "text between stanzas: {text:?}");
                    self.hand_out(bytes);
                }
            },
            Event::EndElement(_) => match self.open.pop() {
                None => self.ended = true,
                Some(element) => self.close(element, bytes),
            },
        }
        Ok(())
    }

    fn close(&mut self, mut element: Element, bytes: &[u8]) {
        if let Some(parent) = self.open.last_mut() {
            parent.children.push(element);
        } else {
            element.raw = self.hand_out(bytes);
            self.complete.push_back(element);
        }
    }

    fn hand_out(&mut self, bytes: &[u8]) -> Vec<u8> {
        let raw = bytes[self.consumed..self.parsed].to_vec();
        self.consumed = self.parsed;
        raw
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    const HEADER: &str = "<s:stream xmlns:s='urn:s' xmlns='urn:c' id='1'>";

    /// A reader of `bytes`, after which the connection ends.
    fn reading(bytes: &str) -> StreamReader {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener
            .accept()
            .unwrap()
            .0
            .write_all(bytes.as_bytes())
            .unwrap();
        StreamReader::new(client)
    }

    fn patient_element(reader: &mut StreamReader) -> Result<Option<Element>> {
        reader.element(crate::PATIENCE)
    }

    #[test]
    fn elements_come_with_their_own_bytes_and_nothing_else() {
        let stanza = "<m a='1&amp;2'><x:y xmlns:x='urn:x'>t<![CDATA[&]]></x:y></m>";
        let mut reader = reading(&format!("{HEADER} {stanza}\n {stanza}<e/></s:stream>"));
        assert_eq!(reader.header(crate::PATIENCE).unwrap().attribute("id"), "1");
        for _ in 0..2 {
            let element = patient_element(&mut reader).unwrap().unwrap();
            assert_eq!(String::from_utf8(element.raw.clone()).unwrap(), stanza);
            assert_eq!(element.attribute("a"), "1&2");
            let child = element.child("y").unwrap();
            assert_eq!(
                (child.namespace.as_str(), child.text.as_str()),
                ("urn:x", "t&")
            );
        }
        assert_eq!(patient_element(&mut reader).unwrap().unwrap().name, "e");
        reader.end(crate::PATIENCE).unwrap();
    }

    #[test]
    fn what_no_stream_may_carry_is_an_error() {
        for wrong in [
            "<m>",
            "<m></n>",
            "<m><p:x/></m>",
            "text",
            "<m>&#1;</m>",
            "<!-- c -->",
        ] {
            let mut reader = reading(&format!("{HEADER}{wrong}</s:stream>"));
            let outcome = patient_element(&mut reader);
            assert!(outcome.is_err(), "{wrong}: {outcome:?}");
        }
    }

    #[test]
    fn an_end_has_to_be_the_end() {
        for wrong in ["", "<m/></s:stream>"] {
            let mut reader = reading(&format!("{HEADER}{wrong}"));
            assert!(reader.end(crate::PATIENCE).is_err(), "{wrong}");
        }
        let mut reader = reading(&format!("{HEADER}</s:stream>"));
        reader.end(crate::PATIENCE).unwrap();
        assert!(patient_element(&mut reader).is_err());
    }
}
