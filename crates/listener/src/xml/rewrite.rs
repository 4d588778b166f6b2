use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use memchr::memmem;

use super::escape::{escape, unescape_attribute};
use super::namespaces::{COMPONENT_ACCEPT, is_content};
use super::scope::{Prefix, Scope};
use super::tag::{Attribute, StartTag};
use crate::{Span, Stanza};

/// What has to be changed in a stanza before it can stand on another stream (contract X5), as a
/// set of bits: the low ones for the prefixes of the stream header that the stanza uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rewrite(u32);

impl Rewrite {
    /// Nothing.
    pub(crate) const NONE: Self = Self(0);
    /// The stream's language has to be stamped on it.
    pub(super) const LANGUAGE: Self = Self(1 << 31);
    /// It declares a content namespace as its default namespace.
    pub(super) const DEFAULT_NAMESPACE: Self = Self(1 << 30);
    /// Its own name has a prefix that is bound to a content namespace of others.
    pub(super) const ROOT_PREFIX: Self = Self(1 << 29);
    /// Not a change: the element is a stream error.
    pub(crate) const STREAM_ERROR: Self = Self(1 << 28);

    /// The bit for all prefixes that have none of their own.
    const OTHER_PREFIXES: u32 = 27;

    pub(super) const fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    /// Takes down that the prefix with that index in the stream header is used.
    pub(super) fn use_prefix(&mut self, index: usize) {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.0 |= 1 << index.min(Self::OTHER_PREFIXES);
    }

    /// True if there is anything to change.
    pub(super) const fn is_needed(self) -> bool {
        self.0 & !Self::STREAM_ERROR.0 != 0
    }

    pub(crate) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    fn uses(self, index: usize) -> bool {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.0 & 1 << index.min(Self::OTHER_PREFIXES) != 0
    }
}

/// A range of the original start tag and what stands in its place.
struct Edit<'a> {
    at: Span,
    with: Cow<'a, [u8]>,
}

/// Appends to `out` the stanza of `buffer` as it can stand on another stream, and gives it in its
/// new place.
pub(super) fn rewrite(scope: &Scope, buffer: &[u8], stanza: &Stanza, out: &mut BytesMut) -> Stanza {
    let mut attributes = Vec::new();
    let start = stanza.start_tag.start as usize;
    let Ok(tag) = StartTag::read(buffer, start, &mut attributes, u32::MAX) else {
        // Not a stanza of this buffer: nothing to change in it.
        return append(buffer, stanza, &[], out);
    };
    let edits = edits(scope, buffer, stanza, &tag, &attributes);
    append(buffer, stanza, &edits, out)
}

/// The namespace declarations on the root of a stanza, each with the white space before it, but
/// for one that makes a content namespace the default. True if none makes another the default.
pub(crate) fn declarations(buffer: &[u8], stanza: &Stanza) -> (Vec<Span>, bool) {
    let tag = stanza.start_tag.of(buffer);
    let mut attributes = Vec::new();
    if memmem::find(tag, b"xmlns").is_none() {
        return (Vec::new(), true);
    }
    let start = stanza.start_tag.start as usize;
    let _unread = StartTag::read(buffer, start, &mut attributes, u32::MAX);
    let mut inherits = true;
    attributes.retain(|attribute| {
        let is_default = attribute.name.prefix().is_none();
        let namespace = || unescape_attribute(attribute.value.of(buffer));
        if !attribute.is_declaration(buffer) || is_default && is_content(&namespace()) {
            return false;
        }
        inherits &= !is_default;
        true
    });
    let spans = attributes.iter().map(|attribute| attribute.whole(buffer));
    (spans.collect(), inherits)
}

/// The changes, in the order of their places.
fn edits<'a>(
    scope: &Scope,
    buffer: &[u8],
    stanza: &Stanza,
    tag: &StartTag,
    attributes: &[Attribute],
) -> Vec<Edit<'a>> {
    let behind_name = Span {
        start: tag.name.span.end,
        end: tag.name.span.end,
    };
    let mut edits = vec![Edit {
        at: behind_name,
        with: Cow::Owned(insertion(scope, buffer, stanza, tag, attributes)),
    }];
    let root_prefix = tag.name.prefix().map(|prefix| prefix.of(buffer));
    for attribute in attributes.iter().filter(|a| a.is_declaration(buffer)) {
        let namespace = unescape_attribute(attribute.value.of(buffer));
        let prefix = attribute
            .name
            .prefix()
            .map(|_| attribute.name.local().of(buffer));
        if !is_content(&namespace) {
            continue;
        }
        if prefix.is_none() {
            edits.push(Edit {
                at: attribute.whole(buffer),
                with: Cow::Borrowed(b""),
            });
        } else if prefix == root_prefix {
            edits.push(Edit {
                at: attribute.value,
                with: Cow::Borrowed(COMPONENT_ACCEPT.as_bytes()),
            });
        }
    }
    edits
}

