use std::path::{Path, PathBuf};
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

/// Each case replaces the first text by the second in [`NODE1`] and expects this error.
#[test]
fn contract_l1_mistakes_are_named_with_their_place() {
    let cases = [
        // unknown keys
        (
            "port = 8888",
            "prot = 1\nport = 8888",
            "19: unknown key \"listen.component.prot\": did you mean \"proto\"?",
        ),
        (
            "password = \"hunter2\"",
            "pasword = \"x\"",
            "18: missing key \"listen.component.password\"\n\
             node1.toml:21: unknown key \"listen.component.pasword\": did you mean \"password\"?",
        ),
        (
            "[api]",
            "[apj]",
            "14: unknown key \"apj\": did you mean \"api\"?",
        ),
        (
            "hosts =",
            "host =",
            "3: unknown key \"general.host\": did you mean \"hosts\"?",
        ),
        (
            "[modules.mod_disco]",
            "[modules.mod_dicso]",
            "34: unknown key \"modules.mod_dicso\": did you mean \"mod_disco\"?",
        ),
        (
            "[node]",
            "[[listen.components]]\n[node]",
            "6: unknown key \"listen.components\": did you mean \"component\"?",
        ),
        (
            "[http]\n",
            "[http]\nzzz = 1\n",
            "17: unknown key \"http.zzz\": possible here: listen, tls",
        ),
        // types and ranges
        (
            "port = 8888",
            "port = \"8888\"",
            "19: \"listen.component.port\": expected an integer, found a string",
        ),
        (
            "port = 8888",
            "port = 88888",
            "19: \"listen.component.port\": must be from 1 to 65535",
        ),
        (
            "check_from = true",
            "check_from = \"true\"",
            "23: \"listen.component.check_from\": expected a boolean, found a string",
        ),
        (
            "\"infinity\"",
            "0",
            "32: \"listen.component.max_stanza_size\": must be at least 1",
        ),
        (
            "\"kick_old\"",
            "\"kickold\"",
            "31: \"listen.component.conflict_behaviour\": no such value: did you mean \"kick_old\"?",
        ),
        (
            "\"hunter3\"",
            "\"\"",
            "28: \"listen.component.password\": must not be empty",
        ),
        (
            "\"notice\"",
            "\"warn\"",
            "4: \"general.loglevel\": no such value: did you mean \"warning\"?",
        ),
        (
            "mongoose_router_external\"",
            "mongoose_router_extern\"",
            "5: \"general.routing_modules\": no such value: did you mean \"mongoose_router_external\"?",
        ),
        (
            "\"Example.org\"",
            "\"a b\"",
            "3: \"general.hosts\": the domain has an empty, malformed or overlong label, or a \
             forbidden character",
        ),
        (
            "[\"Example.org\"",
            "[\"example.org.\", \"Example.org\"",
            "3: \"general.hosts\": is in the list twice",
        ),
        (
            "name = \"node1\"",
            "name = \"no de\"",
            "7: \"node.name\": a name is 1 to 63 letters, digits, hyphens, underscores and dots",
        ),
        (
            "port = 8889",
            "port = 8889\nip_version = 5",
            "28: \"listen.component.ip_version\": must be 4 or 6",
        ),
        (
            "port = 8888",
            "port = 8888\nip_version = 6",
            "20: \"listen.component.ip_version\": contradicts ip_address",
        ),
        (
            "members =",
            "member =",
            "9: missing key \"cluster.members\"\n\
             node1.toml:13: unknown key \"cluster.member\": did you mean \"members\"?",
        ),
        (
            ", urls = [\"x:y\"]",
            "",
            "37: missing key \"modules.mod_disco.server_info.urls\"",
        ),
        (
            "[[listen.component]]\nport = 8889",
            "[listen.component]\nport = 8889",
            "26: duplicate key",
        ),
        // syntax
        ("[api]", "[api", "14: unclosed table, expected `]`"),
        ("[http]", "[node]", "16: duplicate key"),
        // one place against another
        (
            "port = 8889",
            "port = 8888",
            "27: [[listen.component]] listens on 0.0.0.0:8888, and so does [[listen.component]] on \
             127.0.0.1:8888",
        ),
        (
            "listen = \"127.0.0.1:7391\"",
            "listen = \"127.0.0.1:7381\"",
            "16: [http] listens on 127.0.0.1:7381, and so does [api] on 127.0.0.1:7381",
        ),
        (
            "[\"node1=127.0.0.1:7371\", ",
            "[",
            "13: \"cluster.members\": this node, \"node1\", is not in the list",
        ),
        (
            "node3=",
            "node2=",
            "13: \"cluster.members\": this name is in the list twice",
        ),
        (
            "127.0.0.1:7373",
            "127.0.0.1:7372",
            "13: \"cluster.members\": this address is in the list twice",
        ),
        (
            "node1=127.0.0.1:7371",
            "node1=127.0.0.1:7379",
            "13: \"cluster.members\": the address of this node differs from cluster.advertise",
        ),
        (
            "node2=127.0.0.1:7372",
            "127.0.0.1:7372",
            "13: \"cluster.members\": expected NAME=HOST:PORT, such as \"node1=192.0.2.1:7371\"",
        ),
        (
            "listen = \"127.0.0.1:7371\"",
            "listen = \"7371\"",
            "11: \"cluster.listen\": expected an IP address and a port, such as \"127.0.0.1:7371\"",
        ),
        (
            "[node]\nname = \"node1\"",
            "[node]",
            "6: missing key \"node.name\"",
        ),
    ];
    for (original, replacement, expected) in cases {
        assert!(NODE1.contains(original), "{original}");
        let text = NODE1.replacen(original, replacement, 1);
        assert_eq!(errors(&text), format!("node1.toml:{expected}"));
    }
}

