//! The stream of a component as a state machine (XEP-0114 §3): decisions alone, no sockets.

mod header;
mod start_tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use switchyard_registry::Domain;

use self::start_tls::is_start_tls;
use crate::authenticated::Authenticated;
use crate::farewell::Farewell;
use crate::handshake::{Proof, StreamId, text_of_handshake};
use crate::proxy_protocol::ProxyFault;
use crate::stream_error::{StreamCondition, StreamError};
use crate::tls::TlsMode;
use crate::xml::{
    COMPONENT_ACCEPT, Protocol, STREAMS, StreamHeader, XmlError, XmlErrorKind, escape,
};
use crate::{CloseReason, Component, ListenerConfig, RegisterError, Secrets};

/// The answer to a handshake, once the name is registered (contract S6).
pub(crate) const HANDSHAKE: &[u8] = b"<handshake/>";
/// The answer to `<starttls/>`.
const PROCEED: &[u8] = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
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
    /// The name that the component asks for, once it has.
    asked: Option<Domain>,
    /// Whether TLS has begun.
    in_tls: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    AwaitHeader,
    AwaitHandshake(Component),
    AwaitTls,
    Registering(Component),
    Open,
    Closed,
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(config: Arc<ListenerConfig>, id: StreamId) -> Self {
        let tls = config.tls.as_ref();
        let in_tls = tls.is_some_and(|tls| tls.mode == TlsMode::Tls);
        Self {
            config,
            id,
            state: State::AwaitHeader,
            asked: None,
            in_tls,
        }
    }

    /// TLS has begun, and in it another stream, of which nothing is known yet.
    pub(crate) fn restart(&mut self, id: StreamId) {
        self.id = id;
        self.state = State::AwaitHeader;
        self.in_tls = true;
        self.asked = None;
    }

    /// The name that the component asks for, if it has named one.
    pub(crate) fn asked(&self) -> Option<&Domain> {
        self.asked.as_ref()
    }

    /// The component's header has arrived. Gives the header to answer with, which waits for
    /// nothing (contract S1).
    pub(crate) fn header(&mut self, header: &StreamHeader) -> Result<Bytes, Farewell> {
        if self.state != State::AwaitHeader {
            return Err(self.fail(out_of_order()));
        }
        let domain = match header::check(header) {
            Ok(domain) => domain,
            Err(fault) => {
                self.asked = fault.domain;
                return Err(self.fail(fault.error));
            }
        };
        self.asked = Some(domain.clone());
        let mut out = BytesMut::new();
        let required = self.tls_on_offer() == Some(TlsMode::StartTlsRequired);
        // A client of XEP-0114 that names no version expects a handshake to be answered, and
        // nothing before that. One that must not go on without TLS is told in any case.
        let features = required
            || (self.tls_on_offer().is_some() && header::knows_features(header.version.as_deref()));
        self.write_header(Some(&domain), features, &mut out);
        if features && !header.is_empty {
            write_features(required, &mut out);
        }
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
    /// Gives the component to register, if it is a valid handshake (contract S5) by `secrets`. A
    /// name that nobody can open is refused in the same words as a wrong secret.
    pub(crate) fn handshake(
        &mut self,
        element: &[u8],
        secrets: &Secrets,
    ) -> Result<Authenticated, Farewell> {
        let State::AwaitHandshake(component) = &self.state else {
            return Err(self.fail(out_of_order()));
        };
        let component = component.clone();
        let text = text_of_handshake(element);
        if text.is_some() && self.tls_on_offer() == Some(TlsMode::StartTlsRequired) {
            return Err(self.fail(StreamError::new(
                StreamCondition::PolicyViolation,
                "This port requires TLS: ask for it with <starttls/> before the handshake \
                 (RFC 6120 section 5)",
            )));
        }
        let Some(text) = text else {
            return Err(self.fail(not_authorized(
                "The first element must be <handshake/> (XEP-0114 section 3)",
            )));
        };
        let candidates = secrets.of(&component, &self.config.hosts);
        let secret = match self.id.judge(&candidates, &text) {
            Proof::Valid(secret) => secret,
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
        };
        self.state = State::Registering(component.clone());
        Ok(Authenticated { component, secret })
    }

    /// Whether `element`, the first, asks for TLS where it may begin (RFC 6120 §5.4.2.1).
    pub(crate) fn wants_tls(&self, element: &[u8]) -> bool {
        self.may_start_tls() && is_start_tls(element)
    }

    /// Agrees to TLS. Gives what to write, after which the very next byte belongs to TLS. `ahead`
    /// is what the component has sent behind its request: in plain text, so that nobody knows who
    /// has written it. Nothing of it may be heard of again, and anything but white space, which is
    /// a keepalive, ends the stream.
    pub(crate) fn start_tls(&mut self, ahead: &[u8]) -> Result<&'static [u8], Farewell> {
        if !self.may_start_tls() {
            return Err(self.fail(out_of_order()));
        }
        if ahead.iter().any(|byte| !byte.is_ascii_whitespace()) {
            return Err(self.fail(StreamError::new(
                StreamCondition::PolicyViolation,
                "Nothing may follow <starttls/> before <proceed/> (RFC 6120 section 5.4.2.3)",
            )));
        }
        self.state = State::AwaitTls;
        Ok(PROCEED)
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
        let text = match error.kind {
            XmlErrorKind::LooksLike(Protocol::Tls) => {
                let here = match self.tls_on_offer() {
                    Some(_) => "on this port TLS begins after <starttls/>",
                    None if self.in_tls => "TLS has begun already",
                    None => "this port speaks XMPP without TLS",
                };
                format!("{error}: {here}")
            }
            XmlErrorKind::LooksLike(Protocol::Http) => {
                format!("{error}: this port speaks XMPP for components (XEP-0114)")
            }
            XmlErrorKind::LooksLike(Protocol::Proxy) => {
                format!("{error}: this listener has no proxy_protocol = true")
            }
            _ => error.to_string(),
        };
        self.fail(StreamError::new(error.kind.condition(), text))
    }

    /// The component has closed its stream, or stopped sending.
    pub(crate) fn end(&mut self) -> Farewell {
        let bytes = match self.state {
            State::AwaitHeader | State::AwaitTls | State::Closed => Bytes::new(),
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

    /// The connection does not begin with a header of the PROXY protocol (contract L). A component
    /// that connects past the proxy learns why it is refused.
    pub(crate) fn proxy_refused(&mut self, fault: &ProxyFault) -> Farewell {
        self.fail(StreamError::new(
            StreamCondition::PolicyViolation,
            fault.to_string(),
        ))
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

    /// Ends the stream with `error`. If no header was sent yet, one goes first, from the name that
    /// the component asked for if that is known, else from the first served host, if there is one:
    /// RFC 6120 §4.9.1.3 leaves the choice to the server.
    fn fail(&mut self, error: StreamError) -> Farewell {
        let mut out = BytesMut::new();
        match self.state {
            State::AwaitHeader => {
                let from = self.asked.as_ref().or_else(|| self.config.hosts.first());
                self.write_header(from, false, &mut out);
            }
            State::AwaitTls | State::Closed => {
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

    fn may_start_tls(&self) -> bool {
        let awaited = matches!(self.state, State::AwaitHandshake(_));
        awaited && self.tls_on_offer().is_some()
    }

    /// How TLS may begin, if it may and has not.
    fn tls_on_offer(&self) -> Option<TlsMode> {
        let tls = self.config.tls.as_ref().filter(|_| !self.in_tls);
        tls.map(|tls| tls.mode)
    }

    /// A version is named where features follow (RFC 6120 §4.7.5), and nowhere else: XEP-0114 has
    /// none (contract S1).
    fn write_header(&self, from: Option<&Domain>, features: bool, out: &mut BytesMut) {
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
        out.put_slice(match features {
            true => b"' version='1.0'>",
            false => b"'>",
        });
    }
}

fn write_features(required: bool, out: &mut BytesMut) {
    out.put_slice(b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'");
    out.put_slice(match required {
        true => b"><required/></starttls></stream:features>",
        false => b"/></stream:features>",
    });
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
