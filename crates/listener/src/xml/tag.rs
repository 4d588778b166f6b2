//! Tags: their grammar, and the search for the end of one that has not arrived completely.

use memchr::memchr2;

use super::chars::{self, SPACE, TAG_DELIMITER};
use super::fault::{Fault, Stop, Wrong};
use super::name::{self, Name};
use super::text;
use crate::Span;

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
    /// There is a namespace declaration.
    pub(super) declares: bool,
    /// The element's name or that of an attribute has a prefix.
    pub(super) has_prefix: bool,
}

/// How far the search for the `>` of an unfinished tag has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TagSearch {
    at: usize,
    /// The quote of the attribute value that the search is in; 0 outside of values.
    quote: u8,
}

// === impl Attribute ===

impl Attribute {
    /// Tells if it declares a namespace.
    #[inline]
    pub(super) fn is_declaration(&self, bytes: &[u8]) -> bool {
        let prefix = self.name.prefix();
        self.name.short() == name::XMLNS
            || prefix.is_some_and(|prefix| prefix.of(bytes) == b"xmlns")
    }

    /// The attribute with quotes and the white space before it, which any element can do without.
    pub(super) fn whole(&self, bytes: &[u8]) -> Span {
        let before = bytes.get(..self.name.span.start as usize);
        let before = before.unwrap_or_default();
        let spaces = before.iter().rev();
        let spaces = spaces.take_while(|&&byte| chars::is(byte, SPACE)).count();
        Span {
            start: (before.len() - spaces) as u32,
            end: self.value.end + 1,
        }
    }

    /// Reads the attribute at `at`.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8], at: usize) -> Result<Self, Stop> {
        let name = Name::read(bytes, at)?;
        let open = value_start(bytes, name.span.end as usize)?;
        let quote = match bytes.get(open) {
            Some(&quote @ (b'\'' | b'"')) => quote,
            Some(_) => return Wrong::AttributeUnquoted.stop(open),
            None => return Err(Stop::Partial),
        };
        let end = text::value(bytes, open + 1, quote)?;
        let value = name::span(open + 1, end);
        Ok(Self { name, value })
    }
}

/// Steps over the `=` of an attribute whose name ends at `at`, and white space around it.
#[inline(always)]
fn value_start(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    // By far the most frequent form has no space.
    if let Some([b'=', b'\'' | b'"', ..]) = bytes.get(at..) {
        return Ok(at + 1);
    }
    let equals = chars::skip_space(bytes, at);
    match bytes.get(equals) {
        Some(b'=') => Ok(chars::skip_space(bytes, equals + 1)),
        Some(_) => Wrong::AttributeWithoutValue.stop(equals),
        None => Err(Stop::Partial),
    }
}

// === impl StartTag ===

impl StartTag {
    /// Reads the start tag or empty-element tag whose `<` is at `at`, with its attributes into
    /// `attributes`, at most `max` of them.
    #[inline]
    pub(super) fn read(
        bytes: &[u8],
        at: usize,
        attributes: &mut Vec<Attribute>,
        max: u32,
    ) -> Result<Self, Stop> {
        attributes.clear();
        let name = Name::read(bytes, at + 1)?;
        let mut tag = Self {
            name,
            end: name.span.end as usize,
            empty: false,
            declares: false,
            has_prefix: name.has_prefix(),
        };
        while !tag.close(bytes)? {
            let at = chars::skip_space(bytes, tag.end);
            if at == tag.end {
                return Wrong::AttributeWithoutSpace.stop(at);
            }
            tag.end = at;
            if tag.close(bytes)? {
                break;
            }
            let attribute = Attribute::read(bytes, at)?;
            if attributes.len() >= max as usize {
                return Wrong::TooManyAttributes.stop(at);
            }
            tag.declares |= attribute.is_declaration(bytes);
            tag.has_prefix |= attribute.name.has_prefix();
            tag.end = attribute.value.end as usize + 1;
            attributes.push(attribute);
        }
        unique(bytes, attributes)?;
        Ok(tag)
    }

    /// Steps over `>` or `/>` if that comes next.
    #[inline(always)]
    fn close(&mut self, bytes: &[u8]) -> Result<bool, Stop> {
        match bytes.get(self.end..) {
            Some([b'>', ..]) => self.end += 1,
            Some([b'/', b'>', ..]) => {
                self.end += 2;
                self.empty = true;
            }
            Some([b'/', _, ..]) => return Wrong::Slash.stop(self.end),
            None | Some([] | [b'/']) => return Err(Stop::Partial),
            Some(_) => return Ok(false),
        }
        Ok(true)
    }
}

/// Checks that no two attributes have the same name as written.
#[inline]
fn unique(bytes: &[u8], attributes: &[Attribute]) -> Result<(), Fault> {
    // One bit for each kind of name: a bit that is not set yet says that the name is new.
    let mut seen = 0_u64;
    for (index, attribute) in attributes.iter().enumerate() {
        let bit = 1_u64 << attribute.name.fingerprint();
        if seen & bit != 0 {
            let name = attribute.name.span.of(bytes);
            let mut before = attributes.iter().take(index);
            if before.any(|other| other.name.span.of(bytes) == name) {
                return Err(Wrong::AttributeTwice.at(attribute.name.span.start as usize));
            }
        }
        seen |= bit;
    }
    Ok(())
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
        while let Some(at) = self.next_delimiter(bytes) {
            self.at = at + 1;
            match bytes.get(at) {
                Some(b'<') => return Err(Wrong::BracketInTag.at(at)),
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
