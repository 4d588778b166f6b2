//! The two ends of a link without sockets: a wire that may be cut between any two steps.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use switchyard_registry::{Incarnation, NodeId};
use tokio::time::Instant;

use super::super::link_state::{LinkState, Phase};
use super::super::proto::{self, link_response::Frame};
use super::super::receiver::StreamId;
use super::super::receivers::Receivers;
use super::super::window::PushError;
use super::super::{Destination, Outcome, Parcel, PeersConfig, ReturnReason, WindowLimits};
use super::super::{hello, receiver};
use super::fixture::{destination, id, life, parcel};

#[derive(Debug, Clone)]
enum Step {
    /// Send a parcel of so many bytes to one of four destinations.
    Push { to: u8, bytes: usize },
    /// The transport asks for a batch of at most so many bytes.
    Take { bytes: usize },
    /// The oldest request arrives.
    Arrive,
    /// The oldest response arrives.
    Answer,
    /// The connection breaks; what is on the wire is lost.
    Cut,
    /// A new connection; the hello arrives, the welcome perhaps not.
    Connect { welcomed: bool },
    /// The grace period is over.
    GiveUp,
    /// The receiver's outbox for a destination is above its soft limit, or no longer.
    Congest { to: u8, congested: bool },
    /// The receiver forgets the sender, which it does when that has been gone for long.
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_u8, 9..200_usize).prop_map(|(to, bytes)| Step::Push { to, bytes }),
        4 => (1..400_usize).prop_map(|bytes| Step::Take { bytes }),
        4 => Just(Step::Arrive),
        4 => Just(Step::Answer),
        1 => Just(Step::Cut),
        2 => any::<bool>().prop_map(|welcomed| Step::Connect { welcomed }),
        1 => Just(Step::GiveUp),
        1 => (0..4_u8, any::<bool>()).prop_map(|(to, congested)| Step::Congest { to, congested }),
    ]
}

/// A sender, a receiver and the wire between them.
struct World {
    config: PeersConfig,
    sender: LinkState,
    receivers: Receivers,
    wire: Option<Wire>,
    attempts: u64,
    pushed: u64,
    delivered: Vec<u64>,
    returned: Vec<(u64, ReturnReason)>,
}

struct Wire {
    stream: StreamId,
    requests: VecDeque<proto::Batch>,
    responses: VecDeque<Frame>,
}

const RECEIVER: (NodeId, Incarnation) = (NodeId(2), Incarnation(20));

fn limits() -> WindowLimits {
    WindowLimits {
        bytes: 2000,
        parcels: 40,
        destination_bytes: 1000,
    }
}

/// The fate of a parcel depends on its number alone.
fn outcome(id: u64) -> Outcome {
    match id % 10 {
        3 => Outcome::NotHere,
        7 => Outcome::Overloaded,
        8 => Outcome::Denied,
        9 => Outcome::Congested,
        _ => Outcome::Accepted,
    }
}

impl World {
    fn new() -> Self {
        Self {
            config: PeersConfig::new("c".to_owned(), NodeId(1), "one".to_owned()),
            sender: LinkState::new(limits(), Instant::now()),
            receivers: Receivers::default(),
            wire: None,
            attempts: 0,
            pushed: 0,
            delivered: Vec::new(),
            returned: Vec::new(),
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push { to, bytes } => self.push(destination(to), bytes),
            Step::Take { bytes } => self.take(bytes),
            Step::Arrive => self.arrive(),
            Step::Answer => self.answer(),
            Step::Cut => self.cut(),
            Step::Connect { welcomed } => self.connect(welcomed),
            Step::GiveUp => {
                let (parcels, reason) = self.sender.give_up();
                self.take_back(parcels, reason);
            }
            Step::Congest { to, congested } => {
                if self.sender.phase == Phase::Open {
                    self.sender.window.set_congested(destination(to), congested);
                }
            }
            Step::Forget => self.receivers = Receivers::default(),
        }
    }

    fn push(&mut self, to: Destination, bytes: usize) {
        if !self.sender.is_reachable() {
            return;
        }
        match self.sender.window.push(parcel(to, self.pushed + 1, bytes)) {
            Ok(()) => self.pushed += 1,
            Err(PushError::Full(parcel) | PushError::Congested(parcel)) => {
                assert!(!self.sender.window.has_room(&parcel.to), "it has room");
            }
        }
    }

