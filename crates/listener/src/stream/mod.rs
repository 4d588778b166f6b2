//! The stream of a component as a state machine (XEP-0114 §3): decisions alone, no sockets.

mod header;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use switchyard_registry::Domain;

use crate::farewell::Farewell;
use crate::handshake::{Proof, StreamId, text_of_handshake};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{
    COMPONENT_ACCEPT, Protocol, STREAMS, StreamHeader, XmlError, XmlErrorKind, escape,
};
use crate::{CloseReason, Component, ListenerConfig, RegisterError};

/// The answer to a handshake, once the name is registered (contract S6).
pub(crate) const HANDSHAKE: &[u8] = b"<handshake/>";
const END: &[u8] = b"</stream:stream>";

/// One stream, from the first byte to the last.
///
/// [`Self::header`], [`Self::handshake`] and [`Self::registered`] lead to an open stream, in that
/// order; everything else ends it and gives the [`Farewell`].
#[derive(Debug)]
pub(crate) struct Stream {
    config: Arc<ListenerConfig>,
    id: StreamId,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    AwaitHeader,
    AwaitHandshake(Component),
    Registering(Component),
    Open,
    Closed,
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(config: Arc<ListenerConfig>, id: StreamId) -> Self {
        Self {
            config,
            id,
            state: State::AwaitHeader,
        }
    }

    /// The component's header has arrived. Gives the header to answer with, which waits for
    /// nothing (contract S1).
    pub(crate) fn header(&mut self, header: &StreamHeader) -> Result<Bytes, Farewell> {
        let domain = match header::check(header) {
            Ok(domain) => domain,
            Err(fault) => return Err(self.fail_for(fault.domain.as_ref(), fault.error)),
        };
        let mut out = BytesMut::new();
        self.write_header(Some(&domain), &mut out);
        if header.is_empty {
            out.put_slice(END);
            self.state = State::Closed;
            return Err(Farewell {
                bytes: out.freeze(),
                error: None,
            });
        }
        self.state = State::AwaitHandshake(Component {
            domain,
            is_subdomain: header.is_subdomain,
            hidden: self.config.hidden_components,
        });
        Ok(out.freeze())
    }

    /// The first element has arrived: `element` needs nothing from the header (contract X5).
    /// Gives the component to register, if it is a valid handshake (contract S5).
    pub(crate) fn handshake(&mut self, element: &[u8]) -> Result<Component, Farewell> {
        let State::AwaitHandshake(component) = &self.state else {
            return Err(self.fail(out_of_order()));
        };
        let component = component.clone();
        let Some(text) = text_of_handshake(element) else {
            return Err(self.fail(not_authorized(
                "The first element must be <handshake/> (XEP-0114 section 3)",
            )));
        };
        match self.id.judge(&self.config.password, &text) {
            Proof::Valid => {}
            Proof::NotLowerCase => {
                return Err(self.fail(not_authorized(
                    "The handshake must be in lower-case hexadecimal (XEP-0114 section 3)",
                )));
            }
            Proof::Wrong => {
                return Err(self.fail(not_authorized(
                    "The handshake is not the SHA-1 of stream id and secret: check the secret",
                )));
            }
        }
        self.state = State::Registering(component.clone());
        Ok(component)
    }

