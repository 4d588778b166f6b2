use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Every metric of this process. Names begin with `switchyard_`; those of counters end in
/// `_total`.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
}

/// One metric that is read by calling a closure.
struct Read<F> {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: F,
}

/// One metric with a value for each value of a label.
struct ReadFamily<F> {
    metric: Read<F>,
    label: &'static str,
}

/// A counter of seconds, with a value for each value of a label.
struct ReadSeconds<F> {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    read: F,
}

// === impl Metrics ===

impl Metrics {
    /// No metric but the version of this program.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("switchyard"),
        };
        let version = || vec![(env!("CARGO_PKG_VERSION").to_owned(), 1)];
        metrics.gauges("build", "The running version", "version", version);
        metrics
    }

    /// Adds a counter; `name` without prefix and `_total`.
    pub(crate) fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let kind = MetricType::Counter;
        self.add(Read {
            name,
            help,
            kind,
            read,
        });
    }

    /// Adds a gauge; `name` without prefix.
    pub(crate) fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let kind = MetricType::Gauge;
        self.add(Read {
            name,
            help,
            kind,
            read,
        });
    }

    /// Adds a counter for each value of `label` that `read` gives.
    pub(crate) fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        read: impl Fn() -> Vec<(String, u64)> + Send + Sync + 'static,
    ) {
        let kind = MetricType::Counter;
        let metric = Read {
            name,
            help,
            kind,
            read,
        };
        self.add(ReadFamily { metric, label });
    }

    /// Adds a gauge for each value of `label` that `read` gives.
    pub(crate) fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        read: impl Fn() -> Vec<(String, u64)> + Send + Sync + 'static,
    ) {
        let kind = MetricType::Gauge;
        let metric = Read {
            name,
            help,
            kind,
            read,
        };
        self.add(ReadFamily { metric, label });
    }

    /// Adds a counter of seconds for each value of `label` that `read` gives.
    pub(crate) fn seconds(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        read: impl Fn() -> Vec<(String, Duration)> + Send + Sync + 'static,
    ) {
        self.add(ReadSeconds {
            name,
            help,
            label,
            read,
        });
    }

    /// All values as of now, in the OpenMetrics text format.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    fn add(&mut self, collector: impl Collector) {
        self.registry.register_collector(Box::new(collector));
    }
}

// === impl Read ===

impl<F: Fn() -> u64 + Send + Sync + 'static> Collector for Read<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, self.kind)?;
        let value = (self.read)();
        match self.kind {
            MetricType::Counter => metric.encode_counter::<NoLabelSet, u64, u64>(&value, None),
            _ => metric.encode_gauge(&as_gauge(value)),
        }
    }
}

impl<F> fmt::Debug for Read<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Read").field(&self.name).finish()
    }
}

// === impl ReadFamily ===

impl<F: Fn() -> Vec<(String, u64)> + Send + Sync + 'static> Collector for ReadFamily<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Read {
            name,
            help,
            kind,
            read,
        } = &self.metric;
        let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
        for (label, value) in read() {
            let labels = [(self.label, label)];
            let mut metric = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => {
                    metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)?
                }
                _ => metric.encode_gauge(&as_gauge(value))?,
            }
        }
        Ok(())
    }
}

impl<F> fmt::Debug for ReadFamily<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.metric.fmt(f)
    }
}

// === impl ReadSeconds ===

impl<F: Fn() -> Vec<(String, Duration)> + Send + Sync + 'static> Collector for ReadSeconds<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut family = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (label, time) in (self.read)() {
            let labels = [(self.label, label)];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, f64, u64>(&time.as_secs_f64(), None)?;
        }
        Ok(())
    }
}

impl<F> fmt::Debug for ReadSeconds<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadSeconds").field(&self.name).finish()
    }
}

fn as_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Metrics;

    #[test]
    fn values_are_those_of_the_moment() {
        let stanzas = Arc::new(AtomicU64::new(1));
        let counted = Arc::clone(&stanzas);
        let mut metrics = Metrics::new();
        metrics.counter("stanzas", "Stanzas read", move || {
            counted.load(Ordering::Relaxed)
        });
        metrics.gauge("components", "Components connected", || 7);
        metrics.counters("dropped", "Stanzas dropped", "reason", || {
            vec![("error".to_owned(), 2), ("result".to_owned(), 3)]
        });
        stanzas.store(41, Ordering::Relaxed);
        let page = metrics.encode().unwrap();
        for line in [
            "# TYPE switchyard_stanzas counter",
            "switchyard_stanzas_total 41",
            "switchyard_components 7",
            "switchyard_dropped_total{reason=\"error\"} 2",
            "switchyard_dropped_total{reason=\"result\"} 3",
            concat!(
                "switchyard_build{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
