use std::sync::Arc;

use switchyard_registry::Domain;

use crate::xml::unescape_attribute;
use crate::{Span, Stanza, StanzaCondition, StanzaKind, jid};

/// Whom a component may speak for, and what every stanza of it must hold (contract V1 to V4).
#[derive(Debug, Clone)]
pub struct SenderRule {
    /// The name that it registered.
    pub domain: Domain,
    /// The name is a prefix of names under `hosts`.
    pub is_subdomain: bool,
    /// The hosts that the router serves.
    pub hosts: Arc<[Domain]>,
    /// It may speak only for its own domain.
    pub check_from: bool,
}

/// What is wrong with one stanza. Its stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StanzaFault {
    /// The condition of the error reply.
    pub condition: StanzaCondition,
    /// What exactly.
    pub text: &'static str,
}

impl StanzaFault {
    const fn bad_request(text: &'static str) -> Self {
        let condition = StanzaCondition::BadRequest;
        Self { condition, text }
    }
}

impl SenderRule {
    /// Checks the stanza that was found in `buffer`.
    ///
    /// # Errors
    ///
    /// With the first thing that is wrong with it. If it may be answered at all is not looked at.
    #[inline]
    pub fn check(&self, buffer: &[u8], stanza: &Stanza) -> Result<(), StanzaFault> {
        if stanza.kind == StanzaKind::Other {
            let text = "only message, presence and iq are stanzas";
            return Err(StanzaFault::bad_request(text));
        }
        self.check_from(buffer, stanza.from)?;
        check_to(buffer, stanza.to)?;
        if stanza.kind == StanzaKind::Iq {
            check_iq(buffer, stanza)?;
        }
        Ok(())
    }

    fn check_from(&self, buffer: &[u8], from: Option<Span>) -> Result<(), StanzaFault> {
        let Some(from) = from else {
            return Err(StanzaFault::bad_request("the stanza has no \"from\""));
        };
        let raw = from.of(buffer);
        if let Some(domain) = jid::plain_domain(raw)
            && (!self.check_from || !self.is_subdomain && domain == self.domain.as_str().as_bytes())
        {
            return Ok(());
        }
        let Ok(parts) = jid::check(raw) else {
            return Err(StanzaFault::bad_request("the \"from\" is not a JID"));
        };
        if !self.check_from || self.is_own(parts.domain()) {
            return Ok(());
        }
        let text = "the \"from\" does not belong to this component";
        Err(StanzaFault::bad_request(text))
    }

    /// Tells if the component may speak for `domain`.
    fn is_own(&self, domain: &str) -> bool {
        if !self.is_subdomain {
            return domain == self.domain.as_str()
                || !Domain::is_plainly_prepared(domain)
                    && Domain::prepare(domain).is_ok_and(|prepared| prepared == self.domain);
        }
        Domain::prepare(domain).is_ok_and(|domain| {
            let under = domain.as_str().strip_prefix(self.domain.as_str());
            let host = under.and_then(|under| under.strip_prefix('.'));
            host.is_some_and(|host| self.hosts.iter().any(|served| served.as_str() == host))
        })
    }
}

fn check_to(buffer: &[u8], to: Option<Span>) -> Result<(), StanzaFault> {
    let Some(to) = to else {
        return Err(StanzaFault::bad_request("the stanza has no \"to\""));
    };
    let raw = to.of(buffer);
    if jid::plain_domain(raw).is_none() && jid::check(raw).is_err() {
        return Err(StanzaFault::bad_request("the \"to\" is not a JID"));
    }
    Ok(())
}

