//! `mongoose_router_global`: filters that see every stanza first.
//!
//! MongooseIM runs its `filter_packet` hook here. Switchyard has no filter of its own yet, so every
//! stanza passes on; the module keeps its place in the chain so that filters have theirs.

use super::place::Verdict;

/// Passes every stanza on.
pub(super) fn route() -> Verdict {
    Verdict::Pass
}
