//! Namespaces in XML 1.0: prefixes and what they are bound to.

use std::borrow::Cow;

use memchr::memchr;

use super::chars::{self, URI};
use super::escape::unescape_attribute;
use super::fault::{Fault, Wrong};
use super::name::Name;
use super::scope::Scope;
use super::tag::{Attribute, StartTag};
use crate::Span;

/// The namespace of `stream` and its errors.
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// The content namespace of a component's stream (XEP-0114).
pub const COMPONENT_ACCEPT: &str = "jabber:component:accept";

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The prefixes declared on the elements that are open within one first-level element.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    bindings: Vec<Binding>,
}

#[derive(Debug, Clone, Copy)]
struct Binding {
    prefix: Span,
    /// The namespace name as written.
    namespace: Span,
}

/// What a prefix is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// A namespace name as written in the element itself.
    Element(Span),
    /// The prefix of that index in the stream header.
    Header(usize),
    /// The prefix `xml`.
    Xml,
}

/// The name of an attribute that has a prefix. Sorts by name, then by place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ExpandedName<'a> {
    local: &'a [u8],
    namespace: Cow<'a, str>,
    at: usize,
}

/// Tells if `namespace` is one that stanzas are sent in, by clients, servers or components. On a
/// component's stream all of them mean [`COMPONENT_ACCEPT`] (contract X5).
pub(super) fn is_content(namespace: &str) -> bool {
    matches!(
        namespace,
        COMPONENT_ACCEPT | "jabber:client" | "jabber:server"
    )
}

// === impl Bound ===

impl Bound {
    /// The namespace name.
    pub(super) fn namespace<'a>(self, bytes: &'a [u8], scope: &'a Scope) -> Cow<'a, str> {
        match self {
            Self::Element(raw) => unescape_attribute(raw.of(bytes)),
            Self::Header(index) => {
                let prefix = scope.prefixes.get(index);
                Cow::Borrowed(prefix.map_or("", |prefix| &prefix.namespace))
            }
            Self::Xml => Cow::Borrowed(XML),
        }
    }
}

// === impl Namespaces ===

impl Namespaces {
    /// How many prefixes are declared.
    pub(super) const fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Forgets all but the first `len` declarations.
    pub(super) fn truncate(&mut self, len: usize) {
        self.bindings.truncate(len);
    }

    /// Takes in the declarations among `attributes`; no more than `max` in all.
    pub(super) fn declare(
        &mut self,
        bytes: &[u8],
        attributes: &[Attribute],
        max: u32,
    ) -> Result<(), Fault> {
        for attribute in attributes {
            if !attribute.is_declaration(bytes) {
                continue;
            }
            check_declaration(bytes, attribute)?;
            if attribute.name.prefix().is_none() {
                // Nothing needs the default namespace of an inner element.
                continue;
            }
            let at = attribute.name.span.start as usize;
            if self.bindings.len() >= max as usize {
                return Err(Wrong::TooManyPrefixes.at(at));
            }
            self.bindings.push(Binding {
                prefix: attribute.name.local(),
                namespace: attribute.value,
            });
        }
        Ok(())
    }

    /// Checks the names of an element whose declarations have been taken in: every prefix is
    /// bound, no two attributes have the same expanded name. Prefixes of the stream header that
    /// it uses are told to `used`.
    pub(super) fn check(
        &self,
        bytes: &[u8],
        tag: &StartTag,
        attributes: &[Attribute],
        scope: &Scope,
        mut used: impl FnMut(usize),
    ) -> Result<(), Fault> {
        let mut resolve = |name: Name| -> Result<(), Fault> {
            if let Some(Bound::Header(index)) = self.resolve(bytes, name, scope)? {
                used(index);
            }
            Ok(())
        };
        resolve(tag.name)?;
        if tag.name.prefix().is_some_and(|p| p.of(bytes) == b"xmlns") {
            let at = tag.name.span.start as usize;
            return Err(Wrong::PrefixXmlns.at(at));
        }
        let prefixed = |a: &&Attribute| a.name.has_prefix() && !a.is_declaration(bytes);
        let mut count = 0;
        for attribute in attributes.iter().filter(prefixed) {
            resolve(attribute.name)?;
            count += 1;
        }
        if count < 2 {
            return Ok(());
        }
        let mut names = Vec::with_capacity(count);
        for attribute in attributes.iter().filter(prefixed) {
            let bound = self.resolve(bytes, attribute.name, scope)?;
            names.extend(bound.map(|bound| ExpandedName {
                local: attribute.name.local().of(bytes),
                namespace: bound.namespace(bytes, scope),
                at: attribute.name.span.start as usize,
            }));
        }
        unique(names)
    }

