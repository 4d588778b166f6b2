//! What a node counts, for Prometheus: each value is read when it is asked for, from whoever
//! counts it, so that counting costs an atomic increment and no more.

mod exposition;
mod listeners;

pub(crate) use exposition::Metrics;
pub(crate) use listeners::add_listeners;
