use std::borrow::Cow;

use bytes::BytesMut;
use memchr::memchr2;

use super::chars::{self, FORBIDDEN};
use super::element::Element;
use super::error::XmlError;
use super::fault::{Fault, Wrong};
use super::header::{HeaderReader, StreamHeader};
use super::rewrite;
use super::scope::Scope;
use super::{Limits, name};
use crate::Stanza;

/// Finds the first-level elements in the bytes of a stream and checks them (contract X1 to X3),
/// in whatever pieces they arrive.
///
/// It owns no bytes. The caller keeps a buffer, calls [`Self::read_header`] until there is one,
/// splits it off, then calls [`Self::read_elements`] after each arrival.
///
/// ### To ensure correctness
///
/// - The bytes that were not consumed must be presented again, unchanged, with more behind them:
///   how far they have been looked at is remembered.
/// - After [`Outcome::End`] or an error the stream is over. Another call gives the same again.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    header: HeaderReader,
    scope: Scope,
    element: Element,
    /// How far the search for the `>` of the stream's end tag has come.
    end_searched: usize,
    /// The stream header was an empty-element tag.
    is_empty: bool,
}

/// How far one call of [`Framer::read_elements`] has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Bytes at the front of the buffer that are done with: complete elements and white space.
    pub consumed: usize,
    /// Why it went no further.
    pub outcome: Outcome,
}

/// Why a call of [`Framer::read_elements`] went no further. Elements found before are valid in any
/// case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The buffer is at its end, or in the midst of an element.
    More,
    /// As many elements as the caller wanted. There may be more in the buffer.
    Limit,
    /// The stream's end tag.
    End,
    /// The bytes that follow cannot be accepted.
    Error(XmlError),
}

