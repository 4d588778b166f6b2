use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Timeout,
    Unreachable,
};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use tokio_stream::iter;
use tonic::transport::Channel;

use super::acknowledged::Acknowledged;
use super::channels::{Channels, Lane};
use super::reachability::Reachability;
use super::types::{Member, Snapshot, TypeConfig, Vote};
use crate::NodeId;
use crate::dialer::PeerAddress;
use crate::identity::Identity;
use crate::pb::peer as pb;
use crate::pb::peer::raft_client::RaftClient;
use crate::replica::Replica;

/// Makes openraft's connections to peers.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    channels: Arc<Channels>,
    identity: Arc<Identity>,
    replica: Arc<Replica>,
    peers: Arc<Reachability>,
    acknowledged: Arc<Acknowledged>,
}

/// One peer, as openraft talks to it. Cheap to make: the connection is kept in [`Channels`].
#[derive(Debug)]
pub(crate) struct Peer {
    id: u64,
    name: String,
    /// Where it was when it became a member.
    address: String,
    network: Network,
}

type RpcError = RPCError<u64, Member, RaftError<u64>>;

/// Octets of one message of a snapshot.
const CHUNK: usize = 256 * 1024;
/// Pause before an unreachable peer is tried again.
const BACKOFF: Duration = Duration::from_millis(200);

// === impl Network ===

impl Network {
    pub(crate) fn new(
        channels: Arc<Channels>,
        identity: Arc<Identity>,
        replica: Arc<Replica>,
    ) -> Self {
        Self {
            channels,
            identity,
            replica,
            peers: Arc::default(),
            acknowledged: Arc::default(),
        }
    }

    /// Which peers do not answer.
    pub(crate) fn peers(&self) -> Arc<Reachability> {
        Arc::clone(&self.peers)
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &Member) -> Peer {
        Peer {
            id: target,
            name: node.name.clone(),
            address: node.address.clone(),
            network: self.clone(),
        }
    }
}

// === impl Peer ===

impl Peer {
    fn client(&self, lane: Lane) -> Result<RaftClient<Channel>, Unreachable> {
        // A node that came back elsewhere has said so in the table.
        let address = self.network.replica.read(|state| {
            let row = state.table.node(NodeId(self.id));
            row.map_or_else(
                || self.address.as_str().into(),
                |row| Arc::clone(&row.address),
            )
        });
        let peer = PeerAddress {
            address: address.to_string(),
            name: Some(self.name.clone()),
        };
        let channel = self.network.channels.get(peer, lane);
        let channel = channel.map_err(|error| Unreachable::new(&error))?;
        // Peers are trusted with sizes: an entry holds as much as its proposer put in.
        Ok(RaftClient::new(channel)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX))
    }

    fn header(&self) -> Option<pb::Header> {
        Some(self.network.identity.header(self.id))
    }

    /// Remembers what the peer has acknowledged, by its answer to `rpc`.
    fn note_acknowledged(
        &self,
        rpc: &AppendEntriesRequest<TypeConfig>,
        outcome: &AppendEntriesResponse<u64>,
    ) {
        let last = rpc.entries.last().map(|entry| entry.log_id);
        let matching = match outcome {
            AppendEntriesResponse::Success => last.or(rpc.prev_log_id),
            AppendEntriesResponse::PartialSuccess(matching) => *matching,
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => None,
        };
        if let Some(matching) = matching {
            let peers = &self.network.acknowledged;
            peers.note(self.id, rpc.vote, matching.index);
        }
    }

    /// Waits for an answer no longer than `option` says: a call that hangs would hold up
    /// openraft.
    async fn within<T>(
        &self,
        option: &RPCOption,
        action: RPCTypes,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, Failure> {
        let limit = option.hard_ttl();
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => {
                self.network.peers.reached(self.id, &self.name);
                Ok(response.into_inner())
            }
            Ok(Err(status)) => {
                self.network.peers.failed(self.id, &self.name, &status);
                Err(Failure::Unreachable(Unreachable::new(&status)))
            }
            Err(_) => Err(Failure::Late(Timeout {
                action,
                id: self.network.identity.id().0,
                target: self.id,
                timeout: limit,
            })),
        }
    }
}

