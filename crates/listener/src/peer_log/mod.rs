//! What operators are told about the connections of a listener: enough to see what is going on, and
//! no more than a disk can take, whatever peers do.

mod limit;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;

use parking_lot::Mutex;
use switchyard_registry::Domain;
use tokio::time::{Instant, sleep};
use tracing::field::{DisplayValue, display};

use self::limit::{EventLimit, INTERVAL};
use crate::printable::Printable;

/// Lines per kind and interval about what goes wrong.
const FAULTS: u32 = 3;
/// Lines per kind and interval about components that come and go: all of a usual deployment.
const COMPONENTS: u32 = 50;

/// Kinds of events, each with a limit of its own: a flood of one hides no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// A component is registered.
    Connected,
    /// A registered component is gone.
    Disconnected,
    /// The stream of a registered component was ended for an error of the component's.
    StreamFailed,
    /// A secret was wrong.
    HandshakeFailed,
    /// The header of the PROXY protocol is missing or malformed.
    ProxyRefused,
    /// A stream was ended with an error before it was open.
    StreamRefused,
    /// A negotiation was not over in time.
    TimedOut,
}

/// Something that happened on a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) kind: EventKind,
    /// Where the connection comes from: what a proxy says, if there is one to believe.
    pub(crate) peer: SocketAddr,
    /// The component, or the name that somebody asks for.
    pub(crate) domain: Option<&'a Domain>,
    /// Why. A peer may have had a say in it.
    pub(crate) reason: &'a str,
}

/// The log of one listener's connections.
#[derive(Debug)]
pub(crate) struct PeerLog {
    listener: SocketAddr,
    limits: [Mutex<EventLimit>; EventKind::ALL.len()],
}

// === impl EventKind ===

impl EventKind {
    const ALL: [Self; 7] = [
        Self::Connected,
        Self::Disconnected,
        Self::StreamFailed,
        Self::HandshakeFailed,
        Self::ProxyRefused,
        Self::StreamRefused,
        Self::TimedOut,
    ];

    const fn message(self) -> &'static str {
        match self {
            Self::Connected => "Component connected",
            Self::Disconnected => "Component disconnected",
            Self::StreamFailed => "Component disconnected for an error in its stream",
            Self::HandshakeFailed => "Handshake failed",
            Self::ProxyRefused => "PROXY protocol header refused",
            Self::StreamRefused => "Stream refused",
            Self::TimedOut => "Negotiation timed out",
        }
    }

    /// Whether an operator may have to do something about it: all but the usual coming and going.
    /// MongooseIM's default `loglevel` shows warnings alone.
    const fn is_warning(self) -> bool {
        !matches!(self, Self::Connected | Self::Disconnected)
    }

    const fn burst(self) -> u32 {
        match self {
            Self::Connected | Self::Disconnected => COMPONENTS,
            _ => FAULTS,
        }
    }
}

// === impl Event ===

impl Event<'_> {
    fn domain(&self) -> Option<DisplayValue<Printable<'_>>> {
        self.domain
            .map(|domain| display(Printable(domain.as_str())))
    }

    fn reason(&self) -> Option<DisplayValue<Printable<'_>>> {
        (!self.reason.is_empty()).then(|| display(Printable(self.reason)))
    }
}

/// As in a summary.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer={}", self.peer)?;
        if let Some(domain) = self.domain() {
            write!(f, " domain={domain}")?;
        }
        if let Some(reason) = self.reason() {
            write!(f, " reason={reason}")?;
        }
        Ok(())
    }
}

// === impl PeerLog ===

impl PeerLog {
    /// The log of the listener at `listener`.
    pub(crate) fn new(listener: SocketAddr) -> Self {
        Self {
            listener,
            limits: EventKind::ALL.map(|kind| Mutex::new(EventLimit::new(kind.burst()))),
        }
    }

    /// Logs `event`, now or in a summary.
    pub(crate) fn note(&self, event: Event<'_>) {
        let mut limit = self.limits[event.kind as usize].lock();
        let admitted = limit.admit(Instant::now(), &event);
        drop(limit);
        let Self { listener, .. } = self;
        let Event { kind, peer, .. } = event;
        let (message, domain, reason) = (kind.message(), event.domain(), event.reason());
        if !admitted {
            tracing::debug!(%listener, %peer, domain, reason, "{message}");
        } else if kind.is_warning() {
            tracing::warn!(%listener, %peer, domain, reason, "{message}");
        } else {
            tracing::info!(%listener, %peer, domain, reason, "{message}");
        }
    }

    /// Logs summaries when they are due.
    pub(crate) async fn summarise(&self) -> Infallible {
        loop {
            sleep(INTERVAL).await;
            let now = Instant::now();
            self.say(|limit| limit.summary(now));
        }
    }

    /// Logs every summary: nothing follows.
    pub(crate) fn finish(&self) {
        self.say(EventLimit::take);
    }

    fn say(&self, take: impl Fn(&mut EventLimit) -> Option<limit::Suppressed>) {
        let Self { listener, .. } = self;
        for kind in EventKind::ALL {
            let Some(suppressed) = take(&mut self.limits[kind as usize].lock()) else {
                continue;
            };
            let message = kind.message();
            let (count, last) = (suppressed.count, suppressed.example);
            if kind.is_warning() {
                tracing::warn!(%listener, count, last, "{message}, several times");
            } else {
                tracing::info!(%listener, count, last, "{message}, several times");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_limit() {
        for (index, kind) in EventKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind:?}");
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_the_peer_says() {
        let domain = Domain::prepare("a.example").unwrap();
        let event = Event {
            kind: EventKind::StreamRefused,
            peer: "192.0.2.7:4660".parse().unwrap(),
            domain: Some(&domain),
            reason: "got <a\nERROR forged>",
        };
        assert_eq!(
            event.to_string(),
            "peer=192.0.2.7:4660 domain=a.example reason=got <a\\nERROR forged>"
        );
    }
}
