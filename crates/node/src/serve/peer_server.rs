use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::peer::{self, Timings};

/// Serves peers (Raft, leases, links) until `stop`.
///
/// # Errors
///
/// When the server ends for another reason.
pub(super) async fn serve(
    listener: TcpListener,
    services: Routes,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    peer::tune(Server::builder(), &Timings::default())
        .add_routes(services)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
        .context("the server for peers failed")
}
