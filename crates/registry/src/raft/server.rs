use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use super::contradiction::{Contradiction, check_answer, check_request, is_consecutive};
use super::snapshot::SnapshotContent;
use super::types::{Entry, Raft, Snapshot, Vote};
use crate::NodeId;
use crate::caller::{Caller, NameCheck};
use crate::environment::{Environment, run_blocking};
use crate::identity::Identity;
use crate::pb::peer as pb;
use crate::pb::peer::raft_server;
use crate::replica::Replica;

/// Hands the calls of peers to openraft.
#[derive(Clone)]
pub(crate) struct RaftService {
    raft: Raft,
    identity: Arc<Identity>,
    replica: Arc<Replica>,
    environment: Arc<dyn Environment>,
    names: NameCheck,
    /// Why the node must end.
    fatal: Arc<watch::Sender<Option<String>>>,
}

/// Octets of the largest snapshot that is taken in.
const MAX_SNAPSHOT: u64 = 1 << 30;

impl RaftService {
    pub(crate) fn new(
        raft: Raft,
        identity: Arc<Identity>,
        replica: Arc<Replica>,
        environment: Arc<dyn Environment>,
        names: NameCheck,
        fatal: Arc<watch::Sender<Option<String>>>,
    ) -> Self {
        Self {
            raft,
            identity,
            replica,
            environment,
            names,
            fatal,
        }
    }

    /// The node must end; to openraft, here and at the leader, this call never arrived.
    fn refuse(&self, contradiction: Contradiction) -> Status {
        let reason = contradiction.to_string();
        self.fatal.send_replace(Some(reason.clone()));
        Status::data_loss(reason)
    }

    /// Who sends a request with `header`: a member that leads, or wants to, by the vote in it. To
    /// ask in the name of another is refused.
    async fn check(
        &self,
        caller: &Caller,
        header: Option<pb::Header>,
        vote: Option<pb::Vote>,
    ) -> Result<NodeId, Status> {
        if let Some(header) = header {
            self.names.check_id(caller, NodeId(header.from))?;
            if vote.is_some_and(|vote| vote.candidate != header.from) {
                return Err(invalid("the vote is not that of the sender"));
            }
        }
        self.identity.check_or_adopt(header).await
    }

    /// Reads a snapshot whole. One that is damaged or another cluster's is refused here: openraft
    /// would take the failure to install it for a broken disk.
    async fn receive(
        &self,
        size: u64,
        mut chunks: Streaming<pb::SnapshotChunk>,
    ) -> Result<Snapshot, Status> {
        if size > MAX_SNAPSHOT {
            return Err(Status::resource_exhausted("the snapshot is too large"));
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = chunks.message().await? {
            if (bytes.len() + chunk.data.len()) as u64 > size {
                return Err(invalid("the snapshot is longer than announced"));
            }
            bytes.extend_from_slice(&chunk.data);
        }
        let bytes = bytes.freeze();
        let decoded = run_blocking(&*self.environment, {
            let bytes = bytes.clone();
            move || SnapshotContent::decode(&bytes)
        });
        let content = decoded
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(invalid)?;
        self.identity.check_cluster(content.cluster)?;
        Ok(Snapshot {
            meta: content.meta(),
            snapshot: Box::<Bytes>::new(bytes),
        })
    }
}

#[tonic::async_trait]
impl raft_server::Raft for RaftService {
    async fn append_entries(
        &self,
        request: Request<pb::AppendEntriesRequest>,
    ) -> Result<Response<pb::AppendEntriesResponse>, Status> {
        use pb::append_entries_response::{Conflict, Outcome, PartialSuccess, Success};
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        self.check(&caller, request.header, request.vote).await?;
        let entries = request.entries.into_iter().map(Entry::try_from);
        let rpc = AppendEntriesRequest {
            vote: vote(request.vote)?,
            prev_log_id: request.previous.map(Into::into),
            entries: entries.collect::<Result<_, _>>().map_err(invalid)?,
            leader_commit: request.committed.map(Into::into),
        };
        if !is_consecutive(&rpc) {
            return Err(Status::aborted("the entries leave a hole in the log"));
        }
        let applied = self.replica.read(|state| state.applied);
        check_request(&rpc, applied).map_err(|found| self.refuse(found))?;
        let previous = rpc.prev_log_id;
        let answer = self.raft.append_entries(rpc).await.map_err(stopped)?;
        check_answer(&answer, previous, request.acknowledged)
            .map_err(|found| self.refuse(found))?;
        let outcome = match answer {
            AppendEntriesResponse::Success => Outcome::Success(Success {}),
            AppendEntriesResponse::PartialSuccess(matching) => Outcome::Partial(PartialSuccess {
                matching: matching.map(Into::into),
            }),
            AppendEntriesResponse::Conflict => Outcome::Conflict(Conflict {}),
            AppendEntriesResponse::HigherVote(vote) => Outcome::HigherVote(vote.into()),
        };
        Ok(Response::new(pb::AppendEntriesResponse {
            outcome: Some(outcome),
        }))
    }

    async fn vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        let from = self.check(&caller, request.header, request.vote).await?;
        // It may not know yet that it has no say any more.
        if self.replica.read(|state| state.table.is_removed(from)) {
            return Err(Status::permission_denied(format!(
                "node {from} was removed from the cluster"
            )));
        }
        let rpc = VoteRequest {
            vote: vote(request.vote)?,
            last_log_id: request.last_log_id.map(Into::into),
        };
        let answer = self.raft.vote(rpc).await.map_err(stopped)?;
        Ok(Response::new(pb::VoteResponse {
            vote: Some(answer.vote.into()),
            granted: answer.vote_granted,
            last_log_id: answer.last_log_id.map(Into::into),
        }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::InstallSnapshotResponse>, Status> {
        let caller = Caller::of(request.extensions());
        let mut chunks = request.into_inner();
        let first = chunks.message().await?;
        let head = first
            .and_then(|chunk| chunk.head)
            .ok_or_else(|| invalid("the first chunk has no head"))?;
        self.check(&caller, head.header, head.vote).await?;
        let vote = vote(head.vote)?;
        let snapshot = self.receive(head.size, chunks).await?;
        let answer = self.raft.install_full_snapshot(vote, snapshot).await;
        Ok(Response::new(pb::InstallSnapshotResponse {
            vote: Some(answer.map_err(stopped)?.vote.into()),
        }))
    }
}

fn vote(vote: Option<pb::Vote>) -> Result<Vote, Status> {
    vote.map(Into::into)
        .ok_or_else(|| invalid("the request has no vote"))
}

fn invalid(error: impl ToString) -> Status {
    Status::invalid_argument(error.to_string())
}

/// openraft answers everything except when it has ended.
fn stopped(error: impl ToString) -> Status {
    Status::unavailable(error.to_string())
}
