use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use sha1::{Digest, Sha1};

use crate::{Element, History, PATIENCE, SECRET, StreamReader};

/// An XEP-0114 component over a raw socket: sends the bytes it is told to.
#[derive(Debug)]
pub struct Component {
    domain: String,
    sender: ComponentSender,
    receiver: ComponentReceiver,
}

/// The sending half of a [`Component`].
#[derive(Debug)]
pub struct ComponentSender {
    socket: TcpStream,
}

/// The receiving half of a [`Component`].
#[derive(Debug)]
pub struct ComponentReceiver {
    stream: StreamReader,
}

/// A stream whose headers are exchanged and whose handshake is still to come.
#[derive(Debug)]
pub struct Handshaking {
    component: Component,
    /// The server's stream header.
    pub header: Element,
}

// === impl Component ===

impl Component {
    /// Connects, authenticates and is registered when it returns.
    ///
    /// # Errors
    ///
    /// When any of it fails; the message of a stream error is part of the error.
    pub fn connect(address: SocketAddr, domain: &str) -> Result<Self> {
        Self::open(address, domain, "")?.authenticate(SECRET)
    }

    /// Connects as `<prefix>.HOST` of every served host (contract R4).
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    pub fn connect_subdomain(address: SocketAddr, prefix: &str) -> Result<Self> {
        Self::open(address, prefix, " is_subdomain='true'")?.authenticate(SECRET)
    }

    /// Connects and exchanges stream headers. `attributes` go into the header as they are.
    ///
    /// # Errors
    ///
    /// When nobody listens or no header comes back.
    pub fn open(address: SocketAddr, domain: &str, attributes: &str) -> Result<Handshaking> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("no component listener on {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let stream = StreamReader::new(socket.try_clone()?);
        let mut component = Self {
            domain: domain.to_owned(),
            sender: ComponentSender { socket },
            receiver: ComponentReceiver { stream },
        };
        component.send(&format!(
            "<stream:stream xmlns='jabber:component:accept' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'{attributes}>"
        ))?;
        let header = component.receiver.stream.header(PATIENCE)?;
        Ok(Handshaking { component, header })
    }

    /// The domain that it asked for.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Sends bytes, whole stanzas or not.
    ///
    /// # Errors
    ///
    /// When the connection is gone or takes nothing for long.
    pub fn send(&mut self, xml: &str) -> Result<()> {
        self.sender.send(xml)
    }

    /// Sends a message from `x@OWN` to `to`, whose `id` is its body.
    ///
    /// # Errors
    ///
    /// When the connection is gone or takes nothing for long.
    pub fn send_message(&mut self, to: &str, body: &str) -> Result<()> {
        let own = &self.domain;
        let message =
            format!("<message from='x@{own}' to='{to}' id='{body}'><body>{body}</body></message>");
        self.send(&message)
    }

    /// The next stanza.
    ///
    /// # Errors
    ///
    /// When none comes for [`PATIENCE`], or the stream has ended.
    pub fn receive(&mut self) -> Result<Element> {
        self.receiver.receive()
    }

    /// The next stanza; `None` if none is there after `patience`.
    ///
    /// # Errors
    ///
    /// When the stream has ended.
    pub fn receive_within(&mut self, patience: Duration) -> Result<Option<Element>> {
        self.receiver.receive_within(patience)
    }

