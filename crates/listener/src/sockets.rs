//! Options of the sockets of a listener.

use std::io;
use std::time::Duration;

use socket2::{Domain as Family, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::ListenerConfig;

/// Silence on a connection after which the system probes it, and the pause between probes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// Bytes that the system takes before they are on their way. Without a bound it takes megabytes for
/// a component that does not read, and all of that counts as written; 128 KiB is far more than the
/// time until the next write needs to keep a fast link busy.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 128 * 1024;

/// A socket that listens where `config` says.
pub(crate) fn listen(config: &ListenerConfig) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Family::for_address(config.address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if config.address.is_ipv6() {
        // Said in so many words: systems differ in what they do otherwise.
        socket.set_only_v6(config.ipv6_only)?;
    }
    // A restarted node must get its port although old connections linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if config.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&config.address.into())?;
    socket.listen(length(config.backlog))?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// A socket that listens already may be told another length.
pub(crate) fn set_backlog(socket: &TcpListener, backlog: u32) {
    if let Err(error) = SockRef::from(socket).listen(length(backlog)) {
        tracing::warn!(%error, backlog, "The backlog cannot be changed");
    }
}

/// Contract S11: what is written goes out at once, and a peer that is gone is noticed.
pub(crate) fn set_options(socket: &TcpStream, config: &ListenerConfig) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(TCP_KEEPALIVE)
            .with_interval(TCP_KEEPALIVE),
    )?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(config.write_timeout))?;
        socket.set_tcp_notsent_lowat(NOT_SENT)?;
    }
    Ok(())
}

fn length(backlog: u32) -> i32 {
    i32::try_from(backlog).unwrap_or(i32::MAX)
}
