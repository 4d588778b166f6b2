use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tonic::Status;

use crate::NodeId;
use crate::log_limit::LogLimit;
use crate::pb::peer as pb;
use crate::raft::LogStore;

/// Tells clusters apart, those of one name too: chosen at random when a cluster forms.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId(pub u64);

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Who this node is, for its requests and against those of others.
#[derive(Debug)]
pub(crate) struct Identity {
    id: NodeId,
    /// 0 until the node belongs to a cluster. Shared with the state machine.
    cluster: Arc<AtomicU64>,
    /// Held while a cluster id is taken on.
    adopting: tokio::sync::Mutex<()>,
    store: LogStore,
    other_clusters: LogLimit,
}

impl Identity {
    pub(crate) fn new(id: NodeId, cluster: Arc<AtomicU64>, store: LogStore) -> Self {
        Self {
            id,
            cluster,
            adopting: tokio::sync::Mutex::default(),
            store,
            other_clusters: LogLimit::default(),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    /// The cluster that the node belongs to, once it belongs to one.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        let id = self.cluster.load(Ordering::Acquire);
        (id != 0).then_some(ClusterId(id))
    }

    /// The header of a request to `to`.
    pub(crate) fn header(&self, to: u64) -> pb::Header {
        pb::Header {
            cluster_id: self.cluster.load(Ordering::Acquire),
            from: self.id.0,
            to,
        }
    }

    /// Refuses a request that was meant for another node or comes from another cluster. Returns
    /// who sent it.
    pub(crate) fn check(&self, header: Option<pb::Header>) -> Result<NodeId, Status> {
        let header = header.ok_or_else(no_header)?;
        if self.cluster().is_some() {
            self.check_cluster_of(header)?;
            self.check_target(header)?;
        } else {
            self.check_target(header)?;
            self.check_cluster(header.cluster_id)?;
        }
        Ok(NodeId(header.from))
    }

    /// Two clusters that are pointed at each other by mistake should find it in both logs.
    fn check_cluster_of(&self, header: pb::Header) -> Result<(), Status> {
        let checked = self.check_cluster(header.cluster_id);
        if checked.is_err()
            && header.cluster_id != 0
            && let Some(suppressed) = self.other_clusters.admit()
        {
            let (theirs, ours) = (ClusterId(header.cluster_id), self.cluster());
            tracing::warn!(
                from = header.from,
                %theirs,
                ours = ?ours,
                suppressed,
                "A node of another cluster asks this one: see cluster.members and cluster.seeds"
            );
        }
        checked
    }

    /// Notes that `address`, which this node asked or was asked by, belongs to another cluster.
    pub(crate) fn warn_of_other_cluster(&self, address: &str, name: &str, theirs: ClusterId) {
        if let Some(suppressed) = self.other_clusters.admit() {
            tracing::warn!(
                address,
                cluster = name,
                %theirs,
                ours = ?self.cluster(),
                suppressed,
                "This address belongs to another cluster: see cluster.members and cluster.seeds"
            );
        }
    }

    /// Refuses what comes from another cluster.
    pub(crate) fn check_cluster(&self, cluster: u64) -> Result<(), Status> {
        match self.cluster() {
            Some(ClusterId(own)) if own == cluster => Ok(()),
            Some(own) => Err(other_cluster(own)),
            None => Err(Status::unavailable("this node belongs to no cluster yet")),
        }
    }

    /// As [`Self::check`], for requests of a leader: a node that belongs to no cluster yet joins
    /// that of the leader. Only a cluster that took this node in knows its id.
    pub(crate) async fn check_or_adopt(
        &self,
        header: Option<pb::Header>,
    ) -> Result<NodeId, Status> {
        let sent = header.ok_or_else(no_header)?;
        if self.cluster().is_none() && sent.cluster_id != 0 {
            self.check_target(sent)?;
            self.adopt(ClusterId(sent.cluster_id)).await?;
        }
        self.check(header)
    }

    /// Makes the node belong to `cluster`, durably, unless it belongs to another.
    pub(crate) async fn adopt(&self, cluster: ClusterId) -> Result<(), Status> {
        let _adopting = self.adopting.lock().await;
        match self.cluster() {
            Some(own) if own == cluster => return Ok(()),
            Some(own) => return Err(other_cluster(own)),
            None => {}
        }
        let saved = self.store.call(move |db| db.save_cluster(cluster.0)).await;
        saved.map_err(|error| Status::internal(format!("cannot keep the cluster id: {error}")))?;
        self.cluster.store(cluster.0, Ordering::Release);
        Ok(())
    }

    fn check_target(&self, header: pb::Header) -> Result<(), Status> {
        if header.to != self.id.0 {
            // That node is gone, or has moved, and who asks will hear of it.
            return Err(Status::unavailable(format!(
                "connected to the wrong node: this is {}, not {}",
                self.id, header.to
            )));
        }
        Ok(())
    }
}

fn no_header() -> Status {
    Status::invalid_argument("the request has no header")
}

fn other_cluster(own: ClusterId) -> Status {
    Status::failed_precondition(format!("this node belongs to another cluster, {own}"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use tonic::Code;

    use super::*;
    use crate::raft::LogDb;

    const ME: NodeId = NodeId(7);

    fn open(dir: &tempfile::TempDir) -> Identity {
        let db = LogDb::open(&dir.path().join("log"), ME.0).unwrap();
        let cluster = Arc::new(AtomicU64::new(db.cluster().unwrap().unwrap_or(0)));
        let lock = File::create(dir.path().join("lock")).unwrap();
        Identity::new(ME, cluster, LogStore::start(db, lock).unwrap())
    }

    fn header(cluster_id: u64, to: u64) -> Option<pb::Header> {
        Some(pb::Header {
            cluster_id,
            from: 1,
            to,
        })
    }

    #[tokio::test]
    async fn requests_for_others_and_of_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let identity = open(&dir);
        let refusal = |outcome: Result<NodeId, Status>| outcome.unwrap_err().code();
        // Before it belongs to a cluster, only a leader that knows its id makes it a member.
        assert_eq!(refusal(identity.check(header(5, 7))), Code::Unavailable);
        let outcome = identity.check_or_adopt(header(5, 8)).await;
        assert_eq!(refusal(outcome), Code::Unavailable);
        assert_eq!(identity.cluster(), None);
        assert_eq!(
            identity.check_or_adopt(header(5, 7)).await.unwrap(),
            NodeId(1)
        );
        identity.store.close().await;

        // For good.
        let identity = open(&dir);
        assert_eq!(identity.cluster(), Some(ClusterId(5)));
        assert_eq!(identity.check(header(5, 7)).unwrap(), NodeId(1));
        let outcome = identity.check_or_adopt(header(6, 7)).await;
        assert_eq!(refusal(outcome), Code::FailedPrecondition);
        assert_eq!(refusal(identity.check(header(5, 8))), Code::Unavailable);
        assert_eq!(refusal(identity.check(None)), Code::InvalidArgument);
        identity.adopt(ClusterId(6)).await.unwrap_err();
    }
}
