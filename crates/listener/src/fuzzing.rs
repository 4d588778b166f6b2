//! What the fuzz targets (docs/testing.md) and the corpus tests need from the inside of this crate.
//! It is no part of any interface: nothing else may use it, and it changes without notice.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::farewell::Farewell;
use crate::handshake::StreamId;
use crate::stream::Stream;
use crate::xml::{StreamHeader, XmlError};
use crate::{
    Component, ListenerConfig, RegisterError, Secrets, StreamCondition, jid, proxy_protocol,
};

/// The longest header of the PROXY protocol that is accepted, in bytes.
pub const MAX_PROXY_HEADER: usize = proxy_protocol::MAX_V2;

/// The length of the PROXY header at the beginning of `bytes` and the source that it names; nothing
/// if its end has not arrived.
///
/// # Errors
///
/// When more bytes cannot make a header of them: why, in words.
pub fn proxy_header(bytes: &[u8]) -> Result<Option<(usize, Option<SocketAddr>)>, String> {
    let header = proxy_protocol::read(bytes).map_err(|fault| fault.to_string())?;
    Ok(header.map(|header| (header.len, header.source)))
}

/// The domain of the JID `raw` if the short cut for plain ones takes it.
#[must_use]
pub fn plain_domain(raw: &[u8]) -> Option<&[u8]> {
    jid::plain_domain(raw)
}

/// The state machine of one component's stream.
#[derive(Debug)]
pub struct StreamMachine(Stream);

/// The last words of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What is written.
    pub bytes: Bytes,
    /// The condition of the stream error among them.
    pub condition: Option<StreamCondition>,
}

// === impl StreamMachine ===

impl StreamMachine {
    /// A stream of which nothing is known yet; nothing without randomness from the system.
    #[must_use]
    pub fn new(config: Arc<ListenerConfig>) -> Option<Self> {
        let id = StreamId::random().ok()?;
        Some(Self(Stream::new(config, id)))
    }

    /// TLS has begun. False without randomness from the system.
    pub fn restart(&mut self) -> bool {
        let id = StreamId::random();
        id.map(|id| self.0.restart(id)).is_ok()
    }

    /// The component's header has arrived.
    pub fn header(&mut self, header: &StreamHeader) -> Result<Bytes, Ending> {
        Ok(self.0.header(header)?)
    }

    /// The first element has arrived. Gives the component that has proved its secret.
    pub fn handshake(&mut self, element: &[u8], secrets: &Secrets) -> Result<Component, Ending> {
        Ok(self.0.handshake(element, secrets)?.component)
    }

    /// Whether the first element asks for TLS where it may begin.
    #[must_use]
    pub fn wants_tls(&self, element: &[u8]) -> bool {
        self.0.wants_tls(element)
    }

    /// Agrees to TLS; `ahead` has been sent behind the request.
    pub fn start_tls(&mut self, ahead: &[u8]) -> Result<&'static [u8], Ending> {
        Ok(self.0.start_tls(ahead)?)
    }

    /// The registrar has answered.
    pub fn registered(
        &mut self,
        outcome: Result<(), RegisterError>,
    ) -> Result<&'static [u8], Ending> {
        Ok(self.0.registered(outcome)?)
    }

    /// The component has sent what no stream may hold.
    pub fn xml_error(&mut self, error: &XmlError) -> Ending {
        self.0.xml_error(error).into()
    }

    /// The component has closed its stream, or stopped sending.
    pub fn end(&mut self) -> Ending {
        self.0.end().into()
    }

    /// The negotiation has taken too long.
    pub fn timeout(&mut self) -> Ending {
        self.0.timeout().into()
    }

    /// The component has sent too much before its handshake.
    pub fn flooded(&mut self) -> Ending {
        self.0.flooded().into()
    }
}

// === impl Ending ===

impl From<Farewell> for Ending {
    fn from(farewell: Farewell) -> Self {
        Self {
            bytes: farewell.bytes,
            condition: farewell.error.map(|error| error.condition),
        }
    }
}
