use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};

use super::types::{LogId, TypeConfig};

/// Proof that a node of the cluster has forgotten what it had acknowledged, as one does whose data
/// directory is replaced by an older copy. Raft is not made for that: openraft panics, or takes
/// one entry for another. So the node that sees it ends instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Contradiction {
    /// By this node.
    #[error(
        "the log lacks what this node had acknowledged, up to entry {acknowledged}: its data_dir was \
         replaced by an older copy, or a copy of it is in use elsewhere; stop the node and empty its \
         data_dir, and it comes back as a new node"
    )]
    Forgotten { acknowledged: u64 },
    /// By another one, which has then voted for a leader that lacks what was committed.
    #[error(
        "the leader has another entry {index} than the one that was committed: a node of the cluster \
         was started on an older copy of its data_dir, and has voted; stop this node and empty its \
         data_dir, and it comes back as a new node"
    )]
    Overwritten { index: u64 },
}

/// True unless the entries leave a hole. A node that leads no longer may still be about to send what it
/// had begun, and read it from a log that begins anew behind a snapshot by then. openraft, here, would
/// take the hole over; to the sender, the call has failed.
pub(super) fn is_consecutive(rpc: &AppendEntriesRequest<TypeConfig>) -> bool {
    let first = rpc.prev_log_id.map_or(0, |previous| previous.index + 1);
    let expected = first..;
    let mut entries = rpc.entries.iter().zip(expected);
    entries.all(|(entry, index)| entry.log_id.index == index)
}

/// Refuses what a correct leader never sends: another entry where one has been `applied`.
pub(super) fn check_request(
    rpc: &AppendEntriesRequest<TypeConfig>,
    applied: Option<LogId>,
) -> Result<(), Contradiction> {
    let entries = rpc.entries.iter().map(|entry| entry.log_id);
    let named = rpc.prev_log_id.into_iter().chain(entries);
    // Entries of a later leader are greater, wherever they are.
    let other = applied.and_then(|applied| {
        let mut named = named;
        named.find(|id| id.index <= applied.index && *id > applied)
    });
    match other {
        Some(id) => Err(Contradiction::Overwritten { index: id.index }),
        None => Ok(()),
    }
}

/// Refuses to say that this node lacks `previous` if the leader, in the same term, has had it
/// `acknowledged`.
pub(super) fn check_answer(
    answer: &AppendEntriesResponse<u64>,
    previous: Option<LogId>,
    acknowledged: u64,
) -> Result<(), Contradiction> {
    let lacks = matches!(answer, AppendEntriesResponse::Conflict);
    if lacks && previous.is_some_and(|previous| previous.index <= acknowledged) {
        return Err(Contradiction::Forgotten { acknowledged });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, Vote};

    use super::super::types::Entry;
    use super::*;

    fn id(term: u64, index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(term, 1), index)
    }

    fn request(previous: LogId, entries: &[LogId]) -> AppendEntriesRequest<TypeConfig> {
        AppendEntriesRequest {
            vote: Vote::new_committed(9, 1),
            prev_log_id: Some(previous),
            entries: entries
                .iter()
                .map(|log_id| Entry {
                    log_id: *log_id,
                    payload: openraft::EntryPayload::Blank,
                })
                .collect(),
            leader_commit: None,
        }
    }

    #[test]
    fn another_entry_in_the_place_of_an_applied_one_is_found() {
        let applied = Some(id(3, 10));
        let check =
            |previous, entries: &[LogId]| check_request(&request(previous, entries), applied);
        let overwritten = |index| Err(Contradiction::Overwritten { index });
        assert_eq!(check(id(2, 8), &[id(3, 9), id(3, 10), id(5, 11)]), Ok(()));
        assert_eq!(check(id(5, 11), &[]), Ok(()));
        assert_eq!(check(id(2, 8), &[id(3, 9), id(5, 10)]), overwritten(10));
        assert_eq!(check(id(5, 9), &[]), overwritten(9));
        assert_eq!(check_request(&request(id(5, 9), &[]), None), Ok(()));
    }

    #[test]
    fn a_hole_is_found() {
        assert!(is_consecutive(&request(id(1, 4), &[id(1, 5), id(2, 6)])));
        assert!(is_consecutive(&request(id(1, 4), &[])));
        assert!(!is_consecutive(&request(id(1, 4), &[id(1, 6)])));
        assert!(!is_consecutive(&request(id(1, 4), &[id(1, 5), id(1, 7)])));
        let mut from_the_start = request(id(1, 4), &[id(0, 0), id(1, 1)]);
        from_the_start.prev_log_id = None;
        assert!(is_consecutive(&from_the_start));
        from_the_start.entries.remove(0);
        assert!(!is_consecutive(&from_the_start));
    }

    #[test]
    fn lacking_what_was_acknowledged_is_found() {
        let conflict = AppendEntriesResponse::Conflict;
        let forgotten = Err(Contradiction::Forgotten { acknowledged: 5 });
        assert_eq!(check_answer(&conflict, Some(id(1, 5)), 5), forgotten);
        assert_eq!(check_answer(&conflict, Some(id(1, 6)), 5), Ok(()));
        assert_eq!(check_answer(&conflict, None, 5), Ok(()));
        let success = AppendEntriesResponse::Success;
        assert_eq!(check_answer(&success, Some(id(1, 5)), 5), Ok(()));
    }
}
