use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::transport::WriteHalf;
use crate::metrics::ListenerMetrics;
use crate::outbox::{MAX_SLICES, Revoked, Unwritten, WriteBatch};
use crate::{CloseReason, Delivery, Outbox};

/// Slices that a small write prepares room for.
const FEW_SLICES: usize = 16;

/// Writes what an outbox holds to its component, until the outbox is closed and empty.
pub(super) struct Writer {
    pub(super) socket: WriteHalf,
    pub(super) outbox: Arc<Outbox>,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) keepalive: Duration,
    pub(super) write_timeout: Duration,
}

/// What a writer leaves behind.
pub(super) struct Finished {
    pub(super) socket: WriteHalf,
    /// Stanzas that the component has not got. The outbox may hold more.
    pub(super) unwritten: Vec<Delivery>,
    /// What was written ends between two stanzas and more can be written.
    pub(super) is_intact: bool,
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the connection is given up")]
    Abandoned,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Revoked(#[from] Revoked),
    #[error("the component took no byte for too long")]
    TimedOut,
}

// === impl Writer ===

impl Writer {
    /// Runs until the outbox is closed and written out, the connection breaks, or `abandon` is
    /// cancelled. A broken connection closes the outbox.
    pub(super) async fn run(mut self, abandon: CancellationToken) -> Finished {
        let mut batch = WriteBatch::default();
        let outcome = self.write_all(&mut batch, &abandon).await;
        let mut is_intact = batch.is_at_boundary();
        if let Err(error) = outcome {
            tracing::debug!(%error, "Component cannot be written to");
            is_intact &= matches!(error, WriteError::Abandoned);
        }
        self.outbox.close(CloseReason::Ended);
        let Unwritten {
            written,
            mut deliveries,
        } = batch.into_unwritten();
        // A keepalive holds no stanza.
        deliveries.retain(|delivery| delivery.count > 0);
        self.count(u64::from(written), 0);
        Finished {
            socket: self.socket,
            unwritten: deliveries,
            is_intact,
        }
    }

    async fn write_all(
        &mut self,
        batch: &mut WriteBatch,
        abandon: &CancellationToken,
    ) -> Result<(), WriteError> {
        let outbox = Arc::clone(&self.outbox);
        let mut abandoned = pin!(abandon.cancelled());
        let mut idle = pin!(sleep(self.keepalive));
        let mut last_write = Instant::now();
        loop {
            tokio::select! {
                biased;
                more = outbox.take_into(batch) => {
                    if !more {
                        return Ok(());
                    }
                }
                () = &mut abandoned => return Err(WriteError::Abandoned),
                () = &mut idle => {
                    // Moved only when it fires: a busy connection never touches the timer.
                    let due = last_write + self.keepalive;
                    if due <= Instant::now() {
                        batch.push(whitespace());
                    } else {
                        idle.as_mut().reset(due);
                        continue;
                    }
                }
            }
            while !batch.is_empty() {
                tokio::select! {
                    biased;
                    written = self.write_some(batch) => written?,
                    () = &mut abandoned => return Err(WriteError::Abandoned),
                }
            }
            tokio::select! {
                biased;
                flushed = self.flush(batch) => flushed?,
                () = &mut abandoned => return Err(WriteError::Abandoned),
            }
            last_write = Instant::now();
        }
    }

    async fn write_some(&mut self, batch: &mut WriteBatch) -> Result<(), WriteError> {
        let socket = &mut self.socket;
        let writing = poll_fn(|cx| poll_write_valid(cx, socket, batch));
        let written = match timeout(self.write_timeout, writing).await {
            Ok(written) => written?,
            Err(_) => return Err(WriteError::TimedOut),
        };
        let stanzas = batch.advance(written);
        if self.socket.taken().is_none() {
            batch.confirm();
        }
        self.count(stanzas, written as u64);
        Ok(())
    }

    /// Waits until the system has what TLS has taken. However slowly it takes it: only a component
    /// that takes no byte for `write_timeout` is given up.
    async fn flush(&mut self, batch: &mut WriteBatch) -> Result<(), WriteError> {
        let Some(mut taken) = self.socket.taken() else {
            return Ok(());
        };
        loop {
            let socket = &mut self.socket;
            let flushing = poll_fn(|cx| poll_flush_valid(cx, socket, batch));
            if let Ok(flushed) = timeout(self.write_timeout, flushing).await {
                flushed?;
                batch.confirm();
                return Ok(());
            }
            let before = taken;
            taken = self.socket.taken().unwrap_or(before);
            if taken == before {
                return Err(WriteError::TimedOut);
            }
        }
    }

    fn count(&self, stanzas: u64, bytes: u64) {
        self.outbox.counters().add(stanzas, bytes);
        ListenerMetrics::add(&self.metrics.stanzas_out, stanzas);
        ListenerMetrics::add(&self.metrics.bytes_out, bytes);
    }
}

/// A keepalive (contract S11).
fn whitespace() -> Delivery {
    Delivery {
        bytes: Bytes::from_static(b" "),
        count: 0,
        origin: None,
        receipt: None,
    }
}

/// Writes what may still be written; 0 if nothing is left of the batch.
fn poll_write_valid(
    cx: &mut Context<'_>,
    socket: &mut WriteHalf,
    batch: &mut WriteBatch,
) -> Poll<Result<usize, WriteError>> {
    // Here, not when the batch was taken: the process may have been stopped since then.
    let is_buffered = socket.taken().is_some();
    batch.revoke(is_buffered)?;
    if batch.is_empty() {
        return Poll::Ready(Ok(0));
    }
    match poll_write(cx, socket, batch) {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
        Poll::Ready(written) => Poll::Ready(written.map_err(WriteError::from)),
        Poll::Pending => {
            // What is in a buffer may still be lost.
            if !is_buffered {
                batch.note_progress();
            }
            Poll::Pending
        }
    }
}

/// Flushes what may still be written.
fn poll_flush_valid(
    cx: &mut Context<'_>,
    socket: &mut WriteHalf,
    batch: &mut WriteBatch,
) -> Poll<Result<(), WriteError>> {
    batch.revoke(true)?;
    Pin::new(socket).poll_flush(cx).map_err(WriteError::from)
}

/// The slices live on the stack of this call alone: in the future they would cost every idle
/// connection 16 KiB.
fn poll_write(
    cx: &mut Context<'_>,
    socket: &mut WriteHalf,
    batch: &WriteBatch,
) -> Poll<io::Result<usize>> {
    if batch.len() <= FEW_SLICES {
        poll_write_slices::<FEW_SLICES>(cx, socket, batch)
    } else {
        poll_write_slices::<MAX_SLICES>(cx, socket, batch)
    }
}

fn poll_write_slices<const N: usize>(
    cx: &mut Context<'_>,
    socket: &mut WriteHalf,
    batch: &WriteBatch,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); N];
    let filled = batch.slices(&mut slices);
    Pin::new(socket).poll_write_vectored(cx, slices.get(..filled).unwrap_or_default())
}
