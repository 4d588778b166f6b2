use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sha1::{Digest, Sha1};

/// A component with nothing between it and its socket, so that the load costs little.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its domain.
    pub(crate) domain: String,
    /// Its stream, past the handshake.
    pub(crate) socket: TcpStream,
    /// From `<handshake>` sent to `<handshake/>` received: the registration is committed.
    pub(crate) registered_in: Duration,
}

impl Client {
    /// Connects and authenticates with the fixture's password.
    pub(crate) fn connect(address: SocketAddr, domain: &str) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        write!(
            socket,
            "<stream:stream xmlns='jabber:component:accept' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>"
        )?;
        read_until(&mut socket, "<stream:stream")?;
        let header = read_until(&mut socket, ">")?;
        let id = header
            .split_once("id=")
            .and_then(|(_, rest)| rest.get(1..)?.split(['\'', '"']).next())
            .context("no id in the stream header")?;
        let asked = Instant::now();
        let digest = Sha1::digest(format!("{id}{}", switchyard_tests::SECRET));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(socket, "<handshake>{digest}</handshake>")?;
        let answer = read_until(&mut socket, "/>")?;
        if !answer.contains("<handshake") {
            bail!("{domain} was refused: {answer}");
        }
        Ok(Self {
            domain: domain.to_owned(),
            socket,
            registered_in: asked.elapsed(),
        })
    }
}

fn read_until(socket: &mut TcpStream, end: &str) -> Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) {
        socket.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    Ok(String::from_utf8(text)?)
}
