use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use switchyard_listener::{ConflictBehaviour, ListenerConfig, Secret};
use switchyard_registry::Domain;
use toml::de::DeValue;

use super::section::Section;
use super::value::{
    Parsed, Value, boolean, integer, millis_or_infinity, one_of, port, positive_or_infinity,
    string, text,
};

/// Default of `max_stanza_size`, in bytes.
const DEFAULT_MAX_STANZA_SIZE: u32 = 1 << 20;

/// Default of `state_timeout`.
const DEFAULT_STATE_TIMEOUT: Duration = Duration::from_secs(5);

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
    pub(crate) password: Secret,
    /// Whether `from` must be at the component's own domain (contract V3).
    pub(crate) check_from: bool,
    /// Whether its components are hidden (contract H2).
    pub(crate) hidden_components: bool,
    /// What happens when a name is taken (contract S8).
    pub(crate) conflict_behaviour: ConflictBehaviour,
    /// Longest stanza in bytes; `None`: any length (contract X3).
    pub(crate) max_stanza_size: Option<u32>,
    /// How long negotiation may take; `None`: any time (contract S7).
    pub(crate) state_timeout: Option<Duration>,
    /// Connections that the system may hold before they are accepted.
    pub(crate) backlog: u32,
}

impl ComponentListener {
    pub(crate) fn read(mut section: Section<'_>) -> Option<Self> {
        let port = section.required("port", port);
        let ip = read_ip(&mut section);
        let password = section.required("password", text);
        let check_from = section.optional("check_from", boolean);
        let hidden = section.optional("hidden_components", boolean);
        let conflict = section.optional(
            "conflict_behaviour",
            one_of(&CONFLICT_BEHAVIOURS, conflict_behaviour_name),
        );
        let max_stanza_size = section.optional("max_stanza_size", size_or_infinity);
        let state_timeout = section.optional("state_timeout", millis_or_infinity);
        let backlog = section.optional("backlog", backlog);
        section.optional("proto", one_of(&[()], |()| "tcp"));
        let without_meaning = ["num_acceptors", "hibernate_after"];
        section.skip(&without_meaning, "it has no meaning here");
        refuse_what_comes_later(&mut section);
        section.finish();
        Some(Self {
            address: SocketAddr::new(ip?, port?),
            password: Secret::new(&password?),
            check_from: check_from.unwrap_or(true),
            hidden_components: hidden.unwrap_or(false),
            conflict_behaviour: conflict.unwrap_or_default(),
            max_stanza_size: max_stanza_size.unwrap_or(Some(DEFAULT_MAX_STANZA_SIZE)),
            state_timeout: state_timeout.unwrap_or(Some(DEFAULT_STATE_TIMEOUT)),
            backlog: backlog.unwrap_or(DEFAULT_BACKLOG),
        })
    }

    /// What the listener crate needs to serve it, on a router that serves `hosts` itself.
    pub(crate) fn listener_config(&self, hosts: Arc<[Domain]>) -> ListenerConfig {
        let mut config = ListenerConfig::new(self.address, self.password.clone());
        config.hosts = hosts;
        config.check_from = self.check_from;
        config.hidden_components = self.hidden_components;
        config.conflict = self.conflict_behaviour;
        config.max_stanza_size = self.max_stanza_size.unwrap_or(u32::MAX);
        config.state_timeout = self.state_timeout.unwrap_or(A_YEAR);
        config.backlog = self.backlog;
        config
    }
}

const CONFLICT_BEHAVIOURS: [ConflictBehaviour; 2] =
    [ConflictBehaviour::Disconnect, ConflictBehaviour::KickOld];

/// The name in a configuration file.
pub(crate) const fn conflict_behaviour_name(behaviour: ConflictBehaviour) -> &'static str {
    match behaviour {
        ConflictBehaviour::Disconnect => "disconnect",
        ConflictBehaviour::KickOld => "kick_old",
    }
}

/// Options whose default is what happens in this version, and which are refused with another
/// value: an option that protects must never be ignored.
fn refuse_what_comes_later(section: &mut Section<'_>) {
    let is = |expected: &'static str| move |value: &DeValue<'_>| value.as_str() == Some(expected);
    let is_false = |value: &DeValue<'_>| value.as_bool() == Some(false);
    section.refuse_unless("access", is("all"));
    section.refuse_unless("conflict_scope", is("node"));
    section.refuse_unless("max_connections", is("infinity"));
    section.refuse_unless("password_file", |_| false);
    section.refuse_unless("proxy_protocol", is_false);
    section.refuse_unless("reuse_port", is_false);
    section.refuse_unless("shaper", is("none"));
    section.refuse_unless("tls", |_| false);
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

fn backlog(value: Value<'_>) -> Parsed<u32> {
    let backlog = integer(1..=65_535)(value)?;
    Ok(u32::try_from(backlog).unwrap_or(DEFAULT_BACKLOG))
}
