use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::Registry;
use crate::pb::cluster as pb;
use crate::pb::cluster::cluster_server;
use crate::pb::peer;
use crate::pb::peer::change_request::Change;
use crate::status::{NodeStatus, Role};

/// Serves `switchyard.cluster.v1.Cluster`.
#[derive(Clone)]
pub(crate) struct ClusterService {
    registry: Registry,
}

/// Answers under way to one change: few, and each is taken before the next is made.
const PROGRESS: usize = 4;

type Progress = ReceiverStream<Result<pb::ChangeProgress, Status>>;

impl ClusterService {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Makes a change, and says meanwhile how it goes. It ends with the stream; the step that is
    /// under way then is finished.
    fn change(&self, change: Change) -> Response<Progress> {
        let (progress, answers) = mpsc::channel(PROGRESS);
        let registry = self.registry.clone();
        tokio::spawn(async move {
            if let Err(status) = registry.change(change, &progress).await {
                let _ = progress.send(Err(status)).await;
            }
        });
        Response::new(ReceiverStream::new(answers))
    }
}

#[tonic::async_trait]
impl cluster_server::Cluster for ClusterService {
    type AddStream = Progress;
    type RemoveStream = Progress;
    type PromoteStream = Progress;
    type DrainStream = Progress;

    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        let status = self.registry.status().await;
        Ok(Response::new(pb::StatusResponse {
            cluster: status.cluster,
            leader: status.leader.unwrap_or_default(),
            revision: status.revision,
            nodes: status.nodes.into_iter().map(node).collect(),
            answered_by: status.answered_by,
            cluster_id: status
                .cluster_id
                .map_or_else(String::new, |id| id.to_string()),
        }))
    }

    async fn add(&self, request: Request<pb::AddRequest>) -> Result<Response<Progress>, Status> {
        let pb::AddRequest { node, address } = request.into_inner();
        let name = node;
        Ok(self.change(Change::Add(peer::AddNode { name, address })))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<Progress>, Status> {
        let node = request.into_inner().node;
        Ok(self.change(Change::Remove(peer::RemoveNode { node })))
    }

    async fn promote(
        &self,
        request: Request<pb::PromoteRequest>,
    ) -> Result<Response<Progress>, Status> {
        let node = request.into_inner().node;
        Ok(self.change(Change::Promote(peer::PromoteNode { node })))
    }

    async fn drain(
        &self,
        request: Request<pb::DrainRequest>,
    ) -> Result<Response<Progress>, Status> {
        let (progress, answers) = mpsc::channel(PROGRESS);
        let (registry, node) = (self.registry.clone(), request.into_inner().node);
        tokio::spawn(async move {
            if let Err(status) = registry.drain(&node, &progress).await {
                let _ = progress.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

fn node(node: NodeStatus) -> pb::Node {
    let role = match node.role {
        Role::Leader => pb::node::Role::Leader,
        Role::Follower => pb::node::Role::Follower,
        Role::Learner => pb::node::Role::Learner,
    };
    pb::Node {
        node: node.name,
        id: node.id.0,
        address: node.address,
        role: role.into(),
        incarnation: node.incarnation.map_or(0, |incarnation| incarnation.0),
        applied: node.applied.unwrap_or(0),
        alive: node.alive,
        drained: node.drained,
        problem: node.problem,
    }
}
