//! Replies to askers, of whom some are on other nodes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use switchyard_listener::{AccessRule, Delivery, Outbox, jid};
use tokio::time::{Instant, timeout_at};

use super::admission::Admission;
use super::hand_over::{Conversation, Reason, Refused, Room};
use super::place::Place;
use super::shared::Shared;

/// How long replies wait for room on the way to another node. Longer than a component that takes
/// nothing stays connected: replies outlast whatever holds them up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A letter that is this long, in bytes, is full: the next reply begins another.
const FULL: usize = 64 * 1024;

/// Replies to one asker's domain, adjacent.
#[derive(Debug)]
pub(super) struct Letter {
    /// The first asker's JID as written.
    asker: Bytes,
    bytes: BytesMut,
    count: u32,
}

/// Letters by the domain that they go to, as written.
#[derive(Debug, Default)]
pub(super) struct Mail {
    open: HashMap<Bytes, Letter>,
    full: Vec<Letter>,
}

// === impl Letter ===

impl Letter {
    /// One reply to `asker`.
    pub(super) fn new(asker: &[u8], reply: BytesMut) -> Self {
        Self {
            asker: Bytes::copy_from_slice(asker),
            bytes: reply,
            count: 1,
        }
    }

    /// Whether both go to the same domain.
    pub(super) fn has_asker_of(&self, other: &Self) -> bool {
        self.domain() == other.domain()
    }

    /// Appends the replies of `other`.
    pub(super) fn join(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.count += other.count;
    }

    /// Puts it into the outbox of the connection that asked.
    ///
    /// # Errors
    ///
    /// Gives it back if that connection is gone.
    fn hand_to(self, origin: &Outbox) -> Result<(), Self> {
        let Self {
            asker,
            bytes,
            count,
        } = self;
        let delivery = Delivery {
            bytes: bytes.freeze(),
            count,
            origin: None,
            receipt: None,
        };
        origin.push_reply(delivery).map_err(|closed| Self {
            asker,
            bytes: closed.bytes.into(),
            count,
        })
    }

    /// Takes out the replies that `rule` does not let in, and says how many they were.
    fn withhold(&mut self, rule: &AccessRule) -> u32 {
        let whole = Delivery {
            bytes: std::mem::take(&mut self.bytes).freeze(),
            count: self.count,
            origin: None,
            receipt: None,
        };
        let admitted = match Admission::of(&whole, rule) {
            Admission::All => whole,
            Admission::None => Delivery {
                bytes: Bytes::new(),
                count: 0,
                origin: None,
                receipt: None,
            },
            Admission::Some { admitted, .. } => admitted,
        };
        let withheld = self.count - admitted.count;
        self.bytes = admitted.bytes.into();
        self.count = admitted.count;
        withheld
    }

    fn domain(&self) -> &[u8] {
        jid::domain_bytes(&self.asker)
    }
}

// === impl Mail ===

impl Mail {
    /// Adds a letter, to one that goes to the same domain if there is one with room.
    pub(super) fn add(&mut self, letter: Letter) {
        let domain = Bytes::copy_from_slice(letter.domain());
        match self.open.remove(&domain) {
            Some(mut open) => {
                open.join(&letter);
                if open.bytes.len() >= FULL {
                    self.full.push(open);
                } else {
                    self.open.insert(domain, open);
                }
            }
            None => {
                self.open.insert(domain, letter);
            }
        }
    }
}

// === sending ===

impl Shared {
    /// Sends letters to whoever holds the domains they go to. What there is no room for waits, so
    /// that no stanza is left without its one outcome (contract D1).
    pub(super) fn post(self: &Arc<Self>, mail: Mail) {
        let letters = mail.full.into_iter().chain(mail.open.into_values());
        for (letter, room) in letters.filter_map(|letter| self.try_post(letter)) {
            let shared = Arc::clone(self);
            tokio::spawn(async move { shared.post_in_time(letter, room).await });
        }
    }

    /// Puts a letter into the outbox of the connection that asked. Replies too are subject to the
    /// access rule of who gets them, and nobody is told of those that it withholds (contract L2).
    ///
    /// # Errors
    ///
    /// Gives the letter back if that connection is gone, or on another node.
    pub(super) fn hand_letter(
        &self,
        mut letter: Letter,
        origin: Option<&Arc<Outbox>>,
    ) -> Result<(), Letter> {
        let Some(origin) = origin else {
            return Err(letter);
        };
        if let Some(rule) = origin.access() {
            let withheld = letter.withhold(&rule);
            self.metrics.dropped.add(u64::from(withheld));
            if letter.count == 0 {
                return Ok(());
            }
        }
        letter.hand_to(origin)
    }

    /// Sends a letter, drops it if nobody holds its domain any more, or says what it waits for.
    fn try_post(self: &Arc<Self>, letter: Letter) -> Option<(Letter, Room)> {
        let place = jid::prepared_domain(letter.domain())
            .ok()
            .and_then(|domain| self.resolve(&domain));
        let count = letter.count;
        let refused = match place {
            Some(Place::Local(outbox)) => {
                return self.count_lost(self.hand_letter(letter, Some(&outbox)));
            }
            Some(place) => self.post_to(&place, letter),
            None => return self.count_lost(Err(letter)),
        };
        match refused {
            Ok(()) => None,
            Err((letter, Reason::Full(room))) => Some((letter, room)),
            Err(_) => {
                self.metrics.dropped.add(u64::from(count));
                None
            }
        }
    }

    fn post_to(self: &Arc<Self>, place: &Place, letter: Letter) -> Result<(), (Letter, Reason)> {
        let Letter {
            asker,
            bytes,
            count,
        } = letter;
        let delivery = Delivery {
            bytes: bytes.freeze(),
            count,
            origin: None,
            receipt: None,
        };
        let bare = jid::bare_prepared(&asker).unwrap_or_default().into_owned();
        let conversation = Conversation {
            from: bare.as_bytes(),
            attempts: 0,
        };
        let handed = self.try_hand_over(place, delivery, conversation);
        handed.map_err(|Refused { delivery, reason }| {
            let bytes = delivery.bytes.into();
            (
                Letter {
                    asker,
                    bytes,
                    count,
                },
                reason,
            )
        })
    }

    async fn post_in_time(self: &Arc<Self>, mut letter: Letter, mut room: Room) {
        let patience = Instant::now() + PATIENCE;
        while timeout_at(patience, room.wait()).await.is_ok() {
            match self.try_post(letter) {
                None => return,
                Some(again) => (letter, room) = again,
            }
        }
        self.metrics.dropped.add(u64::from(letter.count));
    }

    /// A reply whose asker has gone from the cluster has nobody left to go to.
    fn count_lost<T>(&self, outcome: Result<(), Letter>) -> Option<T> {
        if let Err(letter) = outcome {
            self.metrics.dropped.add(u64::from(letter.count));
        }
        None
    }
}
