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
            "18: \"listen.component.password\": missing: give password, password_file, \
             password_env, or a table [listen.component.passwords]\n\
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
            "35: unknown key \"modules.mod_dicso\": did you mean \"mod_disco\"?",
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
        (
            "[[listen.component]]\nport = 8889",
            "[[listen.service]]\nport = 8889",
            "26: \"listen.service\": was the name before MongooseIM 6.4: write [[listen.component]]",
        ),
        // types and ranges
        (
            "state_timeout = 250",
            "state_timeout = 0",
            "33: \"listen.component.state_timeout\": within 0 milliseconds nobody could connect: \
             give a positive number, or \"infinity\"",
        ),
        (
            "port = 8888",
            "num_acceptors = -1\nport = 8888",
            "19: \"listen.component.num_acceptors\": must be at least 1",
        ),
        (
            "port = 8888",
            "hibernate_after = \"x\"\nport = 8888",
            "19: \"listen.component.hibernate_after\": expected an integer from 0 or \"infinity\"",
        ),
        (
            "port = 8888",
            "backlog = -1\nport = 8888",
            "19: \"listen.component.backlog\": must be at least 0",
        ),
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
            "seeds = []\nmembers =",
            "13: \"cluster.seeds\": a founder has no seeds: keep cluster.members if this node \
             forms the cluster, cluster.seeds if it joins a running one",
        ),
        (
            "members =",
            "voters = 4\nmembers =",
            "13: \"cluster.voters\": must be odd, such as 3: of an even number no more may fail",
        ),
        (
            "members =",
            "voters = 1\nmembers =",
            "13: \"cluster.voters\": the 3 founders all vote: say at least as many, or leave nodes \
             out of cluster.members and give them cluster.seeds",
        ),
        (
            "members =",
            "lease = 4999\nmembers =",
            "13: \"cluster.lease\": must be at least 5000 ms, two and a half times \
             cluster.election_timeout_max, or nodes that are alive are given up during an \
             election; or shorten cluster.election_timeout_max",
        ),
        (
            "members =",
            "heartbeat = 251\nmembers =",
            "9: \"cluster.election_timeout_min\": must be at least 1502 ms: half of \
             cluster.election_timeout_max and two of cluster.heartbeat, so that a lost heartbeat \
             is no reason for an election; or shorten cluster.heartbeat",
        ),
        (
            "members =",
            "election_timeout_min = 2000\nmembers =",
            "13: \"cluster.election_timeout_min\": must be shorter than \
             cluster.election_timeout_max, 2000 ms: nodes that stand for election at the same \
             moment split the votes",
        ),
        (
            "members =",
            "member =",
            "9: missing key \"cluster.members\" (the nodes that form the cluster) or \
             \"cluster.seeds\" (nodes of a running cluster that this one joins)\n\
             node1.toml:13: unknown key \"cluster.member\": did you mean \"members\"?",
        ),
        (
            ", urls = [\"x:y\"]",
            "",
            "38: missing key \"modules.mod_disco.server_info.urls\"",
        ),
        (
            "[[listen.component]]\nport = 8889",
            "[listen.component]\nport = 8889",
            "26: duplicate key component",
        ),
        // syntax
        ("[api]", "[api", "14: unclosed table, expected `]`"),
        ("[http]", "[node]", "16: duplicate key node"),
        // one place against another
        (
            "port = 8889",
            "port = 8888",
            "27: [[listen.component]] listens on 0.0.0.0:8888, and so does [[listen.component]] on \
             127.0.0.1:8888 (line 19)",
        ),
        // MongooseIM refuses this as well: whose secret counts would be left to chance.
        (
            "[[listen.component]]\nport = 8889",
            "[[listen.component]]\nport = 8889\npassword = \"x\"\nreuse_port = true\n\
             [[listen.component]]\nport = 8889\nreuse_port = true",
            "31: [[listen.component]] listens on 0.0.0.0:8889, and so does [[listen.component]] on \
             0.0.0.0:8889 (line 27)",
        ),
        (
            "port = 8888",
            "shaper_rule = \"fast\"\nmax_fsm_queue = 100\nport = 8888",
            "19: \"listen.component.shaper_rule\": is called shaper since MongooseIM 6.4\n\
             node1.toml:20: \"listen.component.max_fsm_queue\": is gone since MongooseIM 6.4: what \
             waits for a component is bounded anyway",
        ),
        (
            "port = 8888",
            "max_connections = 0\nport = 8888",
            "19: \"listen.component.max_connections\": must be at least 1",
        ),
        (
            "port = 8888",
            "keepalive = 0\nwrite_timeout = \"infinity\"\nport = 8888",
            "19: \"listen.component.keepalive\": must be at least 1\n\
             node1.toml:20: \"listen.component.write_timeout\": expected an integer, found a string",
        ),
        (
            "listen = \"127.0.0.1:7391\"",
            "listen = \"127.0.0.1:7381\"",
            "16: [http] listens on 127.0.0.1:7381, and so does [api] on 127.0.0.1:7381 (line 14)",
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
fn a_file_that_the_parser_gives_up_on_is_said_to_be_no_toml() {
    let nested = format!("[{}a]", "a.".repeat(200));
    let shown = errors(&nested);
    assert!(
        shown.starts_with("node1.toml: the TOML cannot be read: "),
        "{shown}"
    );
}
