use std::net::SocketAddr;

use super::problem::Problems;

/// The addresses that a file asks to listen on: no two of them may be the same.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<Wanted>);

/// An address to listen on.
#[derive(Debug)]
struct Wanted {
    address: SocketAddr,
    /// The section that wants it.
    by: String,
    reuse_port: bool,
    /// Where it says so; `None`: nowhere, it is the default.
    at: Option<usize>,
}

impl Sockets {
    /// Adds an address of the section `name`, which stands at byte `at`.
    pub(crate) fn add(
        &mut self,
        address: SocketAddr,
        name: &str,
        at: Option<usize>,
        problems: &Problems,
    ) {
        let wanted = Wanted {
            address,
            by: name.to_owned(),
            reuse_port: false,
            at,
        };
        self.want(wanted, problems);
    }

    /// Adds the address of a listener with `reuse_port`: it may overlap with another such, as
    /// `0.0.0.0` does with `127.0.0.1`, and the system prefers the one that is more specific. The
    /// same address twice in one file is a mistake nevertheless, and one in MongooseIM: which of
    /// the two listeners a connection gets would be left to chance.
    pub(crate) fn add_shared(
        &mut self,
        address: SocketAddr,
        name: &str,
        at: Option<usize>,
        problems: &Problems,
    ) {
        let wanted = Wanted {
            address,
            by: name.to_owned(),
            reuse_port: true,
            at,
        };
        self.want(wanted, problems);
    }

    /// Whether anything listens on `port` by IPv4.
    pub(crate) fn has_ipv4_on(&self, port: u16) -> bool {
        let mut addresses = self.0.iter().map(|wanted| wanted.address);
        addresses.any(|address| address.is_ipv4() && address.port() == port)
    }

    fn want(&mut self, wanted: Wanted, problems: &Problems) {
        let taken = self.0.iter().find(|other| other.collides_with(&wanted));
        if let Some(other) = taken {
            let place = match other.at {
                Some(at) => format!("line {}", problems.line(at)),
                None => "the default".to_owned(),
            };
            let message = format!(
                "{} listens on {}, and so does {} on {} ({place})",
                wanted.by, wanted.address, other.by, other.address
            );
            problems.error(wanted.at, message);
        }
        self.0.push(wanted);
    }
}

impl Wanted {
    fn collides_with(&self, other: &Self) -> bool {
        match self.reuse_port && other.reuse_port {
            true => self.address == other.address,
            false => overlap(self.address, other.address),
        }
    }
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && same_ip
}
