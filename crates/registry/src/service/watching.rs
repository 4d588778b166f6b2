use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use tokio_stream::Stream;
use tokio_stream::wrappers::BroadcastStream;
use tonic::Status;

use super::convert;
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
    let (first, deltas): (Vec<pb::WatchResponse>, _) = if revision == 0 {
        let ((snapshot, seen), deltas) =
            replica.read_and_subscribe(|state| (rows(state), state.revision()));
        (in_messages(snapshot, seen), deltas)
    } else {
        let subscription = replica.subscribe_after(revision).map_err(out_of_range)?;
        let missed = subscription.missed.iter();
        let missed = missed.filter_map(|delta| convert::watch_response(delta));
        (missed.collect(), subscription.deltas)
    };
    let changes = BroadcastStream::new(deltas).map(|delta| match delta {
        Ok(delta) => Ok(delta),
        Err(_lagged) => Err(Status::resource_exhausted(
            "the watcher reads too slowly; watch again from the last revision seen",
        )),
    });
    Ok(stream::iter(first).map(Ok).chain(until_error(changes)))
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

fn rows(state: &State) -> Vec<pb::Change> {
    let table = &state.table;
    let rows = table
        .names()
        .flat_map(|(name, rows)| rows.iter().map(move |row| (name, row)));
    rows.filter_map(|(name, row)| {
        let node = table.node(row.node)?;
        let component = convert::component(&table.registration(name, row), &node.name);
        Some(convert::added(component))
    })
    .collect()
}

fn in_messages(mut rows: Vec<pb::Change>, revision: u64) -> Vec<pb::WatchResponse> {
    let mut messages = Vec::new();
    loop {
        let rest = rows.split_off(rows.len().min(SNAPSHOT_ROWS));
        let snapshot_end = rest.is_empty();
        messages.push(pb::WatchResponse {
            revision,
            changes: rows,
            snapshot_end,
        });
        if snapshot_end {
            return messages;
        }
        rows = rest;
    }
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
    use crate::replica::HISTORY;
    use crate::{ConnectionId, Domain, Incarnation, NodeId};

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
        let change = RowChange::Register {
            name: Name {
                domain: Domain::prepare(&format!("d{index}.example")).unwrap(),
                is_subdomain: false,
            },
            connection: ConnectionId(index),
            hidden: false,
        };
        let changes = Changes {
            node: NODE,
            incarnation: Incarnation(JOINED),
            sequence: index,
            changes: vec![change],
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
            let messages = in_messages(changes, 7);
            let (last, others) = messages.split_last().unwrap();
            assert!(last.snapshot_end && others.iter().all(|message| !message.snapshot_end));
            let sent: usize = messages.iter().map(|message| message.changes.len()).sum();
            assert_eq!(sent, rows);
            assert!(messages.len() == 1 || !last.changes.is_empty());
        }
    }
}