/// What the start tag lacks: declarations of the stream header's prefixes, and its language.
fn insertion(
    scope: &Scope,
    buffer: &[u8],
    stanza: &Stanza,
    tag: &StartTag,
    attributes: &[Attribute],
) -> Vec<u8> {
    let mut text = BytesMut::new();
    let root_prefix = tag.name.prefix().map(|prefix| prefix.of(buffer));
    let mut used = scope.prefixes.iter().enumerate();
    while let Some((_, prefix)) = used.by_ref().find(|(i, _)| stanza.rewrite.uses(*i)) {
        if declares(buffer, attributes, prefix) {
            continue;
        }
        let is_root = root_prefix == Some(&*prefix.name);
        let namespace = if is_root && is_content(&prefix.namespace) {
            COMPONENT_ACCEPT
        } else {
            &prefix.namespace
        };
        text.put_slice(b" xmlns:");
        text.put_slice(&prefix.name);
        put_value(namespace, &mut text);
    }
    if let (true, Some(language)) = (stanza.rewrite.has(Rewrite::LANGUAGE), &scope.language) {
        text.put_slice(b" xml:lang");
        put_value(language, &mut text);
    }
    text.into()
}

fn declares(buffer: &[u8], attributes: &[Attribute], prefix: &Prefix) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.is_declaration(buffer))
        .any(|attribute| {
            attribute.name.prefix().is_some() && attribute.name.local().of(buffer) == &*prefix.name
        })
}

fn put_value(value: &str, out: &mut BytesMut) {
    out.put_slice(b"='");
    escape(value, out);
    out.put_u8(b'\'');
}