    /// The registrar has answered. Gives what to write, alone, before anything else (contract S6).
    pub(crate) fn registered(
        &mut self,
        outcome: Result<(), RegisterError>,
    ) -> Result<&'static [u8], Farewell> {
        if !matches!(self.state, State::Registering(_)) {
            return Err(self.fail(out_of_order()));
        }
        match outcome {
            Ok(()) => {
                self.state = State::Open;
                Ok(HANDSHAKE)
            }
            Err(RegisterError::Conflict(text)) => {
                Err(self.fail(StreamError::new(StreamCondition::Conflict, text)))
            }
            Err(RegisterError::Unavailable(text)) => {
                Err(self.fail(StreamError::new(StreamCondition::ResourceConstraint, text)))
            }
        }
    }

    /// The component has sent something that no stream may hold (contract X1 to X3, S9).
    pub(crate) fn xml_error(&mut self, error: &XmlError) -> Farewell {
        let condition = match error.kind {
            XmlErrorKind::BadFormat => StreamCondition::BadFormat,
            XmlErrorKind::LooksLike(_) | XmlErrorKind::NotWellFormed => {
                StreamCondition::NotWellFormed
            }
            XmlErrorKind::Policy | XmlErrorKind::SecondHeader => StreamCondition::PolicyViolation,
            XmlErrorKind::Restricted => StreamCondition::RestrictedXml,
            XmlErrorKind::UnsupportedEncoding => StreamCondition::UnsupportedEncoding,
        };
        let text = match error.kind {
            XmlErrorKind::LooksLike(Protocol::Tls) => {
                format!("{error}: this port speaks XMPP without TLS")
            }
            XmlErrorKind::LooksLike(Protocol::Http) => {
                format!("{error}: this port speaks XMPP for components (XEP-0114)")
            }
            XmlErrorKind::LooksLike(Protocol::Proxy) => {
                format!("{error}: this port does not expect the PROXY protocol")
            }
            _ => error.to_string(),
        };
        self.fail(StreamError::new(condition, text))
    }

    /// The component has closed its stream, or stopped sending.
    pub(crate) fn end(&mut self) -> Farewell {
        let bytes = match self.state {
            State::AwaitHeader | State::Closed => Bytes::new(),
            _ => Bytes::from_static(END),
        };
        self.state = State::Closed;
        Farewell { bytes, error: None }
    }

    /// The negotiation has taken longer than `state_timeout` (contract S7).
    pub(crate) fn timeout(&mut self) -> Farewell {
        let error = match self.state {
            State::Registering(_) => StreamError::new(
                StreamCondition::ResourceConstraint,
                "The cluster has not confirmed the registration in time",
            ),
            _ => StreamError::new(
                StreamCondition::ConnectionTimeout,
                "The negotiation has taken too long",
            ),
        };
        self.fail(error)
    }

    /// The component has sent more than anybody may before it is authenticated (contract S7).
    pub(crate) fn flooded(&mut self) -> Farewell {
        self.fail(StreamError::new(
            StreamCondition::PolicyViolation,
            "Too many bytes before the handshake",
        ))
    }

    /// The node ends the stream.
    pub(crate) fn close(&mut self, reason: CloseReason) -> Farewell {
        match reason.stream_error() {
            Some(error) => self.fail(error),
            None => self.end(),
        }
    }

    fn fail(&mut self, error: StreamError) -> Farewell {
        self.fail_for(None, error)
    }

    /// Ends the stream with `error`. If no header was sent yet, one goes first, from the name that
    /// the component asked for if that is known, else from the first served host, if there is one:
    /// RFC 6120 §4.9.1.3 leaves the choice to the server.
    fn fail_for(&mut self, domain: Option<&Domain>, error: StreamError) -> Farewell {
        let mut out = BytesMut::new();
        match self.state {
            State::AwaitHeader => {
                self.write_header(domain.or_else(|| self.config.hosts.first()), &mut out)
            }
            State::Closed => {
                return Farewell {
                    bytes: Bytes::new(),
                    error: None,
                };
            }
            _ => {}
        }
        self.state = State::Closed;
        error.write(&mut out);
        out.put_slice(END);
        Farewell {
            bytes: out.freeze(),
            error: Some(error),
        }
    }

    fn write_header(&self, from: Option<&Domain>, out: &mut BytesMut) {
        out.put_slice(b"<?xml version='1.0'?><stream:stream xmlns='");
        out.put_slice(COMPONENT_ACCEPT.as_bytes());
        out.put_slice(b"' xmlns:stream='");
        out.put_slice(STREAMS.as_bytes());
        if let Some(from) = from {
            out.put_slice(b"' from='");
            escape(from.as_str(), out);
        }
        out.put_slice(b"' id='");
        out.put_slice(self.id.as_str().as_bytes());
        out.put_slice(b"'>");
    }
}

fn not_authorized(text: &'static str) -> StreamError {
    StreamError::new(StreamCondition::NotAuthorized, text)
}

/// An input that the state has no place for: a defect of this crate, not of the component.
fn out_of_order() -> StreamError {
    StreamError::new(
        StreamCondition::InternalServerError,
        "The stream is in another state",
    )
}
