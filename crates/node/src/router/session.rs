use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use switchyard_listener::{Delivery, RouteSession, Sender, Stanza, StanzaBatch, jid};
use switchyard_registry::Domain;
use tokio::time::Instant;

use super::hand_over::{Conversation, Reason, Refused};
use super::place::Place;
use super::place_cache::PlaceCache;
use super::shared::{Generation, Shared};
use super::undeliverable::Undeliverable;

/// How often a stanza is tried anew because its component was gone when it arrived there: a
/// component that reconnects is found at the second try.
const TRIES: usize = 3;

/// Routes what one connection sends.
pub(crate) struct Session {
    shared: Arc<Shared>,
    sender: Sender,
    cache: PlaceCache,
    /// What the registry said when it was asked after the batch had been read: a domain that is
    /// unknown since then was unknown after the batch was sent (contract R7).
    confirmed: Option<Result<(), Undeliverable>>,
}

/// Neighbours in a batch that travel together.
#[derive(Debug, Clone, Copy)]
struct Run<'a> {
    stanzas: &'a [Stanza],
    to: &'a [u8],
    from: &'a [u8],
}

impl Session {
    /// Starts routing for `sender`.
    pub(super) fn new(shared: Arc<Shared>, sender: Sender) -> Self {
        Self {
            shared,
            sender,
            cache: PlaceCache::default(),
            confirmed: None,
        }
    }

    /// Routes the run at the front of `stanzas` and returns its length.
    async fn route_run(&mut self, batch: StanzaBatch<'_>, stanzas: &[Stanza]) -> usize {
        let to = destination(batch.bytes, stanzas);
        let place = self.place(to).await;
        let run = Run::at_front(batch.bytes, stanzas, chosen_by_sender(&place));
        match place {
            Ok(Place::Entity(host)) => self.ask_entity(&host, batch.bytes, run.stanzas).await,
            place => {
                self.deliver(place, self.delivery(batch, run.stanzas), run)
                    .await
            }
        }
        run.stanzas.len()
    }

    async fn deliver(
        &mut self,
        mut place: Result<Place, Undeliverable>,
        mut delivery: Delivery,
        run: Run<'_>,
    ) {
        for _ in 0..TRIES {
            let found = match place {
                Ok(found) => found,
                Err(why) => return self.shared.answer(delivery, why),
            };
            let Err(refused) = self.hand_over(&found, delivery, run).await else {
                return;
            };
            if !matches!(refused.reason, Reason::Gone) {
                return self.shared.answer(refused.delivery, refused.reason.into());
            }
            delivery = refused.delivery;
            self.cache.forget(run.to);
            // The component may have moved, and this node's table be behind (contract R7). If
            // nobody can tell, what the table says is as good as any.
            let _ = self.confirm().await;
            place = self.place(run.to).await;
        }
        self.shared.answer(delivery, Undeliverable::ComponentLost);
    }

    fn delivery(&self, batch: StanzaBatch<'_>, stanzas: &[Stanza]) -> Delivery {
        let (start, end) = match stanzas {
            [first, .., last] => (first.span.start, last.span.end),
            [only] => (only.span.start, only.span.end),
            [] => (0, 0),
        };
        Delivery {
            bytes: batch.bytes.slice(start as usize..end as usize),
            count: u32::try_from(stanzas.len()).unwrap_or(u32::MAX),
            origin: Some(Arc::clone(&self.sender.outbox)),
            receipt: None,
        }
    }

    /// Where stanzas for the raw domain `to` go. Before it says that nobody holds it, the registry
    /// has confirmed that (contract R7).
    async fn place(&mut self, to: &[u8]) -> Result<Place, Undeliverable> {
        let generation = self.shared.generation();
        if let Some(place) = self.cache.get(to, generation) {
            return Ok(place.clone());
        }
        let domain = jid::prepared_domain(to).map_err(|_| Undeliverable::UnknownDomain)?;
        let (generation, place) = match self.shared.resolve(&domain) {
            Some(place) => (generation, place),
            None => self.confirmed_place(&domain).await?,
        };
        let former = self.cache.former(to);
        if !former.is_some_and(|former| former.has_routes_of(&place)) {
            self.shared.leave_others(&domain, &place).await;
        }
        self.cache.put(to, generation, &place);
        Ok(place)
    }

