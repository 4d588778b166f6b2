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
