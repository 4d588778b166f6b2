use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, bail};

use super::args::HealthArgs;
use super::exit::Failure;
use crate::config;
use crate::http_client;

/// Asks a node whether it is ready; for health checks of containers.
pub(crate) fn run(args: &HealthArgs) -> Result<(), Failure> {
    let address = match &args.config {
        Some(file) => {
            let http = config::load(file)?.config.http;
            let http = http.context("the configuration has no [http] section to ask")?;
            reachable(http.listen)
        }
        None => args.http,
    };
    Ok(super::block_on(ask(address))?)
}

async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let response = http_client::get(address, "/readyz")
        .await
        .with_context(|| {
            format!("cannot ask http://{address}/readyz (is a node with [http] running there?)")
        })?;
    let body = response.body.trim();
    match response.status {
        200 => println!("ready"),
        503 => bail!("not ready: {body}"),
        status => bail!("http://{address}/readyz answers with status {status}"),
    }
    Ok(())
}

/// Where to connect to for something that listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
