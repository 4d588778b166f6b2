use memchr::memmem;

use crate::xml::error::Protocol;
use crate::xml::escape::unescape_attribute;
use crate::xml::fault::{Fault, Stop, Wrong};
use crate::xml::namespaces::{self, Namespaces};
use crate::xml::scope::{Prefix, Scope};
use crate::xml::tag::{Attribute, StartTag, TagSearch};
use crate::xml::{Limits, chars};

/// The opening tag of a stream, its values unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamHeader {
    /// Bytes up to and including the `>`, the XML declaration included.
    pub len: usize,
    /// The prefix of its name.
    pub prefix: Option<String>,
    /// Its name without the prefix: `stream`, if it is one.
    pub local: String,
    /// The namespace of its name.
    pub namespace: Option<String>,
    /// The default namespace that it declares.
    pub content_namespace: Option<String>,
    /// `to`: the name that the component asks for.
    pub to: Option<String>,
    /// `from`.
    pub from: Option<String>,
    /// `id`.
    pub id: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// `xml:lang`.
    pub xml_lang: Option<String>,
    /// `is_subdomain`, which MongooseIM defines (contract R4): it is `true`, in so many letters.
    pub is_subdomain: bool,
    /// It is an empty-element tag: the stream ends where it begins.
    pub is_empty: bool,
}

/// Reads the XML declaration and the stream header, in whatever pieces they arrive.
#[derive(Debug, Default)]
pub(super) struct HeaderReader {
    /// All before is read: the declaration and white space.
    at: usize,
    /// How far the search for the end of the declaration has come.
    searched: usize,
    /// The search for the end of the header.
    tag: Option<TagSearch>,
}

impl HeaderReader {
    /// Goes on in `bytes`, which begin as they did before.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<(StreamHeader, Scope)>, Fault> {
        let max = limits.max_header_size as usize;
        let header = self.read_bounded(bytes.get(..max).unwrap_or(bytes), limits)?;
        if header.is_none() && bytes.len() > max {
            return Err(Wrong::HeaderTooLong.at(max));
        }
        Ok(header)
    }

    fn read_bounded(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<(StreamHeader, Scope)>, Fault> {
        loop {
            self.at = chars::skip_space(bytes, self.at);
            match bytes.get(self.at..).unwrap_or_default() {
                [] | [b'<'] => return Ok(None),
                [b'<', 0, ..] => return Err(Wrong::Utf16.at(self.at)),
                [b'<', b'?', ..] => {
                    if !self.declaration(bytes)? {
                        return Ok(None);
                    }
                }
                [b'<', b'!', ..] => return Err(Wrong::Dtd.at(self.at)),
                [b'<', ..] => return self.root(bytes, limits),
                other => return not_xml(other, self.at).map(|()| None),
            }
        }
    }

    /// Reads the XML declaration. False if its end has not arrived.
    fn declaration(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        const OPEN: &[u8] = b"<?xml";
        let rest = bytes.get(self.at..).unwrap_or_default();
        if OPEN.starts_with(rest) {
            return Ok(false);
        }
        let behind = rest.strip_prefix(OPEN).and_then(|rest| rest.first());
        if behind.is_none_or(|&byte| !chars::is(byte, chars::SPACE)) {
            return Err(Wrong::Instruction.at(self.at));
        }
        if self.at > 0 {
            return Err(Wrong::DeclarationNotFirst.at(self.at));
        }
        let Some(found) = memmem::find(bytes.get(self.searched..).unwrap_or_default(), b"?>")
        else {
            self.searched = bytes.len().saturating_sub(1);
            return Ok(false);
        };
        let end = self.searched + found;
        check_declaration(bytes.get(..end).unwrap_or_default(), OPEN.len())?;
        self.at = end + 2;
        Ok(true)
    }

    fn root(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<(StreamHeader, Scope)>, Fault> {
        let search = self.tag.get_or_insert_with(|| TagSearch::new(self.at));
        if !search.resume(bytes)? {
            return Ok(None);
        }
        let mut attributes = Vec::new();
        let max = limits.max_attributes;
        let tag = match StartTag::read(bytes, self.at, &mut attributes, max) {
            Ok(tag) => tag,
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Partial) => return Ok(None),
        };
        let mut namespaces = Namespaces::default();
        namespaces.declare(bytes, &attributes, max)?;
        namespaces::check_names_of(bytes, forwarded(bytes, &tag, &attributes))?;
        let outside = Scope::default();
        namespaces.check(bytes, &tag, &attributes, &outside, |_| {})?;
        let mut header = header(bytes, &tag, &attributes);
        let bound = namespaces.resolve(bytes, tag.name, &outside)?;
        header.namespace = match bound {
            Some(bound) => Some(bound.namespace(bytes, &outside).into_owned()),
            None => header.content_namespace.clone(),
        };
        let scope = scope(bytes, &tag, &attributes, &header);
        Ok(Some((header, scope)))
    }
}

/// The declarations of a stream header that stanzas may bring along. The others are to be the two that
/// XMPP prescribes, whatever characters stand in their place.
fn forwarded<'a>(
    bytes: &'a [u8],
    tag: &'a StartTag,
    attributes: &'a [Attribute],
) -> impl Iterator<Item = &'a Attribute> {
    let of_root = tag.name.prefix().map(|prefix| prefix.of(bytes));
    attributes.iter().filter(move |attribute| {
        let name = attribute.name;
        name.has_prefix() && of_root != Some(name.local().of(bytes))
    })
}

