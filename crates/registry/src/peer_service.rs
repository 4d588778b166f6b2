use std::sync::Arc;

use tonic::service::RoutesBuilder;
use tonic::{Request, Response, Status};

use crate::admission::Admission;
use crate::command::{Batch, Command};
use crate::core::{Core, Leader, not_the_leader, write_status};
use crate::formation;
use crate::liveness::Liveness;
use crate::pb::peer as pb;
use crate::pb::peer::membership_server::{self, MembershipServer};
use crate::pb::peer::raft_server::RaftServer;
use crate::raft::{Invalid, RaftService};
use crate::read_gate::ReadGate;
use crate::{Incarnation, NodeId};

/// What peers ask of this node, most of it as their leader.
#[derive(Clone)]
struct PeerService {
    core: Core,
    liveness: Liveness,
    admission: Admission,
    /// Proofs of leadership, shared by all who need one at a time.
    leadership: ReadGate<Result<u64, Status>>,
}

/// What a node serves to its peers on `cluster.listen`.
#[derive(Clone)]
pub struct PeerServices {
    raft: RaftService,
    membership: PeerService,
}

// === impl PeerServices ===

impl PeerServices {
    pub(crate) fn new(
        core: &Core,
        liveness: &Liveness,
        leadership: ReadGate<Result<u64, Status>>,
    ) -> Self {
        Self {
            raft: RaftService::new(core.raft.clone(), Arc::clone(&core.identity)),
            membership: PeerService {
                core: core.clone(),
                liveness: liveness.clone(),
                admission: Admission::new(core.clone(), liveness.clone()),
                leadership,
            },
        }
    }

    /// Adds the services to a server.
    pub fn add_to(self, routes: &mut RoutesBuilder) {
        // Peers are trusted with sizes: an entry holds as much as its proposer put in.
        let raft = RaftServer::new(self.raft)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        let membership =
            MembershipServer::new(self.membership).max_decoding_message_size(usize::MAX);
        routes.add_service(raft).add_service(membership);
    }
}

// === impl PeerService ===

impl PeerService {
    /// Who asks, if it is a member of this cluster.
    fn member(&self, header: Option<pb::Header>) -> Result<NodeId, Status> {
        let from = self.core.identity.check(header)?;
        if !self.core.is_leader() {
            return Err(not_the_leader());
        }
        if !self.admission.is_member(from) {
            return Err(Status::permission_denied(format!(
                "node {from} is no member of the cluster"
            )));
        }
        Ok(from)
    }

    fn leader_member(&self) -> Option<pb::Member> {
        let (id, address) = match self.core.leader()? {
            Leader::Me => (self.core.id().0, self.core.config.advertise.clone()),
            Leader::Other { id, address } => (id, address.to_string()),
        };
        Some(pb::Member {
            id,
            name: String::new(),
            address,
        })
    }
}

/// A node speaks for itself alone; only the leader, which does not ask over the network, ends the
/// lives of others.
fn speaks_for_itself(from: NodeId, batch: &Batch) -> bool {
    batch.0.iter().all(|command| match command {
        Command::NodeJoined { node, .. } | Command::NodeLeft { node, .. } => *node == from,
        Command::Changes(changes) => changes.node == from,
        Command::NodeExpired { .. } => false,
    })
}

#[tonic::async_trait]
impl membership_server::Membership for PeerService {
    async fn hello(
        &self,
        _request: Request<pb::HelloRequest>,
    ) -> Result<Response<pb::HelloResponse>, Status> {
        let own = formation::hello(&self.core);
        let is_member = formation::is_member(&self.core).await;
        let is_member = is_member.map_err(|error| Status::unavailable(error.to_string()))?;
        let cluster = self.core.cluster().filter(|_| is_member);
        Ok(Response::new(pb::HelloResponse {
            cluster: own.cluster,
            id: own.id,
            name: own.name,
            founders: own.founders,
            cluster_id: cluster.map_or(0, |cluster| cluster.0),
            leader: self.leader_member(),
        }))
    }

    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinResponse>, Status> {
        let request = request.into_inner();
        if request.cluster != self.core.config.cluster {
            return Err(Status::permission_denied(format!(
                "this node belongs to cluster {:?}",
                self.core.config.cluster
            )));
        }
        if request.to != self.core.id().0 {
            // A leader that is gone is still believed in for a while, and its address may be the
            // asker's own by now.
            return Err(Status::failed_precondition("connected to the wrong node"));
        }
        let node = request
            .node
            .ok_or_else(|| Status::invalid_argument("the request has no node"))?;
        // The change of membership goes on if the asker gives up.
        let admission = self.admission.clone();
        let admitted = tokio::spawn(async move { admission.admit(node).await });
        admitted
            .await
            .map_err(|error| Status::internal(error.to_string()))??;
        let cluster = self.core.cluster().ok_or_else(not_the_leader)?;
        Ok(Response::new(pb::JoinResponse {
            cluster_id: cluster.0,
        }))
    }

    async fn propose(
        &self,
        request: Request<pb::ProposeRequest>,
    ) -> Result<Response<pb::ProposeResponse>, Status> {
        let request = request.into_inner();
        let from = self.member(request.header)?;
        let batch: Batch = request
            .batch
            .unwrap_or_default()
            .try_into()
            .map_err(|error: Invalid| Status::invalid_argument(error.to_string()))?;
        if !speaks_for_itself(from, &batch) {
            return Err(Status::permission_denied(
                "a node proposes changes of its own registrations only",
            ));
        }
        let written = self.core.raft.client_write(batch).await;
        Ok(Response::new(pb::ProposeResponse {
            index: written.map_err(write_status)?.log_id.index,
        }))
    }

    async fn read_index(
        &self,
        request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        self.member(request.into_inner().header)?;
        let index = self.leadership.ask().await.ok_or_else(not_the_leader)??;
        Ok(Response::new(pb::ReadIndexResponse { index }))
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::RenewResponse>, Status> {
        let request = request.into_inner();
        let from = self.member(request.header)?;
        let incarnation = Incarnation(request.incarnation);
        let renewed = self.liveness.renew(from, incarnation).await?;
        Ok(Response::new(pb::RenewResponse { renewed }))
    }

    async fn progress(
        &self,
        request: Request<pb::ProgressRequest>,
    ) -> Result<Response<pb::ProgressResponse>, Status> {
        self.member(request.into_inner().header)?;
        let nodes = progress(&self.core, &self.liveness).ok_or_else(not_the_leader)?;
        Ok(Response::new(pb::ProgressResponse { nodes }))
    }
}

/// What this node, as leader, knows of each member; none if it does not lead.
pub(crate) fn progress(core: &Core, liveness: &Liveness) -> Option<Vec<pb::NodeProgress>> {
    if !core.is_leader() {
        return None;
    }
    liveness.attend();
    let metrics = core.raft.metrics().borrow().clone();
    let acknowledged = metrics.replication.unwrap_or_default();
    let members = metrics.membership_config.membership().nodes();
    Some(
        members
            .map(|(id, _)| {
                let matched = acknowledged.get(id).copied().flatten();
                let matched = if *id == core.id().0 {
                    core.replica.read(|state| state.applied)
                } else {
                    matched
                };
                pb::NodeProgress {
                    id: *id,
                    acknowledged: matched.map_or(0, |log_id| log_id.index),
                    alive: liveness.is_alive(NodeId(*id)),
                }
            })
            .collect(),
    )
}
