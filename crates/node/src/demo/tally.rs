/// Checks that numbered messages arrive once and in order. The first is number 1.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Highest number that has arrived.
    highest: u64,
    /// The first thing that went wrong.
    fault: Option<String>,
}

impl Tally {
    /// Notes the arrival of message `number`.
    pub(crate) fn arrived(&mut self, number: u64) {
        let expected = self.highest + 1;
        if number > expected {
            self.fault(format!("message {number} arrived when {expected} was due"));
        } else if number < expected {
            self.fault(format!(
                "message {number} arrived again or late, after {}",
                self.highest
            ));
        }
        self.highest = self.highest.max(number);
    }

    /// Notes something else that must not happen.
    pub(crate) fn fault(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }

    /// How many have arrived, as long as nothing is wrong.
    pub(crate) const fn received(&self) -> u64 {
        self.highest
    }

    /// The first thing that went wrong.
    pub(crate) fn first_fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether all of `sent` messages arrived once and in order; if not, why.
    pub(crate) fn verdict(&self, sent: u64) -> Result<(), String> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None if self.highest != sent => Err(format!(
                "{} of {sent} messages are missing",
                sent - self.highest.min(sent)
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn verdict(arrivals: &[u64], sent: u64) -> Result<(), String> {
        let mut tally = Tally::default();
        arrivals.iter().for_each(|&number| tally.arrived(number));
        tally.verdict(sent)
    }

    #[test]
    fn contract_d1_d2_only_once_and_in_order_is_right() {
        assert_eq!(verdict(&[], 0), Ok(()));
        assert_eq!(verdict(&[1, 2, 3], 3), Ok(()));
        for (arrivals, sent, fault) in [
            (&[1, 2][..], 3, "1 of 3 messages are missing"),
            (&[1, 3, 2], 3, "message 3 arrived when 2 was due"),
            (&[1, 2, 2, 3], 3, "message 2 arrived again or late, after 2"),
            (&[2, 3], 3, "message 2 arrived when 1 was due"),
        ] {
            assert_eq!(verdict(arrivals, sent), Err(fault.to_owned()));
        }
    }
}
