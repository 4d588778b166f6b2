use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail, ensure};

/// What is known of the receiver of a flow when the flow is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was there all the time.
    Stayed,
    /// Its node was killed: a stanza that it had received may have been answered with an error as
    /// well, since nobody could know (contract D1, the undecidable case).
    Killed,
    /// Its node hung until the others had given it up, and came back: the same holds for what it had
    /// received before that. What was answered must not be received afterwards.
    Hung,
}

/// What became of the numbered stanzas that one component sent to another, in an order that counts
/// unless it was made with [`Self::unordered`].
///
/// Violations that can be seen at once are kept until [`Self::judge`], so that a receiving thread
/// need not fail.
#[derive(Debug, Default)]
pub struct History {
    sent: u64,
    unordered: bool,
    last_delivered: Option<u64>,
    outcomes: BTreeMap<u64, Outcomes>,
    delivered: u64,
    /// How many were answered with an error, by its condition.
    bounces: BTreeMap<String, u64>,
    violations: Vec<String>,
}

#[derive(Debug, Default)]
struct Outcomes {
    delivered: bool,
    bounced: bool,
    /// Delivered after it was answered with an error.
    late: bool,
}

impl History {
    /// Of a receiver whose registration moves, so that no order is promised (contract D2).
    #[must_use]
    pub fn unordered() -> Self {
        Self {
            unordered: true,
            ..Self::default()
        }
    }

    /// Takes the number of the next stanza to be sent: 0, 1, 2, ...
    pub fn send(&mut self) -> u64 {
        self.sent += 1;
        self.sent - 1
    }

    /// The receiver got stanza `number`.
    pub fn delivered(&mut self, number: u64) {
        self.check_sent(number, "delivered");
        let late = self.last_delivered.is_some_and(|last| number < last);
        if late && !self.unordered {
            self.violations.push(format!(
                "{number} delivered after {:?}",
                self.last_delivered
            ));
        }
        self.last_delivered = self.last_delivered.max(Some(number));
        let outcomes = self.outcomes.entry(number).or_default();
        if outcomes.delivered {
            self.violations.push(format!("{number} delivered twice"));
        }
        outcomes.delivered = true;
        outcomes.late |= outcomes.bounced;
        self.delivered += 1;
    }

    /// The sender got an error in answer to stanza `number`.
    pub fn bounced(&mut self, number: u64, condition: &str) {
        self.check_sent(number, "bounced");
        let outcomes = self.outcomes.entry(number).or_default();
        if outcomes.bounced {
            self.violations
                .push(format!("{number} answered with two errors"));
        }
        outcomes.bounced = true;
        *self.bounces.entry(condition.to_owned()).or_default() += 1;
    }

    fn check_sent(&mut self, number: u64, what: &str) {
        if number >= self.sent {
            self.violations
                .push(format!("{number} {what} and never sent"));
        }
    }

    /// How many stanzas have no outcome yet.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.sent.saturating_sub(self.outcomes.len() as u64)
    }

    /// How many stanzas were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How many stanzas were delivered.
    #[must_use]
    pub fn delivered_count(&self) -> u64 {
        self.delivered
    }

    /// How many stanzas were answered with an error, by its condition.
    #[must_use]
    pub fn bounces(&self) -> &BTreeMap<String, u64> {
        &self.bounces
    }

    /// Contract D1 and D2: every stanza has exactly one outcome, and those that were delivered were
    /// delivered in order.
    ///
    /// # Errors
    ///
    /// When that is not so: says what is wrong, with the numbers concerned.
    pub fn judge(&self, receiver: Fate) -> Result<()> {
        if let Some(first) = self.violations.first() {
            bail!(
                "{first} (and {} more violations)",
                self.violations.len() - 1
            );
        }
        let lost: Vec<u64> = (0..self.sent)
            .filter(|n| !self.outcomes.contains_key(n))
            .collect();
        ensure!(
            lost.is_empty(),
            "{} of {} stanzas without an outcome, such as {:?}",
            lost.len(),
            self.sent,
            &lost[..lost.len().min(10)]
        );
        let mut outcomes = self.outcomes.iter();
        let wrong = outcomes.find(|(_, outcomes)| match receiver {
            Fate::Stayed => outcomes.delivered && outcomes.bounced,
            Fate::Hung => outcomes.late,
            Fate::Killed => false,
        });
        if let Some((number, outcomes)) = wrong {
            bail!("{number} delivered and answered with an error: {outcomes:?}");
        }
        Ok(())
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, delivered) = (self.sent, self.delivered_count());
        write!(
            f,
            "{sent} sent, {delivered} delivered, answered with {:?}",
            self.bounces()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(sent: u64) -> History {
        let mut history = History::default();
        for _ in 0..sent {
            history.send();
        }
        history
    }

    #[test]
    fn one_outcome_each_and_in_order_is_right() {
        let mut history = history(3);
        history.delivered(0);
        history.bounced(1, "remote-server-timeout");
        assert_eq!(history.outstanding(), 1);
        history.delivered(2);
        history.judge(Fate::Stayed).unwrap();
        assert_eq!(history.delivered_count(), 2);
        assert_eq!(
            history.bounces(),
            &[("remote-server-timeout".to_owned(), 1)].into()
        );
    }

    #[test]
    fn everything_else_is_wrong() {
        let wrong = |sent, happen: &dyn Fn(&mut History)| {
            let mut history = history(sent);
            happen(&mut history);
            history.judge(Fate::Stayed).unwrap_err().to_string()
        };
        assert!(wrong(1, &|_| ()).contains("without an outcome"));
        assert!(wrong(0, &|h| h.delivered(0)).contains("never sent"));
        assert!(wrong(1, &|h| h.bounced(1, "x")).contains("never sent"));
        assert!(wrong(1, &|h| [0, 0].into_iter().for_each(|n| h.delivered(n))).contains("twice"));
        assert!(wrong(2, &|h| [1, 0].into_iter().for_each(|n| h.delivered(n))).contains("after"));
        let two_errors = |h: &mut History| ["x", "y"].into_iter().for_each(|c| h.bounced(0, c));
        assert!(wrong(1, &two_errors).contains("two errors"));
        let both = |h: &mut History| {
            h.delivered(0);
            h.bounced(0, "x");
        };
        assert!(wrong(1, &both).contains("delivered and answered"));
    }

    #[test]
    fn contract_d1_both_outcomes_are_undecidable_when_the_receiver_was_killed() {
        let mut history = history(1);
        history.delivered(0);
        history.bounced(0, "remote-server-timeout");
        history.judge(Fate::Killed).unwrap();
        history.judge(Fate::Hung).unwrap();
    }

    #[test]
    fn contract_d1_a_node_that_hung_writes_nothing_that_was_answered() {
        let mut history = history(1);
        history.bounced(0, "remote-server-timeout");
        history.delivered(0);
        history.judge(Fate::Hung).unwrap_err();
    }
}
