/// How much an outbox holds, in bytes of stanzas.
///
/// A delivery is accepted as long as the bound is not reached yet, so that each may be exceeded by
/// one delivery: a stanza larger than the bound can still be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// From here on senders of the same node wait.
    pub soft: usize,
    /// From here on deliveries of other nodes are refused.
    pub hard: usize,
}

impl Default for OutboxLimits {
    /// 1 MiB and 5 MiB.
    fn default() -> Self {
        Self {
            soft: 1024 * 1024,
            hard: 5 * 1024 * 1024,
        }
    }
}
