//! `/healthz`, `/readyz` and `/metrics` over HTTP, for probes and Prometheus (contract A4).

mod readiness;
mod server;

pub(crate) use readiness::{Condition, Readiness};
pub(crate) use server::{HttpServer, HttpState};
