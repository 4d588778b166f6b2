//! Tags: their grammar, and the search for the end of one that has not arrived completely.

use memchr::memchr2;

use super::chars::{self, NAME, NAME_START, SPACE, TAG_DELIMITER};
use super::error::Fault;
use super::text;
use crate::Span;

/// A qualified name as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) span: Span,
    /// Position of the colon behind its prefix; 0 if it has none.
    colon: u32,
}

/// An attribute as written, or a namespace declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Name,
    /// Without the quotes.
    pub(super) value: Span,
}

/// A start tag or an empty-element tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartTag {
    pub(super) name: Name,
    /// Position behind the `>`.
    pub(super) end: usize,
    /// An empty-element tag.
    pub(super) empty: bool,
    /// The element's name or an attribute's has a prefix, or there is a namespace declaration.
    pub(super) namespaced: bool,
}

/// How far the search for the `>` of an unfinished tag has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TagSearch {
    at: usize,
    /// The quote of the attribute value that the search is in; 0 outside of values.
    quote: u8,
}

/// The range from `start` to `end`.
///
/// Positions fit: the framer never looks beyond the first 4 GiB of a buffer.
pub(super) const fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u32,
        end: end as u32,
    }
}

// === impl Name ===

impl Name {
    /// The prefix, if it has one.
    pub(super) const fn prefix(self) -> Option<Span> {
        if self.colon == 0 {
            return None;
        }
        Some(Span {
            start: self.span.start,
            end: self.colon,
        })
    }

    /// What follows the prefix.
    pub(super) const fn local(self) -> Span {
        if self.colon == 0 {
            return self.span;
        }
        Span {
            start: self.colon + 1,
            end: self.span.end,
        }
    }

    /// Reads the name at `at`, which ends before the first byte that no name has. Nothing if that
    /// has not arrived.
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Result<Option<Self>, Fault> {
        let (mut end, mut all) = (at, 0);
        let mut next = None;
        while let Some(&byte) = bytes.get(end) {
            if !chars::is(byte, NAME) {
                next = Some(byte);
                break;
            }
            all |= byte;
            end += 1;
        }
        let Some(next) = next else { return Ok(None) };
        check_name(bytes, at, end, all)?;
        if next != b':' {
            let span = span(at, end);
            return Ok(Some(Self { span, colon: 0 }));
        }
        Ok(local_end(bytes, end + 1)?.map(|behind| Self {
            span: span(at, behind),
            colon: end as u32,
        }))
    }
}

/// The end of the local name at `at`.
fn local_end(bytes: &[u8], at: usize) -> Result<Option<usize>, Fault> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(len) = rest.iter().position(|&byte| !chars::is(byte, NAME)) else {
        return Ok(None);
    };
    let all = rest[..len].iter().fold(0, |all, byte| all | byte);
    check_name(bytes, at, at + len, all)?;
    if rest.get(len) == Some(&b':') {
        return Err(Fault::malformed("a name with two colons", at + len));
    }
    Ok(Some(at + len))
}

/// Checks the start of a name, and all of it if `all`, its bytes or-ed, is not ASCII.
#[inline]
fn check_name(bytes: &[u8], at: usize, end: usize, all: u8) -> Result<(), Fault> {
    let starts = bytes
        .get(at)
        .is_some_and(|&byte| chars::is(byte, NAME_START));
    if starts && (all.is_ascii() || chars::is_name(bytes.get(at..end).unwrap_or_default())) {
        return Ok(());
    }
    Err(Fault::malformed("no name where one must be", at))
}

// === impl Attribute ===

impl Attribute {
    /// Tells if it declares a namespace.
    pub(super) fn is_declaration(&self, bytes: &[u8]) -> bool {
        let name = self.name.prefix().unwrap_or(self.name.span);
        name.of(bytes) == b"xmlns"
    }

    /// The attribute with quotes and the white space before it, which any element can do without.
    pub(super) fn whole(&self, bytes: &[u8]) -> Span {
        let before = bytes
            .get(..self.name.span.start as usize)
            .unwrap_or_default();
        let spaces = before
            .iter()
            .rev()
            .take_while(|&&byte| chars::is(byte, SPACE));
        span(before.len() - spaces.count(), self.value.end as usize + 1)
    }

    /// Reads the attribute at `at`.
    #[inline]
    pub(super) fn read(bytes: &[u8], at: usize) -> Result<Option<Self>, Fault> {
        let Some(name) = Name::read(bytes, at)? else {
            return Ok(None);
        };
        let Some(quote_at) = value_start(bytes, name.span.end as usize)? else {
            return Ok(None);
        };
        let quote = match bytes.get(quote_at) {
            None => return Ok(None),
            Some(&quote @ (b'\'' | b'"')) => quote,
            Some(_) => {
                let text = "an attribute value without quotes";
                return Err(Fault::malformed(text, quote_at));
            }
        };
        let end = text::value(bytes, quote_at + 1, quote)?;
        Ok(end.map(|end| Self {
            name,
            value: span(quote_at + 1, end),
        }))
    }
}

