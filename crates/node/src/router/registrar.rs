//! Names of this node's components (contract R3, R5, S8).

use std::sync::Arc;

use switchyard_listener::{
    CloseReason, Component, ConflictBehaviour, RegisterError, RegisterRequest, Registrar,
};
use switchyard_registry::{ConnectionId, NewRegistration};
use tokio::time::Instant;

use super::local_components::Holder;
use super::place::Directory;
use super::switch::Switch;
use crate::peer::Destination;

impl Registrar for Switch {
    async fn register(&self, request: RegisterRequest) -> Result<(), RegisterError> {
        let name = destination(&request.component);
        self.refuse_served_hosts(&name)?;
        self.take_name(&name, &request).await?;
        let registration = NewRegistration {
            domain: name.name.clone(),
            connection: request.connection,
            is_subdomain: name.is_subdomain,
            hidden: request.component.hidden,
        };
        let committed = self.shared.registry.register(registration).await;
        if let Err(error) = committed {
            self.shared.locals.release(&name, request.connection);
            return Err(RegisterError::Unavailable(error.to_string()));
        }
        Ok(())
    }

    async fn unregister(&self, component: &Component, connection: ConnectionId) {
        let name = destination(component);
        self.shared.locals.release(&name, connection);
        self.shared
            .registry
            .unregister(&name.name, connection, name.is_subdomain);
    }
}

impl Switch {
    /// A served host is the router's own name, unless the routing chain asks components first.
    fn refuse_served_hosts(&self, name: &Destination) -> Result<(), RegisterError> {
        if self.shared.chain.components_supplant_hosts() {
            return Ok(());
        }
        let taken = |domain: &str| {
            self.shared.serves(domain).then(|| {
                RegisterError::Conflict(format!("{domain} is served by the router itself"))
            })
        };
        let conflict = match name.is_subdomain {
            false => taken(name.name.as_str()),
            true => self
                .shared
                .hosts
                .iter()
                .find_map(|host| taken(&format!("{}.{host}", name.name))),
        };
        conflict.map_or(Ok(()), Err)
    }

    /// Of handshakes that arrive at the same instant exactly one gets the name.
    async fn take_name(
        &self,
        name: &Destination,
        request: &RegisterRequest,
    ) -> Result<(), RegisterError> {
        let holder = Holder {
            connection: request.connection,
            outbox: Arc::clone(&request.outbox),
        };
        let Err(present) = self.shared.locals.take(name, holder.clone()) else {
            return Ok(());
        };
        match request.conflict {
            ConflictBehaviour::Disconnect => Err(RegisterError::Conflict(format!(
                "{} is already connected to this node",
                name.name
            ))),
            ConflictBehaviour::KickOld => {
                self.wait_before_kick(name, present.connection).await;
                let old = self.shared.locals.replace(name, holder);
                if let Some(old) = old {
                    old.outbox.close(CloseReason::Replaced);
                }
                Ok(())
            }
        }
    }

    async fn wait_before_kick(&self, name: &Destination, present: ConnectionId) {
        let delay = self.shared.damper.lock().kick(name, Instant::now());
        if delay.is_zero() {
            return;
        }
        self.shared.metrics.damped_kicks.add(1);
        tracing::warn!(
            domain = %name.name,
            %present,
            delay_ms = delay.as_millis(),
            "Connections kick each other, slowing them down"
        );
        tokio::time::sleep(delay).await;
    }
}

fn destination(component: &Component) -> Destination {
    Destination {
        name: component.domain.clone(),
        is_subdomain: component.is_subdomain,
    }
}
