use anyhow::Context;
use switchyard_registry::{API_DESCRIPTOR_SET, API_SERVICES, ApiServices};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Serves the API for operators and programs (contract A1) until `stop`.
///
/// # Errors
///
/// When the server ends for another reason.
pub(super) async fn serve(
    listener: TcpListener,
    services: ApiServices,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in API_SERVICES.into_iter().chain([""]) {
        let serving = tonic_health::ServingStatus::Serving;
        health.set_service_status(service, serving).await;
    }
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
    Server::builder()
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.cancelled_owned())
        .await
        .context("the API server failed")
}
