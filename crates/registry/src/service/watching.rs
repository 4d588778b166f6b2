use std::iter;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use tokio_stream::Stream;
use tokio_stream::wrappers::BroadcastStream;
use tonic::Status;

use super::convert;
use crate::Registration;
use crate::pb::registry as pb;
use crate::replica::{OutOfRange, Replica, State};
use crate::table::Delta;

type Message = Result<pb::WatchResponse, Status>;

/// Rows in one message of a snapshot.
const SNAPSHOT_ROWS: usize = 1000;

/// What happens to the table after `revision`; 0: the table itself first.
///
/// A watcher that reads too slowly is told so and ended: what waits for it is bounded.
pub(super) fn watch(
    replica: &Replica,
    revision: u64,
) -> Result<impl Stream<Item = Message> + Send + 'static, Status> {
    let (first, deltas) = if revision == 0 {
        let ((rows, seen), deltas) =
            replica.read_and_subscribe(|state| (rows(state), state.revision()));
        let changes = rows.into_iter().map(|row| row.into_change());
        (
            stream::iter(in_messages(changes, seen)).left_stream(),
            deltas,
        )
    } else {
        let subscription = replica.subscribe_after(revision).map_err(out_of_range)?;
        let missed = subscription.missed.into_iter();
        let missed = missed.filter_map(|delta| convert::watch_response(&delta));
        (stream::iter(missed).right_stream(), subscription.deltas)
    };
    let changes = BroadcastStream::new(deltas).map(|delta| match delta {
        Ok(delta) => Ok(delta),
        Err(_lagged) => Err(Status::resource_exhausted(
            "the watcher reads too slowly; watch again from the last revision seen",
        )),
    });
    Ok(first.map(Ok).chain(until_error(changes)))
}

/// The changes of each delta, up to and with the first error.
fn until_error(
    deltas: impl Stream<Item = Result<Arc<Delta>, Status>> + Send + 'static,
) -> impl Stream<Item = Message> + Send + 'static {
    let mut failed = false;
    deltas
        .take_while(move |delta| {
            let go_on = !failed;
            failed |= delta.is_err();
            std::future::ready(go_on)
        })
        .filter_map(|delta| {
            std::future::ready(match delta {
                Ok(delta) => convert::watch_response(&delta).map(Ok),
                Err(status) => Some(Err(status)),
            })
        })
}

/// A row of the table, as it is copied while the table stands still: without its strings.
struct Held {
    registration: Registration,
    node: Arc<str>,
}

impl Held {
    fn into_change(self) -> pb::Change {
        convert::added(convert::component(&self.registration, &self.node))
    }
}

fn rows(state: &State) -> Vec<Held> {
    let table = &state.table;
    let rows = table
        .names()
        .flat_map(|(name, rows)| rows.iter().map(move |row| (name, row)));
    rows.filter_map(|(name, row)| {
        Some(Held {
            registration: table.registration(name, row),
            node: Arc::clone(&table.node(row.node)?.name),
        })
    })
    .collect()
}

/// The messages of a snapshot, each made when it is its turn. At least one.
fn in_messages(
    mut changes: impl ExactSizeIterator<Item = pb::Change>,
    revision: u64,
) -> impl Iterator<Item = pb::WatchResponse> {
    let mut ended = false;
    iter::from_fn(move || {
        if ended {
            return None;
        }
        let message = changes.by_ref().take(SNAPSHOT_ROWS).collect();
        ended = changes.len() == 0;
        Some(pb::WatchResponse {
            revision,
            changes: message,
            snapshot_end: ended,
        })
    })
}

