//! How fast a connection is read (contract L3).

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, sleep};

use crate::LiveConfig;
use crate::metrics::{Gauge, ListenerMetrics};

/// The limiter counts nanoseconds for each unit of what it limits: with units of at least a
/// microsecond it is exact to a thousandth, whatever the rate.
const MOST_UNITS_PER_SECOND: u64 = 1_000_000;

/// A pause is counted, and the configuration looked at again, at least this often.
const STEP: Duration = Duration::from_secs(1);

/// Holds one connection to the rate of its listener, as MongooseIM does: what has been read is dealt
/// with at once, and reading pauses until it has been paid for. A second's worth may come at once.
#[derive(Debug)]
pub(crate) struct Shaper {
    listener: Arc<LiveConfig>,
    bucket: Option<Bucket>,
}

/// A token bucket that holds one second's worth, full at first.
#[derive(Debug)]
struct Bucket {
    rate: NonZeroU64,
    /// Bytes to a unit of the limiter.
    unit: u64,
    /// Units that it holds.
    size: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, Since, NoOpMiddleware<Duration>>,
    /// Bytes that have been read and not been paid for.
    owed: u64,
}

/// A clock that tests can stop, unlike the system's.
#[derive(Debug, Clone)]
struct Since(Instant);

/// Reading pauses as long as this lives; counts as it goes.
struct Pause<'a> {
    metrics: &'a ListenerMetrics,
    _paused: Gauge<'a>,
    counted_until: Instant,
}

// === impl Shaper ===

impl Shaper {
    /// For a connection to the listener with this configuration.
    pub(crate) fn new(listener: Arc<LiveConfig>) -> Self {
        let bucket = None;
        let mut shaper = Self { listener, bucket };
        shaper.follow();
        shaper
    }

    /// Hands over to whoever reads the connection from here on.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            listener: Arc::clone(&self.listener),
            bucket: self.bucket.take(),
        }
    }

    /// Bytes that may be read at once: a quarter of a second's worth, so that a rate below the size
    /// of the read buffer is kept from moment to moment and not on average alone.
    pub(crate) fn portion(&self) -> usize {
        self.bucket.as_ref().map_or(usize::MAX, |bucket| {
            usize::try_from((bucket.rate.get() / 4).max(1)).unwrap_or(usize::MAX)
        })
    }

    /// So many bytes have been read.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.follow();
        if let Some(bucket) = &mut self.bucket {
            bucket.owed += bytes as u64;
        }
    }

    /// Waits until what has been read is paid for. Nothing is lost if the future is dropped.
    pub(crate) async fn pause(&mut self, metrics: &ListenerMetrics) {
        let mut pause = None;
        while let Some(wait) = self.bucket.as_mut().and_then(Bucket::pay) {
            let pause = pause.get_or_insert_with(|| Pause::new(metrics));
            sleep(wait.min(STEP)).await;
            pause.count();
            self.follow();
        }
    }

    /// Takes over the rate that is in force now; what is owed stays owed.
    fn follow(&mut self) {
        let rate = self.listener.load().max_rate;
        if rate == self.bucket.as_ref().map(|bucket| bucket.rate) {
            return;
        }
        let owed = self.bucket.as_ref().map_or(0, |bucket| bucket.owed);
        self.bucket = rate.and_then(|rate| Bucket::new(rate, owed));
    }
}

// === impl Bucket ===

impl Bucket {
    fn new(rate: NonZeroU64, owed: u64) -> Option<Self> {
        let unit = rate.get().div_ceil(MOST_UNITS_PER_SECOND);
        let size = NonZeroU32::new(u32::try_from(rate.get() / unit).ok()?)?;
        let period = u128::from(unit) * 1_000_000_000 / u128::from(rate.get());
        let quota = Quota::with_period(Duration::from_nanos(u64::try_from(period).ok()?))?;
        Some(Self {
            rate,
            unit,
            size,
            limiter: RateLimiter::direct_with_clock(quota.allow_burst(size), Since(Instant::now())),
            owed,
        })
    }

