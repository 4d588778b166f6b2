use std::collections::BTreeMap;

use switchyard_listener::{AccessClass, AccessClause, AccessRule, Decision};
use toml::de::DeValue;

use super::acl::{Acl, BUILT_IN};
use super::problem::Problems;
use super::section::Section;
use super::suggestion::{nearest, suggestion};
use super::value::{Parsed, Value, string, text};

/// `[access]`: rules by name (contract L2).
///
/// A rule that no component listener names may be for another part of MongooseIM: its values need
/// not be decisions, and its classes need not be defined, as those of MongooseIM's own sample file
/// are not.
#[derive(Debug)]
pub(crate) struct AccessRules<'a> {
    rules: BTreeMap<&'a str, Vec<Clause>>,
    acl: &'a Acl<'a>,
    problems: &'a Problems,
}

/// One clause as written.
#[derive(Debug)]
struct Clause {
    /// Byte offset of the class's name.
    acl_at: usize,
    acl: String,
    /// Byte offset of the value.
    value_at: usize,
    /// `None`: a value that is no decision, such as a number or the name of a shaper.
    decision: Option<Decision>,
}

// === impl AccessRules ===

impl<'a> AccessRules<'a> {
    /// Reads the section, if there is one.
    pub(crate) fn read(
        section: Option<Section<'a>>,
        acl: &'a Acl<'a>,
        problems: &'a Problems,
    ) -> Self {
        let mut rules = BTreeMap::new();
        if let Some(mut section) = section {
            for name in section.keys() {
                let clauses = section.sections(name);
                let clauses = clauses.into_iter().filter_map(Clause::read).collect();
                if BUILT_IN.contains(&name) {
                    section.warn_at_key(name, "is built in: what is defined here has no effect");
                } else {
                    rules.insert(name, clauses);
                }
            }
            section.finish();
        }
        Self {
            rules,
            acl,
            problems,
        }
    }

    /// The rule that a component listener names. What is wrong with a rule that is there is noted
    /// where the rule stands.
    pub(crate) fn rule(&self, name: Value<'_>) -> Parsed<AccessRule> {
        let given = string(name)?;
        if given == "all" {
            return Ok(AccessRule::all());
        }
        if given == "none" {
            return Ok(AccessRule::none());
        }
        let Some(clauses) = self.rules.get(given) else {
            let names = BUILT_IN.into_iter().chain(self.rules.keys().copied());
            let nearest = suggestion(given, names);
            return name.complain(format_args!("[access] has no such rule: {nearest}"));
        };
        let clauses = clauses
            .iter()
            .filter_map(|clause| self.clause(given, clause));
        Ok(AccessRule::new(clauses.collect()))
    }

    /// The rule called `name` in words: `helpdesk (staff allow, anybody else deny)`.
    pub(crate) fn shown(&self, name: &str) -> String {
        let Some(clauses) = self.rules.get(name) else {
            return name.to_owned();
        };
        let say = |clause: &Clause| match clause.decision {
            Some(Decision::Allow) => format!("{} allow, ", clause.acl),
            _ => format!("{} deny, ", clause.acl),
        };
        let said: String = clauses.iter().map(say).collect();
        format!("{name} ({said}anybody else deny)")
    }

    fn clause(&self, rule: &str, clause: &Clause) -> Option<AccessClause> {
        let class = self.class(rule, clause);
        if clause.decision.is_none() {
            let message = format!(
                "\"access.{rule}.value\": a component listener uses this rule: the value must be \
                 \"allow\" or \"deny\""
            );
            self.problems.error(Some(clause.value_at), message);
        }
        Some(AccessClause {
            class: class?,
            decision: clause.decision?,
        })
    }

    fn class(&self, rule: &str, clause: &Clause) -> Option<AccessClass> {
        match &*clause.acl {
            "all" => return Some(AccessClass::All),
            "none" => return Some(AccessClass::None),
            _ => {}
        }
        let Some(found) = self.acl.get(&clause.acl) else {
            return self.undefined(rule, clause);
        };
        found.refuse_what_is_left_out(self.problems);
        if found.has_current_domain_alone {
            let message = format!(
                "every sender is in class \"{}\": as in MongooseIM, \"current_domain\" restricts \
                 nothing in the rule of a component listener; say match = \"all\" if that is \
                 meant, else match = \"any_hosted_domain\" or server",
                clause.acl
            );
            self.problems.warning(Some(clause.acl_at), message);
        }
        Some(found.class.clone())
    }

    /// A class that is defined nowhere has no members, as in MongooseIM, whose own sample file has
    /// one; but it must not be a slip of the pen.
    fn undefined(&self, rule: &str, clause: &Clause) -> Option<AccessClass> {
        let at = Some(clause.acl_at);
        if let Some(name) = nearest(&clause.acl, self.acl.names()) {
            let message = format!(
                "\"access.{rule}.acl\": [acl] has no such class: did you mean \"{name}\"? (A class without members is \
                 written [].)"
            );
            self.problems.error(at, message);
            return None;
        }
        let message = format!(
            "the class \"{}\" is defined nowhere: as in MongooseIM, it matches nobody",
            clause.acl
        );
        self.problems.warning(at, message);
        Some(AccessClass::None)
    }
}

// === impl Clause ===

impl Clause {
    fn read(mut section: Section<'_>) -> Option<Self> {
        let acl = section.required("acl", |value| Ok((value.at(), text(value)?)));
        let value = section.required("value", |value| Ok((value.at(), decision(value)?)));
        section.finish();
        let ((acl_at, acl), (value_at, decision)) = (acl?, value?);
        Some(Self {
            acl_at,
            acl,
            value_at,
            decision,
        })
    }
}

fn decision(value: Value<'_>) -> Parsed<Option<Decision>> {
    match value.get() {
        DeValue::Integer(_) => Ok(None),
        DeValue::String(_) => Ok(match string(value)? {
            "allow" => Some(Decision::Allow),
            "deny" => Some(Decision::Deny),
            _ => None,
        }),
        _ => value.expected("a string or an integer"),
    }
}
