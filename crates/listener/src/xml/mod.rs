//! XML as XMPP uses it (RFC 6120 §11): framing and validation in one incremental walk, no DOM.
//!
//! - `framer`: first-level elements of a stream, and its end
//! - `header`: what comes before them
//! - `element`: the walk through one first-level element; `tag`, `name`, `text`, `namespaces`: its
//!   steps; `fault`: what can be wrong on the way
//! - `swar`, `chars`, `name_ranges`: what bytes and characters are
//! - `rewrite`: a stanza as it can stand on another stream (contract X5)

mod chars;
mod content;
mod element;
mod error;
mod escape;
mod fault;
mod framer;
mod header;
mod limits;
mod name;
mod name_ranges;
mod namespaces;
mod rewrite;
mod scope;
mod swar;
mod tag;
mod text;

pub use content::text_content;
pub use error::{Protocol, XmlError, XmlErrorKind};
pub use escape::{escape, unescape_attribute, unescape_text};
pub use framer::{Framer, Outcome, Progress};
pub use header::StreamHeader;
pub use limits::Limits;
pub use namespaces::{COMPONENT_ACCEPT, STREAMS};
pub(crate) use rewrite::{Rewrite, declarations};

#[cfg(test)]
mod tests;
