use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

use super::error::Fault;
use super::escape::unescape_attribute;
use super::namespaces::{COMPONENT_ACCEPT, Namespaces, STREAMS, is_content};
use super::rewrite::Rewrite;
use super::scope::Scope;
use super::tag::{self, Attribute, StartTag, TagSearch, span};
use super::{Limits, XmlErrorKind, text};
use crate::{Span, Stanza, StanzaKind};

/// Walks through one first-level element, token by token, and checks each token once when it has
/// arrived completely. All positions count from the element's first byte.
///
/// ### To ensure correctness
///
/// What the walk finds depends on the bytes alone, never on the pieces in which they arrive: an
/// error in a token is reported when the end of the token is there, not earlier.
#[derive(Debug)]
pub(super) struct Element {
    /// All before is checked; a token begins here.
    at: usize,
    /// How far the search for the end of that token has come.
    search: Search,
    open: Vec<OpenTag>,
    namespaces: Namespaces,
    /// Those of the tag that is being read; here to keep the allocation.
    attributes: Vec<Attribute>,
    stanza: Stanza,
    #[cfg(test)]
    pub(super) looked_at: usize,
}

#[derive(Debug, Clone, Copy)]
enum Search {
    /// No token has begun, or nothing is known about where it ends.
    None,
    /// For the `<` behind character data.
    Text(usize),
    /// For the `>` of a start tag.
    StartTag(TagSearch),
    /// For the `>` of an end tag.
    EndTag(usize),
    /// For the end of a CDATA section.
    Cdata(usize),
}

/// An element whose end tag has not been read.
#[derive(Debug, Clone, Copy)]
struct OpenTag {
    name: Span,
    /// Prefixes declared before it was opened.
    outer_prefixes: u32,
}

/// How the walk through a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// It is checked, and [`Element::at`] behind it.
    Complete,
    /// Its end has not arrived.
    Partial,
}

const EMPTY: Span = span(0, 0);

const UNKNOWN: Stanza = Stanza {
    kind: StanzaKind::Other,
    span: EMPTY,
    name: EMPTY,
    start_tag: EMPTY,
    from: None,
    to: None,
    kind_attribute: None,
    id: None,
    rewrite: Rewrite::NONE,
};

impl Element {
    pub(super) fn new() -> Self {
        Self {
            at: 0,
            search: Search::None,
            open: Vec::new(),
            namespaces: Namespaces::default(),
            attributes: Vec::new(),
            stanza: UNKNOWN,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// True between the first call of [`Self::advance`] for an element and its last.
    pub(super) fn has_begun(&self) -> bool {
        self.at > 0 || !matches!(self.search, Search::None)
    }

    /// Forgets the element.
    pub(super) fn reset(&mut self) {
        self.at = 0;
        self.search = Search::None;
        self.open.clear();
        self.namespaces.truncate(0);
    }

    /// The name of the innermost open element.
    pub(super) fn innermost<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.open.last().map(|open| open.name.of(bytes))
    }

    /// Goes on in `bytes`, which begin with the element's `<` as they did before. Gives the
    /// element when it is complete; then it is [reset](Self::reset).
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        scope: &Scope,
        limits: &Limits,
    ) -> Result<Option<Stanza>, Fault> {
        if !self.resume_search(bytes)? {
            return Ok(None);
        }
        loop {
            let token = self.token(bytes, scope, limits)?;
            if token == Token::Partial {
                return Ok(None);
            }
            if self.open.is_empty() {
                self.stanza.span = span(0, self.at);
                self.reset();
                return Ok(Some(self.stanza));
            }
        }
    }

