use switchyard_listener::StanzaCondition;

use crate::peer::ReturnReason;

/// Why a stanza cannot be delivered (contract D3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Undeliverable {
    /// The component's connection ended while the stanza was queued for it.
    ComponentLost,
    /// The component's listener does not let the sender in.
    Denied,
    /// The component took nothing for longer than the patience of its senders.
    Overloaded,
    /// The node of the component left or died.
    PeerGone,
    /// The node of the component cannot be reached.
    PeerUnreachable,
    /// The registry has no quorum, so nobody can tell who holds the domain.
    RegistryUnavailable,
    /// Nobody in the cluster holds the domain.
    UnknownDomain,
}

impl Undeliverable {
    /// Every reason, in the order of declaration.
    pub(crate) const ALL: [Self; 7] = [
        Self::ComponentLost,
        Self::Denied,
        Self::Overloaded,
        Self::PeerGone,
        Self::PeerUnreachable,
        Self::RegistryUnavailable,
        Self::UnknownDomain,
    ];

    /// The condition and the text of the error reply.
    pub(crate) fn error(self) -> (StanzaCondition, &'static str) {
        use StanzaCondition::{
            NotAllowed, RemoteServerNotFound, RemoteServerTimeout, ResourceConstraint,
        };
        match self {
            Self::ComponentLost => (
                RemoteServerTimeout,
                "the component disconnected before it took the stanza",
            ),
            Self::Denied => (
                NotAllowed,
                "the component does not accept stanzas from this sender",
            ),
            Self::Overloaded => (ResourceConstraint, "the component takes stanzas too slowly"),
            Self::PeerGone => (
                RemoteServerTimeout,
                "the component's node went away before it took the stanza",
            ),
            Self::PeerUnreachable => (
                RemoteServerTimeout,
                "the component's node cannot be reached",
            ),
            Self::RegistryUnavailable => (
                RemoteServerTimeout,
                "no cluster quorum: nobody can tell who serves this domain",
            ),
            Self::UnknownDomain => (
                RemoteServerNotFound,
                "no component with this domain is connected to the cluster",
            ),
        }
    }

    /// The value of the label `reason` in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ComponentLost => "component_lost",
            Self::Denied => "denied",
            Self::Overloaded => "overloaded",
            Self::PeerGone => "peer_gone",
            Self::PeerUnreachable => "peer_unreachable",
            Self::RegistryUnavailable => "registry_unavailable",
            Self::UnknownDomain => "unknown_domain",
        }
    }
}

impl From<ReturnReason> for Undeliverable {
    fn from(reason: ReturnReason) -> Self {
        match reason {
            ReturnReason::Denied => Self::Denied,
            ReturnReason::Lost | ReturnReason::NotHere => Self::ComponentLost,
            ReturnReason::Overloaded => Self::Overloaded,
            ReturnReason::PeerGone => Self::PeerGone,
            ReturnReason::Unreachable => Self::PeerUnreachable,
        }
    }
}
