use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::peer::{self, Timings};
use crate::tls::{LiveServer, MostConnections, incoming};

/// Serves peers (Raft, leases, links) until `stop`, in TLS if there is any.
///
/// # Errors
///
/// When the server ends for another reason.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<LiveServer>,
    most: MostConnections,
    services: Routes,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let incoming = incoming(listener, tls, most, "peers");
    peer::tune(Server::builder(), &Timings::default())
        .add_routes(services)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
        .context("the server for peers failed")
}
