use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

use super::escape::unescape_attribute;
use super::fault::{Fault, Stop, Wrong};
use super::name::{self, Name, span};
use super::namespaces::{self, COMPONENT_ACCEPT, Namespaces, STREAMS, is_content};
use super::rewrite::Rewrite;
use super::scope::Scope;
use super::tag::{Attribute, StartTag, TagSearch};
use super::{Limits, text};
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
    /// Bytes looked at, again ones counted again.
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
    name: Name,
    /// Prefixes declared before it was opened.
    outer_prefixes: u32,
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
    #[inline]
    pub(super) const fn has_begun(&self) -> bool {
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
        self.open.last().map(|open| open.name.span.of(bytes))
    }

    /// The element that was complete last.
    pub(super) const fn stanza(&self) -> &Stanza {
        &self.stanza
    }

    /// Goes on in `bytes`, which begin with the element's `<` as they did before. True when the
    /// element is complete: [`Self::stanza`] has it, and the next one may come.
    #[inline]
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        scope: &Scope,
        limits: &Limits,
    ) -> Result<bool, Fault> {
        if !matches!(self.search, Search::None) && !self.resume_search(bytes)? {
            return Ok(false);
        }
        loop {
            match self.token(bytes, scope, limits) {
                Ok(end) => {
                    self.look(end - self.at);
                    self.at = end;
                }
                Err(Stop::Partial) => return Ok(false),
                Err(Stop::Fault(fault)) => return Err(fault),
            }
            if self.open.is_empty() {
                self.stanza.span = span(0, self.at);
                self.at = 0;
                return Ok(true);
            }
        }
    }

    /// Reads the token at [`Self::at`]. Gives its end.
    #[inline]
    fn token(&mut self, bytes: &[u8], scope: &Scope, limits: &Limits) -> Result<usize, Stop> {
        match bytes.get(self.at..).unwrap_or_default() {
            [] | [b'<'] => Err(Stop::Partial),
            [b'<', b'/', ..] => self.end_tag(bytes),
            [b'<', b'!', ..] => self.cdata(bytes),
            [b'<', b'?', ..] => Wrong::Instruction.stop(self.at),
            [b'<', ..] => self.start_tag(bytes, scope, limits),
            _ => match text::run(bytes, self.at) {
                Err(stop) => self.unfinished_text(bytes, stop),
                end => end,
            },
        }
    }

    /// Goes on with the search for the end of the token at [`Self::at`]. False if it is still
    /// missing.
    #[cold]
    fn resume_search(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let rest = |from: usize| bytes.get(from..).unwrap_or_default();
        let (from, found) = match &mut self.search {
            Search::None => return Ok(true),
            Search::StartTag(search) => {
                let from = search.position();
                (from, search.resume(bytes)?)
            }
            Search::Text(from) => (*from, memchr(b'<', rest(*from)).is_some()),
            Search::EndTag(from) => (*from, finds_end(rest(*from), *from)?),
            Search::Cdata(from) => (*from, memmem::find(rest(*from), b"]]>").is_some()),
        };
        self.look(bytes.len().saturating_sub(from));
        if let Search::Text(from) | Search::EndTag(from) | Search::Cdata(from) = &mut self.search {
            // The end of a CDATA section may be cut in pieces.
            *from = bytes.len().saturating_sub(2).max(*from);
        }
        if found {
            self.search = Search::None;
        }
        Ok(found)
    }

    /// Character data could not be read: it is unfinished, or something in it is wrong.
    #[cold]
    fn unfinished_text(&mut self, bytes: &[u8], stop: Stop) -> Result<usize, Stop> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        match (stop, memchr(b'<', rest)) {
            (Stop::Fault(_), Some(_)) => Err(stop),
            _ => self.partial(bytes, Search::Text(bytes.len())),
        }
    }

    #[inline]
    fn start_tag(&mut self, bytes: &[u8], scope: &Scope, limits: &Limits) -> Result<usize, Stop> {
        let max = limits.max_attributes;
        let tag = match StartTag::read(bytes, self.at, &mut self.attributes, max) {
            Ok(tag) => tag,
            Err(stop) => return self.unfinished_tag(bytes, stop),
        };
        if self.open.len() >= limits.max_depth as usize {
            return Wrong::Depth.stop(self.at);
        }
        let outer_prefixes = self.namespaces.len();
        if self.open.is_empty() {
            self.root(bytes, &tag, scope, limits)?;
        } else if tag.declares || tag.has_prefix {
            self.namespaces(bytes, &tag, scope, limits)?;
        }
        if tag.empty {
            self.namespaces.truncate(outer_prefixes);
        } else {
            self.open.push(OpenTag {
                name: tag.name,
                outer_prefixes: outer_prefixes as u32,
            });
        }
        Ok(tag.end)
    }

    /// A start tag could not be read: it is unfinished, or something in it is wrong.
    #[cold]
    fn unfinished_tag(&mut self, bytes: &[u8], stop: Stop) -> Result<usize, Stop> {
        let mut search = TagSearch::new(self.at);
        match (stop, search.resume(bytes)?) {
            (Stop::Fault(_), true) => Err(stop),
            _ => self.partial(bytes, Search::StartTag(search)),
        }
    }

    fn namespaces(
        &mut self,
        bytes: &[u8],
        tag: &StartTag,
        scope: &Scope,
        limits: &Limits,
    ) -> Result<(), Fault> {
        if tag.declares {
            let max = limits.max_prefixes;
            self.namespaces.declare(bytes, &self.attributes, max)?;
            namespaces::check_names_of(bytes, &self.attributes)?;
        }
        if tag.has_prefix {
            let rewrite = &mut self.stanza.rewrite;
            let used = |index| rewrite.use_prefix(index);
            self.namespaces
                .check(bytes, tag, &self.attributes, scope, used)?;
        }
        Ok(())
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
        let mut stanza = Stanza {
            name: tag.name.span,
            start_tag: span(self.at, tag.end),
            ..UNKNOWN
        };
        let mut default = None;
        let mut has_language = false;
        for attribute in &self.attributes {
            let value = Some(attribute.value);
            match attribute.name.short() {
                name::FROM => stanza.from = value,
                name::TO => stanza.to = value,
                name::TYPE => stanza.kind_attribute = value,
                name::ID => stanza.id = value,
                name::XMLNS => default = value,
                name::XML_LANG => has_language = true,
                _ => {}
            }
        }
        if !has_language && scope.language.is_some() {
            stanza.rewrite.set(Rewrite::LANGUAGE);
        }
        stanza.kind = kind_of(tag.name.short());
        self.stanza = stanza;
        if !tag.declares && !tag.has_prefix {
            return Ok(());
        }
        self.namespaces(bytes, tag, scope, limits)?;
        self.root_namespace(bytes, tag.name, default, scope)
    }

    fn root_namespace(
        &mut self,
        bytes: &[u8],
        name: Name,
        default: Option<Span>,
        scope: &Scope,
    ) -> Result<(), Fault> {
        let default = default.map(|raw| unescape_attribute(raw.of(bytes)));
        if default.as_deref().is_some_and(is_content) {
            self.stanza.rewrite.set(Rewrite::DEFAULT_NAMESPACE);
        }
        let bound = self.namespaces.resolve(bytes, name, scope)?;
        let namespace = match bound {
            Some(bound) => bound.namespace(bytes, scope),
            None => default.unwrap_or(Cow::Borrowed(COMPONENT_ACCEPT)),
        };
        let local = name.local().of(bytes);
        self.stanza.kind = StanzaKind::Other;
        if is_content(&namespace) {
            self.stanza.kind = kind_of(if local.len() <= 8 {
                name::key(local)
            } else {
                0
            });
            if bound.is_some() && namespace != COMPONENT_ACCEPT {
                self.stanza.rewrite.set(Rewrite::ROOT_PREFIX);
            }
        } else if namespace == STREAMS && local == b"stream" {
            return Err(Wrong::SecondHeader.at(self.at));
        } else if namespace == STREAMS && local == b"error" {
            self.stanza.rewrite.set(Rewrite::STREAM_ERROR);
        } else if namespace == STREAMS {
            return Err(Wrong::StreamElement.at(self.at));
        }
        Ok(())
    }

    #[inline]
    fn end_tag(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let Some(open) = self.open.last() else {
            return Wrong::EndTag.stop(self.at);
        };
        let Some(end) = open.name.end_tag(bytes, self.at) else {
            return self.unfinished_end_tag(bytes);
        };
        self.namespaces.truncate(open.outer_prefixes as usize);
        self.open.pop();
        Ok(end)
    }

    /// An end tag is not that of the open element: it is unfinished, or another.
    #[cold]
    fn unfinished_end_tag(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let from = self.at + 2;
        if finds_end(bytes.get(from..).unwrap_or_default(), from)? {
            return Wrong::Mismatch.stop(self.at);
        }
        self.partial(bytes, Search::EndTag(bytes.len()))
    }

    /// A CDATA section, or what is not allowed behind `<!`.
    #[cold]
    fn cdata(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        const OPEN: &[u8] = b"<![CDATA[";
        let rest = bytes.get(self.at..).unwrap_or_default();
        let Some(content) = rest.strip_prefix(OPEN) else {
            return match rest.get(2) {
                _ if OPEN.starts_with(rest) => Err(Stop::Partial),
                Some(b'-') => Wrong::Comment.stop(self.at),
                Some(b'[') => Wrong::Cdata.stop(self.at),
                _ => Wrong::Dtd.stop(self.at),
            };
        };
        let start = self.at + OPEN.len();
        let Some(len) = memmem::find(content, b"]]>") else {
            let from = bytes.len().saturating_sub(2).max(start);
            return self.partial(bytes, Search::Cdata(from));
        };
        text::cdata(bytes, start, start + len)?;
        Ok(start + len + 3)
    }

    /// Remembers how far the search for the token's end has come.
    fn partial(&mut self, bytes: &[u8], search: Search) -> Result<usize, Stop> {
        self.look(bytes.len() - self.at);
        self.search = search;
        Err(Stop::Partial)
    }

    #[cfg(test)]
    fn look(&mut self, bytes: usize) {
        self.looked_at += bytes;
    }

    #[cfg(not(test))]
    #[inline(always)]
    #[expect(
        clippy::needless_pass_by_ref_mut,
        clippy::unused_self,
        reason = "counts in tests"
    )]
    fn look(&mut self, _bytes: usize) {}
}

/// Looks for the `>` of an end tag in `rest`, which begins at `from`.
fn finds_end(rest: &[u8], from: usize) -> Result<bool, Fault> {
    match memchr2(b'>', b'<', rest) {
        Some(at) if rest.get(at) == Some(&b'<') => Err(Wrong::BracketInTag.at(from + at)),
        found => Ok(found.is_some()),
    }
}

#[inline]
const fn kind_of(local: u64) -> StanzaKind {
    match local {
        name::IQ => StanzaKind::Iq,
        name::MESSAGE => StanzaKind::Message,
        name::PRESENCE => StanzaKind::Presence,
        _ => StanzaKind::Other,
    }
}