#[test]
fn all_mistakes_are_said_at_once_in_the_order_of_lines() {
    let text = NODE1
        .replace("name = \"node1\"", "nam = \"node1\"")
        .replace("port = 8888", "port = true")
        .replace("\"notice\"", "7");
    let errors = errors(&text);
    let starts: Vec<&str> = errors.lines().map(|line| &line[..13]).collect();
    let expected = [
        "node1.toml:4:",
        "node1.toml:6:",
        "node1.toml:7:",
        "node1.toml:19",
    ];
    assert_eq!(starts, expected, "{errors}");
}

#[test]
fn single_brackets_around_a_listener_are_explained() {
    let text = "[node]\nname = \"n\"\n[listen.component]\nport = 1\npassword = \"x\"";
    let expected = "node1.toml:3: \"listen.component\": expected an array of tables: write \
                    [[listen.component]] with double brackets, found a table";
    assert_eq!(errors(text), expected);
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
    let text = include_str!("../../testdata/mongooseim.toml");
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

#[test]
fn every_sample_and_every_documented_file_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut checked = 0;
    let mut check = |name: &Path, text: &str| {
        parse(name, text).unwrap_or_else(|error| panic!("{error}"));
        checked += 1;
    };
    for sample in toml_files(&root.join("deploy")) {
        check(&sample, &std::fs::read_to_string(&sample).unwrap());
    }
    for page in ["README.md", "docs/configuration.md"] {
        let page = root.join(page);
        for block in toml_blocks(&std::fs::read_to_string(&page).unwrap_or_default()) {
            check(&page, &block);
        }
    }
    assert!(checked >= 5, "only {checked} were found");
}

fn toml_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| match path.is_dir() {
        true => toml_files(&path),
        false => vec![path],
    });
    let is_toml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    };
    files.filter(is_toml).collect()
}

/// The TOML in a page of documentation; an excerpt without a name of the node gets one.
fn toml_blocks(page: &str) -> Vec<String> {
    let blocks = page.split("```toml\n").skip(1);
    let text = blocks.filter_map(|block| block.split("```").next());
    text.map(|text| match text.contains("[node]") {
        true => text.to_owned(),
        false => format!("{text}\n[node]\nname = \"node1\"\n"),
    })
    .collect()
}
