use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use bytes::{Buf, BytesMut};
use sha1::{Digest, Sha1};
use switchyard_listener::Stanza;
use switchyard_listener::xml::{Framer, Limits, Outcome, StreamHeader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What a component receives: the other half of [`connect`].
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: OwnedReadHalf,
    framer: Framer,
    buffer: BytesMut,
    /// Bytes of `buffer` that hold the stanzas given out last.
    taken: usize,
}

/// Connects as a component (XEP-0114), up to the acknowledged handshake.
pub(crate) async fn connect(
    address: SocketAddr,
    domain: &str,
    password: &str,
) -> anyhow::Result<(Incoming, OwnedWriteHalf)> {
    let connecting = TcpStream::connect(address).await;
    let stream = connecting.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut incoming = Incoming {
        stream: read,
        framer: Framer::new(Limits::default()),
        buffer: BytesMut::new(),
        taken: 0,
    };
    let header = format!(
        "<stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>"
    );
    write.write_all(header.as_bytes()).await?;
    let id = incoming
        .header()
        .await?
        .id
        .context("the stream has no id")?;
    let handshake = format!("<handshake>{}</handshake>", digest(&id, password));
    write.write_all(handshake.as_bytes()).await?;
    incoming.handshake(domain).await?;
    Ok((incoming, write))
}

/// The proof of the handshake (XEP-0114 §3).
fn digest(id: &str, password: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(id);
    sha1.update(password);
    let mut digest = String::new();
    for byte in sha1.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

impl Incoming {
    /// Waits for stanzas, gives those that are whole, and the bytes into which they point.
    ///
    /// # Errors
    ///
    /// When the stream ends or is not XML.
    pub(crate) async fn stanzas(&mut self, stanzas: &mut Vec<Stanza>) -> anyhow::Result<&[u8]> {
        stanzas.clear();
        self.buffer.advance(self.taken);
        self.taken = 0;
        loop {
            let progress = self.framer.read_elements(&self.buffer, usize::MAX, stanzas);
            if !stanzas.is_empty() {
                self.taken = progress.consumed;
                return Ok(&self.buffer[..self.taken]);
            }
            match progress.outcome {
                Outcome::More | Outcome::Limit => {}
                Outcome::End => bail!("the node closed the stream"),
                Outcome::Error(error) => bail!("the node sent bad XML: {error}"),
            }
            self.buffer.advance(progress.consumed);
            self.fill().await?;
        }
    }

    async fn header(&mut self) -> anyhow::Result<StreamHeader> {
        loop {
            if let Some(header) = self.framer.read_header(&self.buffer)? {
                self.buffer.advance(header.len);
                return Ok(header);
            }
            self.fill().await?;
        }
    }

    /// Waits for `<handshake/>`; anything else is the reason why there is none.
    async fn handshake(&mut self, domain: &str) -> anyhow::Result<()> {
        let mut stanzas = Vec::new();
        let bytes = self.stanzas(&mut stanzas).await?;
        match stanzas[..] {
            [only] if only.name.of(bytes) == b"handshake" => Ok(()),
            _ => bail!("{domain} is refused: {}", String::from_utf8_lossy(bytes)),
        }
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        self.buffer.reserve(64 * 1024);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the node closed the connection"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn contract_s5_the_digest_is_the_one_of_xep_0114() {
        let expected = "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e";
        assert_eq!(digest("3BF96D32", "test"), expected);
    }
}
