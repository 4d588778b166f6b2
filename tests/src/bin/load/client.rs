use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// A component with nothing between it and its socket, so that the load costs little.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its domain.
    pub(crate) domain: String,
    /// Its stream, past the handshake.
    pub(crate) stream: Stream,
    /// From `<handshake>` sent to `<handshake/>` received: the registration is committed.
    pub(crate) registered_in: Duration,
}

/// What a component talks through.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP. Kept open, not used.
    #[expect(dead_code, reason = "holds the connection")]
    Tls(Box<TlsStream<TcpStream>>),
}

/// The host in certificates.
pub(crate) const HOST: &str = "localhost";
/// Longer than any answer before the first stanza.
const ANSWER: usize = 4096;

impl Client {
    /// Connects and authenticates with the fixture's password.
    pub(crate) async fn connect(address: SocketAddr, domain: String) -> Result<Self> {
        let mut stream = connect(address).await?;
        let registered_in = authenticate(&mut stream, &domain).await?;
        Ok(Self {
            domain,
            stream: Stream::Plain(stream),
            registered_in,
        })
    }

    /// As [`Self::connect`], through TLS.
    pub(crate) async fn connect_tls(
        address: SocketAddr,
        domain: String,
        config: Arc<ClientConfig>,
    ) -> Result<Self> {
        let stream = connect(address).await?;
        let name = ServerName::try_from(HOST)?;
        let mut stream = TlsConnector::from(config).connect(name, stream).await?;
        let registered_in = authenticate(&mut stream, &domain).await?;
        Ok(Self {
            domain,
            stream: Stream::Tls(Box::new(stream)),
            registered_in,
        })
    }

    /// Its socket, for threads that read and write.
    pub(crate) fn into_socket(self) -> Result<StdStream> {
        let Stream::Plain(stream) = self.stream else {
            anyhow::bail!("{} is connected through TLS", self.domain);
        };
        let socket = stream.into_std()?;
        socket.set_nonblocking(false)?;
        Ok(socket)
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// From `<handshake>` sent to `<handshake/>` received.
async fn authenticate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    domain: &str,
) -> Result<Duration> {
    let header = format!(
        "<stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>"
    );
    stream.write_all(header.as_bytes()).await?;
    let header = read_tag(stream, "<stream:stream").await?;
    let id = header
        .split_once("id=")
        .and_then(|(_, rest)| rest.get(1..)?.split(['\'', '"']).next())
        .with_context(|| format!("no id in the stream header {header}"))?;
    let asked = Instant::now();
    let digest = Sha1::digest(format!("{id}{}", switchyard_tests::SECRET));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let handshake = format!("<handshake>{digest}</handshake>");
    stream.write_all(handshake.as_bytes()).await?;
    let answer = read_tag(stream, "<").await?;
    ensure!(
        answer.contains("<handshake"),
        "{domain} was refused: {answer}"
    );
    Ok(asked.elapsed())
}

/// What comes up to the end of the tag that starts with `start`. Nothing comes behind it until the
/// client has answered.
async fn read_tag(stream: &mut (impl AsyncRead + Unpin), start: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(ANSWER);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if text.find(start).is_some_and(|at| text[at..].contains('>')) {
            return Ok(text.into_owned());
        }
        ensure!(bytes.len() < ANSWER, "too long an answer: {text}");
        let read = stream.read_buf(&mut bytes).await?;
        ensure!(
            read > 0,
            "the connection ended after {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}
