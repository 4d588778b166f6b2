use std::sync::Arc;

use switchyard_registry::Domain;

use super::*;

fn class(scope: AccessScope, tests: Vec<(JidPart, PartTest)>) -> AccessClass {
    AccessClass::Patterns([AccessPattern::new(scope, tests)].into())
}

fn is(part: JidPart, value: &str) -> (JidPart, PartTest) {
    (part, PartTest::is(part, value).unwrap())
}

fn regexp(part: JidPart, expression: &str) -> (JidPart, PartTest) {
    (part, PartTest::regexp(expression).unwrap())
}

fn glob(part: JidPart, pattern: &str) -> (JidPart, PartTest) {
    (part, PartTest::glob(part, pattern).unwrap())
}

fn clause(class: AccessClass, decision: Decision) -> AccessClause {
    AccessClause { class, decision }
}

/// Checks that a class of one pattern has `members` and no `others`.
fn assert_class(scope: AccessScope, tests: Vec<(JidPart, PartTest)>, members: &str, others: &str) {
    let shown = format!("{tests:?}");
    let rule = AccessRule::new(vec![clause(class(scope, tests), Decision::Allow)]);
    for (jids, decision) in [(members, Decision::Allow), (others, Decision::Deny)] {
        for jid in jids.split_whitespace() {
            assert_eq!(rule.decide(jid.as_bytes()), decision, "{jid}: {shown}");
        }
    }
}

#[test]
fn contract_l2_every_kind_of_condition_selects_its_senders() {
    use AccessScope::All;
    use JidPart::{Resource, Server, User};

    let hosts: Arc<[Domain]> = [Domain::prepare("localhost").unwrap()].into();
    assert_class(All, vec![], "a.example u@b.example/r", "");
    assert_class(AccessScope::None, vec![], "", "a.example u@b.example/r");
    let hosted = AccessScope::Hosted(hosts);
    let (members, others) = ("localhost u@LOCALHOST/r", "a.localhost u@b.example/r");
    assert_class(hosted, vec![], members, others);

    let cases = [
        (
            is(User, "alice"),
            "alice@a.example alice@b.example/r",
            "bob@a.example a.example",
        ),
        (is(User, ""), "a.example a.example/r", "alice@a.example"),
        (
            is(Server, "a.example"),
            "a.example u@a.example",
            "u@x.a.example u@b.example",
        ),
        (
            is(Resource, "Phone"),
            "a.example/Phone u@a.example/Phone",
            "a.example/phone a.example",
        ),
        (is(Resource, ""), "a.example", "a.example/phone"),
        (
            regexp(User, "^a.*e"),
            "alice@a.example albert@b.example",
            "bob@a.example a.example",
        ),
        (regexp(User, "li"), "alice@a.example", "bob@a.example"),
        (regexp(User, ""), "alice@a.example a.example", ""),
        (
            regexp(Server, "^b[.]"),
            "b.example u@b.example",
            "a.example ab.example",
        ),
        (
            regexp(Resource, "^res\\d+$"),
            "a.example/res12",
            "a.example/res a.example/xres12",
        ),
        (
            glob(User, "a*e"),
            "alice@a.example ae@a.example",
            "alicex@a.example xalice@a.example",
        ),
        (
            glob(Server, "*.example"),
            "a.example x.a.example",
            "example a.example.org",
        ),
        (
            glob(Resource, "r???"),
            "a.example/r/12 a.example/r123",
            "a.example/r12 a.example/R123",
        ),
    ];
    for (test, members, others) in cases {
        assert_class(All, vec![test], members, others);
    }
}

#[test]
fn contract_l2_all_conditions_of_a_pattern_and_any_pattern_of_a_class() {
    use JidPart::{Resource, Server, User};

    let tests = vec![
        is(User, "alice"),
        is(Server, "a.example"),
        glob(Resource, "m*"),
    ];
    let others = "alice@a.example alice@b.example/m bob@a.example/m";
    assert_class(
        AccessScope::All,
        tests.clone(),
        "alice@a.example/mobile",
        others,
    );
    assert_class(AccessScope::None, tests, "", "alice@a.example/mobile");

    let either = |test| AccessPattern::new(AccessScope::All, vec![test]);
    let patterns = [either(is(User, "alice")), either(is(Server, "b.example"))];
    let class = AccessClass::Patterns(patterns.into());
    let rule = AccessRule::new(vec![clause(class, Decision::Allow)]);
    for member in ["alice@a.example", "b.example", "alice@b.example"] {
        assert_eq!(rule.decide(member.as_bytes()), Decision::Allow, "{member}");
    }
    assert_eq!(rule.decide(b"bob@a.example"), Decision::Deny);
    let nobody = AccessClass::Patterns(Arc::default());
    let rule = AccessRule::new(vec![clause(nobody, Decision::Allow)]);
    assert_eq!(rule.decide(b"bob@a.example"), Decision::Deny);
}

