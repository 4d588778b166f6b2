mod cluster;
mod convert;
mod listing;
mod registry;
mod watching;

use tonic::service::RoutesBuilder;

use self::cluster::ClusterService;
use self::registry::RegistryService;
use crate::Registry;
use crate::pb::cluster::cluster_server::ClusterServer;
use crate::pb::registry::registry_server::RegistryServer;

/// The encoded descriptors of the API's protocol files, for gRPC reflection.
pub const API_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/api_descriptor.bin"));

/// Full names of the API's services, for gRPC health checking.
pub const API_SERVICES: [&str; 2] = [
    "switchyard.registry.v1.Registry",
    "switchyard.cluster.v1.Cluster",
];

/// The gRPC services for operators and programs (contract A1).
#[derive(Clone)]
pub struct ApiServices {
    registry: RegistryService,
    cluster: ClusterService,
}

impl ApiServices {
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry: RegistryService::new(registry.clone()),
            cluster: ClusterService::new(registry),
        }
    }

    /// Adds the services to a server.
    pub fn add_to(self, routes: &mut RoutesBuilder) {
        routes
            .add_service(RegistryServer::new(self.registry))
            .add_service(ClusterServer::new(self.cluster));
    }
}
