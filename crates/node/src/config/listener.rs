use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use switchyard_listener::{AccessRule, ConflictBehaviour, ConflictScope, ListenerConfig};
use switchyard_registry::Domain;

use super::access::AccessRules;
use super::section::Section;
use super::shaper::Shapers;
use super::value::{
    Parsed, Value, boolean, integer, millis_or_infinity, one_of, port, positive_or_infinity,
    string, whole_or_infinity,
};
use super::{ComponentTls, ListenerSecrets};

/// Default of `access`: the rule that admits everybody.
const ALL: &str = "all";

/// Default of `max_stanza_size`, in bytes.
const DEFAULT_MAX_STANZA_SIZE: u32 = 1 << 20;

/// Default of `state_timeout`.
const DEFAULT_STATE_TIMEOUT: Duration = Duration::from_secs(5);

/// Default of `keepalive`.
const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(30);

/// Default of `write_timeout`.
const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most that `write_timeout` may be, in milliseconds: a day. What waits for a component that
/// takes no byte is answered no sooner.
const MAX_WRITE_TIMEOUT: u64 = 24 * 3600 * 1000;

/// As good as no timeout, and no clock overflows by it.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Default of `backlog`.
const DEFAULT_BACKLOG: u32 = 1024;

/// `[[listen.component]]`: a port for components (contract L).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComponentListener {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What components prove to know.
    pub(crate) secrets: ListenerSecrets,
    /// Whether open connections end when their secret is not valid any more.
    pub(crate) disconnect_revoked: bool,
    /// Who may send to its components (contract L2).
    pub(crate) access: Arc<AccessRule>,
    /// The name of that rule, and what it says, for people.
    pub(crate) access_shown: String,
    /// Bytes per second that are read from each connection; `None`: as many as come (contract L3).
    pub(crate) max_rate: Option<NonZeroU64>,
    /// The shaper that says so, for people.
    pub(crate) shaper_name: String,
    /// Whether `from` must be at the component's own domain (contract V3).
    pub(crate) check_from: bool,
    /// Whether its components are hidden (contract H2).
    pub(crate) hidden_components: bool,
    /// What happens when a name is taken (contract S8).
    pub(crate) conflict_behaviour: ConflictBehaviour,
    /// Where a name may be taken once (contract R3).
    pub(crate) conflict_scope: ConflictScope,
    /// Longest stanza in bytes; `None`: any length (contract X3).
    pub(crate) max_stanza_size: Option<u32>,
    /// How long negotiation may take; `None`: any time (contract S7).
    pub(crate) state_timeout: Option<Duration>,
    /// Silence after which white space is sent; `None`: none is (contract S11).
    pub(crate) keepalive: Option<Duration>,
    /// How long a component may take no byte (contract S11).
    pub(crate) write_timeout: Duration,
    /// Connections that the system may hold before they are accepted.
    pub(crate) backlog: u32,
    /// Connections at the same time; `None`: any number.
    pub(crate) max_connections: Option<usize>,
    /// Whether others may listen there as well.
    pub(crate) reuse_port: bool,
    /// Whether a proxy says first who connects.
    pub(crate) proxy_protocol: bool,
    /// Whether `[::]` leaves IPv4 alone, because something else listens there on the same port.
    pub(crate) ipv6_only: bool,
    /// TLS; `None`: plain text.
    pub(crate) tls: Option<ComponentTls>,
}

