use tonic::{Request, Response, Status};

use crate::Registry;
use crate::pb::cluster as pb;
use crate::pb::cluster::cluster_server;
use crate::status::{NodeStatus, Role};

/// Serves `switchyard.cluster.v1.Cluster`.
#[derive(Clone)]
pub(crate) struct ClusterService {
    registry: Registry,
}

impl ClusterService {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry }
    }
}

#[tonic::async_trait]
impl cluster_server::Cluster for ClusterService {
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
        }))
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
    }
}
