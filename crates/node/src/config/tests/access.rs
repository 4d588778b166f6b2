use switchyard_listener::Decision;

use super::{errors, load};

/// What follows is the listener's part of a file, so that its lines are easy to count.
fn file(listener: &str, rules: &str) -> String {
    format!(
        "general.hosts = [\"Example.org\"]\nnode.name = \"n\"\n\
         listen.component = [{{port = 8888, password = \"s\", {listener}}}]\n{rules}"
    )
}

fn assert_rule(rules: &str, allowed: &str, denied: &str) {
    let loaded = load(&file("access = \"component\"", rules));
    let rule = &loaded.config.listeners[0].access;
    for (senders, decision) in [(allowed, Decision::Allow), (denied, Decision::Deny)] {
        for sender in senders.split_whitespace() {
            assert_eq!(
                rule.decide(sender.as_bytes()),
                decision,
                "{sender}: {rules}"
            );
        }
    }
}

/// From the sample configuration of MongooseIM 6: neither `admin` nor `blocked` is defined there.
const MONGOOSEIM: &str = r#"
[acl]
  local = [{}]

[access]
  max_user_sessions = [{acl = "all", value = 10}]
  max_user_offline_messages = [{acl = "admin", value = 5000}, {acl = "all", value = 100}]
  c2s = [{acl = "blocked", value = "deny"}, {acl = "all", value = "allow"}]
  c2s_shaper = [{acl = "admin", value = "none"}, {acl = "all", value = "normal"}]

[shaper.normal]
  max_rate = 1000

[shaper.fast]
  max_rate = 50_000
"#;

#[test]
fn contract_l1_rules_for_other_parts_of_mongooseim_are_no_matter() {
    let loaded = load(&file("access = \"all\", shaper = \"fast\"", MONGOOSEIM));
    assert_eq!(loaded.warnings, [""; 0]);
    let listener = &loaded.config.listeners[0];
    assert!(listener.access.admits_all());
    assert_eq!(listener.max_rate.unwrap().get(), 50_000);
    let config = listener.listener_config(std::sync::Arc::new([]));
    assert_eq!(config.max_rate, listener.max_rate);
    assert_eq!(config.access, listener.access);
}

#[test]
fn contract_l2_rules_and_classes_mean_what_they_mean_in_mongooseim() {
    assert_rule(
        "[[acl.staff]]\nuser = \"Alice\"\nserver = \"a.example\"\n[[acl.staff]]\nuser_glob = \"b*\"\n\
         [access]\ncomponent = [{acl = \"staff\", value = \"allow\"}]",
        "alice@A.example/x bob@b.example",
        "alice@b.example carol@a.example a.example",
    );
    // With no other condition, `match` alone: by default everybody, as the current domain of a
    // component's rule is the sender's own.
    let by_match = |given: &str, allowed: &str, denied: &str| {
        let rules = format!(
            "acl.x = [{{{given}}}]\naccess.component = [{{acl = \"x\", value = \"allow\"}}]"
        );
        assert_rule(&rules, allowed, denied);
    };
    by_match("", "u@example.org u@a.example", "");
    by_match(
        "match = \"current_domain\"",
        "u@example.org u@a.example",
        "",
    );
    by_match("match = \"all\"", "u@example.org u@a.example", "");
    by_match(
        "match = \"any_hosted_domain\"",
        "u@example.org example.org",
        "u@a.example",
    );
    by_match("match = \"none\"", "", "u@example.org u@a.example");
    by_match(
        "match = \"any_hosted_domain\", user_regexp = '^u'",
        "u@example.org",
        "u@a.example v@example.org",
    );
    by_match("server_regexp = '^a[.]'", "u@a.example", "u@b.example");
    by_match(
        "resource = \"R\", server_glob = \"?.example\"",
        "a.example/R",
        "a.example/r ab.example/R",
    );
    by_match("resource_glob = \"r?\"", "a.example/r1", "a.example/r");
    by_match("resource_regexp = \"\"", "a.example/r1 a.example", "");
    assert!(
        load(&file("access = \"none\"", "")).config.listeners[0]
            .access
            .decide(b"a.b")
            == Decision::Deny
    );
}

#[test]
fn contract_l2_a_class_that_restricts_nothing_is_pointed_out() {
    let rules = "acl.local = [{}]\naccess.component = [{acl = \"local\", value = \"allow\"}]";
    let warnings = load(&file("access = \"component\"", rules))
        .warnings
        .join("\n");
    let expected = "node1.toml:5: every sender is in class \"local\"";
    assert!(warnings.starts_with(expected), "{warnings}");
}

