//! A component that speaks TLS.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use switchyard_listener::tls::rustls::ClientConfig;
use switchyard_listener::tls::rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Client, header};
use crate::fixture::bounded;
use crate::pki::SERVER_NAME;

/// Negotiates TLS over `socket`.
pub(crate) async fn secure(
    socket: TcpStream,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    let connecting = TlsConnector::from(config).connect(name, socket);
    bounded("TLS is negotiated", connecting).await
}

pub(crate) async fn connect(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    secure(TcpStream::connect(address).await?, config).await
}

/// Whether the listener lets `config` in: in TLS 1.3 a client hears of it only by what follows.
pub(crate) async fn is_let_in(address: SocketAddr, config: Arc<ClientConfig>) -> bool {
    let answered = async {
        let mut session = connect(address, config).await?;
        session.write_all(header("a.example").as_bytes()).await?;
        session.read(&mut [0; 64]).await
    };
    matches!(bounded("an answer", answered).await, Ok(1..))
}

/// A client whose bytes travel over `session`; and how the session ends: well, if both sides say
/// goodbye to TLS.
pub(crate) async fn client_over(
    mut session: TlsStream<TcpStream>,
) -> (Client, JoinHandle<io::Result<()>>) {
    let bridge = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = bridge.local_addr().unwrap();
    let bridged = tokio::spawn(async move {
        let (mut socket, _) = bridge.accept().await?;
        copy_bidirectional(&mut socket, &mut session).await?;
        Ok(())
    });
    (Client::dial(address).await, bridged)
}

/// Reads from `socket` until `end` has come, and nothing may come behind it.
pub(crate) async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let reading = socket.read_u8();
        let byte = bounded("an answer", reading).await;
        text.push(char::from(
            byte.unwrap_or_else(|error| panic!("{error}: {text}")),
        ));
    }
    text
}
