use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// Longest domainpart in octets (RFC 7622 §3.2).
pub const MAX_DOMAIN_LEN: usize = 1023;

/// A prepared domainpart: two spellings of one domain give equal values (RFC 7622 §3.2).
///
/// Case and width are folded, an internationalised name is in its Unicode form (U-labels), one
/// trailing dot is gone. Cloning costs a reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

/// Why a string is not a domainpart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing is left, perhaps after the trailing dot.
    #[error("the domain is empty")]
    Empty,
    /// More than [`MAX_DOMAIN_LEN`] octets.
    #[error("the domain is longer than {MAX_DOMAIN_LEN} octets")]
    TooLong,
    /// An empty label, a label that no DNS name can hold, or a character that no domain has.
    #[error("the domain has an empty, malformed or overlong label, or a forbidden character")]
    Malformed,
}

impl Domain {
    /// Prepares `input` as a domainpart.
    ///
    /// # Errors
    ///
    /// When `input` cannot be a domainpart.
    pub fn prepare(input: &str) -> Result<Self, DomainError> {
        let name = input.strip_suffix('.').unwrap_or(input);
        if name.is_empty() {
            return Err(DomainError::Empty);
        }
        if name.len() > MAX_DOMAIN_LEN {
            return Err(DomainError::TooLong);
        }
        if is_prepared_ascii(name) {
            return Ok(Self(name.into()));
        }
        if let Some(literal) = ipv6_literal(name) {
            return Ok(Self(literal.into()));
        }
        prepare_idna(name)
    }

    /// Takes over what another node has prepared. `None` if no preparation can give that.
    pub(crate) fn from_prepared(name: &str) -> Option<Self> {
        (1..=MAX_DOMAIN_LEN)
            .contains(&name.len())
            .then(|| Self(name.into()))
    }

    /// Sorts before every domain, and is none.
    pub(crate) fn least() -> Self {
        Self("".into())
    }

    /// True when `name` is its own preparation and that can be told without preparing it: the
    /// common case of a lower-case ASCII name, which the hot path compares byte by byte.
    #[must_use]
    pub fn is_plainly_prepared(name: &str) -> bool {
        name.len() <= MAX_DOMAIN_LEN && is_prepared_ascii(name)
    }

    /// The prepared name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case letters, digits, hyphens and underscores in labels of 1 to 63 octets. A label with
/// `xn--` is left to the IDNA machinery.
fn is_prepared_ascii(name: &str) -> bool {
    name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with("xn--")
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    })
}

/// `[IPv6]` in its canonical spelling.
fn ipv6_literal(name: &str) -> Option<String> {
    let inner = name.strip_prefix('[')?.strip_suffix(']')?;
    let address: std::net::Ipv6Addr = inner.parse().ok()?;
    Some(format!("[{address}]"))
}

fn prepare_idna(name: &str) -> Result<Domain, DomainError> {
    // STD3 forbids the underscore, which internal service names do use; URL rules forbid what
    // could be mistaken for another part of a JID or for markup.
    const DENIED: AsciiDenyList = AsciiDenyList::new(true, "\"#%&'()*+,/:;<=>?@[\\]^`{|}~!$");
    let uts46 = Uts46::new();
    let ascii = uts46
        .to_ascii(name.as_bytes(), DENIED, Hyphens::Allow, DnsLength::Ignore)
        .map_err(|_| DomainError::Malformed)?;
    if !ascii
        .split('.')
        .all(|label| (1..=63).contains(&label.len()))
    {
        return Err(DomainError::Malformed);
    }
    let (unicode, outcome) = uts46.to_unicode(ascii.as_bytes(), DENIED, Hyphens::Allow);
    outcome.map_err(|_| DomainError::Malformed)?;
    // What is encoded twice decodes to something that is no U-label (RFC 5890 §2.3.2.1), and would
    // have another preparation than its own.
    if unicode.split('.').any(|label| label.starts_with("xn--")) {
        return Err(DomainError::Malformed);
    }
    if unicode.len() > MAX_DOMAIN_LEN {
        return Err(DomainError::TooLong);
    }
    Ok(Domain(unicode.as_ref().into()))
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::str::FromStr for Domain {
    type Err = DomainError;

    fn from_str(input: &str) -> Result<Self, DomainError> {
        Self::prepare(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(input: &str) -> Result<String, DomainError> {
        Domain::prepare(input).map(|domain| domain.as_str().to_owned())
    }

    #[test]
    fn contract_v4_spellings_of_one_domain_are_equal() {
        for spelling in [
            "bücher.example",
            "BÜCHER.Example",
            "xn--bcher-kva.example.",
            "bücher。example",
        ] {
            assert_eq!(
                prepared(spelling).as_deref(),
                Ok("bücher.example"),
                "{spelling}"
            );
        }
        assert_eq!(prepared("A.Example.").as_deref(), Ok("a.example"));
        assert_eq!(prepared("my_bot.example").as_deref(), Ok("my_bot.example"));
        assert_eq!(prepared("My_bot.example").as_deref(), Ok("my_bot.example"));
        assert_eq!(prepared("[0:0::1]").as_deref(), Ok("[::1]"));
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        assert_eq!(prepared(""), Err(DomainError::Empty));
        assert_eq!(prepared("."), Err(DomainError::Empty));
        assert_eq!(prepared(&"a".repeat(1024)), Err(DomainError::TooLong));
        let long_label = "a".repeat(64);
        for bad in [
            "a..b",
            ".a",
            "a b",
            "a@b",
            "a/b",
            "a<b",
            "a'b",
            "a&b",
            "a\"b",
            "xn--xn--ezn--xn-ple",
            &long_label,
        ] {
            assert_eq!(prepared(bad), Err(DomainError::Malformed), "{bad}");
        }
    }

    #[test]
    fn preparation_is_idempotent() {
        for input in ["Straße.example", "ὈΔΥΣΣΕΎΣ.example", "日本語.EXAMPLE"] {
            let once = Domain::prepare(input).unwrap();
            assert_eq!(Domain::prepare(once.as_str()).unwrap(), once);
        }
    }
}
