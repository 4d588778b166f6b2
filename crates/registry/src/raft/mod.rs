//! Raft around the table: openraft, and everything of it that touches disk or network.
//!
//! What is stored and sent is ours (`raft.proto`), so that another version of openraft is a change
//! of this crate alone.

mod acknowledged;
mod channels;
mod codec;
mod contradiction;
mod high_water_mark;
mod log_db;
mod log_store;
mod network;
mod reachability;
mod server;
mod snapshot;
mod state_machine;
#[cfg(test)]
mod store_test;
mod types;

pub(crate) use self::channels::{Channels, Lane};
pub(crate) use self::codec::Invalid;
pub(crate) use self::log_db::{LogDb, LogDbError};
pub(crate) use self::log_store::LogStore;
pub(crate) use self::network::Network;
pub(crate) use self::reachability::Reachability;
pub(crate) use self::server::RaftService;
pub(crate) use self::snapshot::{SnapshotError, SnapshotFile, sync_directory};
pub(crate) use self::state_machine::StateMachine;
#[cfg(test)]
pub(crate) use self::types::LogId;
pub(crate) use self::types::{Member, Raft, Vote};