    /// Pays what it can; how long until it can pay more, if there is more.
    fn pay(&mut self) -> Option<Duration> {
        loop {
            let units = (self.owed / self.unit).min(u64::from(self.size.get()));
            let units = NonZeroU32::new(u32::try_from(units).ok()?)?;
            match self.limiter.check_n(units) {
                Ok(Ok(())) => self.owed -= u64::from(units.get()) * self.unit,
                Ok(Err(early)) => {
                    return Some(early.wait_time_from(self.limiter.clock().now()));
                }
                // No more than it holds is asked of it.
                Err(_) => return None,
            }
        }
    }
}

// === impl Since ===

impl Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

// === impl Pause ===

impl<'a> Pause<'a> {
    fn new(metrics: &'a ListenerMetrics) -> Self {
        Self {
            metrics,
            _paused: Gauge::new(&metrics.paused),
            counted_until: Instant::now(),
        }
    }

    fn count(&mut self) {
        let now = Instant::now();
        let nanos = now.duration_since(self.counted_until).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        ListenerMetrics::add(&self.metrics.paused_nanos, nanos);
        self.counted_until = now;
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ListenerConfig, Secret};

    fn listener(rate: Option<u64>) -> Arc<LiveConfig> {
        let mut config = ListenerConfig::new(([127, 0, 0, 1], 1).into(), Secret::new("s"));
        config.max_rate = rate.and_then(NonZeroU64::new);
        Arc::new(LiveConfig::new(config))
    }

    /// The time that reading pauses for, in all, when `chunks` are read.
    async fn paused_for(rate: u64, chunks: impl IntoIterator<Item = usize>) -> Duration {
        let metrics = ListenerMetrics::default();
        let mut shaper = Shaper::new(listener(Some(rate)));
        let began = Instant::now();
        for chunk in chunks {
            shaper.charge(chunk);
            shaper.pause(&metrics).await;
        }
        // Time stands still but for pauses; timers are exact to a millisecond, rounded up.
        assert_eq!(metrics.paused_time(), began.elapsed());
        assert_eq!(metrics.paused(), 0);
        began.elapsed()
    }

    #[test]
    fn contract_l3_no_read_is_larger_than_a_part_of_what_a_second_allows() {
        assert_eq!(Shaper::new(listener(None)).portion(), usize::MAX);
        assert_eq!(Shaper::new(listener(Some(1000))).portion(), 250);
        assert_eq!(Shaper::new(listener(Some(1))).portion(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn contract_l3_the_rate_is_kept_in_the_long_run_whatever_the_chunks() {
        for (rate, chunk, count) in [
            (1000, 100, 1000),
            (1000, 60_000, 3),
            (7, 1, 100),
            (33_333_333, 65_536, 20_000),
            (3_000_000_000, 1 << 20, 100_000),
        ] {
            let paused = paused_for(rate, std::iter::repeat_n(chunk, count)).await;
            // One second's worth is free.
            let due = (chunk * count) as f64 / rate as f64 - 1.0;
            let ratio = paused.as_secs_f64() / due;
            assert!((0.998..1.02).contains(&ratio), "{rate} {chunk}: {ratio}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn contract_l3_a_second_s_worth_is_free_and_none_means_no_pause() {
        assert_eq!(paused_for(1000, [400, 600]).await, Duration::ZERO);
        let metrics = ListenerMetrics::default();
        let mut shaper = Shaper::new(listener(None));
        shaper.charge(usize::MAX);
        shaper.pause(&metrics).await;
        assert_eq!(metrics.paused_time(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn contract_a4_a_pause_follows_the_rate_of_now() {
        let listener = listener(Some(1));
        let metrics = ListenerMetrics::default();
        let mut shaper = Shaper::new(Arc::clone(&listener));
        shaper.charge(1_000_000);
        let change = async {
            sleep(Duration::from_secs(10)).await;
            let mut config = ListenerConfig::clone(&listener.load());
            config.max_rate = None;
            listener.replace(config);
        };
        tokio::join!(shaper.pause(&metrics), change);
        assert!(metrics.paused_time() <= Duration::from_secs(12));
    }
}
