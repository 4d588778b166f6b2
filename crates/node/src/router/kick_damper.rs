use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::peer::Destination;

/// Kicks this close to each other count as one fight.
const FIGHT_WINDOW: Duration = Duration::from_secs(30);
/// What the second kick of a fight waits; each further one waits twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest wait: clients give up that get no answer to their handshake for long, xmpp.js after
/// two seconds.
const LONGEST_DELAY: Duration = Duration::from_millis(1500);
/// Fights that are remembered before those that are over are looked for.
const REMEMBERED: usize = 1024;
/// Fights are in the log this often at most, however many there are.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Slows down clients that kick each other for ever under `kick_old` (contract S8): the first kick
/// of a name is free, and each that follows closely waits longer. Kicks that other nodes report
/// count as well: clients on two nodes that take a name from each other fight too.
#[derive(Debug, Default)]
pub(crate) struct KickDamper {
    fights: HashMap<Destination, Fight>,
    /// How many there were after those that were over had been forgotten.
    left: usize,
    said: Option<Instant>,
}

/// What a kick costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damping {
    /// How long the newcomer waits.
    pub(crate) delay: Duration,
    /// How many kicks came so closely upon each other.
    pub(crate) kicks: u32,
    /// Whether it is time to say so in the log.
    pub(crate) is_said: bool,
}

#[derive(Debug)]
struct Fight {
    kicks: u32,
    last: Instant,
}

impl KickDamper {
    /// What a kick of the holder of `name` would cost a newcomer that is given up after `patience`:
    /// it waits for no more than half of that, so that the kick comes about.
    pub(crate) fn next_kick(
        &mut self,
        name: &Destination,
        now: Instant,
        patience: Duration,
    ) -> Damping {
        let kicks = self.kicks(name, now).saturating_add(1);
        let delay = delay(kicks).min(patience / 2);
        let is_silent = |said: Instant| now.duration_since(said) >= SAY_EVERY;
        let is_said = !delay.is_zero() && self.said.is_none_or(is_silent);
        if is_said {
            self.said = Some(now);
        }
        Damping {
            delay,
            kicks,
            is_said,
        }
    }

    /// Notes that a holder of `name` is kicked, from here or from elsewhere.
    pub(crate) fn note(&mut self, name: &Destination, now: Instant) {
        self.forget_old_fights(now);
        let kicks = self.kicks(name, now).saturating_add(1);
        self.fights.insert(name.clone(), Fight { kicks, last: now });
    }

    /// How many kicks of `name` came closely upon each other until now.
    fn kicks(&self, name: &Destination, now: Instant) -> u32 {
        let fight = self.fights.get(name);
        let fight = fight.filter(|fight| now.duration_since(fight.last) <= FIGHT_WINDOW);
        fight.map_or(0, |fight| fight.kicks)
    }

    /// Looks at all of them only when they have become twice as many: a node that dies may leave
    /// thousands at once.
    fn forget_old_fights(&mut self, now: Instant) {
        if self.fights.len() >= REMEMBERED.max(2 * self.left) {
            self.fights
                .retain(|_, fight| now.duration_since(fight.last) <= FIGHT_WINDOW);
            self.left = self.fights.len();
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

    const PATIENCE: Duration = Duration::from_secs(5);

    fn kick(damper: &mut KickDamper, kicked: &str, now: Instant) -> Damping {
        let damping = damper.next_kick(&name(kicked), now, PATIENCE);
        damper.note(&name(kicked), now);
        damping
    }

    #[test]
    fn contract_s8_clients_that_kick_each_other_wait_longer_each_time() {
        let mut damper = KickDamper::default();
        let start = Instant::now();
        let mut delay = |name, now| kick(&mut damper, name, now).delay;
        let delays: Vec<_> = (0..8).map(|_| delay("a.example", start)).collect();
        assert_eq!(delays[0], Duration::ZERO);
        let grow = |pair: &[Duration]| pair[0] < pair[1] || pair[1] == LONGEST_DELAY;
        assert!(delays.windows(2).all(grow), "{delays:?}");
        assert_eq!(delays[7], LONGEST_DELAY);
        let other = delay("b.example", start);
        assert_eq!(other, Duration::ZERO, "another name is free");
        let later = start + FIGHT_WINDOW + Duration::from_secs(1);
        let later = delay("a.example", later);
        assert_eq!(later, Duration::ZERO, "peace is forgiven");
    }

    #[test]
    fn contract_s8_who_is_slowed_down_gets_the_name_before_its_time_is_over() {
        let mut damper = KickDamper::default();
        let now = Instant::now();
        for _ in 0..8 {
            kick(&mut damper, "a.example", now);
        }
        let short = Duration::from_secs(1);
        let first = damper.next_kick(&name("a.example"), now, short);
        assert_eq!(first.delay, short / 2);
        // It has left while it waited: nobody was kicked.
        let next = damper.next_kick(&name("a.example"), now, short);
        assert_eq!(next.kicks, first.kicks);
    }

    #[test]
    fn contract_s8_a_fight_between_nodes_is_slowed_down_on_each_and_said_once() {
        let (mut here, mut there) = (KickDamper::default(), KickDamper::default());
        let now = Instant::now();
        let mut delays = Vec::new();
        let mut said = 0;
        for _ in 0..5 {
            let damping = kick(&mut here, "a.example", now);
            there.note(&name("a.example"), now);
            delays.push(damping.delay);
            said += u32::from(damping.is_said);
            std::mem::swap(&mut here, &mut there);
        }
        assert!(delays.is_sorted_by(|a, b| a < b), "{delays:?}");
        assert_eq!(said, 2, "once on each node");
        let later = now + SAY_EVERY;
        assert!(kick(&mut here, "a.example", later).is_said);
    }
}
