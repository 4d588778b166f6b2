//! A TLS session that two tasks share: one reads, one writes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

type Session = TlsStream<Socket>;

/// The half that reads.
pub(super) struct TlsReadHalf(Arc<Mutex<Session>>);

/// The half that writes. What it has taken may wait in the session until it is flushed.
pub(super) struct TlsWriteHalf(Arc<Mutex<Session>>);

/// A TCP connection that counts what the system has taken: by that a component which takes nothing
/// is told from one which is slow.
pub(super) struct Socket {
    tcp: TcpStream,
    taken: u64,
}

/// Both halves of `session`. No lock is held across an `await`: each is held for one poll.
pub(super) fn halves(session: Session) -> (TlsReadHalf, TlsWriteHalf) {
    let session = Arc::new(Mutex::new(session));
    (TlsReadHalf(Arc::clone(&session)), TlsWriteHalf(session))
}

// === impl TlsReadHalf ===

impl TlsReadHalf {
    /// Hands what has arrived to `take`, which says how much of it it has taken; nothing at the end
    /// of the input. The session keeps the bytes until then: whoever waits needs no buffer.
    #[allow(
        clippy::needless_pass_by_ref_mut,
        reason = "two tasks that read would take bytes from each other"
    )]
    pub(super) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>> {
        let mut session = self.0.lock();
        let arrived = ready!(Pin::new(&mut *session).poll_fill_buf(cx));
        let taken = take(or_end(arrived)?);
        Pin::new(&mut *session).consume(taken);
        Poll::Ready(Ok(taken))
    }
}

impl AsyncRead for TlsReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_take(cx, |arrived| {
            let taken = arrived.len().min(buf.remaining());
            buf.put_slice(arrived.get(..taken).unwrap_or_default());
            taken
        })
        .map_ok(|_| ())
    }
}

/// Many a component closes its socket without a word of TLS. That cuts nothing off unnoticed: a
/// stream says itself where it ends, and a stanza that is not complete is none.
fn or_end(arrived: io::Result<&[u8]>) -> io::Result<&[u8]> {
    match arrived {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(&[]),
        arrived => arrived,
    }
}

// === impl TlsWriteHalf ===

impl TlsWriteHalf {
    /// Bytes that the system has taken, TLS's own included.
    pub(super) fn taken(&self) -> u64 {
        self.0.lock().get_ref().0.taken
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.0.lock()
    }
}

impl AsyncWrite for TlsWriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.session()).poll_write(cx, bytes)
    }

    /// Small slices are put together before they are encrypted: one record holds many stanzas.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.session()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.session()).poll_flush(cx)
    }

    /// Says `close_notify`, and closes the write side of the socket.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.session()).poll_shutdown(cx)
    }
}

// === impl Socket ===

impl Socket {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, taken: 0 }
    }

    pub(super) fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = written {
            self.taken += written as u64;
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
