//! A router of one node in memory: what stands behind a listener, as small as it can be.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use switchyard_listener::xml::{Framer, Limits};
use switchyard_listener::{
    CloseReason, Component, ConflictBehaviour, Delivery, Outbox, PushError, RegisterError,
    RegisterRequest, Registrar, RouteSession, Router, Sender, Span, Stanza, StanzaBatch,
    StanzaCondition, error_reply, jid,
};
use switchyard_registry::{ConnectionId, Domain};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Components by name, and what became of the stanzas that reached none.
pub(crate) struct Switch {
    table: Mutex<HashMap<Domain, (ConnectionId, Arc<Outbox>)>>,
    /// A registration is made, then takes one permit before it is confirmed, so that a test can
    /// hold that up; closed: it is refused then.
    pub(crate) registrations: Semaphore,
    /// How long a sender waits for a slow receiver.
    pub(crate) patience: Duration,
    /// Stanzas that could not be answered, because of what they are or because the sender left.
    pub(crate) unanswered: AtomicU64,
}

pub(crate) struct Session {
    switch: Arc<Switch>,
    sender: Sender,
}

impl Switch {
    pub(crate) fn new() -> Self {
        Self {
            table: Mutex::default(),
            registrations: Semaphore::new(Semaphore::MAX_PERMITS),
            patience: Duration::from_secs(60),
            unanswered: AtomicU64::new(0),
        }
    }

    pub(crate) fn outbox(&self, domain: &str) -> Option<Arc<Outbox>> {
        let table = self.table.lock();
        table.get(domain).map(|(_, outbox)| Arc::clone(outbox))
    }

    fn take_name(&self, request: RegisterRequest) -> Result<(), RegisterError> {
        let mut table = self.table.lock();
        if let Some((_, holder)) = table.get(&request.component.domain) {
            if request.conflict == ConflictBehaviour::Disconnect {
                return Err(RegisterError::Conflict("the name is taken".to_owned()));
            }
            holder.close(CloseReason::Replaced);
        }
        let entry = (request.connection, request.outbox);
        table.insert(request.component.domain, entry);
        Ok(())
    }

    /// Answers every stanza of `delivery`.
    fn bounce(&self, delivery: &Delivery, condition: StanzaCondition) {
        let mut framer = Framer::for_stanzas(Limits::forwarded());
        let mut stanzas = Vec::new();
        framer.read_elements(&delivery.bytes, usize::MAX, &mut stanzas);
        assert_eq!(stanzas.len(), delivery.count as usize, "{delivery:?}");
        for stanza in stanzas {
            let mut reply = BytesMut::new();
            let answered = error_reply(&delivery.bytes, &stanza, condition, None, &mut reply)
                && delivery.origin.as_ref().is_some_and(|origin| {
                    let reply = Delivery {
                        bytes: reply.freeze(),
                        count: 1,
                        origin: None,
                        receipt: None,
                    };
                    origin.push_reply(reply).is_ok()
                });
            if !answered {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Registrar for Switch {
    async fn register(&self, request: RegisterRequest) -> Result<(), RegisterError> {
        let (component, connection) = (request.component.clone(), request.connection);
        self.take_name(request)?;
        if let Ok(permit) = self.registrations.acquire().await {
            permit.forget();
            return Ok(());
        }
        self.unregister(&component, connection).await;
        Err(RegisterError::Unavailable("no cluster quorum".to_owned()))
    }

    async fn unregister(&self, component: &Component, connection: ConnectionId) {
        let mut table = self.table.lock();
        if table
            .get(&component.domain)
            .is_some_and(|(holder, _)| *holder == connection)
        {
            table.remove(&component.domain);
        }
    }
}

/// `Arc` on its own cannot carry the trait: the session keeps the switch alive.
pub(crate) struct SwitchRouter(pub(crate) Arc<Switch>);

impl Router for SwitchRouter {
    type Session = Session;

    fn session(&self, sender: Sender) -> Session {
        Session {
            switch: Arc::clone(&self.0),
            sender,
        }
    }

    fn undelivered(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.0
                .bounce(&delivery, StanzaCondition::RemoteServerTimeout);
        }
    }
}

impl RouteSession for Session {
    async fn route(&mut self, batch: StanzaBatch<'_>) {
        let mut stanzas = batch.stanzas;
        while let Some((first, _)) = stanzas.split_first() {
            let to = destination(&batch, first);
            // A run: neighbours for the same place that lie next to each other.
            let run = stanzas
                .windows(2)
                .take_while(|pair| {
                    pair[0].span.end == pair[1].span.start && destination(&batch, &pair[1]) == to
                })
                .count()
                + 1;
            let span = Span {
                start: first.span.start,
                end: stanzas[run - 1].span.end,
            };
            let delivery = Delivery {
                bytes: batch.bytes.slice(span.start as usize..span.end as usize),
                count: run as u32,
                origin: Some(Arc::clone(&self.sender.outbox)),
                receipt: None,
            };
            self.deliver(&to, delivery).await;
            stanzas = &stanzas[run..];
        }
    }
}

impl Session {
    async fn deliver(&self, to: &Domain, mut delivery: Delivery) {
        let Some(outbox) = self.switch.outbox(to.as_str()) else {
            let condition = StanzaCondition::RemoteServerNotFound;
            return self.switch.bounce(&delivery, condition);
        };
        let condition = loop {
            delivery = match outbox.push(delivery) {
                Ok(()) => return,
                Err(PushError::Closed(delivery)) => {
                    return self
                        .switch
                        .bounce(&delivery, StanzaCondition::RemoteServerTimeout);
                }
                Err(PushError::Full(delivery)) => delivery,
            };
            if timeout(self.switch.patience, outbox.wait_for_room())
                .await
                .is_err()
            {
                break StanzaCondition::ResourceConstraint;
            }
        };
        self.switch.bounce(&delivery, condition);
    }
}

fn destination(batch: &StanzaBatch<'_>, stanza: &Stanza) -> Domain {
    let to = stanza.to.expect("only stanzas with `to` are routed");
    jid::prepared_domain(to.of(batch.bytes)).expect("only valid addresses are routed")
}
