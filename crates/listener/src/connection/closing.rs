//! The end of a connection (contract S3, S10).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::transport::Transport;
use crate::farewell::Farewell;

/// The last bytes must be taken within this time.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Input is drained for no longer than this.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// And no more than so many bytes of it.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;

/// Says farewell, closes the write side, and reads on for a while without looking: to close a
/// socket with input unread makes the system send a reset, which can overtake the farewell.
pub(super) async fn close(transport: Transport, farewell: &Farewell) {
    let Transport {
        mut reading,
        mut writing,
    } = transport;
    let said = timeout(FAREWELL_TIMEOUT, async {
        writing.write_all(&farewell.bytes).await?;
        writing.shutdown().await
    });
    if matches!(said.await, Ok(Ok(()))) {
        // How it ends makes no difference: by the component's close, an error, or a bound.
        let _ended = timeout(DRAIN_TIMEOUT, drain(&mut reading)).await;
    }
}

/// Closes the write side of a socket on which TLS has said why it fails, and drains it likewise.
pub(super) async fn close_behind_alert(mut socket: TcpStream) {
    if matches!(
        timeout(FAREWELL_TIMEOUT, socket.shutdown()).await,
        Ok(Ok(()))
    ) {
        let _ended = timeout(DRAIN_TIMEOUT, drain(&mut socket)).await;
    }
}

/// Reads without looking, to the end of the input or a bound.
pub(super) async fn drain(reading: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut scratch = vec![0; 16 * 1024];
    let mut drained = 0;
    while drained < DRAIN_BYTES {
        match reading.read(&mut scratch).await? {
            0 => break,
            read => drained += read,
        }
    }
    Ok(())
}