impl Framer {
    /// A framer for a stream, which begins with its header.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            header: HeaderReader::default(),
            scope: Scope::default(),
            element: Element::new(),
            end_searched: 0,
            is_empty: false,
        }
    }

    /// A framer for first-level elements that need nothing from a stream header, such as stanzas
    /// that have been rewritten. [`Limits::forwarded`] suits them.
    #[must_use]
    pub fn for_stanzas(limits: Limits) -> Self {
        Self::new(limits)
    }

    /// Looks for the stream header at the start of `buffer`, behind an XML declaration and white
    /// space; nothing if it has not arrived completely. Its `len` bytes are to be split off.
    ///
    /// # Errors
    ///
    /// When `buffer` begins with something else, or with a header that is malformed or too long.
    /// If the header is that of a stream, and of which, is for the caller to decide.
    pub fn read_header(&mut self, buffer: &[u8]) -> Result<Option<StreamHeader>, XmlError> {
        let read = self.header.read(buffer, &self.limits);
        let Some((header, scope)) = read.map_err(|fault| fault.explain(buffer))? else {
            return Ok(None);
        };
        self.scope = scope;
        self.is_empty = header.is_empty;
        Ok(Some(header))
    }

    /// Appends to `out` the complete first-level elements at the start of `buffer`, at most
    /// `limit` of them.
    pub fn read_elements(
        &mut self,
        buffer: &[u8],
        limit: usize,
        out: &mut Vec<Stanza>,
    ) -> Progress {
        if self.is_empty {
            return Progress {
                consumed: 0,
                outcome: Outcome::End,
            };
        }
        // Beyond that offsets would not fit in 32 bits.
        let buffer = buffer.get(..u32::MAX as usize).unwrap_or(buffer);
        let full = out.len().saturating_add(limit);
        let mut at = 0;
        let outcome = loop {
            if !self.element.has_begun() {
                at = chars::skip_space(buffer, at);
                match buffer.get(at..).unwrap_or_default() {
                    [] | [b'<'] => break Outcome::More,
                    [b'<', b'/', ..] if out.len() < full => {
                        break self.end_of_stream(buffer, &mut at);
                    }
                    [b'<', b'!' | b'?', ..] | [..=b';' | b'='.., ..] => {
                        break self.no_element(buffer, at);
                    }
                    [b'<', ..] if out.len() >= full => break Outcome::Limit,
                    [b'<', ..] => {}
                }
            }
            match self.read_element(buffer, at) {
                Ok(true) => {
                    let stanza = self.element.stanza().moved(at as u32);
                    at = stanza.span.end as usize;
                    out.push(stanza);
                }
                Ok(false) => break Outcome::More,
                Err(fault) => break self.error(buffer, at, fault),
            }
        };
        Progress {
            consumed: at,
            outcome,
        }
    }

    /// True if [`Self::rewrite`] would change `stanza`.
    #[must_use]
    pub fn needs_rewrite(&self, stanza: &Stanza) -> bool {
        stanza.rewrite.is_needed()
    }

    /// Appends to `out` the stanza that was found in `buffer` as it can stand on another stream:
    /// namespace-equal and with its language (contract X5). Gives it in its new place.
    pub fn rewrite(&self, buffer: &[u8], stanza: &Stanza, out: &mut BytesMut) -> Stanza {
        rewrite::rewrite(&self.scope, buffer, stanza, out)
    }

    /// Bytes looked at in elements, those looked at again counted again.
    #[cfg(test)]
    pub(super) const fn looked_at(&self) -> usize {
        self.element.looked_at
    }

    /// Reads on in the element at `at`. True when it is complete.
    #[inline]
    fn read_element(&mut self, buffer: &[u8], at: usize) -> Result<bool, Fault> {
        let rest = buffer.get(at..).unwrap_or_default();
        let max = self.limits.stanza_bytes();
        let bytes = rest.get(..max).unwrap_or(rest);
        let is_complete = self.element.advance(bytes, &self.scope, &self.limits)?;
        if !is_complete && rest.len() > max {
            return Err(Wrong::StanzaTooLong.at(max));
        }
        Ok(is_complete)
    }

    /// What begins at `at` is an end tag.
    fn end_of_stream(&mut self, buffer: &[u8], at: &mut usize) -> Outcome {
        let rest = buffer.get(*at..).unwrap_or_default();
        let bounded = rest.get(..self.limits.stanza_bytes()).unwrap_or(rest);
        let found = memchr2(
            b'>',
            b'<',
            bounded.get(self.end_searched.max(2)..).unwrap_or_default(),
        );
        if found.is_none() {
            self.end_searched = bounded.len();
            if rest.len() > bounded.len() {
                return self.error(buffer, *at, Wrong::EndTagTooLong.at(0));
            }
            return Outcome::More;
        }
        let name = self.scope.root.as_deref().unwrap_or_default();
        match name::end_tag(bounded, 0, name) {
            Some(len) if !name.is_empty() => {
                *at += len;
                Outcome::End
            }
            _ => self.error(buffer, *at, Wrong::EndTag.at(0)),
        }
    }

    /// What begins at `at` is none of the elements that may stand here.
    fn no_element(&mut self, buffer: &[u8], at: usize) -> Outcome {
        let wrong = match buffer.get(at..).unwrap_or_default() {
            [b'<', b'!'] => return Outcome::More,
            [b'<', b'?', ..] => Wrong::Instruction,
            [b'<', b'!', b'-', ..] => Wrong::Comment,
            [b'<', b'!', b'[', ..] => Wrong::TextBetween,
            [b'<', ..] => Wrong::Dtd,
            [byte, ..] if chars::is(*byte, FORBIDDEN) => Wrong::ForbiddenByte,
            // No character begins with one of these.
            [0x80..0xC2 | 0xF5.., ..] => Wrong::ForbiddenByte,
            _ => Wrong::TextBetween,
        };
        self.error(buffer, at, wrong.at(0))
    }

    fn error(&mut self, buffer: &[u8], at: usize, fault: Fault) -> Outcome {
        let element = buffer.get(at..).unwrap_or_default();
        let mut error = fault.explain(element);
        if let (Wrong::Mismatch, Some(name)) = (fault.what, self.element.innermost(element)) {
            let name = String::from_utf8_lossy(name.get(..64).unwrap_or(name));
            error.text = Cow::Owned(format!("{}, <{name}>", error.text));
        }
        self.element.reset();
        Outcome::Error(error)
    }
}
