use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Readiness;
use crate::metrics::Metrics;

/// What the pages show.
#[derive(Clone)]
pub(crate) struct HttpState {
    /// Asked anew for each `/readyz`.
    pub(crate) readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Read anew for each `/metrics`.
    pub(crate) metrics: Arc<Metrics>,
}

/// A bound HTTP port.
#[derive(Debug)]
pub(crate) struct HttpServer {
    listener: TcpListener,
}

/// The content type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

// === impl HttpServer ===

impl HttpServer {
    /// Binds `address`; connections wait until [`Self::serve`].
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub(crate) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`, then ends without waiting for clients.
    pub(crate) async fn serve(self, state: HttpState, shutdown: CancellationToken) {
        let pages = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(state);
        let serving = axum::serve(self.listener, pages).into_future();
        if let Some(Err(error)) = shutdown.run_until_cancelled(serving).await {
            tracing::error!(%error, "HTTP server failed");
        }
    }
}

/// Alive: this process answers.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(state): State<HttpState>) -> Readiness {
    (state.readiness)()
}

async fn metrics(State(state): State<HttpState>) -> Response {
    match state.metrics.encode() {
        Ok(page) => ([(CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl fmt::Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState").finish_non_exhaustive()
    }
}