    #[inline]
    fn token(&mut self, bytes: &[u8], scope: &Scope, limits: &Limits) -> Result<Token, Fault> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        match rest {
            [] | [b'<'] => Ok(Token::Partial),
            [b'<', b'/', ..] => self.end_tag(bytes),
            [b'<', b'!', ..] => self.cdata(bytes),
            [b'<', b'?', ..] => {
                let text = "processing instructions are not allowed in XMPP";
                Err(Fault::restricted(text, self.at))
            }
            [b'<', ..] => self.start_tag(bytes, scope, limits),
            _ => self.text(bytes),
        }
    }

    /// Goes on with the search for the end of the token that [`Self::at`] points to. False if
    /// the end is still missing.
    fn resume_search(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let rest = |from: usize| bytes.get(from..).unwrap_or_default();
        let found = match &mut self.search {
            Search::None => return Ok(true),
            Search::Text(from) => memchr(b'<', rest(*from)).is_some(),
            Search::StartTag(search) => {
                let _before = search.position();
                let found = search.resume(bytes)?;
                #[cfg(test)]
                {
                    self.looked_at += search.position() - _before;
                }
                found
            }
            Search::EndTag(from) => match memchr2(b'>', b'<', rest(*from)) {
                Some(at) if rest(*from).get(at) == Some(&b'<') => {
                    return Err(Fault::malformed("\"<\" in a tag", *from + at));
                }
                found => found.is_some(),
            },
            Search::Cdata(from) => memmem::find(rest(*from), b"]]>").is_some(),
        };
        if let Search::Text(from) | Search::EndTag(from) | Search::Cdata(from) = &mut self.search {
            #[cfg(test)]
            {
                self.looked_at += bytes.len().saturating_sub(*from);
            }
            // A CDATA section's end may be cut in two.
            *from = bytes.len().saturating_sub(2).max(*from);
        }
        if found {
            self.search = Search::None;
        }
        Ok(found)
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Token, Fault> {
        match text::run(bytes, self.at) {
            Ok(Some(end)) => Ok(self.complete(end)),
            Ok(None) => Ok(self.partial(bytes, Search::Text(bytes.len()))),
            Err(fault) => {
                let rest = bytes.get(self.at..).unwrap_or_default();
                if memchr(b'<', rest).is_some() {
                    return Err(fault);
                }
                Ok(self.partial(bytes, Search::Text(bytes.len())))
            }
        }
    }

    #[inline]
    fn start_tag(&mut self, bytes: &[u8], scope: &Scope, limits: &Limits) -> Result<Token, Fault> {
        let max = limits.max_attributes;
        let tag = match StartTag::read(bytes, self.at, &mut self.attributes, max) {
            Ok(Some(tag)) => tag,
            incomplete => return self.unfinished_tag(bytes, incomplete.err()),
        };
        if self.open.len() >= limits.max_depth as usize {
            return Err(Fault::policy("elements are nested too deeply", self.at));
        }
        let outer_prefixes = self.namespaces.len();
        if self.open.is_empty() {
            self.root(bytes, &tag, scope, limits)?;
        } else if tag.namespaced {
            self.inner_namespaces(bytes, &tag, scope, limits)?;
        }
        if tag.empty {
            self.namespaces.truncate(outer_prefixes);
        } else {
            self.open.push(OpenTag {
                name: tag.name.span,
                outer_prefixes: outer_prefixes as u32,
            });
        }
        Ok(self.complete(tag.end))
    }

    /// A start tag could not be read: it is unfinished, or finished and `fault` is in it.
    #[cold]
    fn unfinished_tag(&mut self, bytes: &[u8], fault: Option<Fault>) -> Result<Token, Fault> {
        let mut search = TagSearch::new(self.at);
        match (search.resume(bytes)?, fault) {
            (true, Some(fault)) => Err(fault),
            _ => Ok(self.partial(bytes, Search::StartTag(search))),
        }
    }

    fn inner_namespaces(
        &mut self,
        bytes: &[u8],
        tag: &StartTag,
        scope: &Scope,
        limits: &Limits,
    ) -> Result<(), Fault> {
        self.namespaces
            .declare(bytes, &self.attributes, limits.max_prefixes)?;
        let rewrite = &mut self.stanza.rewrite;
        self.namespaces
            .check(bytes, tag, &self.attributes, scope, |index| {
                rewrite.use_prefix(index);
            })
    }

    /// Takes down what routing needs to know about the first-level element.
    #[inline]
    fn root(
        &mut self,
        bytes: &[u8],
        tag: &StartTag,
        scope: &Scope,
        limits: &Limits,
    ) -> Result<(), Fault> {
        self.stanza = Stanza {
            name: tag.name.span,
            start_tag: span(self.at, tag.end),
            ..UNKNOWN
        };
        let mut default = None;
        let mut speaks = scope.language.is_none();
        for attribute in &self.attributes {
            let value = Some(attribute.value);
            match attribute.name.span.of(bytes) {
                b"from" => self.stanza.from = value,
                b"to" => self.stanza.to = value,
                b"type" => self.stanza.kind_attribute = value,
                b"id" => self.stanza.id = value,
                b"xmlns" => default = value,
                b"xml:lang" => speaks = true,
                _ => {}
            }
        }
        if !speaks {
            self.stanza.rewrite.set(Rewrite::LANGUAGE);
        }
        if !tag.namespaced {
            self.stanza.kind = kind_of(tag.name.span.of(bytes));
            return Ok(());
        }
        self.inner_namespaces(bytes, tag, scope, limits)?;
        self.root_namespace(bytes, tag, default, scope)
    }

    fn root_namespace(
        &mut self,
        bytes: &[u8],
        tag: &StartTag,
        default: Option<Span>,
        scope: &Scope,
    ) -> Result<(), Fault> {
        let default = default.map(|raw| unescape_attribute(raw.of(bytes)));
        if default.as_deref().is_some_and(is_content) {
            self.stanza.rewrite.set(Rewrite::DEFAULT_NAMESPACE);
        }
        let bound = self.namespaces.resolve(bytes, tag.name, scope)?;
        let namespace = match bound {
            Some(bound) => bound.namespace(bytes, scope),
            None => default.unwrap_or(Cow::Borrowed(COMPONENT_ACCEPT)),
        };
        let local = tag.name.local().of(bytes);
        if is_content(&namespace) {
            self.stanza.kind = kind_of(local);
            if bound.is_some() && namespace != COMPONENT_ACCEPT {
                self.stanza.rewrite.set(Rewrite::ROOT_PREFIX);
            }
        } else if namespace == STREAMS {
            match local {
                b"stream" => {
                    let text = "a second stream header";
                    return Err(Fault::new(XmlErrorKind::SecondHeader, text, self.at));
                }
                b"error" => self.stanza.rewrite.set(Rewrite::STREAM_ERROR),
                _ => {}
            }
        }
        Ok(())
    }

    #[inline]
    fn end_tag(&mut self, bytes: &[u8]) -> Result<Token, Fault> {
        let Some(open) = self.open.last() else {
            return Err(Fault::malformed("an end tag without a start tag", self.at));
        };
        if let Some(end) = tag::end_tag(bytes, self.at, open.name.of(bytes)) {
            self.namespaces.truncate(open.outer_prefixes as usize);
            self.open.pop();
            return Ok(self.complete(end));
        }
        let begin = self.at + 2;
        let rest = bytes.get(begin..).unwrap_or_default();
        match memchr2(b'>', b'<', rest) {
            None => Ok(self.partial(bytes, Search::EndTag(bytes.len()))),
            Some(at) if rest.get(at) == Some(&b'<') => {
                Err(Fault::malformed("\"<\" in a tag", begin + at))
            }
            Some(_) => Err(Fault::malformed(MISMATCH, self.at)),
        }
    }

    /// A CDATA section, or what is not allowed behind `<!`.
    fn cdata(&mut self, bytes: &[u8]) -> Result<Token, Fault> {
        const OPEN: &[u8] = b"<![CDATA[";
        let rest = bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(OPEN) {
            return match rest.get(2) {
                _ if OPEN.starts_with(rest) => Ok(Token::Partial),
                Some(b'-') => Err(Fault::restricted(
                    "comments are not allowed in XMPP",
                    self.at,
                )),
                Some(b'[') => Err(Fault::malformed("a malformed CDATA section", self.at)),
                _ => Err(Fault::restricted("a DTD is not allowed in XMPP", self.at)),
            };
        }
        let content = self.at + OPEN.len();
        match memmem::find(rest.get(OPEN.len()..).unwrap_or_default(), b"]]>") {
            Some(len) => {
                text::cdata(bytes, content, content + len)?;
                Ok(self.complete(content + len + 3))
            }
            None => {
                let from = bytes.len().saturating_sub(2).max(content);
                Ok(self.partial(bytes, Search::Cdata(from)))
            }
        }
    }

    #[inline]
    fn complete(&mut self, end: usize) -> Token {
        #[cfg(test)]
        {
            self.looked_at += end - self.at;
        }
        self.at = end;
        Token::Complete
    }

    fn partial(&mut self, _bytes: &[u8], search: Search) -> Token {
        #[cfg(test)]
        {
            self.looked_at += _bytes.len().saturating_sub(self.at);
        }
        self.search = search;
        Token::Partial
    }
}

/// The text of the error for an end tag with another name than the open element has.
pub(super) const MISMATCH: &str = "an end tag that does not match the open element";

fn kind_of(local: &[u8]) -> StanzaKind {
    match local {
        b"iq" => StanzaKind::Iq,
        b"message" => StanzaKind::Message,
        b"presence" => StanzaKind::Presence,
        _ => StanzaKind::Other,
    }
}
