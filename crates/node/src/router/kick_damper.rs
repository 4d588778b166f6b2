use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::peer::Destination;

/// Kicks this close to each other count as one fight.
const FIGHT_WINDOW: Duration = Duration::from_secs(30);
/// What the second kick of a fight waits; each further one waits twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest wait: below the default `state_timeout` of 5 s, which the wait is part of.
const LONGEST_DELAY: Duration = Duration::from_secs(3);
/// Fights that are remembered at the same time; beyond it, those that are over are forgotten.
const REMEMBERED: usize = 1024;

/// Slows down clients that kick each other for ever under `kick_old` (contract S8): the first kick
/// of a name is free, and each that follows closely waits longer.
#[derive(Debug, Default)]
pub(crate) struct KickDamper {
    fights: HashMap<Destination, Fight>,
}

#[derive(Debug)]
struct Fight {
    kicks: u32,
    last: Instant,
}

impl KickDamper {
    /// Notes that a holder of `name` is about to be kicked, and says how long the newcomer waits
    /// before that.
    pub(crate) fn kick(&mut self, name: &Destination, now: Instant) -> Duration {
        self.forget_old_fights(now);
        let fight = self.fights.entry(name.clone()).or_insert(Fight {
            kicks: 0,
            last: now,
        });
        if now.duration_since(fight.last) > FIGHT_WINDOW {
            fight.kicks = 0;
        }
        fight.kicks = fight.kicks.saturating_add(1);
        fight.last = now;
        delay(fight.kicks)
    }

    fn forget_old_fights(&mut self, now: Instant) {
        if self.fights.len() >= REMEMBERED {
            self.fights
                .retain(|_, fight| now.duration_since(fight.last) <= FIGHT_WINDOW);
        }
    }
}

fn delay(kicks: u32) -> Duration {
    match kicks {
        0 | 1 => Duration::ZERO,
        more => FIRST_DELAY
            .saturating_mul(1 << (more - 2).min(16))
            .min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use switchyard_registry::Domain;

    use super::*;

    fn name(name: &str) -> Destination {
        Destination {
            name: Domain::prepare(name).unwrap(),
            is_subdomain: false,
        }
    }

    #[test]
    fn contract_s8_clients_that_kick_each_other_wait_longer_each_time() {
        let mut damper = KickDamper::default();
        let start = Instant::now();
        let delays: Vec<_> = (0..8)
            .map(|_| damper.kick(&name("a.example"), start))
            .collect();
        assert_eq!(delays[0], Duration::ZERO);
        assert!(
            delays
                .windows(2)
                .all(|pair| pair[0] < pair[1] || pair[1] == LONGEST_DELAY)
        );
        assert_eq!(delays[7], LONGEST_DELAY);
        assert_eq!(
            damper.kick(&name("b.example"), start),
            Duration::ZERO,
            "another name is free"
        );
        let later = start + FIGHT_WINDOW + Duration::from_secs(1);
        assert_eq!(
            damper.kick(&name("a.example"), later),
            Duration::ZERO,
            "peace is forgiven"
        );
    }
}
