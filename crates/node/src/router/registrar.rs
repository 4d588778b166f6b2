//! Names of this node's components (contract R3, R5, S8).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use switchyard_listener::{
    CloseReason, Component, ConflictBehaviour, ConflictScope, RegisterError, RegisterRequest,
    Registrar,
};
use switchyard_registry::{Claim, ConnectionId, NewRegistration, ProposeError};
use tokio::time::Instant;

use super::kick_damper::Damping;
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
        self.settle_with_other_nodes(&name, &request).await?;
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
            self.wait_before_kick(&name, request.deadline).await;
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
            claim: claim(request),
            outbox: Arc::clone(&request.outbox),
            restoring: Arc::default(),
        }
    }

    /// What can be said before the log decides. A newcomer that will be refused must not have the
    /// name on this node even for a moment: stanzas of this node would go to it and be lost.
    async fn settle_with_other_nodes(
        &self,
        name: &Destination,
        request: &RegisterRequest,
    ) -> Result<(), RegisterError> {
        let claim = claim(request);
        if !self.is_denied_by_others(name, claim) {
            return Ok(());
        }
        if claim == Claim::TakeOver {
            self.wait_before_kick(name, request.deadline).await;
            return Ok(());
        }
        // The holder may be gone, and this node's table be behind. Without quorum nobody can tell.
        let is_sure = self.shared.registry.confirm().await.is_ok();
        if is_sure && self.is_denied_by_others(name, claim) {
            return Err(taken(name));
        }
        Ok(())
    }

    /// Whether other nodes hold `name` in a way that excludes `claim`, as far as this node knows.
    fn is_denied_by_others(&self, name: &Destination, claim: Claim) -> bool {
        let own = self.shared.own_node();
        let routes = self.shared.anywhere(name);
        routes.is_some_and(|routes| {
            routes
                .iter()
                .any(|route| route.node != own && (claim.is_exclusive() || route.exclusive))
        })
    }

    async fn commit(&self, name: &Destination, holder: &Holder) -> Result<(), RegisterError> {
        let new = registration(name, holder, holder.claim);
        let committed = self.shared.registry.register(new).await;
        committed.map_err(|error| match error {
            ProposeError::Superseded => replaced(),
            // It had the name and has lost it already.
            ProposeError::Taken if holder.claim == Claim::TakeOver => replaced(),
            ProposeError::Taken => taken(name),
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
        let registration = holder.registration;
        let mut takeover = Takeover {
            switch: self,
            name,
            present,
            registration,
            is_done: false,
        };
        self.commit(name, &holder).await?;
        takeover.is_done = true;
        match self.shared.locals.supersede(name, holder) {
            Ok(Some(former)) => {
                former.outbox.close(CloseReason::Replaced);
            }
            Ok(None) => {}
            Err(Superseded) => return Err(replaced()),
        }
        // Another node may have taken the name before this one was known to hold it here.
        let registry = &self.shared.registry;
        if !registry.holds(&name.name, registration, name.is_subdomain) {
            self.lose(name, registration);
            return Err(replaced());
        }
        Ok(())
    }

    /// A takeover that failed may have been committed and undone: then the table has lost the
    /// registration of who still holds the name, and gets it back as soon as there is a quorum.
    fn restore(&self, name: &Destination, present: &Holder) {
        if !present.restoring.ask() {
            return;
        }
        let (switch, name, holder) = (self.clone(), name.clone(), present.clone());
        tokio::spawn(async move {
            loop {
                let asked = holder.restoring.asked();
                switch.register_again(&name, &holder).await;
                // A newcomer may have been in the way, which has failed by now.
                if holder.restoring.is_over(asked) {
                    return;
                }
            }
        });
    }

    /// Registers `holder` until the table has it or a later one, or it has gone.
    async fn register_again(&self, name: &Destination, holder: &Holder) {
        while self.shared.locals.is_held_by(name, holder.connection) {
            let registration = registration(name, holder, holder.claim.again());
            match self.shared.registry.register(registration).await {
                Ok(()) | Err(ProposeError::Superseded | ProposeError::Stopped) => return,
                Err(ProposeError::Taken) => return self.lose(name, holder.registration),
                Err(_) => tokio::time::sleep(RESTORE_PAUSE).await,
            }
        }
    }

    /// Waits, if the name is fought for, and counts the kick that follows. A newcomer that does not
    /// wait so long kicks nobody, and is not counted.
    async fn wait_before_kick(&self, name: &Destination, deadline: Instant) {
        let now = Instant::now();
        let damping = self
            .shared
            .damper
            .lock()
            .next_kick(name, now, deadline - now);
        if !damping.delay.is_zero() {
            self.slow_down(name, damping).await;
        }
        self.shared.damper.lock().note(name, Instant::now());
    }

    async fn slow_down(&self, name: &Destination, damping: Damping) {
        self.shared.metrics.damped_kicks.add(1);
        if damping.is_said {
            tracing::warn!(
                domain = %name.name,
                kicks = damping.kicks,
                delay_ms = damping.delay.as_millis(),
                "Connections kick each other, slowing them down"
            );
        }
        tokio::time::sleep(damping.delay).await;
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

/// What the newcomer's listener makes of other nodes (contract R3, S8).
fn claim(request: &RegisterRequest) -> Claim {
    match (request.scope, request.conflict) {
        (ConflictScope::Node, _) => Claim::Shared,
        (ConflictScope::Cluster, ConflictBehaviour::Disconnect) => Claim::Exclusive,
        (ConflictScope::Cluster, ConflictBehaviour::KickOld) => Claim::TakeOver,
    }
}

fn registration(name: &Destination, holder: &Holder, claim: Claim) -> NewRegistration {
    NewRegistration {
        domain: name.name.clone(),
        connection: holder.registration,
        is_subdomain: name.is_subdomain,
        hidden: holder.hidden,
        claim,
    }
}

fn taken(name: &Destination) -> RegisterError {
    RegisterError::Conflict(format!(
        "{} is already connected to another node",
        name.name
    ))
}

fn replaced() -> RegisterError {
    RegisterError::Conflict("Replaced by new connection".to_owned())
}