    async fn confirmed_place(
        &mut self,
        domain: &Domain,
    ) -> Result<(Generation, Place), Undeliverable> {
        if !self.shared.chain.reaches_other_nodes() {
            return Err(Undeliverable::UnknownDomain);
        }
        self.confirm().await?;
        let generation = self.shared.generation();
        let place = self.shared.resolve(domain);
        let place = place.ok_or(Undeliverable::UnknownDomain)?;
        Ok((generation, place))
    }

    /// Asks the registry, once for a batch.
    async fn confirm(&mut self) -> Result<(), Undeliverable> {
        if let Some(confirmed) = self.confirmed {
            return confirmed;
        }
        let confirmed = self.shared.confirm().await;
        self.confirmed = Some(confirmed);
        confirmed
    }

    /// Hands a run over, waiting for room as long as patience lasts (contract D3, D4).
    async fn hand_over(
        &mut self,
        place: &Place,
        delivery: Delivery,
        run: Run<'_>,
    ) -> Result<(), Refused> {
        let from = match place {
            Place::Instances { routes, .. } if routes.len() > 1 => {
                jid::bare_prepared(run.from).unwrap_or(Cow::Borrowed(""))
            }
            _ => Cow::Borrowed(""),
        };
        let conversation = Conversation {
            from: from.as_bytes(),
            attempts: 0,
        };
        let first = match self.shared.turn(run.to) {
            Some(turn) => Err(Refused {
                delivery,
                reason: Reason::Full(turn),
            }),
            None => self.shared.try_hand_over(place, delivery, conversation),
        };
        let Err(mut refused) = first else {
            self.cache.regain_patience(run.to);
            return Ok(());
        };
        let patience = Instant::now() + self.cache.patience(run.to, self.shared.patience());
        while let Reason::Full(room) = &refused.reason {
            if tokio::time::timeout_at(patience, room.wait())
                .await
                .is_err()
            {
                self.cache.lose_patience(run.to);
                return Err(refused);
            }
            match self
                .shared
                .try_hand_over(place, refused.delivery, conversation)
            {
                Ok(()) => return Ok(()),
                Err(again) => refused = again,
            }
        }
        Err(refused)
    }

    /// An answer can be much longer than its question: who does not read them is not heard.
    async fn ask_entity(&self, host: &Domain, bytes: &Bytes, stanzas: &[Stanza]) {
        for stanza in stanzas {
            self.sender.outbox.wait_for_room().await;
            self.shared.ask_entity(host, bytes, stanza, &self.sender);
        }
    }
}

impl RouteSession for Session {
    async fn route(&mut self, batch: StanzaBatch<'_>) {
        self.confirmed = None;
        let mut rest = batch.stanzas;
        while !rest.is_empty() {
            let routed = self.route_run(batch, rest).await;
            rest = rest.get(routed.max(1)..).unwrap_or_default();
        }
    }
}

impl<'a> Run<'a> {
    /// The longest run at the front of `stanzas`: one raw destination domain, no gap between them,
    /// and one bare sender if `by_sender`.
    fn at_front(bytes: &'a [u8], stanzas: &'a [Stanza], by_sender: bool) -> Self {
        let to = destination(bytes, stanzas);
        let from = stanzas
            .first()
            .map_or(&[][..], |first| bare_sender(bytes, first));
        let continues = |pair: &&'a [Stanza]| match pair {
            [before, stanza] => {
                stanza.span.start == before.span.end
                    && destination(bytes, std::slice::from_ref(stanza)) == to
                    && (!by_sender || bare_sender(bytes, stanza) == from)
            }
            _ => false,
        };
        let length = 1 + stanzas.windows(2).take_while(continues).count();
        Self {
            stanzas: stanzas.get(..length).unwrap_or(stanzas),
            to,
            from,
        }
    }
}

fn chosen_by_sender(place: &Result<Place, Undeliverable>) -> bool {
    matches!(place, Ok(Place::Instances { routes, .. }) if routes.len() > 1)
}

/// The domain, as written, that the first of `stanzas` is addressed to.
fn destination<'a>(bytes: &'a [u8], stanzas: &[Stanza]) -> &'a [u8] {
    let to = stanzas.first().and_then(|first| first.to);
    to.map_or(&[][..], |to| jid::domain_bytes(to.of(bytes)))
}

/// The sender's bare JID as written.
fn bare_sender<'a>(bytes: &'a [u8], stanza: &Stanza) -> &'a [u8] {
    let from = stanza.from.map_or(&[][..], |from| from.of(bytes));
    from.split(|byte| *byte == b'/').next().unwrap_or_default()
}
