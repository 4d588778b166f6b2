mod mistakes;
mod samples;

use std::path::Path;
use std::time::Duration;

use switchyard_listener::ConflictBehaviour;

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
    assert_eq!(cluster.members.len(), 3);
    assert_eq!(cluster.members[2].to_string(), "node3=127.0.0.1:7373");
    assert_eq!(config.http.unwrap().listen.port(), 7391);
    let [first, second] = &config.listeners[..] else {
        panic!("{:?}", config.listeners)
    };
    assert_eq!(first.address.to_string(), "127.0.0.1:8888");
    assert_eq!(first.password.expose(), "hunter2");
    assert!(first.check_from && !first.hidden_components);
    assert_eq!(first.conflict_behaviour, ConflictBehaviour::Disconnect);
    assert_eq!(first.max_stanza_size, Some(1_048_576));
    assert_eq!(first.state_timeout, Some(Duration::from_secs(5)));
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
fn contract_l4_passwords_are_not_shown() {
    let shown = format!("{:?}", load(NODE1));
    assert!(!shown.contains("hunter"), "{shown}");
    let wrong = NODE1.replace("\"hunter2\"", "[\"hunter2\"]");
    let shown = errors(&wrong);
    assert!(shown.contains("listen.component.password"), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn contract_l_options_of_a_later_version_are_refused_never_ignored() {
    for option in [
        "access = \"members\"",
        "shaper = \"fast\"",
        "proxy_protocol = true",
        "reuse_port = true",
        "max_connections = 10",
        "conflict_scope = \"cluster\"",
        "password_file = \"/run/secret\"",
        "tls = {}",
        "tls.certfile = \"cert.pem\"",
    ] {
        let text = format!(
            "[node]\nname = \"n\"\n[[listen.component]]\nport = 1\npassword = \"x\"\n{option}"
        );
        let key = option.split([' ', '.']).next().unwrap();
        let expected =
            format!("node1.toml:6: \"listen.component.{key}\": is not supported in this version");
        assert_eq!(errors(&text), expected, "{option}");
    }
    let defaults = "[node]\nname = \"n\"\n[[listen.component]]\nport = 1\npassword = \"x\"\n\
                    access = \"all\"\nshaper = \"none\"\nproxy_protocol = false\n\
                    reuse_port = false\nmax_connections = \"infinity\"\nproto = \"tcp\"\n\
                    ip_version = 4\nbacklog = 5";
    assert_eq!(load(defaults).warnings, [""; 0]);
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
    let text = format!("{text}\n[node]\nname = \"node1\"\n");
    let Loaded { config, warnings } = load(&text);
    let skipped: Vec<&str> = warnings
        .iter()
        .filter_map(|warning| warning.split('"').nth(1))
        .collect();
    let expected = [
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
        "modules.mod_register",
        "shaper",
        "acl",
        "access",
        "s2s",
    ];
    assert_eq!(skipped, expected, "{warnings:#?}");
    assert_eq!(config.general.hosts.len(), 2);
    assert_eq!(config.general.routing_modules.len(), 6);
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:8888");
}
