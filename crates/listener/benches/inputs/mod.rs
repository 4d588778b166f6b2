//! What the benchmarks of the framer read.

use switchyard_listener::xml::{Framer, Limits};

const HEADER: &[u8] = b"<stream:stream xmlns='jabber:component:accept' \
     xmlns:stream='http://etherx.jabber.org/streams' to='a.example'>";

/// What one read from a socket may bring.
const CHUNK: usize = 64 * 1024;

fn message(body: &str) -> String {
    format!(
        "<message from='gateway.a.example/bot' to='user@b.example/phone' id='0000001' \
         type='chat'><body>{body}</body></message>"
    )
}

/// With what clients add to a message of about 300 bytes in all.
pub(crate) fn chat(body: &str) -> String {
    format!(
        "<message from='u1@a.example/bot' to='user@b.example' id='4f1b2' type='chat'>\
         <body>{body}</body><active xmlns='http://jabber.org/protocol/chatstates'/>\
         <request xmlns='urn:xmpp:receipts'/></message>"
    )
}

/// The same stanza again and again, as many bytes as one read may bring.
pub(crate) fn chunk_of(stanza: &str) -> Vec<u8> {
    stanza.as_bytes().repeat((CHUNK / stanza.len()).max(1))
}

/// A framer that has read a stream header.
pub(crate) fn framer() -> Framer {
    let mut framer = Framer::new(Limits::default());
    let header = framer.read_header(HEADER);
    assert!(header.is_ok_and(|header| header.is_some()));
    framer
}

/// Names and stanzas.
pub(crate) fn stanzas() -> [(&'static str, String); 6] {
    [
        ("210B", message(&"x".repeat(92))),
        ("300B", chat(&"hello, world! ".repeat(6))),
        ("1KiB", message(&"hello, world! ".repeat(64))),
        ("10kB", message(&"hello, world! ".repeat(700))),
        ("1KiB_cyrillic", message(&"привет, мир! ".repeat(40))),
        ("1KiB_nested", message(&"<a b='1'><c/></a>".repeat(50))),
    ]
}