impl ComponentListener {
    pub(crate) fn read(
        mut section: Section<'_>,
        rules: &AccessRules<'_>,
        shapers: &Shapers<'_>,
    ) -> Option<Self> {
        let port = section.required("port", port);
        let ip = read_ip(&mut section);
        let secrets = ListenerSecrets::read(&mut section);
        let disconnect_revoked = section.optional("disconnect_revoked", boolean);
        let access = section.optional("access", |name| {
            Ok((rules.rule(name)?, rules.shown(string(name)?)))
        });
        let (access, access_shown) =
            access.unwrap_or_else(|| (AccessRule::default(), ALL.to_owned()));
        let shaper = section.optional("shaper", |name| {
            Ok((shapers.max_rate(name)?, string(name)?.to_owned()))
        });
        let (max_rate, shaper_name) = shaper.unwrap_or_default();
        let check_from = section.optional("check_from", boolean);
        let hidden = section.optional("hidden_components", boolean);
        let conflict = section.optional(
            "conflict_behaviour",
            one_of(&CONFLICT_BEHAVIOURS, conflict_behaviour_name),
        );
        let scope = section.optional(
            "conflict_scope",
            one_of(&CONFLICT_SCOPES, conflict_scope_name),
        );
        let max_stanza_size = section.optional("max_stanza_size", size_or_infinity);
        let state_timeout = section.optional("state_timeout", state_timeout);
        let keepalive = section.optional("keepalive", millis_or_infinity);
        let write_timeout = section.optional("write_timeout", integer(1..=MAX_WRITE_TIMEOUT));
        let backlog = section.optional("backlog", backlog);
        let max_connections = section.optional("max_connections", count_or_infinity);
        let reuse_port = section.optional("reuse_port", boolean);
        let proxy_protocol = section.optional("proxy_protocol", boolean);
        let tls = section.section("tls").map(ComponentTls::read);
        section.optional("proto", one_of(&[()], |()| "tcp"));
        section.optional("num_acceptors", integer(1..=u64::MAX));
        section.optional("hibernate_after", whole_or_infinity);
        let without_meaning = ["num_acceptors", "hibernate_after"];
        section.skip(&without_meaning, "it has no meaning here");
        for (old, advice) in OF_EARLIER_VERSIONS {
            section.refuse_with(old, advice);
        }
        section.finish();
        Some(Self {
            address: SocketAddr::new(ip?, port?),
            secrets: secrets?,
            disconnect_revoked: disconnect_revoked.unwrap_or(false),
            access: Arc::new(access),
            access_shown,
            max_rate,
            shaper_name,
            check_from: check_from.unwrap_or(true),
            hidden_components: hidden.unwrap_or(false),
            conflict_behaviour: conflict.unwrap_or_default(),
            conflict_scope: scope.unwrap_or_default(),
            max_stanza_size: max_stanza_size.unwrap_or(Some(DEFAULT_MAX_STANZA_SIZE)),
            state_timeout: state_timeout.unwrap_or(Some(DEFAULT_STATE_TIMEOUT)),
            keepalive: keepalive.unwrap_or(Some(DEFAULT_KEEPALIVE)),
            write_timeout: write_timeout.map_or(DEFAULT_WRITE_TIMEOUT, Duration::from_millis),
            backlog: backlog.unwrap_or(DEFAULT_BACKLOG),
            max_connections: max_connections.unwrap_or(None),
            reuse_port: reuse_port.unwrap_or(false),
            proxy_protocol: proxy_protocol.unwrap_or(false),
            ipv6_only: false,
            tls: match tls {
                Some(tls) => Some(tls?),
                None => None,
            },
        })
    }

    /// The keys whose values, or what they refer to, differ from `old`.
    pub(crate) fn changes_since(&self, old: &Self) -> Vec<&'static str> {
        // Whoever adds a key has to name it here.
        let Self {
            address,
            secrets,
            disconnect_revoked,
            access,
            max_rate,
            // What they say is compared, not how they are called.
            access_shown: _,
            shaper_name: _,
            check_from,
            hidden_components,
            conflict_behaviour,
            conflict_scope,
            max_stanza_size,
            state_timeout,
            keepalive,
            write_timeout,
            backlog,
            max_connections,
            reuse_port,
            proxy_protocol,
            // Follows from the addresses of all listeners, and is settled when one is bound.
            ipv6_only: _,
            tls,
        } = self;
        let mut changes = secrets.changes_since(&old.secrets);
        let others = [
            ("ip_address", *address == old.address),
            (
                "disconnect_revoked",
                *disconnect_revoked == old.disconnect_revoked,
            ),
            ("access", *access == old.access),
            ("shaper", *max_rate == old.max_rate),
            ("check_from", *check_from == old.check_from),
            (
                "hidden_components",
                *hidden_components == old.hidden_components,
            ),
            (
                "conflict_behaviour",
                *conflict_behaviour == old.conflict_behaviour,
            ),
            ("conflict_scope", *conflict_scope == old.conflict_scope),
            ("max_stanza_size", *max_stanza_size == old.max_stanza_size),
            ("state_timeout", *state_timeout == old.state_timeout),
            ("keepalive", *keepalive == old.keepalive),
            ("write_timeout", *write_timeout == old.write_timeout),
            ("backlog", *backlog == old.backlog),
            ("max_connections", *max_connections == old.max_connections),
            ("reuse_port", *reuse_port == old.reuse_port),
            ("proxy_protocol", *proxy_protocol == old.proxy_protocol),
            ("tls", *tls == old.tls),
        ];
        let changed = others.into_iter().filter(|(_, is_same)| !is_same);
        changes.extend(changed.map(|(key, _)| key));
        changes
    }

    /// What the listener crate needs to serve it, on a router that serves `hosts` itself.
    pub(crate) fn listener_config(&self, hosts: Arc<[Domain]>) -> ListenerConfig {
        let mut config = ListenerConfig::new(self.address, self.secrets.secrets());
        config.hosts = hosts;
        config.disconnect_revoked = self.disconnect_revoked;
        config.access = Arc::clone(&self.access);
        config.max_rate = self.max_rate;
        config.check_from = self.check_from;
        config.hidden_components = self.hidden_components;
        config.conflict = self.conflict_behaviour;
        config.conflict_scope = self.conflict_scope;
        config.max_stanza_size = self.max_stanza_size.unwrap_or(u32::MAX);
        config.state_timeout = self.state_timeout.unwrap_or(A_YEAR);
        config.keepalive = self.keepalive.unwrap_or(A_YEAR);
        config.write_timeout = self.write_timeout;
        config.backlog = self.backlog;
        config.max_connections = self.max_connections;
        config.reuse_port = self.reuse_port;
        config.proxy_protocol = self.proxy_protocol;
        config.ipv6_only = self.ipv6_only;
        config.tls = self.tls.as_ref().map(|tls| tls.tls.clone());
        config
    }
}

