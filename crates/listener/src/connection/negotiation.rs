use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use switchyard_registry::ConnectionId;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::read_buffer::ReadBuffer;
use super::reader::note_stream_error;
use crate::farewell::Farewell;
use crate::stream::Stream;
use crate::xml::{Framer, Outcome};
use crate::{
    CloseReason, Component, ListenerConfig, Outbox, RegisterError, RegisterRequest, Registrar,
};

/// Bytes that a component may send before its handshake is complete (contract S7).
const MAX_BYTES: usize = 8 * 1024;
/// Bytes that a component may send ahead while its name is being registered.
const MAX_AHEAD: usize = 64 * 1024;

/// A stream up to the point where it is open.
pub(super) struct Negotiation<'a, R> {
    pub(super) config: &'a ListenerConfig,
    pub(super) registrar: &'a R,
    pub(super) connection: ConnectionId,
    pub(super) shutdown: &'a CancellationToken,
    pub(super) reading: &'a mut OwnedReadHalf,
    pub(super) writing: &'a mut OwnedWriteHalf,
    pub(super) stream: &'a mut Stream,
    pub(super) framer: &'a mut Framer,
    pub(super) buffer: &'a mut ReadBuffer,
    /// When all of it must be over (contract S7).
    pub(super) deadline: Instant,
    pub(super) received: usize,
    /// The name may be registered: whoever ends the connection must unregister it.
    pub(super) holds_name: bool,
}

/// How a negotiation fails.
#[derive(Debug)]
pub(super) enum Failure {
    /// The stream is ended in words.
    Farewell(Farewell),
    /// The connection broke.
    Lost(io::Error),
}

impl From<Farewell> for Failure {
    fn from(farewell: Farewell) -> Self {
        Self::Farewell(farewell)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

// === impl Negotiation ===

impl<R: Registrar> Negotiation<'_, R> {
    /// Exchanges headers, and gives the component once its handshake is found valid.
    pub(super) async fn authenticate(&mut self) -> Result<Component, Failure> {
        let header = loop {
            let read = self.framer.read_header(self.buffer.as_slice());
            match read.map_err(|error| self.stream.xml_error(&error))? {
                Some(header) => break header,
                None => self.read().await?,
            }
        };
        drop(self.buffer.split_to(header.len));
        let answer = self.stream.header(&header)?;
        self.write(&answer).await?;
        let mut element = BytesMut::new();
        self.read_element(&mut element).await?;
        Ok(self.stream.handshake(&element)?)
    }

    /// Registers `component` and tells it so.
    pub(super) async fn register(
        &mut self,
        component: &Component,
        outbox: &Arc<Outbox>,
    ) -> Result<(), Failure> {
        let registering = self.registrar.register(RegisterRequest {
            component: component.clone(),
            connection: self.connection,
            conflict: self.config.conflict,
            outbox: Arc::clone(outbox),
        });
        self.holds_name = true;
        let outcome = self.watch_while(registering).await?;
        self.holds_name = outcome.is_ok();
        let answer = self.stream.registered(outcome)?;
        self.write(answer).await
    }

    /// The first element, as it can stand alone.
    async fn read_element(&mut self, out: &mut BytesMut) -> Result<(), Failure> {
        let mut elements = Vec::with_capacity(1);
        loop {
            let progress = self
                .framer
                .read_elements(self.buffer.as_slice(), 1, &mut elements);
            let bytes = self.buffer.split_to(progress.consumed);
            if let Some(element) = elements.first() {
                if element.is_stream_error() {
                    note_stream_error(&bytes, element);
                    return Err(self.stream.end().into());
                }
                self.framer.rewrite(&bytes, element, out);
                return Ok(());
            }
            match progress.outcome {
                Outcome::More | Outcome::Limit => self.read().await?,
                Outcome::End => return Err(self.stream.end().into()),
                Outcome::Error(error) => return Err(self.stream.xml_error(&error).into()),
            }
        }
    }

    /// Waits for the registrar, and meanwhile for the component to leave.
    async fn watch_while(
        &mut self,
        registering: impl Future<Output = Result<(), RegisterError>>,
    ) -> Result<Result<(), RegisterError>, Failure> {
        let mut registering = pin!(registering);
        loop {
            let ahead = self.buffer.as_slice().len() < MAX_AHEAD;
            tokio::select! {
                biased;
                outcome = &mut registering => return Ok(outcome),
                () = self.shutdown.cancelled() => {
                    return Err(self.stream.close(CloseReason::SystemShutdown).into());
                }
                () = tokio::time::sleep_until(self.deadline) => {
                    return Err(self.stream.timeout().into());
                }
                read = self.buffer.read_from(self.reading), if ahead => {
                    if read? == 0 {
                        return Err(self.stream.end().into());
                    }
                }
            }
        }
    }

    /// Reads on; bounded in time and bytes, whatever dribbles in.
    async fn read(&mut self) -> Result<(), Failure> {
        if self.received >= MAX_BYTES {
            return Err(self.stream.flooded().into());
        }
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => {
                Err(self.stream.close(CloseReason::SystemShutdown).into())
            }
            read = timeout_at(self.deadline, self.buffer.read_from(self.reading)) => match read {
                Ok(Ok(0)) => Err(self.stream.end().into()),
                Ok(Ok(read)) => {
                    self.received += read;
                    Ok(())
                }
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(self.stream.timeout().into()),
            },
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match timeout_at(self.deadline, self.writing.write_all(bytes)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }
}
