//! Just enough of an HTTP client to ask a node on this machine for a page.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// Its status code.
    pub(crate) status: u16,
    /// Its body as written: correct for what is not chunked, as all our pages are.
    pub(crate) body: String,
}

/// Gets `path` from `address`.
///
/// # Errors
///
/// When there is no answer in time, or none that is HTTP.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    let answer = timeout(PATIENCE, exchange(address, path));
    let answer = answer.await.map_err(|_| ErrorKind::TimedOut)??;
    parse(&answer).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP"))
}

async fn exchange(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).await?;
    Ok(answer)
}

fn parse(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some(Response {
        status: status.parse().ok()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::{Response, get, parse};
    use crate::http::{Condition, HttpServer, HttpState, Readiness};
    use crate::metrics::Metrics;

    #[test]
    fn only_http_is_understood() {
        let ok = "HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\nno";
        let expected = Response {
            status: 503,
            body: "no".to_owned(),
        };
        assert_eq!(parse(ok), Some(expected));
        assert_eq!(parse("<stream:stream>\r\n\r\n"), None);
        assert_eq!(parse("HTTP/1.1 200 OK"), None);
    }

    #[tokio::test]
    async fn contract_a4_pages_tell_health_readiness_and_metrics() {
        let joined = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let state = HttpState {
            readiness: {
                let joined = Arc::clone(&joined);
                Arc::new(move || {
                    let joined = joined.load(std::sync::atomic::Ordering::Relaxed);
                    Readiness::new(vec![
                        Condition::met("listening"),
                        Condition::check("joined", joined, "waiting for node2"),
                    ])
                })
            },
            metrics: Arc::new(Metrics::new()),
        };
        let server = HttpServer::bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = server.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.serve(state, 8, shutdown.clone()));

        let health = get(address, "/healthz").await.unwrap();
        assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
        let unready = get(address, "/readyz").await.unwrap();
        let expected = "{\"ready\":false,\"conditions\":[{\"name\":\"listening\",\"met\":true},\
                        {\"name\":\"joined\",\"met\":false,\"reason\":\"waiting for node2\"}]}\n";
        assert_eq!((unready.status, unready.body.as_str()), (503, expected));
        joined.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(get(address, "/readyz").await.unwrap().status, 200);
        let metrics = get(address, "/metrics").await.unwrap();
        assert!(metrics.body.contains("switchyard_build"), "{metrics:?}");
        assert_eq!(get(address, "/").await.unwrap().status, 404);

        shutdown.cancel();
        serving.await.unwrap();
        assert!(get(address, "/healthz").await.is_err());
    }
}