#[test]
fn contract_l2_the_first_clause_that_matches_decides_and_none_denies() {
    let bob = || class(AccessScope::All, vec![is(JidPart::User, "bob")]);
    let allow_all = || clause(AccessClass::All, Decision::Allow);
    let deny_bob = || clause(bob(), Decision::Deny);
    let decide = |clauses: Vec<AccessClause>| AccessRule::new(clauses).decide(b"bob@a.example");
    assert_eq!(decide(vec![deny_bob(), allow_all()]), Decision::Deny);
    assert_eq!(decide(vec![allow_all(), deny_bob()]), Decision::Allow);
    let nobody = clause(AccessClass::None, Decision::Deny);
    assert_eq!(
        decide(vec![nobody, clause(bob(), Decision::Allow)]),
        Decision::Allow
    );
    assert_eq!(decide(vec![]), Decision::Deny);
    assert!(AccessRule::all().admits_all() && !AccessRule::none().admits_all());
    assert!(!AccessRule::new(vec![deny_bob(), allow_all()]).admits_all());
}

#[test]
fn contract_l2_values_are_compared_prepared_and_regular_expressions_are_not_altered() {
    use AccessScope::All;
    use JidPart::{Resource, Server, User};

    let spellings = "JÜRGEN@BÜCHER.example/x jürgen@xn--bcher-kva.example Jürgen@bücher.example.";
    let tests = vec![is(User, "Jürgen"), is(Server, "Bücher.EXAMPLE")];
    assert_class(All, tests, spellings, "jurgen@bücher.example");
    let written = "x&#64;a.example x&#x40;A.example";
    assert_class(All, vec![is(User, "X")], written, "x");
    assert_class(
        All,
        vec![glob(User, "AL*")],
        "Alice@a.example",
        "bob@a.example",
    );
    assert_class(
        All,
        vec![glob(Resource, "AL*")],
        "a.example/ALI",
        "a.example/alice",
    );

    // Prepared senders are in lower case: only the expression's own capitals are left.
    assert_class(
        All,
        vec![regexp(User, "Ali")],
        "",
        "Alice@a.example alice@a.example",
    );
    assert_class(
        All,
        vec![regexp(User, r"^\S+$")],
        "Alice@a.example",
        "a.example",
    );
    assert_class(
        All,
        vec![regexp(User, "(?i)ALI")],
        "Alice@a.example",
        "bob@a.example",
    );
}

#[test]
fn contract_l2_shell_patterns_are_those_of_mongooseim() {
    for (pattern, matching, others) in [
        ("b[aeo]b", "bab bob", "bub b[aeo]b"),
        ("b[!aeo]b", "bub", "bab bob"),
        ("[a-c]x", "ax cx", "dx"),
        ("[]x]y", "]y xy", "ay"),
        ("[^a]y", "^y ay", "by"),
        ("[^]y", "^y", "ay"),
        ("{a,b}", "{a,b}", "a b"),
        ("a**b", "ab axxb a/b", "axx"),
        ("a\\*", "a\\ a\\20", "a* ab"),
        ("a.c+", "a.c+", "abc abcc"),
    ] {
        let matcher = glob::matcher(pattern).unwrap();
        for (texts, expected) in [(matching, true), (others, false)] {
            for text in texts.split_whitespace() {
                assert_eq!(matcher.is_match(text), expected, "{pattern} {text}");
            }
        }
    }
    assert!(PartTest::glob(JidPart::User, "[ab").is_err());
}

#[test]
fn what_cannot_be_a_condition_is_refused_in_words() {
    for (expression, said) in [
        (r"(a)\1", "backreferences are not supported"),
        (
            "(?=a)",
            "look-around, including look-ahead and look-behind, is not supported",
        ),
        ("(", "unclosed group"),
    ] {
        let error = PartTest::regexp(expression).unwrap_err();
        assert_eq!(error.to_string(), said, "{expression}");
    }
    for (part, value) in [
        (JidPart::User, "a@b"),
        (JidPart::Server, ""),
        (JidPart::Server, "a b"),
    ] {
        assert!(PartTest::is(part, value).is_err(), "{part:?} {value:?}");
    }
}
