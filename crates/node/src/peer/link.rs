use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use switchyard_registry::{Incarnation, NodeId, NodeInfo};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hello::Position;
use super::link_state::{LinkState, Phase, Returned};
use super::window::{PushError, Violation};
use super::{Destination, LinkCounters, Parcel, PeersConfig, Returns, proto};

/// The way to one life of one peer. Outlives its connections.
pub(crate) struct Link {
    peer: Peer,
    address: Mutex<String>,
    state: Mutex<LinkState>,
    /// Notified when those who wait for room should look again.
    room: Notify,
    returns: Arc<dyn Returns>,
    counters: Arc<LinkCounters>,
    retired: CancellationToken,
}

/// The other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its identity.
    pub(crate) node: NodeId,
    /// The life of it that the link leads to.
    pub(crate) incarnation: Incarnation,
    /// `node.name`, for people.
    pub(crate) name: String,
}

impl Peer {
    /// The node `id` as the registry describes it.
    pub(crate) fn new(id: NodeId, info: &NodeInfo) -> Self {
        Self {
            node: id,
            incarnation: info.incarnation,
            name: info.name.to_string(),
        }
    }
}

/// Why a link did not take a parcel. It is given back.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The link's window is full: wait for room.
    Full(Parcel),
    /// The destination is congested: wait for room.
    Congested(Parcel),
    /// The peer has not been reached for longer than the grace period, or is gone.
    Unreachable(Parcel),
}

/// A link as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkStatus {
    /// The other end.
    pub(crate) peer: Peer,
    /// Connected.
    pub(crate) open: bool,
    /// Parcels that the peer has not taken yet.
    pub(crate) parcels: usize,
    /// Bytes of stanzas in them.
    pub(crate) bytes: usize,
    /// Parcels that the peer has taken and not yet written to their components.
    pub(crate) held_parcels: usize,
    /// Bytes of stanzas in them.
    pub(crate) held_bytes: usize,
}

impl Link {
    pub(super) fn new(
        peer: Peer,
        address: String,
        config: &PeersConfig,
        returns: Arc<dyn Returns>,
        counters: Arc<LinkCounters>,
    ) -> Self {
        let until = Instant::now() + config.timings.grace;
        Self {
            peer,
            address: Mutex::new(address),
            state: Mutex::new(LinkState::new(config.window, until)),
            room: Notify::new(),
            returns,
            counters,
            retired: CancellationToken::new(),
        }
    }

    /// The other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Queues `parcel` behind all others. From here on the link answers for it: it arrives, or
    /// comes back through [`Returns`].
    ///
    /// # Errors
    ///
    /// When there is no room, or no way.
    pub(crate) fn try_send(&self, parcel: Parcel) -> Result<(), SendError> {
        let mut state = self.state.lock();
        if !state.is_reachable() {
            return Err(SendError::Unreachable(parcel));
        }
        state.window.push(parcel)?;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Ready when it is worth while to try again after a [`SendError`].
    pub(crate) async fn wait_for_room(&self, to: &Destination) {
        self.wait_until(|state| state.is_worth_trying(to)).await;
    }

    /// Something may still come back from it that would be sent elsewhere.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state.lock();
        state.handing_back > 0 || !state.window.is_empty()
    }

    /// Parcels have left the link that [`Returns`] has not taken over yet.
    pub(crate) fn is_handing_back(&self) -> bool {
        self.state.lock().handing_back > 0
    }

    /// Ready when nothing that the link has for `to` now can come back any more and be sent
    /// elsewhere, but for what [`Returns`] has. Waits only for a peer that is connected: a round trip.
    pub(crate) async fn settled(&self, to: &Destination) {
        let through = {
            let state = self.state.lock();
            if state.handing_back == 0 && !state.window.has(to) {
                return;
            }
            state.window.last()
        };
        self.wait_until(|state| state.is_settled(to, through)).await;
    }

    /// How the link is doing.
    pub(crate) fn status(&self) -> LinkStatus {
        let state = self.state.lock();
        let (parcels, bytes) = state.window.size();
        let (held_parcels, held_bytes) = state.window.held();
        LinkStatus {
            peer: self.peer.clone(),
            open: state.phase == Phase::Open,
            parcels,
            bytes,
            held_parcels,
            held_bytes,
        }
    }

    /// Ready when the peer has taken everything that did not come back, or is unreachable.
    pub(super) async fn flushed(&self) {
        self.state.lock().flushing = true;
        self.wait_until(|state| state.window.is_empty() || !state.is_reachable())
            .await;
    }

    /// The peer's life is over: ends the link for good and hands back what it still holds.
    pub(super) fn retire(&self) {
        self.end(LinkState::retire);
    }

    /// This node ends: ends the link for good, and hands back what the peer has not taken.
    pub(super) fn close(&self) {
        self.end(LinkState::close);
    }

    fn end(&self, change: impl FnOnce(&mut LinkState) -> [Returned; 2]) {
        self.update_and_hand_back(|state, returned| {
            returned.extend(change(state));
            self.retired.cancel();
        });
    }

