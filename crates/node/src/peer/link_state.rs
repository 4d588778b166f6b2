use std::task::Waker;

use tokio::time::Instant;

use super::hello::Position;
use super::window::{Violation, Window};
use super::{Destination, Parcel, ReturnReason, WindowLimits, proto};

/// Decides what happens to the parcels of one link as its connection comes and goes. Sans-IO.
#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) window: Window,
    pub(super) phase: Phase,
    /// The stream that may take parcels from the window once the phase is `Open`; 0: none.
    pub(super) stream: u64,
    /// Wakes that stream.
    pub(super) waker: Option<Waker>,
    /// Somebody waits until the window is empty.
    pub(super) flushing: bool,
    /// How often parcels have left the window that nobody has taken over yet.
    pub(super) handing_back: u32,
    /// The present sequence, named after the stream that began it; none: the next stream does.
    /// The process counts its streams, so that no later link to the same node, in another life of
    /// it, can be taken for this one.
    session: Option<u64>,
}

/// Whether parcels can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not connected, but perhaps soon: parcels wait until then.
    Waiting {
        /// When they no longer wait.
        until: Instant,
    },
    /// Not connected for longer than the grace period: parcels are refused.
    Down,
    /// Connected.
    Open,
    /// The peer's life is over. Final.
    Gone,
}

/// Parcels to hand back, with the reason.
pub(super) type Returned = (Vec<Parcel>, ReturnReason);

impl LinkState {
    /// A new link, whose parcels wait for its first connection until then.
    pub(super) fn new(limits: WindowLimits, until: Instant) -> Self {
        Self {
            window: Window::new(limits),
            phase: Phase::Waiting { until },
            stream: 0,
            waker: None,
            flushing: false,
            handing_back: 0,
            session: None,
        }
    }

    /// Whether parcels are taken.
    pub(super) fn is_reachable(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Waiting { .. })
    }

    /// Whether somebody who was told to wait should try again.
    pub(super) fn is_worth_trying(&mut self, to: &Destination) -> bool {
        match self.is_reachable() {
            true => self.window.has_room(to),
            false => self.handing_back == 0,
        }
    }

    /// Whether nothing for `to`, up to a sequence number, can come back any more that would be sent
    /// elsewhere. Without a connection nobody waits for what is left: it is pinned.
    pub(super) fn is_settled(&mut self, to: &Destination, through: u64) -> bool {
        if self.handing_back > 0 {
            return false;
        }
        if self.phase == Phase::Open {
            return self.window.is_answered(through);
        }
        self.window.pin(to);
        true
    }

    /// A new stream is about to say hello: where the window stands.
    pub(super) fn begin(&mut self, stream: u64) -> Position {
        self.stream = stream;
        Position {
            session: *self.session.get_or_insert(stream),
            rejects_seen: self.window.rejects_seen(),
            sent_through: self.window.sent_through(),
        }
    }

    /// The peer serves the stream, and says what became of what was sent before. Adds what comes
    /// back to `returned`, also when it fails.
    pub(super) fn welcome(
        &mut self,
        welcome: &proto::Welcome,
        returned: &mut Vec<Returned>,
    ) -> Result<(), Violation> {
        if self.phase == Phase::Gone {
            return Ok(());
        }
        let undecided = self.window.drain_sent(welcome.known_after);
        returned.push((undecided, ReturnReason::PeerGone));
        for reject in &welcome.rejects {
            returned.extend(self.reject(reject)?);
        }
        self.window.on_resume(welcome)?;
        self.phase = Phase::Open;
        Ok(())
    }

    /// The peer rejected a parcel.
    pub(super) fn reject(&mut self, reject: &proto::Reject) -> Result<Option<Returned>, Violation> {
        use proto::reject::Reason;
        let reason = match reject.reason() {
            Reason::NotHere => ReturnReason::NotHere,
            Reason::Denied => ReturnReason::Denied,
            Reason::Lost => ReturnReason::Lost,
            // A reason that only a later version knows is, like this one, worth another try.
            Reason::Overloaded | Reason::Unspecified => ReturnReason::Overloaded,
        };
        let rejected = self.window.on_reject(reject)?;
        Ok(rejected.map(|parcel| (vec![parcel], reason)))
    }

    /// The connection is lost, or was given up: parcels wait for the next until then.
    pub(super) fn lose(&mut self, until: Instant) {
        self.stream = 0;
        self.window.clear_congestion();
        if self.phase == Phase::Open {
            self.phase = Phase::Waiting { until };
        }
    }

    /// Parcels have waited long enough. Those that may have arrived stay, pinned.
    pub(super) fn give_up(&mut self) -> Returned {
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.phase = Phase::Down;
        }
        let unsent = match self.phase {
            Phase::Down => {
                let unsent = self.window.drain_unsent();
                self.window.pin_all();
                unsent
            }
            _ => Vec::new(),
        };
        (unsent, ReturnReason::Unreachable)
    }

    /// The two ends do not agree on what was sent: the next stream starts a new sequence.
    pub(super) fn abandon_session(&mut self) -> Returned {
        self.session = None;
        self.window.begin_session();
        (self.window.drain_sent(u64::MAX), ReturnReason::PeerGone)
    }

    /// This node ends: the peer answers for what it has taken.
    pub(super) fn close(&mut self) -> [Returned; 2] {
        self.window.forget_held();
        self.retire()
    }

    /// The peer's life is over.
    pub(super) fn retire(&mut self) -> [Returned; 2] {
        self.phase = Phase::Gone;
        self.stream = 0;
        self.window.clear_congestion();
        [
            (self.window.drain_sent(u64::MAX), ReturnReason::PeerGone),
            (self.window.drain_unsent(), ReturnReason::Unreachable),
        ]
    }
}
