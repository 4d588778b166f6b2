use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use switchyard_registry::{Caller, PeerStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// How long a client may take for what HTTP/2 begins with. From there on, pings tell whether it lives.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// The length of that (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// A connection that was accepted, in TLS or not; its requests carry who the caller is.
pub(crate) struct Connection {
    stream: Box<dyn PeerStream>,
    caller: Caller,
    preface: Option<Preface>,
    _permit: OwnedSemaphorePermit,
}

/// What a client has to say at once.
struct Preface {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Connection {
    /// Gives `permit` back when it ends.
    pub(super) fn new(
        stream: impl PeerStream + 'static,
        caller: Caller,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream: Box::new(stream),
            caller,
            preface: Some(Preface {
                missing: PREFACE,
                deadline: Box::pin(sleep(PREFACE_TIMEOUT)),
            }),
            _permit: permit,
        }
    }
}

impl Preface {
    /// Takes note of bytes that have arrived; whether that is all of it.
    fn advance(&mut self, bytes: usize) -> bool {
        self.missing = self.missing.saturating_sub(bytes);
        self.missing == 0
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some(preface) = &mut self.preface else {
            return polled;
        };
        if preface.advance(buffer.filled().len() - before) {
            self.preface = None;
        } else if polled.is_pending() && preface.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn contract_a1_who_does_not_begin_is_given_up_and_who_has_may_be_silent() {
        let (mut client, server) = duplex(64);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let caller = Caller {
            address: None,
            names: None,
        };
        let mut connection = Connection::new(server, caller, permit);
        let preface = connection.preface.as_mut().unwrap();
        preface.deadline = Box::pin(sleep(Duration::ZERO));
        client.write_all(&[b'x'; PREFACE - 1]).await.unwrap();
        connection.read_exact(&mut [0; PREFACE - 1]).await.unwrap();
        let late = connection.read(&mut [0]).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        client.write_all(b"x").await.unwrap();
        connection.read_exact(&mut [0]).await.unwrap();
        let silence = connection.read(&mut [0; 1]).now_or_never();
        assert!(silence.is_none(), "{silence:?}");
    }
}
