use std::net::SocketAddr;

use super::member::{Member, member};
use super::node::name;
use super::section::Section;
use super::value::{boolean, host_port, socket_address};
use super::{HostPort, refuse_plaintext};

/// `[cluster]`: the other nodes. Left out: a cluster of one, which needs no port for peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// Its name, the same on every node.
    pub(crate) name: String,
    /// Where peers are listened for: Raft, leases, links.
    pub(crate) listen: SocketAddr,
    /// Where the others reach this node.
    pub(crate) advertise: HostPort,
    /// The founders, in the order that every node's file has them in; this node is among them.
    pub(crate) members: Vec<Member>,
}

/// Keys of a later version.
const LATER: [&str; 2] = ["tls", "voters"];

impl Cluster {
    /// Reads the section of the node called `node_name`, if that is known.
    pub(crate) fn read(mut section: Section<'_>, node_name: Option<&str>) -> Option<Self> {
        let name = section.required("name", name);
        let listen = section.required("listen", socket_address);
        let advertise = section.optional("advertise", host_port);
        section.require("members");
        let members = section.list("members", member);
        let insecure = section.optional("insecure", boolean).unwrap_or(false);
        for key in LATER {
            section.refuse_unless(key, |_| false);
        }
        let advertise = advertise.or_else(|| listen.map(HostPort::from));
        if let (Some(listen), Some(advertise)) = (listen, &advertise) {
            check_addresses(&section, listen, advertise, insecure);
        }
        let members =
            members.map(|members| check_members(&section, members, node_name, advertise.as_ref()));
        section.finish();
        Some(Self {
            name: name?,
            listen: listen?,
            advertise: advertise?,
            members: members?,
        })
    }
}

fn check_addresses(
    section: &Section<'_>,
    listen: SocketAddr,
    advertise: &HostPort,
    insecure: bool,
) {
    if advertise.is_unspecified() {
        let message = "the other nodes cannot reach this one at an unspecified address: \
                       say which address they should use";
        section.error_at_key("advertise", message);
    }
    let local = listen.ip().is_loopback() && advertise.is_loopback();
    if !local && !insecure {
        refuse_plaintext(section, "listen", "cluster");
    }
}

/// Checks the founders against each other and against this node.
fn check_members(
    section: &Section<'_>,
    members: Vec<(usize, Member)>,
    node_name: Option<&str>,
    advertise: Option<&HostPort>,
) -> Vec<Member> {
    let mut checked: Vec<Member> = Vec::with_capacity(members.len());
    for (at, member) in members {
        if checked.iter().any(|other| other.name == member.name) {
            section.error(at, "members", "this name is in the list twice");
        } else if checked.iter().any(|other| other.address == member.address) {
            section.error(at, "members", "this address is in the list twice");
        }
        let is_self = node_name == Some(member.name.as_str());
        if is_self && advertise.is_some_and(|advertise| *advertise != member.address) {
            let message = "the address of this node differs from cluster.advertise";
            section.error(at, "members", message);
        }
        checked.push(member);
    }
    if let Some(node_name) = node_name
        && !checked.iter().any(|member| member.name == node_name)
    {
        let message = format!("this node, \"{node_name}\", is not in the list");
        section.error_at_key("members", &message);
    }
    if checked.len().is_multiple_of(2) {
        let message = "an even number of founders tolerates no more failures than one less";
        section.warn_at_key("members", message);
    }
    checked
}
