use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use switchyard_registry::LogLimit;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
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
    /// How long a connection may last.
    patience: Duration,
}

/// How long a connection may last, from the accept to the last byte of the one answer that it gets:
/// whoever says nothing, or does not read, keeps nobody else waiting for longer.
const CONNECTION: Duration = Duration::from_secs(10);
/// Pause after a connection that cannot be accepted, for want of open files for example.
const PAUSE: Duration = Duration::from_millis(50);

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
        Ok(Self {
            listener,
            patience: CONNECTION,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub(crate) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`, then ends without waiting for clients. Beyond `most` connections,
    /// further ones wait in the backlog until one ends.
    pub(crate) async fn serve(self, state: HttpState, most: usize, shutdown: CancellationToken) {
        let pages = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(state);
        let slots = Slots {
            free: Arc::new(Semaphore::new(most)),
            log: LogLimit::default(),
        };
        let serving = self.accept(pages, &slots);
        shutdown.run_until_cancelled(serving).await;
    }

    async fn accept(self, pages: Router, slots: &Slots) {
        while let Some(slot) = slots.take().await {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let patience = self.patience;
                    let pages = pages.clone();
                    tokio::spawn(async move {
                        serve_one(stream, pages, patience).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    slots.warn(&error.to_string());
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Answers one request.
async fn serve_one(stream: TcpStream, pages: Router, patience: Duration) {
    let pages = TowerToHyperService::new(pages);
    let mut http = http1::Builder::new();
    let serving = http
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), pages);
    match timeout(patience, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "HTTP connection failed"),
        Err(_) => tracing::debug!("HTTP connection not over in time"),
    }
}

/// Room for connections.
struct Slots {
    free: Arc<Semaphore>,
    log: LogLimit,
}

impl Slots {
    /// Waits until there is room; `None` never happens, as nobody closes the semaphore.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if self.free.available_permits() == 0 {
            self.warn("too many connections at once: further ones wait until one ends");
        }
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    fn warn(&self, error: &str) {
        if let Some(suppressed) = self.log.admit() {
            tracing::warn!(
                purpose = "HTTP",
                error,
                suppressed,
                "Cannot accept connections"
            );
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn contract_a4_silent_connections_keep_nobody_from_the_pages() {
        let mut server = HttpServer::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        server.patience = Duration::from_millis(500);
        let address = server.local_addr().unwrap();
        let state = HttpState {
            readiness: Arc::new(|| Readiness::new(Vec::new())),
            metrics: Arc::new(Metrics::new()),
        };
        tokio::spawn(server.serve(state, 2, CancellationToken::new()));
        let mut silent = Vec::new();
        for _ in 0..5 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"),
            "{answer}"
        );
        for mut connection in silent {
            assert_eq!(connection.read(&mut [0]).await.unwrap(), 0);
        }
    }
}