    fn take(&mut self, bytes: usize) {
        let Some(wire) = &mut self.wire else { return };
        if self.sender.phase == Phase::Open {
            wire.requests.extend(self.sender.window.take_batch(bytes));
        }
    }

    fn arrive(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        let Some(batch) = wire.requests.pop_front() else {
            return;
        };
        let receiver = self.receivers.of(NodeId(1)).expect("it said hello");
        let answer = receiver
            .lock()
            .receive(wire.stream, batch, |_, delivery| {
                let id = id(&delivery.bytes);
                if matches!(outcome(id), Outcome::Accepted | Outcome::Congested) {
                    self.delivered.push(id);
                }
                outcome(id)
            })
            .expect("an honest sender breaks no rule");
        wire.responses
            .extend(answer.rejects.into_iter().map(Frame::Reject));
        let through_seq = answer.through_seq;
        wire.responses
            .push_back(Frame::Ack(proto::Ack { through_seq }));
    }

    /// What the receiver makes of a batch that comes twice, or out of turn.
    fn repeat(&mut self, batch: &proto::Batch) -> Result<u64, receiver::ReceiveError> {
        let stream = self.wire.as_ref().expect("it is connected").stream;
        let receiver = self.receivers.of(NodeId(1)).expect("it said hello");
        let mut receiver = receiver.lock();
        let answer = receiver.receive(stream, batch.clone(), |_, delivery| {
            self.delivered.push(id(&delivery.bytes));
            Outcome::Accepted
        });
        answer.map(|answer| answer.through_seq)
    }

    fn answer(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        let open = self.sender.phase == Phase::Open;
        match wire.responses.pop_front() {
            Some(Frame::Welcome(welcome)) => {
                let mut returned = Vec::new();
                self.sender
                    .welcome(&welcome, &mut returned)
                    .expect("an honest welcome");
                for (parcels, reason) in returned {
                    self.take_back(parcels, reason);
                }
            }
            Some(Frame::Reject(reject)) if open => {
                let returned = self.sender.reject(&reject).expect("an honest reject");
                if let Some((parcels, reason)) = returned {
                    self.take_back(parcels, reason);
                }
            }
            Some(Frame::Ack(ack)) if open => {
                self.sender
                    .window
                    .on_ack(ack.through_seq)
                    .expect("an honest ack");
            }
            _ => {}
        }
    }

    fn cut(&mut self) {
        self.sender.lose(Instant::now());
        let Some(wire) = self.wire.take() else { return };
        // A batch of the lost connection that arrives after all must not be processed once a later
        // one has been opened.
        if let (Some(batch), Some(receiver)) = (wire.requests.front(), self.receivers.of(NodeId(1)))
        {
            self.connect(false);
            let late = receiver.lock().receive(wire.stream, batch.clone(), |_, _| {
                panic!("delivered from a stream that was superseded")
            });
            assert_eq!(late.err(), Some(receiver::ReceiveError::Superseded));
            self.wire = None;
            self.sender.lose(Instant::now());
        }
    }

    fn connect(&mut self, welcomed: bool) {
        self.sender.lose(Instant::now());
        self.attempts += 1;
        let position = self.sender.begin(self.attempts);
        let own = life(10);
        let hello = hello::say(&self.config, &own, 99, self.attempts, position, RECEIVER);
        let theirs = PeersConfig::new("c".to_owned(), RECEIVER.0, "two".to_owned());
        let accepted = hello::check(&hello, &theirs, Some(&life(RECEIVER.1.0))).expect("welcome");
        let (_, welcome) = self
            .receivers
            .open(&hello, &accepted)
            .expect("the latest stream");
        self.wire = welcomed.then(|| Wire {
            stream: accepted.stream,
            requests: VecDeque::new(),
            responses: VecDeque::from([Frame::Welcome(welcome)]),
        });
    }

    fn take_back(&mut self, parcels: Vec<Parcel>, reason: ReturnReason) {
        let ids = parcels.iter().map(|parcel| id(&parcel.delivery.bytes));
        self.returned.extend(ids.map(|id| (id, reason)));
    }

    /// Connects, and lets everything arrive that is still under way.
    fn settle(&mut self) {
        self.connect(true);
        for _ in 0..10_000 {
            self.answer();
            self.take(300);
            self.arrive();
            if self.sender.window.is_empty() {
                return;
            }
        }
        panic!("{:?} never empties", self.sender.window);
    }

