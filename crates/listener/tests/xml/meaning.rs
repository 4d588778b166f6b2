//! What a stanza means in the stream of its sender, worked out without a parser's own idea of namespaces.

use rxml::{Parse, RawEvent, RawParser, RawQName};
use switchyard_listener::xml::COMPONENT_ACCEPT;

use crate::seen::{Name, Seen, add_text};

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// What every receiver must see of the one stanza within the root of `document` (contract X5), worked
/// out from the names as they are written. Nothing if rxml does not accept it.
///
/// A content namespace that the stanza itself is in, declared on it or on the stream header, is
/// [`COMPONENT_ACCEPT`] for it and for all within that inherit the declaration, and for nothing
/// else. The stanza has the language of the stream unless it has its own.
pub(crate) fn expected(document: &[u8]) -> Option<Vec<Seen>> {
    let (mut rest, mut parser) = (document, RawParser::new());
    let (mut resolver, mut head, mut seen) = (Resolver::default(), Head::default(), Vec::new());
    let name = |(prefix, local): RawQName| {
        let prefix = prefix.map(|prefix| prefix.to_string());
        (prefix.unwrap_or_default(), local.to_string())
    };
    loop {
        match parser.parse(&mut rest, true).ok()? {
            Some(RawEvent::ElementHeadOpen(_, of)) => {
                head = Head {
                    name: name(of),
                    attributes: Vec::new(),
                };
            }
            Some(RawEvent::Attribute(_, of, value)) => head.attributes.push((name(of), value)),
            Some(RawEvent::ElementHeadClose(_)) => {
                let depth = resolver.open.len();
                let element = resolver.open(std::mem::take(&mut head));
                if depth > 0 {
                    seen.push(element);
                }
            }
            Some(RawEvent::ElementFoot(_)) => resolver.close(),
            Some(RawEvent::Text(_, more)) => add_text(&mut seen, resolver.open.len(), &more),
            Some(RawEvent::XmlDeclaration(..)) => {}
            None => return Some(seen),
        }
    }
}

/// A start tag as written, each name with its prefix; no prefix is the empty one.
#[derive(Default)]
struct Head {
    name: Name,
    attributes: Vec<(Name, String)>,
}

/// Namespaces in XML, as contract X5 has them.
#[derive(Default)]
struct Resolver {
    /// Prefix and namespace, the innermost last.
    bindings: Vec<Name>,
    /// For each open element how many bindings there were outside of it.
    open: Vec<usize>,
    language: Option<String>,
}

impl Resolver {
    fn open(&mut self, head: Head) -> Seen {
        let depth = self.open.len();
        self.open.push(self.bindings.len());
        let is_language = |name: &Name| (&*name.0, &*name.1) == ("xml", "lang");
        let own = head.attributes.iter().find(|(name, _)| is_language(name));
        let own = own.map(|(_, language)| language.clone());
        let mut attributes = Vec::new();
        for ((prefix, local), value) in head.attributes {
            match (&*prefix, &*local) {
                ("", "xmlns") => self.bindings.push((String::new(), value)),
                ("xmlns", _) => self.bindings.push((local, value)),
                _ => attributes.push(((prefix, local), value)),
            }
        }
        let inherited = self.language.clone().filter(|_| own.is_none());
        match depth {
            0 => self.language = own.filter(|language| !language.is_empty()),
            1 => {
                let lang = || ("xml".to_owned(), "lang".to_owned());
                attributes.extend(inherited.map(|language| (lang(), language)));
                self.normalise(&head.name.0);
            }
            _ => {}
        }
        let mut attributes: Vec<_> = attributes
            .into_iter()
            .map(|((prefix, local), value)| match &*prefix {
                "" => ((prefix, local), value),
                _ => ((self.namespace(&prefix), local), value),
            })
            .collect();
        attributes.sort();
        Seen::Element {
            depth,
            name: (self.namespace(&head.name.0), head.name.1),
            attributes,
        }
    }

    fn close(&mut self) {
        if let Some(bindings) = self.open.pop() {
            self.bindings.truncate(bindings);
        }
    }

    /// Binds what the stanza binds its own name to, and its default namespace.
    fn normalise(&mut self, own: &str) {
        for prefix in ["", own] {
            if is_content(&self.namespace(prefix)) {
                let binding = (prefix.to_owned(), COMPONENT_ACCEPT.to_owned());
                self.bindings.push(binding);
            }
        }
    }

    fn namespace(&self, prefix: &str) -> String {
        let mut bindings = self.bindings.iter().rev();
        match bindings.find(|(bound, _)| bound == prefix) {
            Some((_, namespace)) => namespace.clone(),
            None if prefix == "xml" => XML.to_owned(),
            None => String::new(),
        }
    }
}

/// A namespace of stanzas.
pub(crate) fn is_content(namespace: &str) -> bool {
    matches!(
        namespace,
        COMPONENT_ACCEPT | "jabber:client" | "jabber:server"
    )
}
