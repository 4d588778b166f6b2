use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

use super::tls_halves::TlsReadHalf;
use super::transport::ReadHalf;

/// The buffer of a connection that sends little.
const MIN_SIZE: usize = 4 * 1024;
/// The buffer of a connection that sends much.
const MAX_SIZE: usize = 64 * 1024;

/// Bytes that have arrived and are not yet dealt with.
///
/// It adapts: a connection that fills its buffer gets a larger one, up to 64 KiB, and one that
/// does not a smaller one; an idle one has none. What is split off shares the memory, so a small
/// buffer also bounds what a stanza in a slow component's queue keeps alive.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: BytesMut,
    /// How large the next allocation is to be.
    size: usize,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self {
            bytes: BytesMut::new(),
            size: MIN_SIZE,
        }
    }
}

impl ReadBuffer {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the first `length` bytes out, without a copy.
    pub(super) fn split_to(&mut self, length: usize) -> Bytes {
        self.bytes.split_to(length).freeze()
    }

    /// Reads what has arrived, `limit` bytes (one at least) at most, or waits until something does;
    /// 0 at the end of the input. Nothing is lost when the future is dropped before it is ready.
    pub(super) async fn read_from(
        &mut self,
        socket: &mut ReadHalf,
        limit: usize,
    ) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read_from(cx, socket, limit)).await
    }

    fn poll_read_from(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut ReadHalf,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let polled = match socket {
            ReadHalf::Tcp(socket) => self.poll_fill(cx, socket, limit),
            ReadHalf::Tls(session) => self.poll_copy(cx, session, limit),
        };
        if polled.is_pending() && self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
        polled
    }

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut OwnedReadHalf,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        // Memory only once there is something to put into it.
        ready!(socket.as_ref().poll_read_ready(cx))?;
        let offered = self.make_room(limit);
        let mut room = (&mut self.bytes).limit(offered);
        let read = ready!(pin!(socket.read_buf(&mut room)).poll(cx))?;
        self.adapt(offered, read);
        Poll::Ready(Ok(read))
    }

    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        session: &TlsReadHalf,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        session.poll_take(cx, |arrived| {
            let offered = self.make_room(limit);
            let taken = arrived.get(..offered).unwrap_or(arrived);
            self.bytes.extend_from_slice(taken);
            self.adapt(offered, taken.len());
            taken.len()
        })
    }

    /// Bytes that fit in, some at least, and no more than `limit`.
    fn make_room(&mut self, limit: usize) -> usize {
        if self.spare() < self.size / 4 {
            self.bytes.reserve(self.size);
        }
        self.spare().min(limit)
    }

    fn adapt(&mut self, offered: usize, read: usize) {
        if read >= offered {
            self.size = (self.size * 2).min(MAX_SIZE);
        } else if read < self.size / 4 {
            self.size = (self.size / 2).max(MIN_SIZE);
        }
    }

    fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}
