use std::net::SocketAddr;

use super::problem::Problems;

/// The addresses that a file asks to listen on: no two of them may be the same.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<(SocketAddr, String)>);

impl Sockets {
    /// Adds an address of the section `name`, which stands at byte `at`.
    pub(crate) fn add(
        &mut self,
        address: SocketAddr,
        name: &str,
        at: Option<usize>,
        problems: &Problems,
    ) {
        let taken = self.0.iter().find(|(other, _)| overlap(*other, address));
        if let Some((other, by)) = taken {
            let message = format!("{name} listens on {address}, and so does {by} on {other}");
            problems.error(at, message);
        }
        self.0.push((address, name.to_owned()));
    }
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && same_ip
}
