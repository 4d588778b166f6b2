//! RFC 7622, contract V2 to V4.

use proptest::prelude::*;

use super::*;

#[test]
fn contract_v2_jids_of_all_sorts_are_accepted() {
    let long = "x".repeat(1023);
    for good in [
        "a.example",
        "A.Example.",
        "user@a.example",
        "User@a.example/Res ource",
        "a.example/x@y/z",
        "user@a.example/\"&amp;&lt;",
        "j&#xFC;rgen@b&#252;cher.example",
        "jürgen@bücher.example/☃",
        "ΠΑΣ@a.example",
        "[::1]",
        "127.0.0.1",
        "a_b-c.example",
        "user%x!#$*+=?^`{|}~@a.example",
        &format!("{long}@a.example/{long}"),
    ] {
        assert!(
            check(good.as_bytes()).is_ok(),
            "{good}: {:?}",
            check(good.as_bytes())
        );
    }
}

#[test]
fn contract_v2_what_is_no_jid_is_refused() {
    use JidError::*;
    let long = "x".repeat(1024);
    for (bad, error) in [
        ("", Domain(DomainError::Empty)),
        ("@", LocalEmpty),
        ("@a.example", LocalEmpty),
        ("user@", Domain(DomainError::Empty)),
        ("/res", Domain(DomainError::Empty)),
        ("a.example/", ResourceEmpty),
        ("user@a.example/", ResourceEmpty),
        ("a b@a.example", LocalMalformed),
        ("a&quot;b@a.example", LocalMalformed),
        ("a&#x3C;@a.example", LocalMalformed),
        ("a:b@a.example", LocalMalformed),
        ("\u{FF20}@a.example", LocalMalformed),
        ("user@b@a.example", Domain(DomainError::Malformed)),
        ("user@a..example", Domain(DomainError::Malformed)),
        ("a.example/\u{7}", ResourceMalformed),
        ("a.example/a&#10;b", ResourceMalformed),
        // Normalised to a middle dot, which may stand between two "l" alone.
        ("a.example/\u{387}", ResourceMalformed),
        (&format!("{long}@a.example"), LocalTooLong),
        (&format!("a.example/{long}"), ResourceTooLong),
    ] {
        assert_eq!(check(bad.as_bytes()), Err(error), "{bad}");
    }
}

#[test]
fn contract_v4_spellings_of_one_address_are_equal() {
    for spelling in [
        "jürgen@bücher.example",
        "J&#xDC;RGEN@BÜCHER.Example./Res",
        "ju\u{308}rgen@xn--bcher-kva.example",
    ] {
        assert_eq!(
            bare_prepared(spelling.as_bytes()).as_deref(),
            Ok("jürgen@bücher.example"),
            "{spelling}"
        );
    }
    assert_eq!(
        bare_prepared(b"User@a.example/x").as_deref(),
        Ok("user@a.example")
    );
    assert_eq!(bare_prepared(b"A.example/x").as_deref(), Ok("a.example"));
}

#[test]
fn references_cannot_hide_where_a_domain_is() {
    for raw in [
        "x&#64;a.example/r",
        "a.example&#47;x@evil.example",
        "a.example",
    ] {
        let domain = prepared_domain(domain_bytes(raw.as_bytes()));
        assert_eq!(domain.unwrap().as_str(), "a.example", "{raw}");
    }
    assert_eq!(domain_bytes(b"u@a.example/x@y"), b"a.example");
    let two = b"u@x@a.example";
    assert_eq!(prepared_domain(domain_bytes(two)), prepared_domain(two));
    assert!(has_local(b"x&#64;a.example") && !has_local(b"a.example/x@y"));
    assert!(is_domain(b"a.example") && !is_domain(b"a.example&#47;x"));
}

/// What [`check`], [`bare_prepared`] and [`PreparedJid`] would do without the short cut: the bare
/// JID and the resource.
fn in_full(raw: &str) -> Result<(String, String), JidError> {
    let parts = JidParts::split(Cow::Borrowed(raw));
    let local = parts.local().map(local_in_full).transpose()?;
    let domain = Domain::prepare(parts.domain())?;
    let resource = parts.resource().map(resource_in_full).transpose()?;
    let bare = local.map_or_else(|| domain.to_string(), |local| format!("{local}@{domain}"));
    Ok((bare, resource.unwrap_or_default().into_owned()))
}

proptest! {
    #[test]
    fn the_short_cut_decides_as_the_preparation_does(
        raw in "([ -%'-~]{0,4}@)?[a-zA-Z0-9._-]{0,12}(/[ -%'-~]{0,4})?"
    ) {
        let full = in_full(&raw);
        prop_assert_eq!(check(raw.as_bytes()).map(|_| ()), full.clone().map(|_| ()));
        let parts = split(raw.as_bytes());
        let prepared = PreparedJid::prepare(&parts);
        prop_assert_eq!(prepared.is_ok(), full.is_ok());
        if let (Ok((bare, resource)), Ok(prepared)) = (full, prepared) {
            prop_assert_eq!(bare_prepared(raw.as_bytes()).unwrap(), &*bare);
            let at = if prepared.local().is_empty() { "" } else { "@" };
            prop_assert_eq!(format!("{}{at}{}", prepared.local(), prepared.domain()), bare);
            prop_assert_eq!(prepared.resource(), resource);
        }
    }
}