/// Steps over the `=` of an attribute whose name ends at `at`, and white space around it.
#[inline]
fn value_start(bytes: &[u8], at: usize) -> Result<Option<usize>, Fault> {
    // By far the most frequent form has no space.
    if let Some([b'=', b'\'' | b'"']) = bytes.get(at..at + 2) {
        return Ok(Some(at + 1));
    }
    let equals = chars::skip_space(bytes, at);
    match bytes.get(equals) {
        None => Ok(None),
        Some(b'=') => Ok(Some(chars::skip_space(bytes, equals + 1))),
        Some(_) => Err(Fault::malformed("an attribute without a value", equals)),
    }
}

// === impl StartTag ===

impl StartTag {
    /// Reads the start tag or empty-element tag whose `<` is at `at`, with its attributes into
    /// `attributes`, at most `max` of them. Nothing if its `>` has not arrived.
    pub(super) fn read(
        bytes: &[u8],
        at: usize,
        attributes: &mut Vec<Attribute>,
        max: u32,
    ) -> Result<Option<Self>, Fault> {
        attributes.clear();
        let Some(name) = Name::read(bytes, at + 1)? else {
            return Ok(None);
        };
        let mut namespaced = name.colon != 0;
        let mut at = name.span.end as usize;
        loop {
            let next = chars::skip_space(bytes, at);
            let (end, empty) = match bytes.get(next..) {
                Some([b'>', ..]) => (next + 1, false),
                Some([b'/', b'>', ..]) => (next + 2, true),
                None | Some([] | [b'/']) => return Ok(None),
                Some([b'/', ..]) => return Err(Fault::malformed("\"/\" in a tag", next)),
                Some(_) => {
                    if next == at {
                        return Err(Fault::malformed("no white space before an attribute", at));
                    }
                    let Some(attribute) = Attribute::read(bytes, next)? else {
                        return Ok(None);
                    };
                    if attributes.len() >= max as usize {
                        return Err(Fault::policy("too many attributes", next));
                    }
                    namespaced |= attribute.name.colon != 0 || attribute.is_declaration(bytes);
                    attributes.push(attribute);
                    at = attribute.value.end as usize + 1;
                    continue;
                }
            };
            let tag = Self {
                name,
                end,
                empty,
                namespaced,
            };
            return unique(bytes, attributes).map(|()| Some(tag));
        }
    }
}

/// Checks that no two attributes have the same name as written.
#[inline]
fn unique(bytes: &[u8], attributes: &[Attribute]) -> Result<(), Fault> {
    // One bit for each kind of name: a bit that is not set says that the name is new.
    let mut seen = 0_u64;
    for (index, attribute) in attributes.iter().enumerate() {
        let name = attribute.name.span.of(bytes);
        let bit = 1_u64 << (fingerprint(name) & 63);
        if seen & bit != 0
            && attributes
                .iter()
                .take(index)
                .any(|other| other.name.span.of(bytes) == name)
        {
            let at = attribute.name.span.start as usize;
            return Err(Fault::malformed("an attribute that is there twice", at));
        }
        seen |= bit;
    }
    Ok(())
}

#[inline]
fn fingerprint(name: &[u8]) -> u8 {
    let first = name.first().copied().unwrap_or_default();
    let last = name.last().copied().unwrap_or_default();
    first
        .wrapping_mul(7)
        .wrapping_add(last)
        .wrapping_add((name.len() as u8) << 4)
}

// === impl TagSearch ===

impl TagSearch {
    /// A search from the `<` at `at` on.
    pub(super) const fn new(at: usize) -> Self {
        Self {
            at: at + 1,
            quote: 0,
        }
    }

    /// How far it has come.
    pub(super) const fn position(self) -> usize {
        self.at
    }

    /// Goes on in `bytes`, which begin as they did before. True when the `>` has been found.
    pub(super) fn resume(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        while let Some(found) = self.next_delimiter(bytes) {
            let at = found;
            self.at = found + 1;
            match bytes.get(at) {
                Some(b'<') => return Err(Fault::malformed("\"<\" in a tag", at)),
                Some(b'>') if self.quote == 0 => return Ok(true),
                Some(&quote) if self.quote == 0 => self.quote = quote,
                _ => self.quote = 0,
            }
        }
        self.at = bytes.len();
        Ok(false)
    }

    fn next_delimiter(self, bytes: &[u8]) -> Option<usize> {
        let rest = bytes.get(self.at..)?;
        let found = if self.quote == 0 {
            rest.iter().position(|&byte| chars::is(byte, TAG_DELIMITER))
        } else {
            memchr2(self.quote, b'<', rest)
        };
        found.map(|found| self.at + found)
    }
}

/// The position behind the end tag `</name>` whose `<` is at `at` and whose `>` has arrived.
/// Nothing if it is another.
pub(super) fn end_tag(bytes: &[u8], at: usize, name: &[u8]) -> Option<usize> {
    let rest = bytes.get(at + 2..)?.strip_prefix(name)?;
    let spaces = chars::skip_space(rest, 0);
    (rest.get(spaces) == Some(&b'>')).then(|| at + 2 + name.len() + spaces + 1)
}
