use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::command::Batch;
use crate::config::Config;
use crate::dialer::PeerAddress;
use crate::environment::Environment;
use crate::identity::Identity;
use crate::pb::peer as pb;
use crate::pb::peer::membership_client::MembershipClient;
use crate::quorum::Quorum;
use crate::raft::{Channels, Lane, LogStore, Member, Raft, Reachability, Vote};
use crate::replica::Replica;
use crate::{ClusterId, NodeId, admission};

/// What every part of a node's registry works with.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) config: Arc<Config>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) raft: Raft,
    pub(crate) channels: Arc<Channels>,
    pub(crate) store: LogStore,
    pub(crate) quorum: Quorum,
    /// Who leads, as others say, while Raft does not know or knows an old one.
    pub(crate) hint: Arc<Mutex<Option<Hint>>>,
    /// Which peers do not answer, and why.
    pub(crate) peers: Arc<Reachability>,
    /// An operator wants the node to take no components.
    pub(crate) drained: Arc<watch::Sender<bool>>,
    /// Why the node must end, other than a failure of Raft.
    pub(crate) fatal: Arc<watch::Sender<Option<String>>>,
}

/// Where the leader is, as far as this node knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leader {
    Me,
    Other { id: u64, address: Arc<str> },
}

/// A leader that this node has been told of.
#[derive(Debug, Clone)]
pub(crate) struct Hint {
    id: u64,
    address: Arc<str>,
    /// What this node knew by itself at that time.
    vote: Vote,
}

/// Why a batch was not put into the log, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("no cluster quorum")]
    NoQuorum,
    #[error("{0}")]
    Refused(String),
    #[error("the cluster does not know this node")]
    NotMember,
    #[error("raft has stopped: {0}")]
    Stopped(String),
}

/// One attempt has failed; another may not.
enum Attempt {
    Again(String),
    Never(SubmitError),
}

/// Longest wait for one attempt: a leader that has been cut off never answers.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(50);

// === impl Hint ===

impl Hint {
    fn leader(&self) -> Leader {
        Leader::Other {
            id: self.id,
            address: Arc::clone(&self.address),
        }
    }
}

// === the leader ===

impl Core {
    pub(crate) fn id(&self) -> NodeId {
        self.identity.id()
    }

