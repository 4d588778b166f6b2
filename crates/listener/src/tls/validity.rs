use std::time::Duration;

use tokio_rustls::rustls::pki_types::UnixTime;

/// When a certificate is valid: both bounds included, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

impl Validity {
    /// What an operator should be told about a certificate with this validity: that it has
    /// expired, is not valid yet, or will expire within `soon` from `now` on.
    #[must_use]
    pub fn concern(self, now: UnixTime, soon: Duration) -> Option<String> {
        const DAY: u64 = 24 * 3600;
        let now = now.as_secs();
        if now < self.not_before {
            return Some("the certificate is not valid yet: is the clock right?".to_owned());
        }
        let Some(left) = self.not_after.checked_sub(now) else {
            return Some(
                "the certificate has expired: clients that verify it refuse it".to_owned(),
            );
        };
        (left < soon.as_secs()).then(|| match left / DAY {
            0 => "the certificate expires within a day".to_owned(),
            1 => "the certificate expires in 1 day".to_owned(),
            days => format!("the certificate expires in {days} days"),
        })
    }

    /// Whether it includes `now`.
    pub(super) fn includes(self, now: UnixTime) -> bool {
        (self.not_before..=self.not_after).contains(&now.as_secs())
    }
}
