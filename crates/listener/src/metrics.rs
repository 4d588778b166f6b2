use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::StreamCondition;
use crate::farewell::Farewell;

/// What one listener has counted since it was bound, for the node to export.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    pub(crate) accepted: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) full: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) components: AtomicU64,
    pub(crate) auth_failures: AtomicU64,
    pub(crate) refusals_delayed: AtomicU64,
    pub(crate) proxy_refused: AtomicU64,
    pub(crate) tls_handshake_failures: AtomicU64,
    pub(crate) stanzas_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) stanzas_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) stanza_errors: AtomicU64,
    pub(crate) faults_unanswered: AtomicU64,
    pub(crate) undelivered: AtomicU64,
    pub(crate) paused: AtomicU64,
    pub(crate) paused_nanos: AtomicU64,
    stream_errors: [AtomicU64; StreamCondition::ALL.len()],
}

/// A count that goes down again when this is dropped.
pub(crate) struct Gauge<'a>(&'a AtomicU64);

// === impl ListenerMetrics ===

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> u64 {
                self.$name.load(Ordering::Relaxed)
            }
        )*
    };
}

impl ListenerMetrics {
    getters! {
        /// Connections accepted.
        accepted
        /// Connections that the system failed to accept, for want of file descriptors perhaps.
        accept_errors
        /// Times that accepting paused because there were as many connections as there may be.
        full
        /// Connections there are now.
        connections
        /// Components there are now: connections that are authenticated and registered.
        components
        /// Streams ended with `not-authorized`.
        auth_failures
        /// Such streams whose end was held back: their source had failed often (contract L).
        refusals_delayed
        /// Connections without a valid header of the PROXY protocol where one must be.
        proxy_refused
        /// Connections that ended because TLS could not be negotiated.
        tls_handshake_failures
        /// Stanzas read from components.
        stanzas_in
        /// Bytes read from components.
        bytes_in
        /// Stanzas written to components.
        stanzas_out
        /// Bytes written to components.
        bytes_out
        /// Stanzas that failed validation and were answered with an error (contract V1 to V3).
        stanza_errors
        /// Stanzas that failed validation and could not be answered: errors and results
        /// (contract V5), or the sender had gone.
        faults_unanswered
        /// Stanzas that were queued for a component when its connection ended.
        undelivered
        /// Connections that are not read now because of the shaper (contract L3).
        paused
    }

    /// How long connections have not been read because of the shaper, added up (contract L3).
    #[must_use]
    pub fn paused_time(&self) -> Duration {
        Duration::from_nanos(self.paused_nanos.load(Ordering::Relaxed))
    }

    /// Streams that this listener ended with `condition`.
    #[must_use]
    pub fn stream_errors(&self, condition: StreamCondition) -> u64 {
        self.stream_errors[condition as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn add(count: &AtomicU64, amount: u64) {
        count.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn count_farewell(&self, farewell: &Farewell) {
        let Some(error) = &farewell.error else {
            return;
        };
        Self::add(&self.stream_errors[error.condition as usize], 1);
        if error.condition == StreamCondition::NotAuthorized {
            Self::add(&self.auth_failures, 1);
        }
    }
}

// === impl Gauge ===

impl<'a> Gauge<'a> {
    pub(crate) fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