/// No answer from a peer. Where one is merely late openraft tries again at once, since it has
/// waited already; otherwise it pauses first.
enum Failure {
    Late(Timeout<u64>),
    Unreachable(Unreachable),
}

impl From<Failure> for RpcError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Late(timeout) => timeout.into(),
            Failure::Unreachable(unreachable) => unreachable.into(),
        }
    }
}

impl From<Failure> for StreamingError<TypeConfig, Fatal<u64>> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Late(timeout) => timeout.into(),
            Failure::Unreachable(unreachable) => unreachable.into(),
        }
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RpcError> {
        let mut client = self.client(Lane::Raft)?;
        let request = pb::AppendEntriesRequest {
            header: self.header(),
            vote: Some(rpc.vote.into()),
            previous: rpc.prev_log_id.map(Into::into),
            entries: rpc.entries.iter().map(Into::into).collect(),
            committed: rpc.leader_commit.map(Into::into),
            acknowledged: self.network.acknowledged.by(self.id, rpc.vote),
        };
        let call = client.append_entries(request);
        let answer = self.within(&option, RPCTypes::AppendEntries, call).await?;
        let outcome = append_outcome(answer).ok_or_else(|| malformed("append"))?;
        self.note_acknowledged(&rpc, &outcome);
        Ok(outcome)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RpcError> {
        let mut client = self.client(Lane::Raft)?;
        let request = pb::VoteRequest {
            header: self.header(),
            vote: Some(rpc.vote.into()),
            last_log_id: rpc.last_log_id.map(Into::into),
        };
        let call = client.vote(request);
        let answer = self.within(&option, RPCTypes::Vote, call).await?;
        let vote: Vote = answer.vote.ok_or_else(|| malformed("vote"))?.into();
        Ok(VoteResponse {
            vote,
            vote_granted: answer.granted,
            last_log_id: answer.last_log_id.map(Into::into),
        })
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let mut client = self.client(Lane::Snapshot)?;
        let head = pb::SnapshotHead {
            header: self.header(),
            vote: Some(vote.into()),
            size: snapshot.snapshot.len() as u64,
        };
        let call = client.install_snapshot(iter(chunks(head, *snapshot.snapshot)));
        let answer = tokio::select! {
            answer = self.within(&option, RPCTypes::InstallSnapshot, call) => answer?,
            closed = cancel => return Err(closed.into()),
        };
        let vote = answer.vote.ok_or_else(|| malformed("snapshot"))?;
        Ok(SnapshotResponse::new(vote.into()))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}

fn append_outcome(answer: pb::AppendEntriesResponse) -> Option<AppendEntriesResponse<u64>> {
    use pb::append_entries_response::Outcome;
    Some(match answer.outcome? {
        Outcome::Success(_) => AppendEntriesResponse::Success,
        Outcome::Partial(partial) => {
            AppendEntriesResponse::PartialSuccess(partial.matching.map(Into::into))
        }
        Outcome::Conflict(_) => AppendEntriesResponse::Conflict,
        Outcome::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.into()),
    })
}

fn chunks(head: pb::SnapshotHead, mut bytes: Bytes) -> Vec<pb::SnapshotChunk> {
    let mut chunks = vec![pb::SnapshotChunk {
        head: Some(head),
        data: Bytes::new(),
    }];
    while !bytes.is_empty() {
        let data = bytes.split_to(CHUNK.min(bytes.len()));
        chunks.push(pb::SnapshotChunk { head: None, data });
    }
    chunks
}

fn malformed(what: impl fmt::Display) -> NetworkError {
    NetworkError::new(&AnyError::error(format!(
        "the answer to {what} is incomplete"
    )))
}
