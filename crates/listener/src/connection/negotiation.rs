use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use switchyard_registry::ConnectionId;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::read_buffer::ReadBuffer;
use super::reader::note_stream_error;
use super::transport::Transport;
use crate::authenticated::Authenticated;
use crate::farewell::Farewell;
use crate::live_config::LiveConfig;
use crate::shaper::Shaper;
use crate::stop::Stop;
use crate::stream::Stream;
use crate::xml::{Framer, Outcome};
use crate::{Component, ListenerConfig, Outbox, RegisterError, RegisterRequest, Registrar};

/// Bytes that a component may send before its handshake is complete (contract S7).
const MAX_BYTES: usize = 8 * 1024;
/// Bytes that a component may send ahead while its name is being registered.
const MAX_AHEAD: usize = 64 * 1024;

/// A stream up to the point where it is open.
pub(super) struct Negotiation<'a, R> {
    /// As of when the connection was accepted.
    pub(super) config: &'a ListenerConfig,
    /// As of now: a secret that was revoked meanwhile opens nothing.
    pub(super) live: &'a LiveConfig,
    pub(super) registrar: &'a R,
    pub(super) connection: ConnectionId,
    pub(super) stop: &'a Stop,
    pub(super) transport: &'a mut Transport,
    pub(super) stream: &'a mut Stream,
    pub(super) framer: &'a mut Framer,
    pub(super) buffer: &'a mut ReadBuffer,
    /// Charged for what is read here, and waited for once the stream is open: until then the bytes
    /// are bounded anyway.
    pub(super) shaper: &'a mut Shaper,
    /// When all of it must be over (contract S7).
    pub(super) deadline: Instant,
    pub(super) received: usize,
    /// The name may be registered: whoever ends the connection must unregister it.
    pub(super) holds_name: bool,
}

/// How far a stream has come.
pub(super) enum Step {
    /// The component has proved that it knows the secret.
    Authenticated(Authenticated),
    /// TLS begins, and a new stream in it.
    StartTls,
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
    /// Exchanges headers, and gives the component once its handshake is found valid, unless it
    /// wants TLS first and may have it.
    pub(super) async fn authenticate(&mut self) -> Result<Step, Failure> {
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
        if self.stream.wants_tls(&element) {
            self.proceed().await?;
            return Ok(Step::StartTls);
        }
        let live = self.live.current();
        let authenticated = self.stream.handshake(&element, &live.secrets)?;
        Ok(Step::Authenticated(authenticated))
    }

    /// Agrees to TLS. Whatever was sent behind the request was sent in plain text, by anybody on
    /// the way perhaps: it must not be taken for part of what comes encrypted.
    async fn proceed(&mut self) -> Result<(), Failure> {
        let answer = self.stream.start_tls(self.buffer.as_slice())?;
        *self.buffer = ReadBuffer::default();
        self.write(answer).await
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
            scope: self.config.conflict_scope,
            deadline: self.deadline,
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
            let left = MAX_AHEAD.saturating_sub(self.buffer.as_slice().len());
            tokio::select! {
                biased;
                outcome = &mut registering => return Ok(outcome),
                () = self.stop.token.cancelled() => {
                    return Err(self.stream.close(self.stop.reason()).into());
                }
                () = tokio::time::sleep_until(self.deadline) => {
                    return Err(self.stream.timeout().into());
                }
                read = self.buffer.read_from(&mut self.transport.reading, left), if left > 0 => {
                    match read? {
                        0 => return Err(self.stream.end().into()),
                        read => self.shaper.charge(read),
                    }
                }
            }
        }
    }

    /// Reads on; bounded in time and bytes, whatever dribbles in.
    async fn read(&mut self) -> Result<(), Failure> {
        let left = MAX_BYTES - self.received;
        if left == 0 {
            return Err(self.stream.flooded().into());
        }
        tokio::select! {
            biased;
            () = self.stop.token.cancelled() => {
                Err(self.stream.close(self.stop.reason()).into())
            }
            read = timeout_at(
                self.deadline,
                self.buffer.read_from(&mut self.transport.reading, left),
            ) => match read {
                Ok(Ok(0)) => Err(self.stream.end().into()),
                Ok(Ok(read)) => {
                    self.received += read;
                    self.shaper.charge(read);
                    Ok(())
                }
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(self.stream.timeout().into()),
            },
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let writing = &mut self.transport.writing;
        let written = timeout_at(self.deadline, async {
            writing.write_all(bytes).await?;
            writing.flush().await
        });
        match written.await {
            Ok(written) => Ok(written?),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }
}
