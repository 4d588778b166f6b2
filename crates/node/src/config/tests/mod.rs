mod access;
mod mistakes;
mod samples;
mod secrets;
mod tls;

use std::path::Path;
use std::time::Duration;

use switchyard_listener::{ConflictBehaviour, ConflictScope, Secret};
use switchyard_registry::OnNoQuorum;

use super::load::{Loaded, parse};
use super::{Config, LogLevel, RoutingModule};

/// The configuration that the other cases vary.
const NODE1: &str = r#"
[general]
hosts = ["Example.org"]
loglevel = "notice"
routing_modules = ["mongoose_router_global", "mongoose_router_localdomain", "mongoose_router_external_localnode", "mongoose_router_external", "mongoose_router_dynamic_domains"]
[node]
name = "node1"
data_dir = "/var/lib/switchyard"
[cluster]
name = "demo"
listen = "127.0.0.1:7371"
advertise = "127.0.0.1:7371"
members = ["node1=127.0.0.1:7371", "node2=127.0.0.1:7372", "node3=127.0.0.1:7373"]
[api]
listen = "127.0.0.1:7381"
[http]
listen = "127.0.0.1:7391"
[[listen.component]]
port = 8888
ip_address = "127.0.0.1"
password = "hunter2"
access = "all"
check_from = true
hidden_components = false
conflict_behaviour = "disconnect"
[[listen.component]]
port = 8889
password = "hunter3"
check_from = false
hidden_components = true
conflict_behaviour = "kick_old"
max_stanza_size = "infinity"
state_timeout = 250
disconnect_revoked = true
[modules.mod_disco]
users_can_see_hidden_services = false
extra_domains = ["Extra.example"]
server_info = [{ name = "abuse-addresses", urls = ["mailto:abuse@example.org"] }, { name = "muc", urls = ["x:y"], modules = ["mod_muc"] }]
"#;

fn load(text: &str) -> Loaded {
    let loaded = parse(Path::new("node1.toml"), text);
    loaded.unwrap_or_else(|error| panic!("{error}"))
}

