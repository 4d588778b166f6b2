/// How a registration deals with other nodes that hold its name (contract R3, S8). Decided when the
/// log entry is applied, so the same on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claim {
    /// Several nodes may hold the name (`conflict_scope = "node"`). Refused while another node
    /// holds it exclusively: a name that is promised to one is not open to anybody.
    #[default]
    Shared,
    /// One holder in the cluster (`conflict_scope = "cluster"`). Refused while another node holds
    /// the name, however it does.
    Exclusive,
    /// As [`Self::Exclusive`], but other nodes lose the name in the same log entry (`kick_old`).
    TakeOver,
}

impl Claim {
    /// Nobody else may hold the name from then on.
    #[must_use]
    pub const fn is_exclusive(self) -> bool {
        !matches!(self, Self::Shared)
    }

    /// What a registration asks for when it is made anew, in another life of its node or after a
    /// failure: who was taken over meanwhile must not take the name back.
    #[must_use]
    pub const fn again(self) -> Self {
        match self {
            Self::Shared => Self::Shared,
            Self::Exclusive | Self::TakeOver => Self::Exclusive,
        }
    }
}
