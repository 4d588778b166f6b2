use memchr::{memchr, memmem};

use super::escape::unescape_text;
use crate::Stanza;

/// The character data of an element without child elements, references resolved and CDATA
/// sections taken in; nothing if it has child elements.
#[must_use]
pub fn text_content(buffer: &[u8], element: &Stanza) -> Option<String> {
    let whole = element.span.of(buffer);
    let start = element.start_tag.end.checked_sub(element.span.start)?;
    let mut rest = whole.get(start as usize..)?;
    let mut content = String::new();
    // An empty-element tag has nothing behind it, another start tag at least its end tag.
    while !rest.is_empty() && !rest.starts_with(b"</") {
        if let Some(section) = rest.strip_prefix(b"<![CDATA[") {
            let end = memmem::find(section, b"]]>")?;
            content.push_str(&String::from_utf8_lossy(section.get(..end)?));
            rest = section.get(end + 3..)?;
        } else {
            let end = memchr(b'<', rest).filter(|&end| end > 0)?;
            content.push_str(&unescape_text(rest.get(..end)?));
            rest = rest.get(end..)?;
        }
    }
    Some(content)
}
