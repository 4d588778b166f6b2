use super::{NODE1, errors};

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