    /// Contract D1: every parcel has one outcome. Contract D2: in order.
    fn check(&self) {
        assert!(
            self.delivered.is_sorted_by(|a, b| a < b),
            "{:?}",
            self.delivered
        );
        for id in 1..=self.pushed {
            let delivered = self.delivered.contains(&id);
            let reasons: Vec<_> = self
                .returned
                .iter()
                .filter(|r| r.0 == id)
                .map(|r| r.1)
                .collect();
            let taken = matches!(outcome(id), Outcome::Accepted | Outcome::Congested);
            match *reasons {
                [] => assert!(delivered, "{id} vanished"),
                [ReturnReason::PeerGone] => assert!(!delivered || taken),
                [ReturnReason::Unreachable] => assert!(!delivered, "{id} came back as well"),
                [_] => assert!(!taken, "{id} was rejected"),
                _ => panic!("{id} came back more than once: {reasons:?}"),
            }
        }
        assert_eq!(self.sender.window.size(), (0, 0));
        assert!(self.sender.window.is_idle(), "{:?}", self.sender.window);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn contract_d1_d2_every_parcel_has_one_outcome_in_order(steps in vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        world.settle();
        prop_assert!(world.returned.iter().all(|(_, reason)| *reason != ReturnReason::PeerGone));
        world.check();
    }

    #[test]
    fn contract_d1_a_forgotten_sender_gets_back_only_what_nobody_can_decide(
        before in vec(step(), 1..100),
        after in vec(step(), 1..100),
        retire in any::<bool>(),
    ) {
        let mut world = World::new();
        for step in before {
            world.run(step);
        }
        world.run(Step::Cut);
        world.run(Step::Forget);
        for step in after {
            world.run(step);
        }
        if retire {
            for (parcels, reason) in world.sender.retire() {
                world.take_back(parcels, reason);
            }
        } else {
            world.settle();
        }
        world.check();
    }
}

#[test]
fn contract_d4_one_congested_destination_leaves_room_for_others() {
    let mut world = World::new();
    world.connect(true);
    world.answer();
    world.sender.window.set_congested(destination(0), true);
    world.push(destination(0), 100);
    assert_eq!(world.pushed, 0);
    for _ in 0..30 {
        world.push(destination(1), 100);
    }
    assert_eq!(world.pushed, 10, "a destination is bounded on its own");
    world.push(destination(2), 100);
    assert_eq!(world.pushed, 11);
    assert!(!world.sender.window.take_relief());
    world.sender.window.set_congested(destination(0), false);
    assert!(world.sender.window.take_relief(), "senders to it may go on");
    world.push(destination(0), 100);
    assert_eq!(world.pushed, 12);
    world.settle();
    assert!(world.sender.window.take_relief(), "senders to 1 may go on");
    world.check();
}

#[test]
fn answers_to_what_was_never_sent_are_violations() {
    let mut world = World::new();
    world.connect(true);
    world.answer();
    for _ in 0..3 {
        world.push(destination(0), 10);
    }
    world.take(15);
    let window = &mut world.sender.window;
    assert!(window.on_ack(2).is_err());
    assert!(window.on_ack(u64::MAX).is_err());
    assert!(window.on_reject(2).is_err());
    assert!(window.on_resume(2).is_err());
    assert!(window.on_reject(1).is_ok_and(|rejected| rejected.is_some()));
    assert!(window.on_resume(0).is_err(), "it has answered parcel 1");
    assert!(window.on_resume(1).is_ok());
    assert!(window.on_ack(0).is_ok());
}

#[test]
fn contract_d1_a_batch_that_comes_twice_is_delivered_once() {
    let mut world = World::new();
    world.connect(true);
    world.answer();
    for _ in 0..3 {
        world.push(destination(0), 10);
    }
    let window = &mut world.sender.window;
    let first = window.take_batch(20).expect("two parcels");
    let second = window.take_batch(20).expect("one parcel");
    let gap = receiver::ReceiveError::Gap {
        expected: 1,
        got: 3,
    };
    assert_eq!(world.repeat(&second), Err(gap));
    for _ in 0..2 {
        assert_eq!(world.repeat(&first), Ok(2));
    }
    assert_eq!(world.repeat(&second), Ok(3));
    assert_eq!(world.repeat(&first), Ok(3));
    assert_eq!(world.delivered, [1, 2, 3]);
}
