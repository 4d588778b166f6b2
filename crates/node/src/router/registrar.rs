//! Names of this node's components (contract R3, R5, S8).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use switchyard_listener::{
    CloseReason, Component, ConflictBehaviour, RegisterError, RegisterRequest, Registrar,
};
use switchyard_registry::{ConnectionId, NewRegistration, ProposeError};
use tokio::time::Instant;

use super::local_components::{Holder, Superseded};
use super::place::Directory;
use super::switch::Switch;
use crate::peer::Destination;

/// Pause before a registration that got lost is made again.
const RESTORE_PAUSE: Duration = Duration::from_secs(1);

impl Registrar for Switch {
    async fn register(&self, request: RegisterRequest) -> Result<(), RegisterError> {
        let name = destination(&request.component);
        self.refuse_served_hosts(&name)?;
        loop {
            let holder = self.holder(&request);
            let Err(present) = self.shared.locals.take(&name, holder.clone()) else {
                let committed = self.commit(&name, &holder).await;
                if committed.is_err() {
                    self.shared.locals.release(&name, request.connection);
                }
                return committed;
            };
            if request.conflict == ConflictBehaviour::Disconnect {
                return Err(RegisterError::Conflict(format!(
                    "{} is already connected to this node",
                    name.name
                )));
            }
            self.wait_before_kick(&name, present.connection).await;
            // It may have ended meanwhile, or have been kicked by somebody else.
            if self.shared.locals.is_held_by(&name, present.connection) {
                return self.take_over(&name, &request, &present).await;
            }
        }
    }

    async fn unregister(&self, component: &Component, connection: ConnectionId) {
        let name = destination(component);
        if let Some(registration) = self.shared.locals.release(&name, connection) {
            let registry = &self.shared.registry;
            registry.unregister(&name.name, registration, name.is_subdomain);
        }
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

    fn holder(&self, request: &RegisterRequest) -> Holder {
        let number = self.shared.registrations.fetch_add(1, Ordering::Relaxed);
        Holder {
            connection: request.connection,
            registration: ConnectionId(number + 1),
            hidden: request.component.hidden,
            outbox: Arc::clone(&request.outbox),
            restoring: Arc::default(),
        }
    }

    async fn commit(&self, name: &Destination, holder: &Holder) -> Result<(), RegisterError> {
        let new = registration(name, holder);
        let committed = self.shared.registry.register(new).await;
        committed.map_err(|error| match error {
            ProposeError::Superseded => replaced(),
            other => RegisterError::Unavailable(other.to_string()),
        })
    }

    /// Takes the name over from `present` (contract S8, `kick_old`): in the cluster first, so that
    /// the old connection goes on if there is no quorum (contract R6).
    async fn take_over(
        &self,
        name: &Destination,
        request: &RegisterRequest,
        present: &Holder,
    ) -> Result<(), RegisterError> {
        let holder = self.holder(request);
        let mut takeover = Takeover {
            switch: self,
            name,
            present,
            registration: holder.registration,
            is_done: false,
        };
        self.commit(name, &holder).await?;
        takeover.is_done = true;
        match self.shared.locals.supersede(name, holder) {
            Ok(Some(former)) => {
                former.outbox.close(CloseReason::Replaced);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(Superseded) => Err(replaced()),
        }
    }

    /// A takeover that failed may have been committed and undone: then the table has lost the
    /// registration of who still holds the name, and gets it back as soon as there is a quorum.
    fn restore(&self, name: &Destination, present: &Holder) {
        if present.restoring.swap(true, Ordering::Relaxed) {
            return;
        }
        let (switch, name, holder) = (self.clone(), name.clone(), present.clone());
        tokio::spawn(async move {
            while switch.shared.locals.is_held_by(&name, holder.connection) {
                let registration = registration(&name, &holder);
                match switch.shared.registry.register(registration).await {
                    Ok(()) | Err(ProposeError::Superseded | ProposeError::Stopped) => break,
                    Err(_) => tokio::time::sleep(RESTORE_PAUSE).await,
                }
            }
            holder.restoring.store(false, Ordering::Relaxed);
        });
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

/// A registration under way of a name that somebody holds.
struct Takeover<'a> {
    switch: &'a Switch,
    name: &'a Destination,
    present: &'a Holder,
    registration: ConnectionId,
    is_done: bool,
}

impl Drop for Takeover<'_> {
    /// It failed, or nobody waits for it any more: everything is to be as it was.
    fn drop(&mut self) {
        if !self.is_done {
            let registry = &self.switch.shared.registry;
            registry.unregister(&self.name.name, self.registration, self.name.is_subdomain);
            self.switch.restore(self.name, self.present);
        }
    }
}

fn destination(component: &Component) -> Destination {
    Destination {
        name: component.domain.clone(),
        is_subdomain: component.is_subdomain,
    }
}

fn registration(name: &Destination, holder: &Holder) -> NewRegistration {
    NewRegistration {
        domain: name.name.clone(),
        connection: holder.registration,
        is_subdomain: name.is_subdomain,
        hidden: holder.hidden,
    }
}

fn replaced() -> RegisterError {
    RegisterError::Conflict("Replaced by new connection".to_owned())
}
