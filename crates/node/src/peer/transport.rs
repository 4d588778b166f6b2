use tonic::transport::{Endpoint, Server};

use super::Timings;

/// Flow-control window of one stream in bytes: what may be under way on a long and fast path.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// The same for a connection, which carries one large stream at a time.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Largest HTTP/2 frame in bytes. The default of 16 KiB makes sixteen of one batch.
const FRAME: u32 = 256 * 1024;

/// Calls that a peer gave up before this node came to accept them. After this node was stopped, or cut
/// off, it finds all of those that its peers have tried meanwhile; the default of 20 would take them for
/// an attack and end the connection, again and again where the machine is busy.
const RESETS: usize = 1000;

/// The settings for connections to `address` (`host:port`), or `None` if it is not one.
pub(super) fn endpoint(address: &str, timings: &Timings) -> Option<Endpoint> {
    let (silence, patience) = timings.keepalive;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .ok()?
        .connect_timeout(timings.connect)
        .http2_keep_alive_interval(silence)
        .keep_alive_timeout(patience)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME);
    Some(endpoint)
}

/// The settings that the server on `cluster.listen` needs for links to be fast, and to notice
/// peers that have vanished.
pub(crate) fn tune(server: Server, timings: &Timings) -> Server {
    let (silence, patience) = timings.keepalive;
    server
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(silence))
        .http2_keepalive_timeout(Some(patience))
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
}
