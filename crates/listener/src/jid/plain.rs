//! JIDs that are valid at first sight: ASCII without references, the domain in lower case.
//!
//! Tables decide about single bytes; whatever they leave open is for the preparation in full.

use super::{JidParts, MAX_PART_LEN};

/// May stand in a domainpart that is its own preparation.
const DOMAIN: u8 = 1;
/// May stand in a localpart.
const LOCAL: u8 = 2;
/// May stand in a localpart that is its own preparation.
const PREPARED_LOCAL: u8 = 4;
/// May stand in a resourcepart.
const RESOURCE: u8 = 8;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0x20;
    while byte < 0x7F {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
}

const fn class_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            DOMAIN | LOCAL | PREPARED_LOCAL | RESOURCE
        }
        b'A'..=b'Z' => LOCAL | RESOURCE,
        // `&` begins a reference, here as everywhere.
        b'&' => 0,
        b' ' | b'"' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@' => RESOURCE,
        _ => LOCAL | PREPARED_LOCAL | RESOURCE,
    }
}

/// The parts of `raw` if it is a plain JID.
pub(super) fn check(raw: &[u8]) -> Option<JidParts<'_>> {
    let (slash, at) = delimiters(raw);
    are_plain(raw, slash, at).then_some(())?;
    let text = std::str::from_utf8(raw).ok()?;
    Some(JidParts::new(text, at, slash))
}

/// The domain of `raw` if that is a plain JID.
#[inline]
pub(super) fn domain(raw: &[u8]) -> Option<&[u8]> {
    let (slash, at) = delimiters(raw);
    let bare = &raw[..slash.unwrap_or(raw.len())];
    are_plain(raw, slash, at).then(|| &bare[at.map_or(0, |at| at + 1)..])
}

fn are_plain(raw: &[u8], slash: Option<usize>, at: Option<usize>) -> bool {
    let bare = &raw[..slash.unwrap_or(raw.len())];
    resource_fits(raw, slash) && local_fits(bare, at, LOCAL) && domain_fits(bare, at)
}

/// `raw` without its resource if that is a plain JID and its own preparation.
pub(super) fn bare(raw: &[u8]) -> Option<&str> {
    let (slash, at) = delimiters(raw);
    let bare = &raw[..slash.unwrap_or(raw.len())];
    if !local_fits(bare, at, PREPARED_LOCAL) || !domain_fits(bare, at) {
        return None;
    }
    std::str::from_utf8(bare).ok()
}

/// True of a localpart that is its own preparation, told at first sight.
pub(super) fn is_prepared_local(local: &str) -> bool {
    (1..=MAX_PART_LEN).contains(&local.len()) && all(local.as_bytes(), PREPARED_LOCAL)
}

/// True of a resourcepart that is its own preparation, told at first sight.
pub(super) fn is_resource(resource: &str) -> bool {
    (1..=MAX_PART_LEN).contains(&resource.len()) && all(resource.as_bytes(), RESOURCE)
}

/// The positions of the first `/`, and of the first `@` before it.
fn delimiters(raw: &[u8]) -> (Option<usize>, Option<usize>) {
    let mut at = None;
    for (index, byte) in raw.iter().enumerate() {
        match byte {
            b'/' => return (Some(index), at),
            b'@' if at.is_none() => at = Some(index),
            _ => {}
        }
    }
    (None, at)
}

fn all(bytes: &[u8], class: u8) -> bool {
    bytes
        .iter()
        .fold(class, |all, &byte| all & CLASS[byte as usize])
        != 0
}

fn resource_fits(raw: &[u8], slash: Option<usize>) -> bool {
    slash.is_none_or(|slash| {
        let resource = &raw[slash + 1..];
        (1..=MAX_PART_LEN).contains(&resource.len()) && all(resource, RESOURCE)
    })
}

fn local_fits(bare: &[u8], at: Option<usize>, class: u8) -> bool {
    at.is_none_or(|at| (1..=MAX_PART_LEN).contains(&at) && all(&bare[..at], class))
}

/// Dots only where they must be, labels of 1 to 63 octets, nothing in Punycode.
fn domain_fits(bare: &[u8], at: Option<usize>) -> bool {
    let domain = &bare[at.map_or(0, |at| at + 1)..];
    let mut previous = b'.';
    let mut class = DOMAIN;
    let mut is_open = false;
    for &byte in domain {
        class &= CLASS[byte as usize];
        // Two dots are an empty label, two hyphens may be those of Punycode.
        is_open |= byte == previous && matches!(byte, b'.' | b'-');
        previous = byte;
    }
    // In a name that is no longer than a label may be, every label is short enough.
    class != 0 && !is_open && previous != b'.' && domain.len() <= 63
}
