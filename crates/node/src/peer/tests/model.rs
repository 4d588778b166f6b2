//! The two ends of a link without sockets: a wire that may be cut between any two steps.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use switchyard_listener::{Delivery, Progress, Receipt};
use switchyard_registry::{Incarnation, NodeId};
use tokio::time::Instant;

use super::super::link_state::{LinkState, Phase};
use super::super::proto::{self, link_response::Frame};
use super::super::receiver::StreamId;
use super::super::receivers::Receivers;
use super::super::window::PushError;
use super::super::{
    Destination, LocalDelivery, Outcome, Parcel, PeersConfig, ReturnReason, WindowLimits,
};
use super::super::{hello, receiver};
use super::fixture::{STANZA, destination, id, life, parcel_of};

#[derive(Debug, Clone)]
enum Step {
    /// Send a parcel of three stanzas, of so many bytes, to one of four destinations.
    Push { to: u8, bytes: usize },
    /// The transport asks for a batch of at most so many bytes.
    Take { bytes: usize },
    /// The oldest request arrives.
    Arrive,
    /// The receiver says how far it has got.
    Report,
    /// The oldest response arrives.
    Answer,
    /// A component takes all of a parcel in its queue.
    Write { which: usize },
    /// A component takes one stanza of a parcel in its queue.
    WriteOne { which: usize },
    /// A component ends with a parcel in its queue.
    Lose { which: usize },
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
        3 => Just(Step::Report),
        5 => Just(Step::Answer),
        4 => any::<usize>().prop_map(|which| Step::Write { which }),
        2 => any::<usize>().prop_map(|which| Step::WriteOne { which }),
        1 => any::<usize>().prop_map(|which| Step::Lose { which }),
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
    local: Arc<Local>,
    queue: Vec<Queued>,
    /// Stanzas written, by parcel.
    written: BTreeMap<u64, u32>,
    /// What came back: parcel, reason and stanzas.
    returned: Vec<(u64, ReturnReason, u32)>,
}

/// The receiver's node.
struct Local {
    alive: AtomicBool,
}

/// A parcel in the outbox of a component.
struct Queued {
    id: u64,
    progress: Progress,
    receipt: Receipt,
}

struct Wire {
    stream: StreamId,
    requests: VecDeque<proto::Batch>,
    responses: VecDeque<Frame>,
}

/// Stanzas in a parcel.
const COUNT: u32 = 3;

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

impl LocalDelivery for Local {
    fn deliver(&self, _: &Destination, _: Delivery) -> Outcome {
        unreachable!("the world delivers")
    }

    fn is_alive(&self, life: Incarnation) -> bool {
        life == RECEIVER.1 && self.alive.load(Ordering::Relaxed)
    }