fn header(bytes: &[u8], tag: &StartTag, attributes: &[Attribute]) -> StreamHeader {
    let text = |raw: &[u8]| unescape_attribute(raw).into_owned();
    let mut header = StreamHeader {
        len: tag.end,
        prefix: tag.name.prefix().map(|prefix| text(prefix.of(bytes))),
        local: text(tag.name.local().of(bytes)),
        is_empty: tag.empty,
        ..StreamHeader::default()
    };
    for attribute in attributes {
        let value = text(attribute.value.of(bytes));
        match attribute.name.span.of(bytes) {
            b"to" => header.to = Some(value),
            b"from" => header.from = Some(value),
            b"id" => header.id = Some(value),
            b"version" => header.version = Some(value),
            b"xmlns" => header.content_namespace = Some(value),
            b"xml:lang" => header.xml_lang = Some(value),
            b"is_subdomain" => header.is_subdomain = value == "true",
            _ => {}
        }
    }
    header
}

fn scope(bytes: &[u8], tag: &StartTag, attributes: &[Attribute], header: &StreamHeader) -> Scope {
    let is_prefix = |a: &&Attribute| a.name.prefix().is_some() && a.is_declaration(bytes);
    let prefixes = attributes.iter().filter(is_prefix);
    let prefixes = prefixes.map(|declaration| Prefix {
        name: declaration.name.local().of(bytes).into(),
        namespace: unescape_attribute(declaration.value.of(bytes)).into(),
    });
    Scope {
        // `xml` may be declared, but never needs to be.
        prefixes: prefixes.filter(|prefix| *prefix.name != *b"xml").collect(),
        root: Some(tag.name.span.of(bytes).into()),
        language: header
            .xml_lang
            .as_deref()
            .filter(|language| !language.is_empty())
            .map(Into::into),
    }
}

/// Checks the XML declaration, which ends before `?>`, from `at` on.
fn check_declaration(bytes: &[u8], mut at: usize) -> Result<(), Fault> {
    const ORDER: [&[u8]; 3] = [b"version", b"encoding", b"standalone"];
    let malformed = |at| Wrong::Declaration.at(at);
    let mut expected = ORDER.as_slice();
    loop {
        let next = chars::skip_space(bytes, at);
        if next >= bytes.len() {
            let complete = expected.len() < ORDER.len();
            return if complete { Ok(()) } else { Err(malformed(at)) };
        }
        let attribute = Attribute::read(bytes, next).ok().filter(|_| next > at);
        let attribute = attribute.ok_or_else(|| malformed(next))?;
        let name = attribute.name.span.of(bytes);
        let index = expected.iter().position(|expected| *expected == name);
        let skipped = index.ok_or_else(|| malformed(next))?;
        if skipped > 0 && expected.len() == ORDER.len() {
            return Err(malformed(next));
        }
        expected = &expected[skipped + 1..];
        check_declared(name, attribute.value.of(bytes), next)?;
        at = attribute.value.end as usize + 1;
    }
}

fn check_declared(name: &[u8], value: &[u8], at: usize) -> Result<(), Fault> {
    let supported = match name {
        b"version" => value
            .strip_prefix(b"1.")
            .is_some_and(|minor| !minor.is_empty() && minor.iter().all(u8::is_ascii_digit)),
        b"standalone" => matches!(value, b"yes" | b"no"),
        _ if !value.eq_ignore_ascii_case(b"UTF-8") => {
            return Err(Wrong::Encoding.at(at));
        }
        _ => true,
    };
    if supported {
        return Ok(());
    }
    Err(Wrong::Declaration.at(at))
}

/// Guesses what a stream is that does not begin with a `<`. Nothing if it takes more bytes.
fn not_xml(bytes: &[u8], at: usize) -> Result<(), Fault> {
    // White space is skipped before, that at the start of the PROXY signature included.
    const KNOWN: [(&[u8], Wrong); 15] = [
        (b"\xFE\xFF", Wrong::Utf16),
        (b"\xFF\xFE", Wrong::Utf16),
        (b"\0<", Wrong::Utf16),
        (b"\x16", Wrong::Looks(Protocol::Tls)),
        (b"\0\r\nQUIT\n", Wrong::Looks(Protocol::Proxy)),
        (b"PROXY ", Wrong::Looks(Protocol::Proxy)),
        (b"CONNECT ", Wrong::Looks(Protocol::Http)),
        (b"DELETE ", Wrong::Looks(Protocol::Http)),
        (b"GET ", Wrong::Looks(Protocol::Http)),
        (b"HEAD ", Wrong::Looks(Protocol::Http)),
        (b"OPTIONS ", Wrong::Looks(Protocol::Http)),
        (b"PATCH ", Wrong::Looks(Protocol::Http)),
        (b"POST ", Wrong::Looks(Protocol::Http)),
        (b"PRI ", Wrong::Looks(Protocol::Http)),
        (b"PUT ", Wrong::Looks(Protocol::Http)),
    ];
    if let Some((_, wrong)) = KNOWN.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err(wrong.at(at));
    }
    if KNOWN.iter().any(|(start, _)| start.starts_with(bytes)) {
        return Ok(());
    }
    Err(Wrong::NotXml.at(at))
}

#[cfg(test)]
mod tests;
