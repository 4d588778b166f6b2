use std::net::SocketAddr;

use switchyard_registry::DEFAULT_VOTERS;

use super::cluster_timings::ClusterTimings;
use super::cluster_tls::ClusterTls;
use super::member::{Member, member};
use super::node::name;
use super::section::Section;
use super::value::{Parsed, Value, boolean, host_port, integer, socket_address};
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
    /// How the node comes to its cluster.
    pub(crate) entry: Entry,
    /// How many voters there should be.
    pub(crate) voters: usize,
    /// Leases and elections.
    pub(crate) timings: ClusterTimings,
    /// TLS between nodes; `None`: they talk in plain text.
    pub(crate) tls: Option<ClusterTls>,
}

/// How a node without data comes to its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It forms the cluster with these, in the order that every founder's file has them in; this
    /// node is among them.
    Members(Vec<Member>),
    /// It asks these to be taken in. None: it waits until an operator adds it.
    Seeds(Vec<HostPort>),
}

/// More would make every registration slower and nothing safer.
const MOST_VOTERS: u64 = 9;

impl Cluster {
    /// Reads the section of the node called `node_name`, if that is known.
    pub(crate) fn read(mut section: Section<'_>, node_name: Option<&str>) -> Option<Self> {
        let name = section.required("name", name);
        let listen = section.required("listen", socket_address);
        let advertise = section.optional("advertise", host_port);
        let members = section.list("members", member);
        let seeds = section.set("seeds", seed);
        let voters = section.optional("voters", voters);
        let timings = ClusterTimings::read(&mut section);
        let insecure = section.optional("insecure", boolean).unwrap_or(false);
        let tls = section.section("tls");
        let is_plain = tls.is_none();
        let tls = tls.map(|tls| ClusterTls::read(tls, node_name));
        let advertise = advertise.or_else(|| listen.map(HostPort::from));
        if let (Some(listen), Some(advertise)) = (listen, &advertise) {
            check_addresses(&section, listen, advertise, insecure || !is_plain);
        }
        let entry = match (members, seeds) {
            (Some(members), None) => {
                let members = check_members(&section, members, node_name, advertise.as_ref());
                Some(Entry::Members(members))
            }
            (None, Some(seeds)) => Some(Entry::Seeds(seeds)),
            (Some(_), Some(_)) => {
                let message = "a founder has no seeds: keep cluster.members if this node forms the \
                               cluster, cluster.seeds if it joins a running one";
                section.error_at_key("seeds", message);
                None
            }
            (None, None) => {
                require_entry(&section);
                None
            }
        };
        let voters = entry
            .as_ref()
            .map(|entry| check_voters(&section, entry, voters));
        section.finish();
        Some(Self {
            name: name?,
            listen: listen?,
            advertise: advertise?,
            entry: entry?,
            voters: voters?,
            timings,
            tls: match tls {
                Some(tls) => Some(tls?),
                None => None,
            },
        })
    }
}

/// Reads one element of `cluster.seeds`.
fn seed(value: Value<'_>) -> Parsed<HostPort> {
    let address = host_port(value)?;
    match address.is_unspecified() {
        true => value.complain("no node can be reached at an unspecified address"),
        false => Ok(address),
    }
}

/// An even number of voters tolerates no more failures than one less.
fn voters(value: Value<'_>) -> Parsed<usize> {
    let voters = integer(1..=MOST_VOTERS)(value)?;
    match usize::try_from(voters) {
        Ok(voters) if !voters.is_multiple_of(2) => Ok(voters),
        _ => value.complain("must be odd, such as 3: of an even number no more may fail"),
    }
}

fn require_entry(section: &Section<'_>) {
    if !section.has("members") && !section.has("seeds") {
        let message = "missing key \"cluster.members\" (the nodes that form the cluster) or \
                       \"cluster.seeds\" (nodes of a running cluster that this one joins)";
        section.error_here(message);
    }
}

/// All founders vote; by default as many voters are kept up, and not fewer than three.
fn check_voters(section: &Section<'_>, entry: &Entry, voters: Option<usize>) -> usize {
    let founders = match entry {
        Entry::Members(members) => members.len(),
        Entry::Seeds(_) => 0,
    };
    let Some(voters) = voters else {
        return DEFAULT_VOTERS.max(founders | 1);
    };
    if voters < founders {
        let message = format!(
            "the {founders} founders all vote: say at least as many, or leave nodes out of \
             cluster.members and give them cluster.seeds"
        );
        section.error_at_key("voters", &message);
    }
    voters
}

fn check_addresses(
    section: &Section<'_>,
    listen: SocketAddr,
    advertise: &HostPort,
    may_be_reached: bool,
) {
    if advertise.is_unspecified() {
        let message = "the other nodes cannot reach this one at an unspecified address: \
                       say which address they should use";
        section.error_at_key("advertise", message);
    }
    let local = listen.ip().is_loopback() && advertise.is_loopback();
    if !local && !may_be_reached {
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