    /// The cluster's leader, if one is known.
    pub(crate) fn leader(&self) -> Option<Leader> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let mut hint = self.hint.lock();
        let hinted = |hint: &Option<Hint>| hint.as_ref().map(Hint::leader);
        let Some(id) = metrics.current_leader else {
            return hinted(&hint);
        };
        if id == self.id().0 {
            // One that was killed believes on its return that it leads, until it hears better.
            // One that was removed meanwhile hears from nobody, unless it asks.
            return match self.quorum.is_fresh_in(&metrics) {
                true => Some(Leader::Me),
                false => hinted(&hint),
            };
        }
        // A learner believes for ever in the last leader that it has heard from.
        hint.take_if(|hint| hint.vote != metrics.vote || hint.id == id);
        if hint.is_some() {
            return hinted(&hint);
        }
        drop(hint);
        let member = metrics.membership_config.membership().get_node(&id);
        let address = self.address(id, member)?;
        Some(Leader::Other { id, address })
    }

    /// Where to reach a node: what it last said, or else under which address it became a member.
    pub(crate) fn address(&self, id: u64, member: Option<&Member>) -> Option<Arc<str>> {
        self.replica
            .read(|state| Some(Arc::clone(&state.table.node(NodeId(id))?.address)))
            .or_else(|| Some(member?.address.as_str().into()))
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.leader() == Some(Leader::Me)
    }

    /// Why nobody can lead, for people: which voters do not answer, as far as this node has asked.
    pub(crate) fn why_no_quorum(&self) -> String {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let silent = membership.voter_ids().filter_map(|id| {
            let problem = self.peers.problem(id);
            let name = &membership.get_node(&id)?.name;
            (!problem.is_empty()).then(|| format!("{name}: {problem}"))
        });
        let silent: Vec<String> = silent.collect();
        match silent[..] {
            [] => "no majority of its voters answers".to_owned(),
            _ => format!("no majority of its voters answers ({})", silent.join("; ")),
        }
    }

    /// Notes who leads, for as long as Raft does not know better.
    pub(crate) fn hint_leader(&self, id: u64, address: &str) {
        let vote = self.raft.metrics().borrow().vote;
        *self.hint.lock() = Some(Hint {
            id,
            address: address.into(),
            vote,
        });
    }

    /// True when waiting for the cluster is in vain.
    fn is_hopeless(&self) -> bool {
        self.quorum.is_lost() && self.hint.lock().is_none()
    }

    /// A client for the calls of `Membership` to the node `id` at `address`.
    pub(crate) fn client_of(
        &self,
        id: u64,
        address: &str,
    ) -> Result<MembershipClient<Channel>, Status> {
        self.client(PeerAddress {
            address: address.to_owned(),
            name: self.name_of(id),
        })
    }

    /// What a node is called, once this one knows.
    pub(crate) fn name_of(&self, id: u64) -> Option<String> {
        self.replica.name_of(NodeId(id))
    }

    /// A client for the calls of `Membership`.
    pub(crate) fn client(&self, peer: PeerAddress) -> Result<MembershipClient<Channel>, Status> {
        let channel = self.channels.get(peer, Lane::Control);
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(MembershipClient::new(channel).max_encoding_message_size(usize::MAX))
    }

    /// True if the identity never comes back.
    pub(crate) fn is_removed(&self, id: NodeId) -> bool {
        self.replica.read(|state| state.table.is_removed(id))
    }

    /// What a node is told whose identity never comes back.
    pub(crate) fn removed(&self, id: NodeId) -> Status {
        if id == self.id() {
            return admission::removed(&self.config.node, id);
        }
        let name = self.replica.read(|state| {
            let mut removed = state.table.removed();
            removed.find_map(|(removed, name)| (removed == id).then(|| name.to_string()))
        });
        admission::removed(&name.unwrap_or_default(), id)
    }

    /// What to tell the operator when what this node must remember cannot be written or read.
    pub(crate) fn storage_failure(&self, error: impl Display) -> String {
        let dir = self.config.data_dir.display();
        format!(
            "the data directory {dir} cannot be used any more: {error}; see to its disk (full, \
             read-only, failing?), then start the node again"
        )
    }

    /// The node must end, for this reason.
    pub(crate) fn fail(&self, reason: impl Into<String>) {
        self.fatal.send_replace(Some(reason.into()));
    }

    /// The id of this node's cluster, once it belongs to one.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.identity.cluster()
    }
}

// === proposing ===