/// Options that MongooseIM had before version 6.4, and what became of them.
const OF_EARLIER_VERSIONS: [(&str, &str); 2] = [
    ("shaper_rule", "is called shaper since MongooseIM 6.4"),
    (
        "max_fsm_queue",
        "is gone since MongooseIM 6.4: what waits for a component is bounded anyway",
    ),
];

const CONFLICT_BEHAVIOURS: [ConflictBehaviour; 2] =
    [ConflictBehaviour::Disconnect, ConflictBehaviour::KickOld];

/// The name in a configuration file.
pub(crate) const fn conflict_behaviour_name(behaviour: ConflictBehaviour) -> &'static str {
    match behaviour {
        ConflictBehaviour::Disconnect => "disconnect",
        ConflictBehaviour::KickOld => "kick_old",
    }
}

const CONFLICT_SCOPES: [ConflictScope; 2] = [ConflictScope::Node, ConflictScope::Cluster];

/// The name in a configuration file.
const fn conflict_scope_name(scope: ConflictScope) -> &'static str {
    match scope {
        ConflictScope::Node => "node",
        ConflictScope::Cluster => "cluster",
    }
}

/// `ip_address`, or all addresses of `ip_version`; `None` if they are wrong.
fn read_ip(section: &mut Section<'_>) -> Option<IpAddr> {
    let given = section.value("ip_address").is_some();
    let address = section.optional("ip_address", ip_address);
    let version = section.optional("ip_version", integer(0..=255));
    if version.is_some_and(|version| version != 4 && version != 6) {
        section.error_at_key("ip_version", "must be 4 or 6");
        return None;
    }
    let Some(address) = address else {
        return match version {
            _ if given => None,
            Some(6) => Some(Ipv6Addr::UNSPECIFIED.into()),
            _ => Some(Ipv4Addr::UNSPECIFIED.into()),
        };
    };
    let version_of_address = if address.is_ipv4() { 4 } else { 6 };
    if version.is_some_and(|version| version != version_of_address) {
        section.error_at_key("ip_version", "contradicts ip_address");
    }
    Some(address)
}

fn ip_address(value: Value<'_>) -> Parsed<IpAddr> {
    let text = string(value)?;
    text.parse()
        .or_else(|_| value.complain("expected an IP address, such as \"127.0.0.1\""))
}

/// A size from 4 GiB up is as good as infinite.
fn size_or_infinity(value: Value<'_>) -> Parsed<Option<u32>> {
    let size = positive_or_infinity(value)?;
    Ok(size.and_then(|size| u32::try_from(size).ok()))
}

fn count_or_infinity(value: Value<'_>) -> Parsed<Option<usize>> {
    let count = positive_or_infinity(value)?;
    Ok(count.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
}

fn state_timeout(value: Value<'_>) -> Parsed<Option<Duration>> {
    if whole_or_infinity(value) == Ok(Some(0)) {
        return value.complain(
            "within 0 milliseconds nobody could connect: give a positive number, or \"infinity\"",
        );
    }
    millis_or_infinity(value)
}

/// As with MongooseIM, the system makes what it can of any number: 0 is the least that it does, and
/// `net.core.somaxconn` the most.
fn backlog(value: Value<'_>) -> Parsed<u32> {
    let backlog = integer(0..=u64::MAX)(value)?;
    Ok(u32::try_from(backlog).unwrap_or(u32::MAX))
}