fn append(buffer: &[u8], stanza: &Stanza, edits: &[Edit<'_>], out: &mut BytesMut) -> Stanza {
    let base = out.len();
    let mut from = stanza.span.start;
    for edit in edits {
        out.put_slice(
            Span {
                start: from,
                end: edit.at.start,
            }
            .of(buffer),
        );
        out.put_slice(&edit.with);
        from = edit.at.end;
    }
    out.put_slice(
        Span {
            start: from,
            end: stanza.span.end,
        }
        .of(buffer),
    );
    let place = |position: u32| place(position, stanza.span.start, edits, base);
    let moved = |span: Span| Span {
        start: place(span.start),
        end: place(span.end),
    };
    // What is inserted behind the name does not belong to the name.
    let name_start = place(stanza.name.start);
    Stanza {
        kind: stanza.kind,
        span: Span {
            start: base as u32,
            end: out.len() as u32,
        },
        name: Span {
            start: name_start,
            end: name_start + (stanza.name.end - stanza.name.start),
        },
        start_tag: moved(stanza.start_tag),
        from: stanza.from.map(moved),
        to: stanza.to.map(moved),
        kind_attribute: stanza.kind_attribute.map(moved),
        id: stanza.id.map(moved),
        rewrite: Rewrite::NONE,
    }
}

/// Where the byte at `position`, which is in no edited range, has gone.
fn place(position: u32, start: u32, edits: &[Edit<'_>], base: usize) -> u32 {
    let before = edits.iter().take_while(|edit| edit.at.end <= position);
    let (added, cut) = before.fold((0, 0), |(added, cut), edit| {
        (added + edit.with.len(), cut + (edit.at.end - edit.at.start))
    });
    // Adding comes first: the place may lie before the original one.
    (base + added) as u32 + (position - start) - cut
}

#[cfg(test)]
mod tests {
    use crate::xml::{Framer, Limits};

    use super::*;

    /// The stanza as it is forwarded from a stream with these attributes on its header.
    fn forwarded(header: &str, stanza: &str) -> String {
        let header = format!(
            "<s:stream xmlns='jabber:component:accept' \
             xmlns:s='http://etherx.jabber.org/streams' {header}>"
        );
        let (mut framer, mut found) = (Framer::new(Limits::default()), Vec::new());
        assert!(matches!(framer.read_header(header.as_bytes()), Ok(Some(_))));
        framer.read_elements(stanza.as_bytes(), 1, &mut found);
        let mut out = BytesMut::from("before");
        let rewritten = framer.rewrite(stanza.as_bytes(), &found[0], &mut out);
        assert_eq!(
            framer.needs_rewrite(&found[0]),
            &out[6..] != stanza.as_bytes()
        );
        assert!(!framer.needs_rewrite(&rewritten));
        String::from_utf8(rewritten.span.of(&out).to_vec()).unwrap()
    }

    #[test]
    fn contract_x5_what_stands_alone_is_forwarded_byte_for_byte() {
        for stanza in [
            "<iq\n to = 'b' ><q xmlns='jabber:client'/></iq >",
            "<message xmlns:p='u'><p:x/></message>",
            "<message><x xmlns:h='v'><h:y/></x></message>",
            "<c:message xmlns:c='jabber:component:accept'/>",
        ] {
            assert_eq!(forwarded("xmlns:h='u' to='a'", stanza), stanza);
        }
    }

    #[test]
    fn contract_x5_prefixes_of_the_header_are_declared_where_used() {
        for (stanza, expected) in [
            ("<iq><h:x/></iq>", "<iq xmlns:h='u&amp;&apos;'><h:x/></iq>"),
            (
                "<iq h:a='' id='1'/>",
                "<iq xmlns:h='u&amp;&apos;' h:a='' id='1'/>",
            ),
            (
                "<iq><h:x/><i:x h:b=''/></iq>",
                "<iq xmlns:h='u&amp;&apos;' xmlns:i='v'><h:x/><i:x h:b=''/></iq>",
            ),
            (
                "<iq><x xmlns:h='v'/><h:x/></iq>",
                "<iq xmlns:h='u&amp;&apos;'><x xmlns:h='v'/><h:x/></iq>",
            ),
            (
                "<iq><s:x/></iq>",
                "<iq xmlns:s='http://etherx.jabber.org/streams'><s:x/></iq>",
            ),
        ] {
            assert_eq!(
                forwarded("xmlns:h=\"u&amp;'\" xmlns:i='v'", stanza),
                expected
            );
        }
    }

    #[test]
    fn contract_x5_prefixes_beyond_the_bits_are_declared_too() {
        let header: String = (0..40).map(|i| format!(" xmlns:h{i}='u{i}'")).collect();
        let stanza = "<iq xmlns:h30='own'><h39:x/></iq>";
        let forwarded = forwarded(&header, stanza);
        assert!(forwarded.contains(" xmlns:h39='u39'"), "{forwarded}");
        assert!(!forwarded.contains("h0="), "{forwarded}");
        assert_eq!(forwarded.matches("xmlns:h30=").count(), 1, "{forwarded}");
    }

    #[test]
    fn contract_x5_content_namespaces_are_normalised_away() {
        for (stanza, expected) in [
            ("<iq xmlns='jabber:client'/>", "<iq/>"),
            (
                "<iq a=''\n xmlns=\"jabber:server\" id='1'/>",
                "<iq a='' id='1'/>",
            ),
            (
                "<iq xmlns='jabber:component:accept'><x/></iq>",
                "<iq><x/></iq>",
            ),
            (
                "<c:iq xmlns:c='jabber:client' xmlns='urn:d'><c:x/></c:iq>",
                "<c:iq xmlns:c='jabber:component:accept' xmlns='urn:d'><c:x/></c:iq>",
            ),
            (
                "<iq xmlns='jabber:client' xmlns:c='jabber:client'><c:x/></iq>",
                "<iq xmlns:c='jabber:client'><c:x/></iq>",
            ),
            (
                "<d:iq><x/></d:iq>",
                "<d:iq xmlns:d='jabber:component:accept'><x/></d:iq>",
            ),
            ("<iq><d:x/></iq>", "<iq xmlns:d='jabber:server'><d:x/></iq>"),
        ] {
            assert_eq!(forwarded("xmlns:d='jabber:server'", stanza), expected);
        }
    }

    #[test]
    fn contract_x5_the_language_of_the_stream_is_stamped() {
        for (stanza, expected) in [
            ("<iq id='1'/>", "<iq xml:lang='p&lt;' id='1'/>"),
            ("<iq xml:lang='en'/>", "<iq xml:lang='en'/>"),
            (
                "<iq><x xml:lang='en'/></iq>",
                "<iq xml:lang='p&lt;'><x xml:lang='en'/></iq>",
            ),
        ] {
            assert_eq!(forwarded("xml:lang='p&lt;'", stanza), expected);
        }
    }
}