#[test]
fn contract_l1_a_class_that_is_defined_nowhere_matches_nobody() {
    let rules = "[access]\ncomponent = [{acl = \"blocked\", value = \"deny\"},\n\
                 {acl = \"friends\", value = \"allow\"}, {acl = \"all\", value = \"deny\"}]";
    let listener = "access = \"component\"";
    let warned = load(&file(listener, rules)).warnings;
    let expected = [
        "node1.toml:5: the class \"blocked\" is defined nowhere: as in MongooseIM, it matches nobody",
        "node1.toml:6: the class \"friends\" is defined nowhere: as in MongooseIM, it matches nobody",
    ];
    assert_eq!(warned, expected);
    assert_rule(rules, "", "u@a.example");
    // MongooseIM's own sample file, for its users' rule.
    let sample = load(&file("access = \"c2s\"", MONGOOSEIM));
    assert_eq!(sample.warnings.len(), 1, "{:?}", sample.warnings);
    let rule = &sample.config.listeners[0].access;
    assert_eq!(rule.decide(b"u@a.example"), Decision::Allow);
}

#[test]
fn contract_l1_a_regular_expression_that_no_listener_uses_may_be_one_of_mongooseims_alone() {
    let rules = "[acl]\nx = [{user_regexp = '(?=a)'}]\ny = [{server_regexp = '(a)\\1'}]\n\
                 [access]\nc2s = [{acl = \"x\", value = \"deny\"}]";
    let warnings = load(&file("", rules)).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, place) in warnings.iter().zip([
        "node1.toml:5: \"acl.x.user_regexp\": look-around",
        "node1.toml:6: \"acl.y.server_regexp\": backreferences",
    ]) {
        assert!(warning.starts_with(place), "{warning}");
        assert!(
            warning.ends_with("; no component listener uses this class"),
            "{warning}"
        );
    }
}

#[test]
fn contract_l1_mistakes_in_rules_are_named_with_their_place() {
    let component = "access = \"component\"";
    for (listener, rules, expected) in [
        (
            "access = \"componnet\"",
            "access.component = []",
            "3: \"listen.component.access\": [access] has no such rule: did you mean \"component\"?",
        ),
        (
            "shaper = \"fats\"",
            "shaper.fast.max_rate = 1",
            "3: \"listen.component.shaper\": [shaper] has no such shaper: did you mean \"fast\"?",
        ),
        (
            component,
            "acl.blocked = []\naccess.component = [\n{acl = \"blokced\", value = \"deny\"}]",
            "6: \"access.component.acl\": [acl] has no such class: did you mean \"blocked\"? (A class without members is written [].)",
        ),
        (
            component,
            "access.component = [\n{acl = \"all\",\nvalue = \"allowed\"}]",
            "6: \"access.component.value\": a component listener uses this rule: the value must be \"allow\" or \"deny\"",
        ),
        (
            "",
            "access.x = [{acl = \"all\"}]",
            "4: missing key \"access.x.value\"",
        ),
        (
            "",
            "access.x = [{acl = \"all\", valeu = 1, value = 1}]",
            "4: unknown key \"access.x.valeu\": did you mean \"value\"?",
        ),
        (
            "",
            "access.x = [{acl = \"all\", value = true}]",
            "4: \"access.x.value\": expected a string or an integer, found a boolean",
        ),
        (
            "",
            "[acl]\n\nx = [{user_regxp = \"a\"}]",
            "6: unknown key \"acl.x.user_regxp\": did you mean \"user_regexp\"?",
        ),
        (
            component,
            "acl.x = [{\nuser_regexp = '(?=a)'}]\naccess.component = [{acl = \"x\", value = \"allow\"}]",
            "5: \"acl.x.user_regexp\": look-around, including look-ahead and look-behind, is not supported; \
             a component listener uses this class: write it without that, as several patterns, or as a glob",
        ),
        (
            "",
            "acl.x = [{server_glob = '[a'}]",
            "4: \"acl.x.server_glob\": error parsing glob '[a': unclosed character class; missing ']'",
        ),
        (
            "",
            "acl.x = [{server = 'a b'}]",
            "4: \"acl.x.server\": the domain has an empty, malformed or overlong label, or a forbidden character",
        ),
        (
            "",
            "acl.x = [{match = 'any'}]",
            "4: \"acl.x.match\": no such value: did you mean \"any_hosted_domain\"?",
        ),
        (
            "",
            "acl.x = {user = 'a'}",
            "4: \"acl.x\": expected an array of tables: write [[acl.x]] with double brackets, found a table",
        ),
        (
            "",
            "shaper.x.maxrate = 1",
            "4: missing key \"shaper.x.max_rate\"\nnode1.toml:4: unknown key \"shaper.x.maxrate\": did you mean \"max_rate\"?",
        ),
        (
            "",
            "shaper.x.max_rate = 0",
            "4: \"shaper.x.max_rate\": must be at least 1",
        ),
    ] {
        assert_eq!(
            errors(&file(listener, rules)),
            format!("node1.toml:{expected}"),
            "{rules}"
        );
    }
}
