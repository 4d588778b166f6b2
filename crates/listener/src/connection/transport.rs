//! What carries a stream: a TCP connection, or TLS over one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::tls_failure::TlsFailure;
use super::tls_halves::{Socket, TlsReadHalf, TlsWriteHalf, halves};

/// Both directions of a connection.
pub(super) struct Transport {
    pub(super) reading: ReadHalf,
    pub(super) writing: WriteHalf,
}

/// What comes from the component.
pub(super) enum ReadHalf {
    Tcp(OwnedReadHalf),
    Tls(TlsReadHalf),
}

/// What goes to the component.
pub(super) enum WriteHalf {
    Tcp(OwnedWriteHalf),
    Tls(TlsWriteHalf),
}

// === impl Transport ===

impl Transport {
    /// Plain TCP.
    pub(super) fn tcp(socket: TcpStream) -> Self {
        let (reading, writing) = socket.into_split();
        Self {
            reading: ReadHalf::Tcp(reading),
            writing: WriteHalf::Tcp(writing),
        }
    }

    /// TLS over `socket`, on which nothing of it has been read, once the two sides have agreed.
    /// When that fails, the failure has the socket on which TLS's own words were said.
    pub(super) async fn tls(
        socket: TcpStream,
        config: Arc<ServerConfig>,
        deadline: Instant,
    ) -> Result<Self, TlsFailure> {
        // On the heap for as long as it takes: an open connection does not keep the room for it.
        let accepting = TlsAcceptor::from(config).accept(Socket::new(socket));
        let accepting = Box::pin(accepting.into_fallible());
        match timeout_at(deadline, accepting).await {
            Ok(Ok(session)) => {
                let (reading, writing) = halves(session);
                Ok(Self {
                    reading: ReadHalf::Tls(reading),
                    writing: WriteHalf::Tls(writing),
                })
            }
            Ok(Err((error, socket))) => Err(TlsFailure::new(error, socket.into_tcp())),
            Err(_) => Err(TlsFailure::TimedOut),
        }
    }

    /// The TCP connection, unless it carries TLS.
    pub(super) fn into_tcp(self) -> Option<TcpStream> {
        match (self.reading, self.writing) {
            (ReadHalf::Tcp(reading), WriteHalf::Tcp(writing)) => reading.reunite(writing).ok(),
            _ => None,
        }
    }
}

// === impl WriteHalf ===

impl WriteHalf {
    /// Bytes that the system has taken; `None` where a write that is ready has been taken.
    pub(super) fn taken(&self) -> Option<u64> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(half) => Some(half.taken()),
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            Self::Tls(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Tls(half) => Pin::new(half).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Self::Tls(half) => Pin::new(half).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_flush(cx),
            Self::Tls(half) => Pin::new(half).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            Self::Tls(half) => Pin::new(half).poll_shutdown(cx),
        }
    }
}
