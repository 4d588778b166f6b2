use std::net::SocketAddr;

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use switchyard_listener::Listener;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::http::HttpServer;

/// Connections that the system holds for the ports of peers, API and HTTP.
const BACKLOG: i32 = 1024;

/// Every port of a node, bound: nothing is written to disk before all of them are.
#[derive(Debug)]
pub(super) struct Ports {
    /// `cluster.listen`; `None` in a cluster of one.
    pub(super) peers: Option<TcpListener>,
    /// `api.listen`
    pub(super) api: TcpListener,
    /// `http.listen`
    pub(super) http: Option<HttpServer>,
    /// `[[listen.component]]`
    pub(super) components: Vec<Listener>,
}

impl Ports {
    /// Binds the ports of `config`.
    ///
    /// # Errors
    ///
    /// Names the port that cannot be had, its key, and why.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let peers = config
            .cluster
            .as_ref()
            .map(|cluster| bind(cluster.listen, "cluster.listen"));
        let components = config.listener_configs().map(Listener::bind);
        let components = components.collect::<Result<_, _>>()?;
        Ok(Self {
            peers: peers.transpose()?,
            api: bind(config.api.listen, "api.listen")?,
            http: bind_http(config).await?,
            components,
        })
    }

    /// Says where the node listens.
    pub(super) fn log(&self) {
        let say = |purpose, address: Option<SocketAddr>| {
            if let Some(address) = address {
                tracing::info!(%address, purpose, "Listening");
            }
        };
        say(
            "peers",
            self.peers
                .as_ref()
                .and_then(|peers| peers.local_addr().ok()),
        );
        say("API", self.api.local_addr().ok());
        say(
            "HTTP",
            self.http.as_ref().and_then(|http| http.local_addr().ok()),
        );
        for components in &self.components {
            say("components", Some(components.local_addr()));
        }
    }
}

async fn bind_http(config: &Config) -> anyhow::Result<Option<HttpServer>> {
    let Some(http) = &config.http else {
        return Ok(None);
    };
    let bound = HttpServer::bind(http.listen).await;
    bound
        .map(Some)
        .with_context(|| cannot_listen(http.listen, "http.listen"))
}

fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| cannot_listen(address, key))
}

fn cannot_listen(address: SocketAddr, key: &str) -> String {
    format!("cannot listen on {address} ({key})")
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Otherwise a restarted node would wait for the connections of its last life to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