/// The errors of `text`, a line each.
fn errors(text: &str) -> String {
    match parse(Path::new("node1.toml"), text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_key_has_its_effect() {
    let Loaded { config, warnings } = load(NODE1);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.general.hosts[0].as_str(), "example.org");
    assert_eq!(config.general.loglevel, LogLevel::Notice);
    assert_eq!(config.general.routing_modules, RoutingModule::DEFAULT_CHAIN);
    assert_eq!(config.node.name, "node1");
    let cluster = config.cluster.unwrap();
    assert_eq!(cluster.name, "demo");
    let super::Entry::Members(members) = cluster.entry else {
        panic!("{cluster:?}")
    };
    assert_eq!(cluster.voters, 3);
    assert_eq!(members.len(), 3);
    assert_eq!(members[2].to_string(), "node3=127.0.0.1:7373");
    assert_eq!(config.http.unwrap().listen.port(), 7391);
    let [first, second] = &config.listeners[..] else {
        panic!("{:?}", config.listeners)
    };
    assert_eq!(first.address.to_string(), "127.0.0.1:8888");
    assert_eq!(first.secrets.secrets(), Secret::new("hunter2").into());
    assert!(!first.disconnect_revoked && second.disconnect_revoked);
    assert!(first.check_from && !first.hidden_components);
    assert_eq!(first.conflict_behaviour, ConflictBehaviour::Disconnect);
    assert_eq!(first.max_stanza_size, Some(1_048_576));
    assert_eq!(first.state_timeout, Some(Duration::from_secs(5)));
    assert_eq!(first.keepalive, Some(Duration::from_secs(30)));
    assert_eq!(first.write_timeout, Duration::from_secs(30));
    assert_eq!(second.address.to_string(), "0.0.0.0:8889");
    assert!(!second.check_from && second.hidden_components);
    assert_eq!(second.conflict_behaviour, ConflictBehaviour::KickOld);
    assert_eq!(second.max_stanza_size, None);
    assert_eq!(second.state_timeout, Some(Duration::from_millis(250)));
    assert!(!config.disco.users_can_see_hidden_services);
    assert_eq!(config.disco.extra_domains[0].as_str(), "extra.example");
    assert_eq!(config.disco.server_info.len(), 1);
}

#[test]
fn what_is_left_out_has_a_default() {
    let Loaded { config, warnings } = load("[node]\nname = \"solo\"");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let Config { general, node, .. } = config;
    assert_eq!(general.routing_modules, RoutingModule::DEFAULT_CHAIN);
    assert_eq!(node.data_dir, Path::new("/var/lib/switchyard"));
    assert_eq!(config.cluster, None);
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:7381");
    assert_eq!(config.http, None);
    assert!(config.disco.users_can_see_hidden_services);
}

#[test]
fn contract_l1_a_node_on_its_own_has_a_name_in_a_cluster_it_needs_one() {
    // An empty file may be one that is being written: no reload must close every port for it.
    assert!(errors("").contains("\"node.name\": missing"));
    for text in ["", "[node]\ndata_dir = \"/srv\""] {
        let listen = "[[listen.component]]\nport = 1\npassword = \"x\"\n";
        let Loaded { config, warnings } = load(&format!("{listen}{text}"));
        assert_eq!(config.node.name, "node1");
        let said = "\"node.name\"";
        let said = warnings
            .iter()
            .filter(|warning| warning.contains(said) && warning.ends_with("is called \"node1\""));
        assert_eq!(said.count(), 1, "{warnings:?}");
    }
    let clustered = NODE1.replace(
        "[node]\nname = \"node1\"\ndata_dir = \"/var/lib/switchyard\"",
        "",
    );
    let refused = errors(&clustered);
    assert!(refused.contains("\"node.name\": missing"), "{refused}");
}

#[test]
fn a_data_directory_is_looked_for_beside_the_file() {
    let text = "node = {name = \"n\", data_dir = \"data/n\"}";
    for (file, data_dir) in [
        ("/etc/switchyard/n.toml", "/etc/switchyard/data/n"),
        ("n.toml", "data/n"),
    ] {
        let config = parse(Path::new(file), text).unwrap().config;
        assert_eq!(config.node.data_dir, Path::new(data_dir));
    }
}

#[test]
fn contract_l4_passwords_are_not_shown() {
    let shown = format!("{:?}", load(NODE1));
    assert!(!shown.contains("hunter"), "{shown}");
    let wrong = NODE1.replace("\"hunter2\"", "{ x = \"hunter2\" }");
    let shown = errors(&wrong);
    assert!(shown.contains("listen.component.password"), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn contract_r3_r6_where_names_are_unique_and_what_happens_without_quorum() {
    let text = |registry: &str, option: &str| {
        format!(
            "[node]\nname = \"n\"\n{registry}\n[[listen.component]]\nport = 1\npassword = \"x\"\n{option}"
        )
    };
    let config = load(&text("", "")).config;
    assert_eq!(config.listeners[0].conflict_scope, ConflictScope::Node);
    assert_eq!(config.registry.on_no_quorum, OnNoQuorum::Refuse);
    let given = text(
        "[registry]\non_no_quorum = \"accept_local\"",
        "conflict_scope = \"cluster\"",
    );
    let config = load(&given).config;
    assert_eq!(config.listeners[0].conflict_scope, ConflictScope::Cluster);
    assert_eq!(config.registry.on_no_quorum, OnNoQuorum::AcceptLocal);
    for (wrong, complaint) in [
        (
            text("", "conflict_scope = \"clusters\""),
            "did you mean \"cluster\"?",
        ),
        (
            text("[registry]\non_no_quorum = \"acept_local\"", ""),
            "did you mean \"accept_local\"?",
        ),
        (
            text("[registry]\non_no_quorom = \"refuse\"", ""),
            "unknown key \"registry.on_no_quorom\"",
        ),
    ] {
        let shown = errors(&wrong);
        assert!(shown.contains(complaint), "{shown}");
    }
}

#[test]
fn contract_l_what_mongooseim_says_by_default_is_accepted_without_a_word() {
    for backlog in [0, 100_000] {
        let text =
            format!("listen.component = [{{port = 1, password = \"x\", backlog = {backlog}}}]");
        assert_eq!(load(&text).config.listeners[0].backlog, backlog);
    }
    let defaults = "[node]\nname = \"n\"\n[[listen.component]]\nport = 1\npassword = \"x\"\n\
                    conflict_scope = \"node\"\naccess = \"all\"\nshaper = \"none\"\nproxy_protocol = false\n\
                    reuse_port = false\nmax_connections = \"infinity\"\nproto = \"tcp\"\n\
                    ip_version = 4\nbacklog = 5";
    assert_eq!(load(defaults).warnings, [""; 0]);
}

#[test]
fn contract_s11_keepalive_and_write_timeout_reach_the_listener() {
    let text = "listen.component = [{port = 1, password = \"x\", keepalive = 60_000, \
                write_timeout = 10_000}, {port = 2, password = \"x\", keepalive = \"infinity\"}]";
    let listeners = load(text).config.listeners;
    let [quick, quiet] = &listeners[..] else {
        panic!("{listeners:?}")
    };
    let config = quick.listener_config([].into());
    assert_eq!(config.keepalive, Duration::from_secs(60));
    assert_eq!(config.write_timeout, Duration::from_secs(10));
    let never = quiet.listener_config([].into()).keepalive;
    assert!(never > Duration::from_secs(86_400), "{never:?}");
    let both = ["ip_address", "keepalive", "write_timeout"];
    assert_eq!(quick.changes_since(quiet), both);
}

#[test]
fn contract_l_options_of_sockets_and_connections() {
    let options = |text: &str| {
        let text = format!(
            "[node]\nname = \"n\"\n[[listen.component]]\nport = 8888\npassword = \"x\"\n{text}"
        );
        load(&text).config.listeners
    };
    let listener = &options("max_connections = 10\nreuse_port = true\nproxy_protocol = true")[0];
    assert_eq!(listener.max_connections, Some(10));
    assert!(listener.reuse_port && listener.proxy_protocol);
    let listener = &options("max_connections = \"infinity\"\nip_version = 6")[0];
    assert_eq!(listener.max_connections, None);
    assert!(!listener.reuse_port && !listener.proxy_protocol);
    // As with MongooseIM, IPv4 included, unless that is somebody else's.
    assert_eq!(listener.address.to_string(), "[::]:8888");
    assert!(!listener.ipv6_only);
    const SECOND: &str = "\n[[listen.component]]\nport = 8888\npassword = \"y\"\n";
    let listeners = options(&format!("{SECOND}ip_address = \"::\""));
    assert!(listeners[1].ipv6_only);
    // The same port on other addresses, and on the same one.
    options(&format!(
        "ip_address = \"127.0.0.1\"{SECOND}ip_address = \"127.0.0.2\""
    ));
    options(&format!(
        "reuse_port = true{SECOND}ip_address = \"127.0.0.1\"\nreuse_port = true"
    ));
}

#[test]
fn contract_a2_plaintext_off_loopback_needs_the_operators_word() {
    let cases = [
        (
            "[cluster]\n",
            "listen = \"127.0.0.1:7371\"",
            "listen = \"0.0.0.0:7371\"",
            11,
        ),
        (
            "[api]\n",
            "listen = \"127.0.0.1:7381\"",
            "listen = \"192.0.2.1:7381\"",
            15,
        ),
        (
            "[api]\n",
            "listen = \"127.0.0.1:7381\"",
            "listen = \"[::]:7381\"",
            15,
        ),
    ];
    for (section, original, replacement, line) in cases {
        let text = NODE1.replace(original, replacement);
        let refused = errors(&text);
        assert!(
            refused.contains(&format!("node1.toml:{line}: ")),
            "{refused}"
        );
        assert!(refused.contains("insecure = true"), "{refused}");
        load(&text.replace(section, &format!("{section}insecure = true\n")));
    }
    let advertised = NODE1
        .replace("127.0.0.1:7371", "node1:7371")
        .replace("listen = \"node1:7371\"", "listen = \"127.0.0.1:7371\"");
    assert!(errors(&advertised).contains("insecure = true"));
    load(&NODE1.replace("127.0.0.1:7391", "0.0.0.0:7391"));
}

#[test]
fn contract_l1_a_file_of_mongooseim_works_with_a_warning_for_what_has_no_use() {
    let text = include_str!("../../../testdata/mongooseim.toml");
    let Loaded { config, warnings } = load(text);
    let skipped: Vec<&str> = warnings
        .iter()
        .filter_map(|warning| warning.split('"').nth(1))
        .collect();
    let expected = [
        "node.name",
        "general.cowboy_server_name",
        "general.default_server_domain",
        "general.language",
        "general.routing_modules",
        "listen.http",
        "listen.c2s",
        "listen.component.num_acceptors",
        "auth",
        "outgoing_pools",
        "services",
        "modules.mod_adhoc",
        "modules.mod_disco.iqdisc",
        "modules.mod_http_notification",
        "modules.mod_pubsub_old",
        "modules.mod_register",
        "s2s",
    ];
    assert_eq!(skipped, expected, "{warnings:#?}");
    assert_eq!(config.node.name, "node1");
    assert_eq!(config.general.hosts.len(), 2);
    assert_eq!(config.general.routing_modules.len(), 6);
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:8888");
}
