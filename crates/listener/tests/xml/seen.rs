//! What a parser sees in a document, in the same form whichever parser it is.

use rxml::error::EndOrError;
use rxml::{Event, Parse, Parser};

/// Namespace and local name.
pub(crate) type Name = (String, String);

/// A part of a document. The root is at depth 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Element {
        depth: usize,
        name: Name,
        /// Sorted; without declarations.
        attributes: Vec<(Name, String)>,
    },
    /// All of it that has no markup in between.
    Text { depth: usize, text: String },
}

/// Adds `more` to the text that ends `seen`, or as a new one.
pub(crate) fn add_text(seen: &mut Vec<Seen>, depth: usize, more: &str) {
    match seen.last_mut() {
        Some(Seen::Text { depth: at, text }) if *at == depth => text.push_str(more),
        _ => seen.push(Seen::Text {
            depth,
            text: more.to_owned(),
        }),
    }
}

/// What is within the root of `document`, if rxml accepts all of it.
pub(crate) fn by_rxml(document: &[u8]) -> Option<Vec<Seen>> {
    let (mut rest, mut parser, mut depth) = (document, Parser::new(), 0);
    let mut seen = Vec::new();
    loop {
        match parser.parse(&mut rest, true) {
            Ok(Some(Event::StartElement(_, (namespace, name), attributes))) => {
                let attributes = attributes.iter().map(|((namespace, name), value)| {
                    ((namespace.to_string(), name.to_string()), value.clone())
                });
                let mut attributes: Vec<_> = attributes.collect();
                attributes.sort();
                let name = (namespace.to_string(), name.to_string());
                seen.push(Seen::Element {
                    depth,
                    name,
                    attributes,
                });
                depth += 1;
            }
            Ok(Some(Event::EndElement(_))) => depth -= 1,
            Ok(Some(Event::Text(_, more))) => add_text(&mut seen, depth, &more),
            Ok(Some(Event::XmlDeclaration(..))) => {}
            Ok(None) => {
                seen.remove(0);
                return Some(seen);
            }
            Err(EndOrError::Error(_) | EndOrError::NeedMoreData) => return None,
        }
    }
}
