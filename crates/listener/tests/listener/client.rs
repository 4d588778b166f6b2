//! A component on a raw socket.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use sha1::{Digest, Sha1};
use switchyard_listener::Stanza;
use switchyard_listener::xml::{Framer, Limits, Outcome, StreamHeader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// A test that waits this long has failed.
const HANG: Duration = Duration::from_secs(60);

pub(crate) const SECRET: &str = "secret";

pub(crate) struct Client {
    reading: OwnedReadHalf,
    /// Unless it was split off.
    writing: Option<OwnedWriteHalf>,
    framer: Framer,
    buffer: BytesMut,
    elements: Vec<Stanza>,
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Element(String),
    /// `</stream:stream>`
    End,
    /// The server has closed its side.
    Eof,
}

pub(crate) fn header(to: &str) -> String {
    format!(
        "<stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='{to}'>"
    )
}

pub(crate) fn handshake(id: &str, secret: &str) -> String {
    let digest = hex::encode(Sha1::digest(format!("{id}{secret}")));
    format!("<handshake>{digest}</handshake>")
}

pub(crate) fn message(from: &str, to: &str, number: usize) -> String {
    format!("<message from='{from}' to='{to}' id='{number}'><body>Hello</body></message>")
}

/// The number that [`message`] put into a stanza, or into what it was answered with.
pub(crate) fn number(element: &str) -> usize {
    let (_, rest) = element.split_once(" id='").expect("a numbered stanza");
    let (number, _) = rest.split_once('\'').expect("an attribute has an end");
    number.parse().expect("a number")
}

impl Client {
    pub(crate) async fn dial(address: SocketAddr) -> Self {
        let limits = Limits {
            max_stanza_size: u32::MAX,
            ..Limits::default()
        };
        let (reading, writing) = TcpStream::connect(address).await.unwrap().into_split();
        Self {
            reading,
            writing: Some(writing),
            framer: Framer::new(limits),
            buffer: BytesMut::new(),
            elements: Vec::new(),
        }
    }

    /// Exchanges headers.
    pub(crate) async fn open(address: SocketAddr, to: &str) -> (Self, StreamHeader) {
        let mut client = Self::dial(address).await;
        client.send(&header(to)).await;
        let header = client.header().await;
        (client, header)
    }

    /// Registers `domain`.
    pub(crate) async fn connect(address: SocketAddr, domain: &str) -> Self {
        let mut client = Self::attempt(address, domain, SECRET).await;
        assert_eq!(client.element().await, "<handshake/>");
        client
    }

    /// Asks for `domain`; the answer is not awaited.
    pub(crate) async fn attempt(address: SocketAddr, domain: &str, secret: &str) -> Self {
        let (mut client, header) = Self::open(address, domain).await;
        client.send(&handshake(&header.id.unwrap(), secret)).await;
        client
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        let writing = self.writing.as_mut().expect("not split off");
        let sending = writing.write_all(text.as_ref());
        timeout(HANG, sending)
            .await
            .expect("the server reads")
            .unwrap();
    }

    pub(crate) async fn header(&mut self) -> StreamHeader {
        loop {
            if let Some(header) = self.framer.read_header(&self.buffer).unwrap() {
                self.buffer.advance(header.len);
                return header;
            }
            assert_ne!(self.read().await, 0, "a header is expected");
        }
    }

    /// Stream features, which the framer does not take from anybody.
    pub(crate) async fn features(&mut self) -> String {
        const END: &str = "</stream:features>";
        loop {
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            if let Some((features, _)) = text.split_once(END) {
                self.buffer.advance(features.len() + END.len());
                return features.to_owned();
            }
            assert_ne!(self.read().await, 0, "features are expected");
        }
    }

    pub(crate) async fn next(&mut self) -> Event {
        // Keepalives would hide that nothing else comes.
        let event = timeout(HANG, self.read_event());
        event.await.expect("the server answers")
    }

    async fn read_event(&mut self) -> Event {
        loop {
            self.elements.clear();
            let progress = self
                .framer
                .read_elements(&self.buffer, 1, &mut self.elements);
            let bytes = self.buffer.split_to(progress.consumed);
            if let Some(element) = self.elements.first() {
                let text = element.span.of(&bytes).to_vec();
                return Event::Element(String::from_utf8(text).unwrap());
            }
            match progress.outcome {
                Outcome::More | Outcome::Limit => {}
                Outcome::End => return Event::End,
                Outcome::Error(error) => panic!("the server's stream is broken: {error}"),
            }
            if self.read().await == 0 {
                return Event::Eof;
            }
        }
    }

    pub(crate) async fn element(&mut self) -> String {
        match self.next().await {
            Event::Element(element) => element,
            other => panic!("expected an element, got {other:?}"),
        }
    }

    /// Expects the stream to end, in an error of `condition` if one is given.
    pub(crate) async fn end(&mut self, condition: Option<&str>) {
        if let Some(condition) = condition {
            let error = self.element().await;
            let start = format!("<stream:error><{condition} xmlns=");
            assert!(error.starts_with(&start), "{condition}: {error}");
            assert!(error.contains("<text "), "{error}");
        }
        assert_eq!(self.next().await, Event::End);
        assert_eq!(self.read().await, 0, "the server closes its side");
    }

    /// Reads once, and keeps what comes for later.
    pub(crate) async fn read(&mut self) -> usize {
        self.buffer.reserve(16 * 1024);
        let reading = self.reading.read_buf(&mut self.buffer);
        timeout(HANG, reading)
            .await
            .expect("the server answers")
            .unwrap()
    }

    /// Reads once; the connection may be broken.
    pub(crate) async fn try_read(&mut self) -> std::io::Result<usize> {
        let reading = self.reading.read_buf(&mut self.buffer);
        timeout(HANG, reading).await.expect("the server answers")
    }

    /// Gives the write half away, so that both directions can be used at once.
    pub(crate) fn split(mut self) -> (Self, OwnedWriteHalf) {
        let writing = self.writing.take().expect("not split off");
        (self, writing)
    }

    /// Stops sending without an end tag.
    pub(crate) async fn stop_sending(&mut self) {
        self.writing
            .take()
            .expect("not split off")
            .shutdown()
            .await
            .unwrap();
    }

    /// Breaks the connection with a reset.
    pub(crate) fn reset(self) {
        self.reading.as_ref().set_zero_linger().unwrap();
    }

    /// What has been read and not been looked at.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer
    }
}
