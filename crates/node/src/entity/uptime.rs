//! Last Activity (XEP-0012) of a server: how long it has been up.

use std::io;
use std::time::Duration;

use super::reply::Payload;

/// `jabber:iq:last`
pub(super) const NAMESPACE: &str = "jabber:iq:last";

/// Writes the uptime in whole seconds.
pub(super) fn write(writer: &mut Payload, uptime: Duration) -> io::Result<()> {
    let seconds = uptime.as_secs().to_string();
    writer
        .create_element("query")
        .with_attributes([("xmlns", NAMESPACE), ("seconds", seconds.as_str())])
        .write_empty()?;
    Ok(())
}
