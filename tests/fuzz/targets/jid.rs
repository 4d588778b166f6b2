//! Any value of an attribute as a JID (contract V2 to V4): all ways to prepare it agree, and to
//! prepare it again changes nothing.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use switchyard_listener::fuzzing::plain_domain;
use switchyard_listener::jid::{
    PreparedJid, bare_prepared, check, domain_bytes, has_local, is_domain, prepared_domain, split,
};
use switchyard_listener::xml::{escape, unescape_attribute};

fuzz_target!(|raw: &[u8]| {
    let parts = split(raw);
    let prepared = PreparedJid::prepare(&parts);
    assert_eq!(
        check(raw).map(drop),
        prepared.as_ref().map(drop).map_err(|e| *e)
    );
    assert_eq!(prepared_domain(domain_bytes(raw)), prepared_domain(raw));
    let plain = plain_domain(raw);
    let Ok(prepared) = prepared else {
        assert_eq!(plain, None);
        return;
    };
    if let Some(plain) = plain {
        assert_eq!(plain, prepared.domain().as_bytes());
    }
    assert_eq!(
        prepared_domain(raw).map(|domain| domain.as_str() == prepared.domain()),
        Ok(true)
    );
    assert_eq!(has_local(raw), !prepared.local().is_empty());
    let is_bare = prepared.local().is_empty() && prepared.resource().is_empty();
    assert_eq!(is_domain(raw), is_bare);

    let bare = bare(&prepared);
    assert_eq!(bare_prepared(raw).as_deref(), Ok(&*bare));
    let whole = match prepared.resource() {
        "" => bare.clone(),
        resource => format!("{bare}/{resource}"),
    };
    // The prepared JID is one, and its own preparation.
    let again = written(&whole);
    let again = split(&again);
    assert_eq!(PreparedJid::prepare(&again).as_ref(), Ok(&prepared));

    // Addresses do not depend on the case of letters (RFC 7622 §3.2.1, §3.3.1).
    let text = unescape_attribute(raw);
    let (address, resource) = text.split_at(text.find('/').unwrap_or(text.len()));
    for changed in [address.to_ascii_uppercase(), address.to_ascii_lowercase()] {
        let changed = written(&format!("{changed}{resource}"));
        let changed = split(&changed);
        assert_eq!(PreparedJid::prepare(&changed).as_ref(), Ok(&prepared));
    }
});

fn bare(jid: &PreparedJid<'_>) -> String {
    match jid.local() {
        "" => jid.domain().to_owned(),
        local => format!("{local}@{}", jid.domain()),
    }
}

/// `text` as it stands in an attribute.
fn written(text: &str) -> BytesMut {
    let mut raw = BytesMut::new();
    escape(text, &mut raw);
    raw
}
