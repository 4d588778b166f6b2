use super::Parcel;

/// Takes back what a link could not deliver: it is routed anew or answered with errors.
pub(crate) trait Returns: Send + Sync + 'static {
    /// Takes responsibility for `parcels`, in the order in which they were sent. Called without
    /// locks held, so that it may send on any link; must not block.
    fn returned(&self, parcels: Vec<Parcel>, reason: ReturnReason);
}

/// Why a parcel came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReturnReason {
    /// The access rules on the receiving node forbid it. It was not delivered.
    Denied,
    /// The component's connection on the receiving node ended before it was written. What is left
    /// of it was not delivered.
    Lost,
    /// The receiving node has no such component. It was not delivered.
    NotHere,
    /// The component's outbox was full. It was not delivered.
    Overloaded,
    /// The peer is gone and never said whether it wrote what is left of the parcel to the
    /// component's socket: the one undecidable case of contract D1. It must not be sent to anybody
    /// else.
    PeerGone,
    /// The peer could not be reached, or is gone, and provably never had the parcel.
    Unreachable,
}

impl ReturnReason {
    /// Every reason, in the order of their discriminants.
    pub(crate) const ALL: [Self; 6] = [
        Self::Denied,
        Self::Lost,
        Self::NotHere,
        Self::Overloaded,
        Self::PeerGone,
        Self::Unreachable,
    ];

    /// The name of the reason in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Lost => "lost",
            Self::NotHere => "not_here",
            Self::Overloaded => "overloaded",
            Self::PeerGone => "peer_gone",
            Self::Unreachable => "unreachable",
        }
    }
}