    /// What the prefix of `name` is bound to; nothing if it has none.
    pub(super) fn resolve(
        &self,
        bytes: &[u8],
        name: Name,
        scope: &Scope,
    ) -> Result<Option<Bound>, Fault> {
        let Some(prefix) = name.prefix().map(|prefix| prefix.of(bytes)) else {
            return Ok(None);
        };
        let mut bindings = self.bindings.iter().rev();
        if let Some(binding) = bindings.find(|binding| binding.prefix.of(bytes) == prefix) {
            return Ok(Some(Bound::Element(binding.namespace)));
        }
        if prefix == b"xml" {
            return Ok(Some(Bound::Xml));
        }
        let mut prefixes = scope.prefixes.iter();
        if let Some(index) = prefixes.position(|declared| *declared.name == *prefix) {
            return Ok(Some(Bound::Header(index)));
        }
        let at = name.span.start as usize;
        Err(Wrong::Prefix.at(at))
    }
}

/// Checks that no two of `names`, which are those of one element, are the same, here or where the
/// element is forwarded to: there content namespaces may have become one (contract X5).
fn unique(mut names: Vec<ExpandedName<'_>>) -> Result<(), Fault> {
    names.sort_unstable();
    let fault = |wrong: Wrong, pair: &[ExpandedName<'_>]| {
        let at = pair.iter().map(|name| name.at).max();
        wrong.at(at.unwrap_or_default())
    };
    let is_local = |pair: &[ExpandedName<'_>]| pair[0].local == pair[1].local;
    let mut pairs = names.windows(2);
    if let Some(pair) = pairs.find(|pair| is_local(pair) && pair[0].namespace == pair[1].namespace)
    {
        return Err(fault(Wrong::AttributeTwice, pair));
    }
    names.retain(|name| is_content(&name.namespace));
    match names.windows(2).find(|pair| is_local(pair)) {
        Some(pair) => Err(fault(Wrong::AttributeInTwoContents, pair)),
        None => Ok(()),
    }
}

/// Checks that the namespaces that `attributes` declare have the characters of a URI, which they
/// should be. expat, with which many components read, puts a character of the component's choice
/// between namespace and name, and ends the stream over a namespace that has it, unless URIs may
/// have it: a space with Twisted, `}` with Python's `ElementTree` (contract X4).
pub(super) fn check_names_of<'a>(
    bytes: &[u8],
    attributes: impl IntoIterator<Item = &'a Attribute>,
) -> Result<(), Fault> {
    let mut declarations = attributes.into_iter().filter(|a| a.is_declaration(bytes));
    let wrong = declarations.find(|declaration| {
        let raw = declaration.value.of(bytes);
        let is_uri = |name| chars::are(name, URI);
        !is_uri(raw) || memchr(b'&', raw).is_some() && !is_uri(unescape_attribute(raw).as_bytes())
    });
    match wrong {
        Some(declaration) => Err(Wrong::NamespaceName.at(declaration.name.span.start as usize)),
        None => Ok(()),
    }
}

/// The constraints on declarations (Namespaces in XML 1.0 §3).
fn check_declaration(bytes: &[u8], attribute: &Attribute) -> Result<(), Fault> {
    let at = attribute.name.span.start as usize;
    let raw = attribute.value.of(bytes);
    let resolved;
    let namespace = if memchr(b'&', raw).is_some() {
        resolved = unescape_attribute(raw);
        resolved.as_bytes()
    } else {
        raw
    };
    let prefix = attribute.name.prefix().map(|_| attribute.name.local());
    let allowed = match prefix.map(|prefix| prefix.of(bytes)) {
        Some(b"xml") => namespace == XML.as_bytes(),
        Some(b"xmlns") => false,
        Some(_) if namespace.is_empty() => false,
        _ => namespace != XML.as_bytes() && namespace != XMLNS.as_bytes(),
    };
    if allowed {
        return Ok(());
    }
    Err(Wrong::NamespaceDeclaration.at(at))
}