/// RFC 6120 §8.2.3.
fn check_iq(buffer: &[u8], iq: &Stanza) -> Result<(), StanzaFault> {
    if iq.id.is_none() {
        return Err(StanzaFault::bad_request("the iq has no \"id\""));
    }
    let kind = iq.kind_attribute.map(|kind| kind.of(buffer));
    match kind {
        Some(b"get" | b"set" | b"result" | b"error") => Ok(()),
        Some(raw)
            if matches!(
                &*unescape_attribute(raw),
                "get" | "set" | "result" | "error"
            ) =>
        {
            Ok(())
        }
        _ => {
            let text = "the type of an iq is get, set, result or error";
            Err(StanzaFault::bad_request(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Framer, Limits};

    fn rule(name: &str, is_subdomain: bool, check_from: bool) -> SenderRule {
        let domain = |name| Domain::prepare(name).unwrap();
        SenderRule {
            domain: domain(name),
            is_subdomain,
            hosts: Arc::new([domain("host.example"), domain("bücher.example")]),
            check_from,
        }
    }

    fn check(rule: &SenderRule, stanza: &str) -> Result<(), &'static str> {
        let mut found = Vec::new();
        let mut framer = Framer::for_stanzas(Limits::default());
        framer.read_elements(stanza.as_bytes(), 1, &mut found);
        let outcome = rule.check(stanza.as_bytes(), &found[0]);
        outcome.map_err(|fault| {
            assert_eq!(fault.condition, StanzaCondition::BadRequest);
            fault.text
        })
    }

    fn is_from_accepted(rule: &SenderRule, from: &str) -> bool {
        check(rule, &format!("<message from='{from}' to='b'/>")).is_ok()
    }

    #[test]
    fn contract_v1_v2_other_elements_and_bad_addresses_are_refused() {
        let rule = rule("a.example", false, true);
        for bad in [
            "<foo from='a.example' to='b.example'/>",
            "<message xmlns='urn:x' from='a.example' to='b.example'/>",
            "<message from='a.example'/>",
            "<message from='a.example' to=''/>",
            "<message from='a.example' to='@b.example'/>",
            "<message from='a.example' to='b.example/'/>",
            "<message to='b.example'/>",
            "<message from='@' to='b.example'/>",
            "<message from='u@@a.example' to='b.example'/>",
        ] {
            assert!(check(&rule, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_iq_needs_an_id_and_a_known_type() {
        let rule = rule("a.example", false, true);
        let iq = |rest: &str| check(&rule, &format!("<iq from='a.example' to='b' {rest}/>"));
        for kind in ["get", "set", "result", "error", "&#103;et"] {
            assert_eq!(iq(&format!("id='1' type='{kind}'")), Ok(()), "{kind}");
        }
        for bad in [
            "type='get'",
            "id='1'",
            "id='1' type='foo'",
            "id='1' type=''",
        ] {
            assert!(iq(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn contract_v3_v4_the_domain_of_from_is_compared_prepared() {
        let ascii = rule("a.example", false, true);
        for own in [
            "a.example",
            "u@A.Example./r",
            "a&#46;example",
            "u&#64;a.example",
        ] {
            assert!(is_from_accepted(&ascii, own), "{own}");
        }
        for foreign in [
            "b.example",
            "sub.a.example",
            "a.example.evil",
            "a.example@evil.example",
            "evil.example/x@a.example",
            "evil.example&#47;x@a.example",
        ] {
            assert!(!is_from_accepted(&ascii, foreign), "{foreign}");
        }
        let unicode = rule("bücher.example", false, true);
        assert!(is_from_accepted(&unicode, "xn--bcher-kva.example"));
        assert!(is_from_accepted(&unicode, "BÜCHER.example"));
    }

    #[test]
    fn contract_v3_a_subdomain_component_speaks_for_its_prefix_under_served_hosts() {
        let rule = rule("pubsub", true, true);
        for own in [
            "pubsub.host.example",
            "u@PubSub.Host.example",
            "pubsub.bücher.example",
        ] {
            assert!(is_from_accepted(&rule, own), "{own}");
        }
        for foreign in [
            "pubsub",
            "pubsubhost.example",
            "pubsub.other.example",
            "host.example",
        ] {
            assert!(!is_from_accepted(&rule, foreign), "{foreign}");
        }
    }

    #[test]
    fn contract_v3_without_check_from_any_jid_will_do() {
        let rule = rule("a.example", false, false);
        assert!(is_from_accepted(&rule, "u@anything.example/r"));
        assert!(!is_from_accepted(&rule, "@"));
        assert!(check(&rule, "<message to='b'/>").is_err());
    }
}
