//! Answering for stanzas that cannot be delivered (contract D1, V5, V6).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use switchyard_listener::xml::{Framer, Limits};
use switchyard_listener::{
    Delivery, Outbox, Sender, Stanza, StanzaCondition, StanzaKind, error_reply, jid,
};
use switchyard_registry::Domain;

use super::hand_over::Conversation;
use super::place::Place;
use super::shared::Shared;
use super::undeliverable::Undeliverable;
use crate::entity::{Answer, Request};

impl Shared {
    /// Answers every stanza of `delivery` with an error, or counts it as dropped if it must not be
    /// answered.
    pub(super) fn answer(&self, delivery: Delivery, why: Undeliverable) {
        let (condition, text) = why.error();
        let mut answered = 0;
        for stanza in stanzas_in(&delivery.bytes) {
            let mut reply = BytesMut::new();
            if error_reply(&delivery.bytes, &stanza, condition, Some(text), &mut reply) {
                answered += 1;
                self.reply(
                    delivery.origin.as_ref(),
                    &delivery.bytes,
                    &stanza,
                    reply.freeze(),
                );
            } else {
                self.metrics.dropped.add(1);
            }
        }
        self.metrics.bounced(why, answered);
    }

    /// Lets the router's own entity deal with a stanza to a served host (contract H1).
    pub(super) fn ask_entity(
        &self,
        host: &Domain,
        bytes: &Bytes,
        stanza: &Stanza,
        sender: &Sender,
    ) {
        self.metrics.to_entity.add(1);
        let mut reply = BytesMut::new();
        let refusal = match stanza.kind {
            StanzaKind::Presence => return,
            StanzaKind::Iq => match self.entity_answer(host, bytes, stanza) {
                None => return,
                Some(Answer::Result(result)) => {
                    return self.reply(Some(&sender.outbox), bytes, stanza, result);
                }
                Some(Answer::Error(condition, text)) => (condition, text),
            },
            StanzaKind::Message | StanzaKind::Other => (
                StanzaCondition::ServiceUnavailable,
                "the router itself takes no messages",
            ),
        };
        if error_reply(bytes, stanza, refusal.0, Some(refusal.1), &mut reply) {
            self.reply(Some(&sender.outbox), bytes, stanza, reply.freeze());
        }
    }

    /// `None` for results and errors, which nobody answers.
    fn entity_answer(&self, host: &Domain, bytes: &Bytes, stanza: &Stanza) -> Option<Answer> {
        let kind = stanza.kind_attribute.map(|span| span.of(bytes));
        let is_get = match kind {
            Some(b"get") => true,
            Some(b"set") => false,
            _ => return None,
        };
        let to = stanza.to.map_or(&[][..], |to| to.of(bytes));
        let from = stanza.from.map_or(&[][..], |from| from.of(bytes));
        let request = Request {
            host,
            stanza: stanza.span.of(bytes),
            is_get,
            to_bare_host: jid::is_domain(to),
            from_user: jid::has_local(from),
        };
        Some(
            self.entity
                .answer(request, || self.registry.routes().list()),
        )
    }

    /// Sends `reply` to the connection that sent `stanza` if it is on this node, else to whoever
    /// holds the domain it came from.
    fn reply(&self, origin: Option<&Arc<Outbox>>, bytes: &Bytes, stanza: &Stanza, reply: Bytes) {
        let mut delivery = Delivery {
            bytes: reply,
            count: 1,
            origin: None,
        };
        if let Some(origin) = origin {
            match origin.push_reply(delivery) {
                Ok(()) => return,
                Err(closed) => delivery = closed,
            }
        }
        let from = stanza.from.map_or(&[][..], |from| from.of(bytes));
        let place = jid::prepared_domain(jid::domain_bytes(from))
            .ok()
            .and_then(|domain| self.resolve(&domain));
        let sent = place.is_some_and(|place| self.reply_to(&place, delivery, from));
        if !sent {
            self.metrics.dropped.add(1);
        }
    }

    /// A reply always fits into an outbox of this node; a link that has no room for it loses it.
    fn reply_to(&self, place: &Place, reply: Delivery, asker: &[u8]) -> bool {
        if let Place::Local(outbox) = place {
            return outbox.push_reply(reply).is_ok();
        }
        let from = jid::bare_prepared(asker).unwrap_or_default();
        let conversation = Conversation {
            from: from.as_bytes(),
            attempts: 0,
        };
        self.try_hand_over(place, reply, conversation).is_ok()
    }
}

/// The stanzas of a delivery, found again: only what cannot be delivered pays for this.
fn stanzas_in(delivery: &[u8]) -> Vec<Stanza> {
    let mut stanzas = Vec::new();
    Framer::for_stanzas(Limits::forwarded()).read_elements(delivery, usize::MAX, &mut stanzas);
    stanzas
}
