//! From characters to their escaped form in a document and back.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

/// Appends `text` to `out` so that it can stand as character data or between quotes of any kind.
pub fn escape(text: &str, out: &mut BytesMut) {
    for byte in text.bytes() {
        match byte {
            b'&' => out.put_slice(b"&amp;"),
            b'<' => out.put_slice(b"&lt;"),
            b'>' => out.put_slice(b"&gt;"),
            b'\'' => out.put_slice(b"&apos;"),
            b'"' => out.put_slice(b"&quot;"),
            // In an attribute these would become spaces, and a carriage return in text a newline.
            b'\t' => out.put_slice(b"&#9;"),
            b'\n' => out.put_slice(b"&#10;"),
            b'\r' => out.put_slice(b"&#13;"),
            _ => out.put_u8(byte),
        }
    }
}

/// The value of an attribute of which `raw` stands between the quotes: references resolved and
/// white space normalised (XML 1.0 §3.3.3). `raw` must have passed a [`Framer`](super::Framer);
/// of other input some is replaced by U+FFFD.
#[must_use]
pub fn unescape_attribute(raw: &[u8]) -> Cow<'_, str> {
    let raw = String::from_utf8_lossy(raw);
    if !raw
        .bytes()
        .any(|byte| matches!(byte, b'&' | b'\t' | b'\n' | b'\r'))
    {
        return raw;
    }
    let mut value = String::with_capacity(raw.len());
    let spaced = raw.replace("\r\n", " ").replace(['\t', '\n', '\r'], " ");
    resolve(&spaced, &mut value);
    Cow::Owned(value)
}

/// The characters of a run of character data without CDATA sections and markup: references
/// resolved and line ends normalised (XML 1.0 §2.11). The same holds for `raw` as with
/// [`unescape_attribute`].
#[must_use]
pub fn unescape_text(raw: &[u8]) -> Cow<'_, str> {
    let raw = String::from_utf8_lossy(raw);
    if !raw.bytes().any(|byte| matches!(byte, b'&' | b'\r')) {
        return raw;
    }
    let mut text = String::with_capacity(raw.len());
    resolve(&raw.replace("\r\n", "\n").replace('\r', "\n"), &mut text);
    Cow::Owned(text)
}

fn resolve(mut raw: &str, out: &mut String) {
    while let Some((plain, rest)) = raw.split_once('&') {
        out.push_str(plain);
        let (name, behind) = rest.split_once(';').unwrap_or((rest, ""));
        out.push(referred(name).unwrap_or(char::REPLACEMENT_CHARACTER));
        raw = behind;
    }
    out.push_str(raw);
}

fn referred(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_text_come_back_from_their_escaped_form() {
        let nasty = "a<b>&'\"\t\r\n ü\u{10FFFF}]]>";
        let mut out = BytesMut::new();
        escape(nasty, &mut out);
        assert_eq!(unescape_attribute(&out), nasty);
        assert_eq!(unescape_text(&out), nasty);
    }

    #[test]
    fn white_space_is_normalised_as_xml_says() {
        assert_eq!(unescape_attribute(b"a\r\nb\tc\rd&#10;e"), "a b c d\ne");
        assert_eq!(unescape_text(b"a\r\nb\tc\rd&#x0d;e"), "a\nb\tc\nd\re");
    }
}
