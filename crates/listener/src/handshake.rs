//! The handshake of XEP-0114 §3: the component proves that it knows the secret.

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use sha1::{Digest, Sha1};
use subtle::{Choice, ConstantTimeEq};

use crate::Secret;
use crate::secrets::Candidates;
use crate::xml::COMPONENT_ACCEPT;

/// Length of a digest in hexadecimal.
const DIGEST_LEN: usize = 40;

/// The id of a stream: 128 bits from the system's random source in hexadecimal (contract S2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamId(String);

/// Whether a handshake proves knowledge of the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Of this secret.
    Valid(Secret),
    /// A digest that is not in lower case, right or wrong.
    NotLowerCase,
    Wrong,
}

// === impl StreamId ===

impl StreamId {
    /// A fresh id.
    ///
    /// # Errors
    ///
    /// When the system gives no randomness.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Judges `text`, the content of a `<handshake/>` for this stream. Does as much whether there
    /// are two secrets, one or none: how long it takes does not tell which names can be opened.
    pub(crate) fn judge(&self, candidates: &Candidates, text: &str) -> Proof {
        const NO_SECRET: &str = "0123456789abcdef";
        let given = text.trim_matches([' ', '\t', '\r', '\n']);
        let mut proven = None;
        for secret in candidates.slots() {
            let expected = digest(self, secret.map_or(NO_SECRET, Secret::expose));
            let is_secret = Choice::from(u8::from(secret.is_some()));
            if bool::from(is_secret & given.as_bytes().ct_eq(expected.as_bytes())) {
                proven = secret;
            }
        }
        if let Some(secret) = proven {
            Proof::Valid(secret.clone())
        } else if given.len() == DIGEST_LEN && given.bytes().any(|b| b.is_ascii_uppercase()) {
            Proof::NotLowerCase
        } else {
            Proof::Wrong
        }
    }
}

/// SHA-1 of id and secret in lower-case hexadecimal; a secret outside ASCII as UTF-8.
fn digest(id: &StreamId, secret: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(id.0.as_bytes());
    sha1.update(secret.as_bytes());
    hex::encode(sha1.finalize())
}

/// The text of `element` if it is a handshake: references resolved, CDATA sections included.
/// `None` if it is another element, or has elements inside. `element` is well-formed and declares
/// every prefix that it uses.
pub(crate) fn text_of_handshake(element: &[u8]) -> Option<String> {
    let mut reader = NsReader::from_str(std::str::from_utf8(element).ok()?);
    let (namespace, event) = reader.read_resolved_event().ok()?;
    let here = match namespace {
        ResolveResult::Unbound => true,
        ResolveResult::Bound(Namespace(namespace)) => namespace == COMPONENT_ACCEPT,
        ResolveResult::Unknown(_) => false,
    };
    match event {
        Event::Start(tag) if here && tag.local_name().as_ref() == "handshake" => {}
        Event::Empty(tag) if here && tag.local_name().as_ref() == "handshake" => {
            return Some(String::new());
        }
        _ => return None,
    }
    let mut text = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Text(piece) => text.push_str(&piece),
            Event::CData(piece) => text.push_str(&piece),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => text.push(character),
                None => text.push_str(quick_xml::escape::resolve_predefined_entity(&reference)?),
            },
            Event::End(_) => return Some(text),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges by a pair of secrets, of which the second is valid beside the first.
    fn judge(id: &str, secrets: [Option<&str>; 2], text: &str) -> Proof {
        let id = StreamId(id.to_owned());
        id.judge(
            &Candidates::from(secrets.map(|secret| secret.map(Secret::new))),
            text,
        )
    }

    #[test]
    fn contract_s5_the_digest_is_sha1_of_id_and_secret_in_lower_case() {
        const VALID: &str = "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e";
        let judge_test = |text: &str| judge("3BF96D32", [Some("test"), None], text);
        let valid = || Proof::Valid(Secret::new("test"));
        assert_eq!(judge_test(VALID), valid());
        assert_eq!(judge_test(&format!(" \r\n\t{VALID} ")), valid());
        assert_eq!(judge_test(&VALID.to_uppercase()), Proof::NotLowerCase);
        for length in 0..VALID.len() {
            assert_eq!(judge_test(&VALID[..length]), Proof::Wrong);
        }
        assert_eq!(judge_test(&VALID.replace('e', "f")), Proof::Wrong);
        assert_eq!(judge_test(&VALID.repeat(2)), Proof::Wrong);
        let utf8 = "b0869f7e51f90cc3abde55df4a5ba43589c61a7e";
        let proof = judge("3BF96D32", [Some("пароль"), None], utf8);
        assert_eq!(proof, Proof::Valid(Secret::new("пароль")));
    }

    #[test]
    fn contract_s5_any_of_the_secrets_is_proven_and_none_without_a_secret() {
        let digest = |secret| digest(&StreamId("id".to_owned()), secret);
        let both = [Some("new"), Some("old")];
        for secret in ["new", "old"] {
            let proof = judge("id", both, &digest(secret));
            assert_eq!(proof, Proof::Valid(Secret::new(secret)));
            // What stands in for a secret that is missing opens nothing.
            let proof = judge("id", [None, None], &digest(secret));
            assert_eq!(proof, Proof::Wrong);
        }
        let stand_in = digest("0123456789abcdef");
        assert_eq!(judge("id", [None, Some("old")], &stand_in), Proof::Wrong);
        assert_eq!(judge("id", [None, None], &stand_in), Proof::Wrong);
    }

    #[test]
    fn contract_s2_ids_are_fresh_and_long() {
        let (one, other) = (StreamId::random().unwrap(), StreamId::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.0.len(), 32);
    }

    #[test]
    fn contract_s5_forms_of_a_valid_handshake() {
        for (element, text) in [
            ("<handshake>ab</handshake>", "ab"),
            ("<handshake/>", ""),
            ("<handshake></handshake>", ""),
            (
                "<handshake xmlns='jabber:component:accept'>ab</handshake>",
                "ab",
            ),
            (
                "<c:handshake xmlns:c='jabber:component:accept'>ab</c:handshake >",
                "ab",
            ),
            ("<handshake>\n ab\t</handshake>", "\n ab\t"),
            ("<handshake><![CDATA[a]]>b</handshake>", "ab"),
            ("<handshake>&#x61;&#98;&lt;</handshake>", "ab<"),
        ] {
            assert_eq!(
                text_of_handshake(element.as_bytes()).as_deref(),
                Some(text),
                "{element}"
            );
        }
        for element in [
            "<message>ab</message>",
            "<handshake xmlns='jabber:client'>ab</handshake>",
            "<h:handshake xmlns:h='urn:x'>ab</h:handshake>",
            "<handshake><a/>ab</handshake>",
        ] {
            assert_eq!(text_of_handshake(element.as_bytes()), None, "{element}");
        }
    }
}
