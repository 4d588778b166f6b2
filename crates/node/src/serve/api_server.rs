use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use switchyard_registry::{API_DESCRIPTOR_SET, ApiServices};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;

use super::health::HealthFollower;
use super::service_state::ServiceState;
use crate::api_access::{Gate, guard};
use crate::tls::{LiveServer, MostConnections, incoming};

/// A client that says nothing for so long is asked whether it lives...
const SILENCE: Duration = Duration::from_secs(30);
/// ...and disconnected if it does not answer within this: a `Watch` may be silent for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves the API for operators and programs (contract A1) until `stop`, in TLS if there is any, to
/// those whom `gate` lets pass.
///
/// # Errors
///
/// When the server ends for another reason.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<LiveServer>,
    most: MostConnections,
    gate: Arc<Gate>,
    services: ApiServices,
    state: ServiceState,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (health, health_service) = HealthFollower::new(state).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(API_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // A watch or a reflection stream may stay open for ever: the server does not wait for it.
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(health_service)
        .add_service(reflection().build_v1().context("cannot describe the API")?)
        // grpcurl and others still ask for the older version.
        .add_service(
            reflection()
                .build_v1alpha()
                .context("cannot describe the API")?,
        );
    services.add_to(&mut routes);
    let incoming = incoming(listener, tls, most, "API");
    let serving = Server::builder()
        .http2_keepalive_interval(Some(SILENCE))
        .http2_keepalive_timeout(Some(PATIENCE))
        .add_routes(guard(routes.routes(), gate))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
    tokio::select! {
        served = serving => served.context("the API server failed"),
        never = health.run() => match never {},
    }
}
