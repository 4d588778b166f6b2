use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;

use futures::StreamExt;
use switchyard_registry::API_SERVICES;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

use super::service_state::ServiceState;

/// What gRPC's health protocol tells of the node as a whole.
const NODE: &str = "";

/// Keeps the health service in step with `/readyz`.
pub(super) struct HealthFollower {
    reporter: HealthReporter,
    state: ServiceState,
}

impl HealthFollower {
    /// A health service that says that nothing is served until [`Self::run`] knows better.
    pub(super) async fn new(state: ServiceState) -> (Self, HealthServer<impl Health>) {
        let (reporter, service) = health_reporter();
        let follower = Self { reporter, state };
        follower.tell(false).await;
        (follower, service)
    }

    /// Never ends: the last that it says is that the node stops.
    pub(super) async fn run(self) -> Infallible {
        let mut changes = pin!(self.state.changes());
        let mut last = false;
        loop {
            let ready = self.state.readiness().is_ready();
            // Who watches is told of changes only.
            if ready != last {
                self.tell(ready).await;
                last = ready;
            }
            if changes.next().await.is_none() {
                return pending().await;
            }
        }
    }

    async fn tell(&self, ready: bool) {
        let status = match ready {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        for service in API_SERVICES.into_iter().chain([NODE]) {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
