use std::time::Duration;

/// Pauses between attempts to connect: doubling, and shortened at random by up to a half, so that
/// nodes that lost a peer at the same instant do not return at the same instant.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    seed: u64,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self {
            min,
            max,
            next: min,
            seed,
        }
    }

    /// Starts over, after a success.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    /// How long to pause now.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        whole.mul_f64(0.5 + 0.5 * self.fraction())
    }

    /// A number from 0 to 1, by SplitMix64.
    fn fraction(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from((mixed >> 32) as u32) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_their_bound_and_start_over() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(1));
        let mut backoff = Backoff::new(min, max, 7);
        for expected in [50, 100, 200, 400, 800, 1000, 1000] {
            let expected = Duration::from_millis(expected);
            let pause = backoff.pause();
            assert!(pause <= expected && pause >= expected / 2, "{pause:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= min);
    }
}
