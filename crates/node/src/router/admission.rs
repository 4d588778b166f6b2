//! Which stanzas of a delivery the access rule of a component's listener lets in (contract L2).

use bytes::BytesMut;
use switchyard_listener::{AccessRule, Decision, Delivery, Stanza};

use super::answer::stanzas_in;

/// What a rule says about the stanzas of a delivery.
#[derive(Debug)]
pub(super) enum Admission {
    /// All may go on.
    All,
    /// None may.
    None,
    /// Some may, and some not: each part in the order of the whole.
    Some {
        /// Those that may.
        admitted: Delivery,
        /// Those that may not.
        denied: Delivery,
    },
}

/// Stanzas gathered from a delivery.
#[derive(Debug, Default)]
struct Part {
    bytes: BytesMut,
    count: u32,
}

impl Admission {
    /// Asks `rule` about the sender of each stanza in `delivery`; neighbours of one sender cost a
    /// comparison.
    pub(super) fn of(delivery: &Delivery, rule: &AccessRule) -> Self {
        let stanzas = stanzas_in(&delivery.bytes);
        let mut last = None;
        let decide = |stanza: &Stanza| {
            let from = stanza.from.map_or(&[][..], |from| from.of(&delivery.bytes));
            match last {
                Some((sender, decision)) if sender == from => decision,
                _ => {
                    let decision = rule.decide(from);
                    last = Some((from, decision));
                    decision
                }
            }
        };
        let decisions: Vec<Decision> = stanzas.iter().map(decide).collect();
        if !decisions.contains(&Decision::Deny) {
            return Self::All;
        }
        if !decisions.contains(&Decision::Allow) {
            return Self::None;
        }
        let (mut admitted, mut denied) = (Part::default(), Part::default());
        for (stanza, decision) in stanzas.iter().zip(decisions) {
            let part = match decision {
                Decision::Allow => &mut admitted,
                Decision::Deny => &mut denied,
            };
            part.add(stanza.span.of(&delivery.bytes));
        }
        Self::Some {
            admitted: admitted.into_delivery(delivery),
            denied: denied.into_delivery(delivery),
        }
    }
}

impl Part {
    fn add(&mut self, stanza: &[u8]) {
        self.bytes.extend_from_slice(stanza);
        self.count += 1;
    }

    fn into_delivery(self, whole: &Delivery) -> Delivery {
        Delivery {
            bytes: self.bytes.freeze(),
            count: self.count,
            origin: whole.origin.clone(),
            receipt: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use switchyard_listener::{
        AccessClass, AccessClause, AccessPattern, AccessScope, JidPart, PartTest,
    };

    use super::*;

    /// Everybody but bob.
    fn rule() -> AccessRule {
        let bob = vec![(JidPart::User, PartTest::is(JidPart::User, "bob").unwrap())];
        let bob = AccessPattern::new(AccessScope::All, bob);
        AccessRule::new(vec![
            AccessClause {
                class: AccessClass::Patterns([bob].into()),
                decision: Decision::Deny,
            },
            AccessClause {
                class: AccessClass::All,
                decision: Decision::Allow,
            },
        ])
    }

    fn delivery(senders: &str) -> Delivery {
        let stanza = |sender| format!("<message from='{sender}@a.example' to='b.example'/>");
        let stanzas: Vec<String> = senders.split_whitespace().map(stanza).collect();
        Delivery {
            count: stanzas.len() as u32,
            bytes: Bytes::from(stanzas.concat()),
            origin: None,
            receipt: None,
        }
    }

    #[test]
    fn contract_l2_each_stanza_of_a_run_is_let_in_or_denied_in_order() {
        assert!(matches!(
            Admission::of(&delivery("alice carol"), &rule()),
            Admission::All
        ));
        assert!(matches!(
            Admission::of(&delivery("bob BOB"), &rule()),
            Admission::None
        ));
        let mixed = delivery("bob alice alice Bob carol");
        let Admission::Some { admitted, denied } = Admission::of(&mixed, &rule()) else {
            panic!("neither all nor none");
        };
        for (part, expected) in [(admitted, "alice alice carol"), (denied, "bob Bob")] {
            let expected = delivery(expected);
            assert_eq!(part.bytes, expected.bytes);
            assert_eq!(part.count, expected.count);
        }
    }
}