impl Core {
    /// Puts `batch` into the log, wherever the leader is, and waits until this node has applied
    /// it. Returns its log index.
    ///
    /// Repeats until `deadline`: the batch must have no effect when it is applied again.
    pub(crate) async fn submit(
        &self,
        batch: &Batch,
        deadline: Instant,
    ) -> Result<u64, SubmitError> {
        loop {
            if self.is_hopeless() || Instant::now() >= deadline {
                return Err(SubmitError::NoQuorum);
            }
            let limit = deadline.min(Instant::now() + ATTEMPT);
            match self.attempt_unless_hopeless(batch, limit).await {
                Ok(index) => return self.wait_applied(index, deadline).await,
                Err(Attempt::Never(error)) => return Err(error),
                Err(Attempt::Again(reason)) => {
                    self.hint.lock().take();
                    tracing::debug!(reason, "Proposal not accepted yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// As [`Self::attempt`], but ends as soon as nobody can expect an answer.
    async fn attempt_unless_hopeless(&self, batch: &Batch, limit: Instant) -> Result<u64, Attempt> {
        // Outlives a quorum that was lost: a hint says that others have a leader.
        let hinted = self.hint.lock().is_some();
        tokio::select! {
            biased;
            outcome = self.attempt(batch, limit) => outcome,
            () = self.quorum.until_lost(), if !hinted => {
                Err(Attempt::Never(SubmitError::NoQuorum))
            }
        }
    }

    async fn attempt(&self, batch: &Batch, limit: Instant) -> Result<u64, Attempt> {
        match self.leader() {
            None => Err(Attempt::Again("no leader is known".to_owned())),
            Some(Leader::Me) => self.attempt_here(batch, limit).await,
            Some(Leader::Other { id, address }) => {
                self.attempt_there(batch, limit, id, &address).await
            }
        }
    }

    async fn attempt_here(&self, batch: &Batch, limit: Instant) -> Result<u64, Attempt> {
        match timeout_at(limit, self.raft.client_write(batch.clone())).await {
            Err(_) => Err(Attempt::Again("not committed in time".to_owned())),
            Ok(Ok(response)) => Ok(response.log_id.index),
            Ok(Err(RaftError::Fatal(fatal))) => {
                Err(Attempt::Never(SubmitError::Stopped(fatal.to_string())))
            }
            Ok(Err(RaftError::APIError(error))) => Err(Attempt::Again(error.to_string())),
        }
    }

    async fn attempt_there(
        &self,
        batch: &Batch,
        limit: Instant,
        leader: u64,
        address: &str,
    ) -> Result<u64, Attempt> {
        let request = pb::ProposeRequest {
            header: Some(self.identity.header(leader)),
            batch: Some(batch.into()),
        };
        let again = |status: Status| match status.code() {
            Code::PermissionDenied | Code::InvalidArgument => {
                Attempt::Never(SubmitError::Refused(status.message().to_owned()))
            }
            Code::NotFound => Attempt::Never(SubmitError::NotMember),
            _ => Attempt::Again(status.message().to_owned()),
        };
        let mut client = self.client_of(leader, address).map_err(again)?;
        match timeout_at(limit, client.propose(request)).await {
            Err(_) => Err(Attempt::Again("no answer in time".to_owned())),
            Ok(Ok(response)) => Ok(response.into_inner().index),
            Ok(Err(status)) => Err(again(status)),
        }
    }

    /// Waits until this node has applied the log up to `index`.
    pub(crate) async fn wait_applied(
        &self,
        index: u64,
        deadline: Instant,
    ) -> Result<u64, SubmitError> {
        let mut applied = self.replica.applied();
        match timeout_at(deadline, applied.wait_for(|applied| *applied >= index)).await {
            Ok(Ok(_)) => Ok(index),
            Ok(Err(_)) => Err(SubmitError::Stopped("the table is gone".to_owned())),
            Err(_) => Err(SubmitError::NoQuorum),
        }
    }
}

// === reading ===

impl Core {
    /// The log index that a linearizable read must have seen; proves that this node leads.
    pub(crate) async fn read_index_here(&self, limit: Duration) -> Result<u64, Status> {
        match timeout(limit, self.raft.ensure_linearizable()).await {
            Err(_) => Err(Status::unavailable("no cluster quorum")),
            Ok(Ok(log_id)) => Ok(log_id.map_or(0, |log_id| log_id.index)),
            Ok(Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_)))) => {
                Err(not_the_leader())
            }
            Ok(Err(error)) => Err(Status::unavailable(error.to_string())),
        }
    }

    /// Reads as [`Self::read_index_here`], from the leader wherever it is, and waits until this
    /// node has applied the log that far.
    pub(crate) async fn read_index(&self, deadline: Instant) -> Result<u64, SubmitError> {
        loop {
            if self.is_hopeless() || Instant::now() >= deadline {
                return Err(SubmitError::NoQuorum);
            }
            match self.try_read_index_unless_hopeless(deadline).await {
                Ok(index) => return self.wait_applied(index, deadline).await,
                Err(status) => {
                    tracing::debug!(%status, "Read not confirmed yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// As [`Self::try_read_index`], but ends as soon as nobody can expect an answer.
    async fn try_read_index_unless_hopeless(&self, deadline: Instant) -> Result<u64, Status> {
        let hinted = self.hint.lock().is_some();
        tokio::select! {
            biased;
            outcome = self.try_read_index(deadline) => outcome,
            () = self.quorum.until_lost(), if !hinted => {
                Err(Status::unavailable("no cluster quorum"))
            }
        }
    }

    async fn try_read_index(&self, deadline: Instant) -> Result<u64, Status> {
        let limit = ATTEMPT.min(deadline.saturating_duration_since(Instant::now()));
        match self.leader() {
            None => Err(Status::unavailable("no leader is known")),
            Some(Leader::Me) => self.read_index_here(limit).await,
            Some(Leader::Other { id, address }) => {
                let header = Some(self.identity.header(id));
                let mut client = self.client_of(id, &address)?;
                let call = client.read_index(pb::ReadIndexRequest { header });
                match timeout(limit, call).await {
                    Ok(response) => Ok(response?.into_inner().index),
                    Err(_) => Err(Status::deadline_exceeded("no answer in time")),
                }
            }
        }
    }
}

/// The answer to what only a leader can do.
pub(crate) fn not_the_leader() -> Status {
    Status::unavailable("this node does not lead the cluster")
}

/// Maps what openraft says to a proposal.
pub(crate) fn write_status(error: RaftError<u64, ClientWriteError<u64, Member>>) -> Status {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => not_the_leader(),
        error => Status::unavailable(error.to_string()),
    }
}