    /// The next stanza, which has to be a message with that body and no error.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn receive_message(&mut self, body: &str) -> Result<Element> {
        let stanza = self.receive()?;
        let is_it = stanza.name == "message"
            && stanza.body() == body
            && stanza.attribute("type") != "error";
        ensure!(
            is_it,
            "not the message {body:?} but {}",
            String::from_utf8_lossy(&stanza.raw)
        );
        Ok(stanza)
    }

    /// The next stanza, which has to be an error with that condition and type in answer to stanza
    /// `id` (contract V6).
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn receive_error(&mut self, id: &str, condition: &str, kind: &str) -> Result<Element> {
        let stanza = self.receive()?;
        let is_it =
            stanza.stanza_error() == Some((condition, kind)) && stanza.attribute("id") == id;
        let shown = String::from_utf8_lossy(&stanza.raw);
        ensure!(
            is_it,
            "not {condition} ({kind}) in answer to {id:?} but {shown}"
        );
        Ok(stanza)
    }

    /// Waits for a stream error of that condition, the closing tag and the end of the connection.
    /// The error's text.
    ///
    /// # Errors
    ///
    /// When anything else comes.
    pub fn receive_stream_error(&mut self, condition: &str) -> Result<String> {
        self.receiver.receive_stream_error(condition)
    }

    /// Ends the stream as XMPP wants it, and waits for the server's end.
    ///
    /// # Errors
    ///
    /// When the server does not end its stream, or sends one more stanza.
    pub fn close(mut self) -> Result<()> {
        self.send("</stream:stream>")?;
        self.receiver.stream.end(PATIENCE)
    }

    /// Ends the stream as XMPP wants it. The stanzas that came before the server's end.
    ///
    /// # Errors
    ///
    /// When the server does not end its stream.
    pub fn close_and_receive_rest(mut self) -> Result<Vec<Element>> {
        self.send("</stream:stream>")?;
        self.receiver.stream.rest(PATIENCE)
    }

    /// Two halves for two threads.
    #[must_use]
    pub fn split(self) -> (ComponentSender, ComponentReceiver) {
        (self.sender, self.receiver)
    }
}

// === impl Handshaking ===

impl Handshaking {
    /// Sends the digest of `secret`; registered when it returns.
    ///
    /// # Errors
    ///
    /// When something else than `<handshake/>` comes back.
    pub fn authenticate(self, secret: &str) -> Result<Component> {
        let mut component = self.send_digest(secret)?;
        let answer = component.receive()?;
        ensure!(
            answer.name == "handshake",
            "no handshake but {}",
            String::from_utf8_lossy(&answer.raw)
        );
        Ok(component)
    }

    /// Sends the digest of `secret` and leaves the answer to the caller.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub fn send_digest(mut self, secret: &str) -> Result<Component> {
        let mut hash = Sha1::new();
        hash.update(self.header.attribute("id"));
        hash.update(secret);
        let digest: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.component
            .send(&format!("<handshake>{digest}</handshake>"))?;
        Ok(self.component)
    }
}

// === impl ComponentSender ===

impl ComponentSender {
    /// See [`Component::send`].
    ///
    /// # Errors
    ///
    /// When the connection is gone or takes nothing for long.
    pub fn send(&mut self, xml: &str) -> Result<()> {
        self.socket
            .write_all(xml.as_bytes())
            .context("sending to the node")
    }

    /// Sends the numbered messages of `history` until it is told to stop, no more than `window` of
    /// them ahead of their outcomes.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn keep_sending(
        &mut self,
        (from, to): (&str, &str),
        history: &Mutex<History>,
        window: u64,
        stop: &AtomicBool,
    ) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            if history.lock().outstanding() >= window {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            let number = history.lock().send();
            self.send(&format!(
                "<message from='{from}' to='{to}' id='{number}'><body/></message>"
            ))?;
        }
        Ok(())
    }

    /// Ends the connection in both directions, without a word.
    pub fn abort(&self) {
        // It may be gone already, which is as good.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

// === impl ComponentReceiver ===

impl ComponentReceiver {
    /// See [`Component::receive`].
    ///
    /// # Errors
    ///
    /// When none comes for [`PATIENCE`], or the stream has ended.
    pub fn receive(&mut self) -> Result<Element> {
        let stanza = self.receive_within(PATIENCE)?;
        stanza.with_context(|| format!("no stanza within {PATIENCE:?}"))
    }

    /// The next stanza; `None` if none is there after `patience`.
    ///
    /// # Errors
    ///
    /// When the stream has ended.
    pub fn receive_within(&mut self, patience: Duration) -> Result<Option<Element>> {
        self.stream.element(patience)
    }

    /// See [`Component::receive_stream_error`].
    ///
    /// # Errors
    ///
    /// When anything else comes.
    pub fn receive_stream_error(&mut self, condition: &str) -> Result<String> {
        let element = self.receive()?;
        let shown = String::from_utf8_lossy(&element.raw).into_owned();
        ensure!(element.name == "error", "no stream error but {shown}");
        ensure!(
            element.child(condition).is_some(),
            "not {condition} but {shown}"
        );
        self.stream.end(PATIENCE)?;
        Ok(element
            .child("text")
            .map_or_else(String::new, |text| text.text.clone()))
    }
}