    /// Cancelled when the link ends for good.
    pub(super) fn retired(&self) -> &CancellationToken {
        &self.retired
    }

    /// Where the peer listens.
    pub(super) fn address(&self) -> String {
        self.address.lock().clone()
    }

    /// Where the next attempt finds the peer.
    pub(super) fn set_address(&self, address: String) {
        *self.address.lock() = address;
    }

    /// When parcels that wait for a connection are to be given up.
    pub(super) fn grace_ends(&self) -> Option<Instant> {
        match self.state.lock().phase {
            Phase::Waiting { until } => Some(until),
            Phase::Down | Phase::Gone | Phase::Open => None,
        }
    }

    pub(super) fn begin(&self, stream: u64) -> Position {
        self.update(|state| state.begin(stream))
    }

    pub(super) fn welcome(&self, welcome: &proto::Welcome) -> Result<(), Violation> {
        let result = self.update_and_hand_back(|state, returned| state.welcome(welcome, returned));
        self.counters.count_opened();
        result
    }

    pub(super) fn ack(&self, ack: &proto::Ack) -> Result<(), Violation> {
        self.update(|state| match state.phase {
            Phase::Open => state.window.on_ack(ack),
            Phase::Down | Phase::Gone | Phase::Waiting { .. } => Ok(()),
        })
    }

    pub(super) fn reject(&self, reject: &proto::Reject) -> Result<(), Violation> {
        self.update_and_hand_back(|state, returned| {
            if state.phase == Phase::Open {
                returned.extend(state.reject(reject)?);
            }
            Ok(())
        })
    }

    pub(super) fn set_congested(&self, to: Destination, congested: bool) {
        self.update(|state| {
            if state.phase == Phase::Open {
                state.window.set_congested(to, congested);
            }
        });
    }

    pub(super) fn lose(&self, grace: Duration) {
        self.update(|state| state.lose(Instant::now() + grace));
    }

    pub(super) fn give_up(&self) {
        self.update_and_hand_back(|state, returned| returned.push(state.give_up()));
    }

    pub(super) fn abandon_session(&self) {
        self.update_and_hand_back(|state, returned| returned.push(state.abandon_session()));
    }

    /// What `stream` should send next; `None` when it is no longer the link's stream.
    pub(super) fn poll_batch(
        &self,
        stream: u64,
        max_bytes: usize,
        waker: &Waker,
    ) -> Poll<Option<proto::Batch>> {
        let mut state = self.state.lock();
        if state.stream != stream {
            return Poll::Ready(None);
        }
        if state.phase == Phase::Open
            && let Some(batch) = state.window.take_batch(max_bytes)
        {
            drop(state);
            self.counters.count_sent(&batch);
            return Poll::Ready(Some(batch));
        }
        state.waker = Some(waker.clone());
        Poll::Pending
    }

    /// Some parcels have not been taken by a stream.
    #[cfg(test)]
    pub(super) fn has_unsent(&self) -> bool {
        self.state.lock().window.has_unsent()
    }

    /// Changes the state, then tells those who wait for such a change. Not for the hot path.
    fn update<T>(&self, change: impl FnOnce(&mut LinkState) -> T) -> T {
        let mut state = self.state.lock();
        let before = (state.phase, state.stream);
        let result = change(&mut state);
        let relief = state.window.take_relief()
            || (state.flushing && state.window.is_empty())
            || before.0 != state.phase;
        let waker = (before != (state.phase, state.stream))
            .then(|| state.waker.take())
            .flatten();
        drop(state);
        if relief {
            self.room.notify_waiters();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    async fn wait_until(&self, reached: impl Fn(&mut LinkState) -> bool) {
        loop {
            let mut notified = pin!(self.room.notified());
            // Registered before the look, so that no change between the two is missed.
            notified.as_mut().enable();
            if reached(&mut self.state.lock()) {
                return;
            }
            notified.await;
        }
    }

    /// Changes the state and hands on what comes back. Between the two it can be seen that
    /// something does ([`Self::is_handing_back`]), so that nothing newer goes another way before.
    fn update_and_hand_back<T>(
        &self,
        change: impl FnOnce(&mut LinkState, &mut Vec<Returned>) -> T,
    ) -> T {
        let mut returned: Vec<Returned> = Vec::new();
        let result = self.update(|state| {
            let result = change(state, &mut returned);
            returned.retain(|(parcels, _)| !parcels.is_empty());
            state.handing_back += u32::from(!returned.is_empty());
            result
        });
        if !returned.is_empty() {
            for (parcels, reason) in returned {
                self.counters.count_returned(&parcels, reason);
                self.returns.returned(parcels, reason);
            }
            self.state.lock().handing_back -= 1;
            self.room.notify_waiters();
        }
        result
    }
}

impl From<PushError> for SendError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Full(parcel) => Self::Full(parcel),
            PushError::Congested(parcel) => Self::Congested(parcel),
        }
    }
}
