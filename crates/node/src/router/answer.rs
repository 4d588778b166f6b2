//! Answering for stanzas that cannot be delivered (contract D1, V5, V6).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use switchyard_listener::xml::{Framer, Limits, unescape_attribute};
use switchyard_listener::{
    Delivery, Sender, Stanza, StanzaCondition, StanzaKind, error_reply, jid,
};
use switchyard_registry::Domain;

use super::mail::{Letter, Mail};
use super::shared::Shared;
use super::undeliverable::Undeliverable;
use crate::entity::{Answer, Request};

impl Shared {
    /// Answers every stanza of `delivery` with an error, or counts it as dropped if it must not be
    /// answered.
    pub(super) fn answer(self: &Arc<Self>, delivery: Delivery, why: Undeliverable) {
        self.answer_all([delivery], why);
    }

    /// Does so for several deliveries. Replies that go to another node travel together.
    pub(super) fn answer_all(
        self: &Arc<Self>,
        deliveries: impl IntoIterator<Item = Delivery>,
        why: Undeliverable,
    ) {
        let mut mail = Mail::default();
        for delivery in deliveries {
            for letter in self.letters(&delivery, why) {
                if let Err(letter) = self.hand_letter(letter, delivery.origin.as_ref()) {
                    mail.add(letter);
                }
            }
        }
        self.post(mail);
    }

    /// The error replies to the stanzas of `delivery`, neighbours with the same asker together.
    fn letters(&self, delivery: &Delivery, why: Undeliverable) -> Vec<Letter> {
        let (condition, text) = why.error();
        let mut letters: Vec<Letter> = Vec::new();
        let mut answered = 0;
        for stanza in stanzas_in(&delivery.bytes) {
            let asker = stanza.from.map_or(&[][..], |from| from.of(&delivery.bytes));
            let mut reply = BytesMut::new();
            if !error_reply(&delivery.bytes, &stanza, condition, Some(text), &mut reply) {
                self.metrics.dropped.add(1);
                continue;
            }
            answered += 1;
            let letter = Letter::new(asker, reply);
            match letters.last_mut() {
                Some(last) if last.has_asker_of(&letter) => last.join(&letter),
                _ => letters.push(letter),
            }
        }
        self.metrics.bounced(why, answered);
        letters
    }

    /// Lets the router's own entity deal with a stanza to a served host (contract H1).
    pub(super) fn ask_entity(
        self: &Arc<Self>,
        host: &Domain,
        bytes: &Bytes,
        stanza: &Stanza,
        sender: &Sender,
    ) {
        self.metrics.to_entity.add(1);
        let mut reply = BytesMut::new();
        let refusal = match stanza.kind {
            // Contract H1.
            StanzaKind::Presence => return,
            StanzaKind::Iq => match self.entity_answer(host, bytes, stanza) {
                None => return,
                Some(Answer::Result(result)) => {
                    return self.reply(sender, bytes, stanza, result.into());
                }
                Some(Answer::Error(condition, text)) => (condition, text),
            },
            StanzaKind::Message | StanzaKind::Other => (
                StanzaCondition::ServiceUnavailable,
                "the router itself takes no messages",
            ),
        };
        if error_reply(bytes, stanza, refusal.0, Some(refusal.1), &mut reply) {
            self.reply(sender, bytes, stanza, reply);
        }
    }

    /// `None` for results and errors, which nobody answers.
    fn entity_answer(&self, host: &Domain, bytes: &Bytes, stanza: &Stanza) -> Option<Answer> {
        let kind = stanza.kind_attribute.map(|span| span.of(bytes));
        let kind = kind.map(unescape_attribute).unwrap_or_default();
        let is_get = match &*kind {
            "get" => true,
            "set" => false,
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

    /// Sends `reply` to the connection that sent `stanza`, or, if that has gone, to whoever holds the
    /// domain it came from.
    fn reply(self: &Arc<Self>, sender: &Sender, bytes: &[u8], stanza: &Stanza, reply: BytesMut) {
        let asker = stanza.from.map_or(&[][..], |from| from.of(bytes));
        if let Err(letter) = self.hand_letter(Letter::new(asker, reply), Some(&sender.outbox)) {
            let mut mail = Mail::default();
            mail.add(letter);
            self.post(mail);
        }
    }
}

/// The stanzas of a delivery, found again: only what cannot be delivered pays for this, and what is
/// for a component with an access rule.
pub(super) fn stanzas_in(delivery: &[u8]) -> Vec<Stanza> {
    let mut stanzas = Vec::new();
    Framer::for_stanzas(Limits::forwarded()).read_elements(delivery, usize::MAX, &mut stanzas);
    stanzas
}