    fn relieved(&self, _: &Destination) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        unreachable!("the world relieves")
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
            local: Arc::new(Local {
                alive: AtomicBool::new(true),
            }),
            queue: Vec::new(),
            written: BTreeMap::new(),
            returned: Vec::new(),
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push { to, bytes } => self.push(destination(to), bytes),
            Step::Take { bytes } => self.take(bytes),
            Step::Arrive => self.arrive(),
            Step::Report => self.report(),
            Step::Answer => self.answer(),
            Step::Write { which } => self.write(which, COUNT),
            Step::WriteOne { which } => self.write(which, 1),
            Step::Lose { which } => self.lose(which),
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
            Step::Forget => self.receivers.forget(NodeId(1)),
        }
    }

    fn push(&mut self, to: Destination, bytes: usize) {
        if !self.sender.is_reachable() {
            return;
        }
        let parcel = parcel_of(to, self.pushed + 1, bytes, COUNT);
        match self.sender.window.push(parcel) {
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
        receiver
            .lock()
            .receive(wire.stream, batch, |_, mut delivery| {
                let id = id(&delivery.bytes);
                if matches!(outcome(id), Outcome::Accepted | Outcome::Congested) {
                    self.delivered.push(id);
                    self.queue.push(Queued {
                        id,
                        progress: Progress::default(),
                        receipt: delivery.receipt.take().expect("parcels have receipts"),
                    });
                } else {
                    delivery.refuse();
                }
                outcome(id)
            })
            .expect("an honest sender breaks no rule");
    }

    fn report(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        let receiver = self.receivers.of(NodeId(1)).expect("it said hello");
        let (report, through_seq) = receiver.lock().report(wire.stream).expect("the latest");
        wire.responses
            .extend(report.rejects.into_iter().map(Frame::Reject));
        wire.responses.push_back(Frame::Ack(proto::Ack {
            through_seq,
            written: report.written,
            partly_written: report.partly_written,
        }));
    }

    /// A component takes so many stanzas of a parcel in its queue, unless it must not have them.
    fn write(&mut self, which: usize, stanzas: u32) {
        let Some(place) = which.checked_rem(self.queue.len()) else {
            return;
        };
        let queued = &mut self.queue[place];
        if !queued.receipt.consignor().expect("unused").may_write() {
            // What says that it is lost is heard by nobody.
            drop(self.queue.remove(place));
            return;
        }
        let answered = self.returned.iter().any(|r| r.0 == queued.id);
        assert!(!answered, "{} is written and has been answered", queued.id);
        let progress = &mut queued.progress;
        progress.stanzas = (progress.stanzas + stanzas).min(COUNT);
        progress.bytes = progress.stanzas as usize * STANZA;
        self.written.insert(queued.id, progress.stanzas);
        if progress.stanzas == COUNT {
            self.queue.remove(place).receipt.written();
        } else {
            queued.receipt.partly_written(*progress);
        }
    }

    fn lose(&mut self, which: usize) {
        if let Some(place) = which.checked_rem(self.queue.len()) {
            assert!(
                self.queue.remove(place).receipt.lost(),
                "the sender is there"
            );
        }
    }

    /// What the receiver makes of a batch that comes twice, or out of turn.
    fn repeat(&mut self, batch: &proto::Batch) -> Result<u64, receiver::ReceiveError> {
        let stream = self.wire.as_ref().expect("it is connected").stream;
        let receiver = self.receivers.of(NodeId(1)).expect("it said hello");
        let mut receiver = receiver.lock();
        receiver.receive(stream, batch.clone(), |_, delivery| {
            self.delivered.push(id(&delivery.bytes));
            Outcome::Accepted
        })?;
        Ok(receiver.last_seq())
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
                // Hearing it twice makes no difference.
                for _ in 0..2 {
                    self.sender.window.on_ack(&ack).expect("an honest ack");
                }
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
        let local = Arc::clone(&self.local) as Arc<dyn LocalDelivery>;
        let (_, welcome) = self
            .receivers
            .open(&hello, &accepted, &local)
            .expect("the latest stream");
        self.wire = welcomed.then(|| Wire {
            stream: accepted.stream,
            requests: VecDeque::new(),
            responses: VecDeque::from([Frame::Welcome(welcome)]),
        });
    }

    fn take_back(&mut self, parcels: Vec<Parcel>, reason: ReturnReason) {
        for Parcel { delivery, .. } in parcels {
            let id = id(&delivery.bytes);
            self.returned.push((id, reason, delivery.count));
        }
    }

    /// The receiver's lease ends, then its peers give it up.
    fn retire(&mut self) {
        self.local.alive.store(false, Ordering::Relaxed);
        for (parcels, reason) in self.sender.retire() {
            self.take_back(parcels, reason);
        }
        while !self.queue.is_empty() {
            self.write(0, COUNT);
        }
    }

    /// Connects, and lets everything arrive and be written that is still under way.
    fn settle(&mut self) {
        self.connect(true);
        for _ in 0..10_000 {
            self.answer();
            self.take(300);
            self.arrive();
            self.write(0, COUNT);
            self.report();
            let window = &self.sender.window;
            if window.is_empty() && window.held() == (0, 0) && self.queue.is_empty() {
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
            let written = self.written.get(&id).copied().unwrap_or_default();
            let returned = self.returned.iter().filter(|r| r.0 == id);
            let returned: Vec<_> = returned.map(|r| (r.1, r.2)).collect();
            match *returned {
                [] => assert_eq!(written, COUNT, "{id} vanished"),
                // Nobody knows: but what is known to be written is not answered.
                [(ReturnReason::PeerGone, rest)] => assert!(rest <= COUNT),
                [(ReturnReason::Lost, rest)] => {
                    assert_eq!(written + rest, COUNT, "the rest of {id} is answered");
                }
                [(_, rest)] => assert_eq!((written, rest), (0, COUNT), "{id}"),
                _ => panic!("{id} came back more than once: {returned:?}"),
            }
        }
        assert_eq!(self.sender.window.size(), (0, 0));
        assert_eq!(self.sender.window.held(), (0, 0));
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
        prop_assert!(world.returned.iter().all(|r| r.1 != ReturnReason::PeerGone));
        world.check();
    }

    #[test]
    fn contract_d1_nothing_is_written_that_was_answered_when_a_life_ends_or_is_forgotten(
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
            world.retire();
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
    let ack = |through_seq| proto::Ack {
        through_seq,
        ..proto::Ack::default()
    };
    let reject = |seq| proto::Reject {
        seq,
        ..proto::Reject::default()
    };
    let resume = |last_seq| proto::Welcome {
        last_seq,
        ..proto::Welcome::default()
    };
    assert!(window.on_ack(&ack(2)).is_err());
    assert!(window.on_ack(&ack(u64::MAX)).is_err());
    let written = vec![proto::Range { first: 1, last: 1 }];
    let not_taken = proto::Ack {
        through_seq: 0,
        written,
        ..proto::Ack::default()
    };
    assert!(window.on_ack(&not_taken).is_err());
    assert!(window.on_reject(&reject(2)).is_err());
    assert!(window.on_resume(&resume(2)).is_err());
    assert!(
        window
            .on_reject(&reject(1))
            .is_ok_and(|rejected| rejected.is_some())
    );
    assert!(
        window.on_resume(&resume(0)).is_err(),
        "it has answered parcel 1"
    );
    assert!(window.on_resume(&resume(1)).is_ok());
    assert!(window.on_ack(&ack(0)).is_ok());
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
    let first = window.take_batch(50).expect("two parcels");
    let second = window.take_batch(50).expect("one parcel");
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