fn out_of_range(reason: OutOfRange) -> Status {
    Status::out_of_range(match reason {
        OutOfRange::TooOld => "the revision is no longer known; watch again from 0",
        OutOfRange::Future => "the revision lies in the future of this node; watch again from 0",
    })
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, LogId};
    use tonic::Code;

    use super::*;
    use crate::command::{Batch, Changes, Command, Name, RowChange};
    use crate::replica::{HISTORY, HISTORY_CHANGES};
    use crate::{Claim, ConnectionId, Domain, Incarnation, NodeId};

    const NODE: NodeId = NodeId(1);
    /// Log index at which the node joins in [`replica`].
    const JOINED: u64 = 1;

    fn apply(replica: &Replica, index: u64, command: Command) {
        let log_id = LogId::new(CommittedLeaderId::new(1, 1), index);
        replica.apply(log_id, None, Some(&Batch::from(command)));
    }

    fn replica() -> Replica {
        let replica = Replica::new();
        let joined = Command::NodeJoined {
            node: NODE,
            name: "n1".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            boot: 1,
        };
        apply(&replica, JOINED, joined);
        replica
    }

    /// Registers `d<index>.example` at log index `index`.
    fn register(replica: &Replica, index: u64) {
        register_some(replica, index, [format!("d{index}.example")]);
    }

    /// Registers `domains` at log index `index`.
    fn register_some(replica: &Replica, index: u64, domains: impl IntoIterator<Item = String>) {
        let change = |domain: String| RowChange::Register {
            name: Name {
                domain: Domain::prepare(&domain).unwrap(),
                is_subdomain: false,
            },
            connection: ConnectionId(index),
            hidden: false,
            claim: Claim::Shared,
        };
        let changes = Changes {
            node: NODE,
            incarnation: Incarnation(JOINED),
            sequence: index,
            changes: domains.into_iter().map(change).collect(),
        };
        apply(replica, index, Command::Changes(changes));
    }

    async fn next(stream: &mut (impl Stream<Item = Message> + Unpin)) -> (u64, Vec<String>, bool) {
        let message = stream.next().await.unwrap().unwrap();
        let domains = message
            .changes
            .into_iter()
            .map(|change| {
                let sign = match change.kind() {
                    pb::change::Kind::Added => '+',
                    _ => '-',
                };
                format!("{sign}{}", change.component.unwrap().domain)
            })
            .collect();
        (message.revision, domains, message.snapshot_end)
    }

    #[tokio::test]
    async fn contract_a1_a_watch_shows_the_table_and_then_every_change() {
        let replica = replica();
        register(&replica, 2);
        let mut stream = watch(&replica, 0).ok().unwrap();
        register(&replica, 3);
        let left = Command::NodeLeft {
            node: NODE,
            incarnation: Incarnation(JOINED),
        };
        apply(&replica, 4, left);
        let added = |domain: &str| vec![format!("+{domain}")];
        assert_eq!(next(&mut stream).await, (2, added("d2.example"), true));
        assert_eq!(next(&mut stream).await, (3, added("d3.example"), false));
        let removed = ["-d2.example", "-d3.example"].map(str::to_owned).to_vec();
        assert_eq!(next(&mut stream).await, (4, removed, false));
    }

    #[tokio::test]
    async fn contract_a1_a_watch_resumes_from_a_revision_while_it_is_known() {
        let replica = replica();
        for index in 2..HISTORY as u64 + 10 {
            register(&replica, index);
        }
        let last = HISTORY as u64 + 9;
        let mut stream = watch(&replica, last - 1).ok().unwrap();
        let domain = format!("+d{last}.example");
        assert_eq!(next(&mut stream).await, (last, vec![domain], false));
        let refusal = |revision| watch(&replica, revision).err().unwrap().code();
        assert_eq!(refusal(2), Code::OutOfRange);
        assert_eq!(refusal(last + 1), Code::OutOfRange);
        assert!(watch(&replica, last).is_ok());
    }

    #[tokio::test]
    async fn what_is_kept_for_watchers_is_bounded_in_changes_too() {
        let replica = replica();
        let domains = |index| (0..1000).map(move |number| format!("d{number}.r{index}.example"));
        let last = JOINED + HISTORY_CHANGES as u64 / 1000 + 2;
        for index in JOINED + 1..=last {
            register_some(&replica, index, domains(index));
        }
        let refusal = watch(&replica, JOINED).err().unwrap().code();
        assert_eq!(refusal, Code::OutOfRange);
        let mut stream = watch(&replica, last - 2).ok().unwrap();
        assert_eq!(next(&mut stream).await.1.len(), 1000);

        // One entry alone may have more: it is kept, so that whoever is up to date stays so.
        let many = (0..=HISTORY_CHANGES).map(|number| format!("m{number}.example"));
        register_some(&replica, last + 1, many);
        assert!(watch(&replica, last).is_ok());
        assert!(watch(&replica, last - 1).is_err());
    }

    #[tokio::test]
    async fn a_watcher_that_reads_too_slowly_is_ended() {
        let replica = replica();
        let stream = watch(&replica, JOINED).ok().unwrap();
        for index in 2..HISTORY as u64 + 10 {
            register(&replica, index);
        }
        drop(replica);
        let messages: Vec<Message> = stream.collect().await;
        assert_eq!(messages.len(), 1);
        let code = messages[0].as_ref().unwrap_err().code();
        assert_eq!(code, Code::ResourceExhausted);
    }

    #[test]
    fn a_large_snapshot_comes_in_pieces_and_marks_its_end() {
        for rows in [0, 1, SNAPSHOT_ROWS, SNAPSHOT_ROWS + 1] {
            let changes = vec![pb::Change::default(); rows];
            let messages: Vec<_> = in_messages(changes.into_iter(), 7).collect();
            let (last, others) = messages.split_last().unwrap();
            assert!(last.snapshot_end && others.iter().all(|message| !message.snapshot_end));
            let sent: usize = messages.iter().map(|message| message.changes.len()).sum();
            assert_eq!(sent, rows);
            assert!(messages.len() == 1 || !last.changes.is_empty());
        }
    }
}
