use std::fmt;

use super::HostPort;
use super::node::is_name;
use super::value::{Parsed, Value, string};

/// A founder of the cluster: `NAME=HOST:PORT` in `cluster.members`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its `node.name`.
    pub(crate) name: String,
    /// Its `cluster.advertise`.
    pub(crate) address: HostPort,
}

/// Reads one element of `cluster.members`.
pub(crate) fn member(value: Value<'_>) -> Parsed<Member> {
    let text = string(value)?;
    let Some((name, address)) = text.split_once('=') else {
        return value.complain("expected NAME=HOST:PORT, such as \"node1=192.0.2.1:7371\"");
    };
    if !is_name(name) {
        return value.complain("the name before = must be the node.name of a node");
    }
    let address: HostPort = address.parse().or_else(|error| value.complain(error))?;
    if address.is_unspecified() {
        return value.complain("no node can be reached at an unspecified address");
    }
    Ok(Member {
        name: name.to_owned(),
        address,
    })
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.address)
    }
}
