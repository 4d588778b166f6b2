use std::sync::Arc;

use tonic::service::RoutesBuilder;
use tonic::{Request, Response, Status};

use crate::address_check::AddressCheck;
use crate::admission::Admission;
use crate::caller::{Caller, NameCheck};
use crate::command::{Batch, Command};
use crate::connected::Connected;
use crate::core::{Core, Leader, not_the_leader, write_status};
use crate::formation;
use crate::liveness::{Liveness, Renewal, lease_ms};
use crate::membership::Membership;
use crate::operations::Operations;
use crate::pb::peer as pb;
use crate::pb::peer::membership_server::{self, MembershipServer};
use crate::pb::peer::raft_server::RaftServer;
use crate::raft::{Invalid, RaftService};
use crate::read_gate::ReadGate;
use crate::{ClusterId, Incarnation, NodeId};

/// What peers ask of this node, most of it as their leader.
#[derive(Clone)]
struct PeerService {
    core: Core,
    liveness: Liveness,
    membership: Membership,
    admission: Admission,
    operations: Operations,
    connected: Connected,
    names: NameCheck,
    addresses: AddressCheck,
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
        membership: &Membership,
        operations: &Operations,
        connected: &Connected,
        leadership: ReadGate<Result<u64, Status>>,
    ) -> Self {
        let identity = Arc::clone(&core.identity);
        let names = NameCheck::new(Arc::clone(&core.replica));
        Self {
            raft: RaftService::new(
                core.raft.clone(),
                identity,
                Arc::clone(&core.replica),
                Arc::clone(&core.environment),
                names.clone(),
                Arc::clone(&core.fatal),
            ),
            membership: PeerService {
                core: core.clone(),
                liveness: membership.liveness.clone(),
                membership: membership.clone(),
                admission: Admission::new(membership.clone()),
                operations: operations.clone(),
                connected: connected.clone(),
                names,
                addresses: AddressCheck::new(core.clone()),
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
    fn member(&self, caller: &Caller, header: Option<pb::Header>) -> Result<NodeId, Status> {
        let from = self.sender(caller, header)?;
        if !self.core.is_leader() {
            return Err(not_the_leader());
        }
        if self.core.is_removed(from) {
            return Err(self.core.removed(from));
        }
        if !self.membership.is_member(from) {
            return Err(Status::not_found(format!(
                "node {from} is no member of the cluster"
            )));
        }
        Ok(from)
    }

    /// Who asks, member or not, if it is who it says.
    fn sender(&self, caller: &Caller, header: Option<pb::Header>) -> Result<NodeId, Status> {
        let from = self.core.identity.check(header)?;
        self.names.check_id(caller, from)?;
        Ok(from)
    }

    /// A node gives itself no other name than that in its certificate.
    fn check_names_in(&self, caller: &Caller, batch: &Batch) -> Result<(), Status> {
        for command in &batch.0 {
            if let Command::NodeJoined { name, .. } = command {
                self.names.check_name(caller, name)?;
            }
        }
        Ok(())
    }

    /// A node that counts its lease longer than the leader does would be given up too early.
    fn check_lease(&self, theirs: u64) -> Result<(), Status> {
        let own = lease_ms(self.core.config.timings.lease);
        if theirs == 0 || theirs == own {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "cluster.lease is {theirs} here and {own} on the leader: it must be the same everywhere"
        )))
    }

    fn leader_member(&self) -> Option<pb::Member> {
        let (id, address) = match self.core.leader()? {
            Leader::Me => (self.core.id().0, self.core.config.advertise.clone()),
            Leader::Other { id, address } => (id, address.to_string()),
        };
        Some(pb::Member {
            id,
            name: self.core.name_of(id).unwrap_or_default(),
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
        Command::NodeExpired { .. } | Command::NodeRemoved { .. } => false,
    })
}

#[tonic::async_trait]
impl membership_server::Membership for PeerService {
    async fn hello(
        &self,
        request: Request<pb::HelloRequest>,
    ) -> Result<Response<pb::HelloResponse>, Status> {
        let own = formation::hello(&self.core);
        let caller = Caller::of(request.extensions());
        let asker = request.into_inner();
        self.names.check_name(&caller, &asker.name)?;
        let is_other =
            own.cluster_id != 0 && asker.cluster_id != 0 && asker.cluster_id != own.cluster_id;
        if is_other || asker.cluster != own.cluster {
            let theirs = ClusterId(asker.cluster_id);
            let identity = &self.core.identity;
            identity.warn_of_other_cluster(&asker.name, &asker.cluster, theirs);
        }
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
            address: self.core.config.advertise.clone(),
        }))
    }

    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinResponse>, Status> {
        let caller = Caller::of(request.extensions());
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
            return Err(Status::unavailable("connected to the wrong node"));
        }
        let node = request
            .node
            .ok_or_else(|| Status::invalid_argument("the request has no node"))?;
        self.names.check_name(&caller, &node.name)?;
        self.names.check_id(&caller, NodeId(node.id))?;
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
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        let from = self.member(&caller, request.header)?;
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
        self.check_names_in(&caller, &batch)?;
        self.addresses.check(&batch).await?;
        let written = self.core.raft.client_write(batch).await;
        Ok(Response::new(pb::ProposeResponse {
            index: written.map_err(write_status)?.log_id.index,
        }))
    }

    async fn read_index(
        &self,
        request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        let caller = Caller::of(request.extensions());
        self.member(&caller, request.into_inner().header)?;
        let index = self.leadership.ask().await.ok_or_else(not_the_leader)??;
        Ok(Response::new(pb::ReadIndexResponse { index }))
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::RenewResponse>, Status> {
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        let from = self.sender(&caller, request.header)?;
        if self.core.is_removed(from) {
            return Ok(Response::new(pb::RenewResponse {
                renewed: false,
                removed: true,
                still_votes: !self.core.is_leader() || self.membership.may_need(from),
            }));
        }
        self.member(&caller, request.header)?;
        self.check_lease(request.lease_ms)?;
        let incarnation = Incarnation(request.incarnation);
        let renewal = self.liveness.renew(from, incarnation, request.drained);
        Ok(Response::new(pb::RenewResponse {
            renewed: renewal.await? == Renewal::Renewed,
            removed: false,
            still_votes: false,
        }))
    }

    async fn change(
        &self,
        request: Request<pb::ChangeRequest>,
    ) -> Result<Response<pb::ChangeResponse>, Status> {
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        self.member(&caller, request.header)?;
        let change = request
            .change
            .ok_or_else(|| Status::invalid_argument("the request has no change"))?;
        // Goes on if the asker gives up.
        let operations = self.operations.clone();
        let step = tokio::spawn(async move { operations.step(change).await });
        let step = step
            .await
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(step?))
    }

    async fn drain(
        &self,
        request: Request<pb::DrainRequest>,
    ) -> Result<Response<pb::DrainResponse>, Status> {
        let caller = Caller::of(request.extensions());
        self.sender(&caller, request.into_inner().header)?;
        Ok(Response::new(drain(&self.core, &self.connected)))
    }

    async fn progress(
        &self,
        request: Request<pb::ProgressRequest>,
    ) -> Result<Response<pb::ProgressResponse>, Status> {
        let caller = Caller::of(request.extensions());
        self.member(&caller, request.into_inner().header)?;
        let nodes = progress(&self.core, &self.liveness).ok_or_else(not_the_leader)?;
        Ok(Response::new(pb::ProgressResponse { nodes }))
    }
}

/// Takes this node out of service.
pub(crate) fn drain(core: &Core, connected: &Connected) -> pb::DrainResponse {
    // Before they are told to go: some go at once.
    let remaining = connected.len() as u64;
    let begins = core
        .drained
        .send_if_modified(|drained| !std::mem::replace(drained, true));
    if begins {
        tracing::info!(
            remaining,
            "Drained, as an operator wants: out of service until the next start"
        );
    }
    pb::DrainResponse {
        remaining,
        was_drained: !begins,
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
                    drained: liveness.is_drained(NodeId(*id)),
                    problem: core.peers.problem(*id),
                }
            })
            .collect(),
    )
}

#[cfg(test)]
mod names_test;
