use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use futures::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::{Consignor, Progress, Receipt};

const LIMITS: OutboxLimits = OutboxLimits {
    soft: 400,
    hard: 800,
};

/// A run of `count` stanzas numbered from `first`.
fn run(first: u32, count: u32) -> Delivery {
    let text: String = (first..first + count)
        .map(|number| format!("<message id='{number}'/>"))
        .collect();
    Delivery {
        bytes: Bytes::from(text),
        count,
        origin: None,
        receipt: None,
    }
}

/// Keeps account of deliveries that came from afar, numbered as their first stanzas are.
#[derive(Default)]
struct Book {
    revoked: AtomicBool,
    progress: Mutex<BTreeMap<u64, u32>>,
    /// Whether each was written.
    settled: Mutex<BTreeMap<u64, bool>>,
}

impl Book {
    fn settle(&self, number: u64, written: bool) {
        let before = self.settled.lock().insert(number, written);
        assert_eq!(before, None, "{number} is settled twice");
    }
}

impl Consignor for Book {
    fn may_write(&self) -> bool {
        !self.revoked.load(Ordering::Relaxed)
    }

    fn written(&self, number: u64) {
        self.settle(number, true);
    }

    fn partly_written(&self, number: u64, progress: Progress) {
        let before = self.progress.lock().insert(number, progress.stanzas);
        assert!(before < Some(progress.stanzas), "no progress");
    }

    fn lost(&self, number: u64) -> bool {
        self.settle(number, false);
        true
    }
}

/// A run that came from afar.
fn consigned(book: &Arc<Book>, first: u32, count: u32) -> Delivery {
    let consignor = Arc::clone(book) as Arc<dyn Consignor>;
    Delivery {
        receipt: Some(Receipt::new(consignor, first.into())),
        ..run(first, count)
    }
}

/// The numbers of the stanzas in `bytes`, of those alone that are complete.
fn numbers(bytes: &[u8]) -> Vec<u32> {
    std::str::from_utf8(bytes)
        .unwrap()
        .split_inclusive("/>")
        .filter_map(|piece| piece.strip_suffix("'/>")?.strip_prefix("<message id='"))
        .map(|number| number.parse().unwrap())
        .collect()
}

fn numbers_of(deliveries: &[Delivery]) -> Vec<u32> {
    deliveries
        .iter()
        .flat_map(|delivery| {
            let numbers = numbers(&delivery.bytes);
            assert_eq!(numbers.len(), delivery.count as usize);
            numbers
        })
        .collect()
}

/// Writes up to `limit` bytes of `batch`, as a socket would that takes no more.
fn write(batch: &mut WriteBatch, limit: usize, out: &mut Vec<u8>) -> u64 {
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let filled = batch.slices(&mut slices);
    let before = out.len();
    for slice in &slices[..filled] {
        let room = limit.saturating_sub(out.len() - before);
        out.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    let stanzas = batch.advance(out.len() - before);
    batch.confirm();
    stanzas
}

type Push = fn(&Outbox, Delivery) -> Result<(), PushError>;

fn push_reply(outbox: &Outbox, reply: Delivery) -> Result<(), PushError> {
    outbox.push_reply(reply).map_err(PushError::Closed)
}

#[derive(Debug, Clone)]
enum Step {
    Push(u32),
    PushFromPeer(u32),
    PushReply(u32),
    Take,
    Write(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..20u32).prop_map(Step::Push),
        (1..20u32).prop_map(Step::PushFromPeer),
        (1..4u32).prop_map(Step::PushReply),
        Just(Step::Take),
        (1..300usize).prop_map(Step::Write),
        (1..300usize).prop_map(Step::Write),
    ]
}

proptest! {
    /// Whatever happens in whatever order: each stanza that was accepted is written or given back,
    /// once, in order, and the bounds hold.
    #[test]
    fn contract_d1_each_stanza_is_in_one_place(
        mut steps in prop::collection::vec(step(), 1..120),
        close_at in 0..120usize,
    ) {
        if close_at < steps.len() {
            steps.insert(close_at, Step::Close);
        }
        let outbox = Outbox::new(LIMITS);
        let mut batch = WriteBatch::default();
        let book = Arc::new(Book::default());
        let mut consignments = Vec::new();
        let (mut next, mut accepted, mut wire, mut counted) = (0, Vec::new(), Vec::new(), 0);
        for step in steps {
            let (count, push) = match step {
                Step::Push(count) => (count, Outbox::push as Push),
                Step::PushFromPeer(count) => (count, Outbox::push_from_peer as Push),
                Step::PushReply(count) => (count, push_reply as Push),
                Step::Take => {
                    outbox.take_into(&mut batch).now_or_never();
                    continue;
                }
                Step::Write(limit) => {
                    counted += write(&mut batch, limit, &mut wire);
                    if limit % 2 == 0 {
                        batch.note_progress();
                    }
                    continue;
                }
                Step::Close => {
                    outbox.close(CloseReason::Replaced);
                    continue;
                }
            };
            let queued = outbox.queued_bytes();
            let delivery = match step {
                Step::PushFromPeer(_) => consigned(&book, next, count),
                _ => run(next, count),
            };
            match push(&outbox, delivery) {
                Ok(()) => {
                    if let Step::PushFromPeer(_) = step {
                        consignments.push(next..next + count);
                    }
                    accepted.extend(next..next + count);
                    match step {
                        Step::Push(_) => prop_assert!(queued < LIMITS.soft),
                        Step::PushFromPeer(_) => prop_assert!(queued < LIMITS.hard),
                        _ => {}
                    }
                }
                Err(PushError::Full(delivery)) => {
                    prop_assert_eq!(delivery.count, count);
                    delivery.refuse();
                    prop_assert!(queued > LIMITS.soft / 2);
                    prop_assert!(matches!(step, Step::Push(_)) || queued >= LIMITS.hard);
                }
                Err(PushError::Closed(delivery)) => {
                    prop_assert_eq!(delivery.count, count);
                    delivery.refuse();
                    prop_assert_eq!(outbox.close_reason(), Some(CloseReason::Replaced));
                }
            }
            next += count;
        }
        let mut unwritten = batch.into_unwritten();
        counted += u64::from(unwritten.written);
        unwritten.deliveries.extend(outbox.finish());
        let mut seen = numbers(&wire);
        prop_assert_eq!(seen.len() as u64, counted);
        for delivery in &mut unwritten.deliveries {
            if let Some(receipt) = delivery.receipt.take() {
                prop_assert!(receipt.lost());
            }
        }
        for consigned in consignments {
            let written = consigned.clone().filter(|number| seen.contains(number)).count();
            let number = u64::from(consigned.start);
            let told = match book.settled.lock().get(&number) {
                Some(true) => consigned.len(),
                Some(false) => book.progress.lock().get(&number).map_or(0, |told| *told as usize),
                None => return Err(TestCaseError::fail(format!("{number} is not settled"))),
            };
            prop_assert_eq!(told, written, "of {}", number);
        }
        seen.extend(numbers_of(&unwritten.deliveries));
        prop_assert_eq!(seen, accepted);
    }
}

#[test]
fn contract_d1_what_its_sender_has_answered_is_not_written() {
    for cut in [None, Some(0), Some(3)] {
        let book = Arc::new(Book::default());
        let mut batch = WriteBatch::default();
        let (first, revoked) = (run(0, 2), consigned(&book, 2, 2));
        // After the first of its stanzas, and so many bytes of the second.
        let stanza = revoked.bytes.len() / 2;
        let limit = cut.map_or(0, |cut| first.bytes.len() + stanza + cut);
        for delivery in [first, revoked, run(4, 2)] {
            batch.push(delivery);
        }
        let mut wire = Vec::new();
        write(&mut batch, limit, &mut wire);
        batch.revoke(false).expect("everybody's lease runs");

        book.revoked.store(true, Ordering::Relaxed);
        let revoked = batch.revoke(false);
        assert_eq!(revoked.is_err(), cut == Some(3), "half a stanza is out");
        if revoked.is_ok() {
            write(&mut batch, usize::MAX, &mut wire);
            let expected: &[u32] = if cut.is_none() {
                &[0, 1, 4, 5]
            } else {
                &[0, 1, 2, 4, 5]
            };
            assert_eq!(numbers(&wire), expected);
            assert!(batch.is_empty());
        }
        drop(batch);
        assert_eq!(*book.settled.lock(), BTreeMap::from([(2, false)]));
        let told = book.progress.lock().get(&2).copied();
        assert_eq!(told, cut.map(|_| 1), "what was written is known");
    }
}

#[test]
fn contract_d4_room_comes_back_when_half_has_drained() {
    let outbox = Outbox::new(LIMITS);
    let mut next = 0;
    while outbox.push(run(next, 5)).is_ok() {
        next += 5;
    }
    assert!(outbox.is_congested());
    let mut room = Box::pin(outbox.wait_for_room());
    assert!(room.as_mut().now_or_never().is_none());
    let mut batch = WriteBatch::default();
    assert_eq!(outbox.take_into(&mut batch).now_or_never(), Some(true));
    assert!(room.as_mut().now_or_never().is_some());
    assert!(!outbox.is_congested());
    assert!(outbox.push(run(next, 1)).is_ok());
}

#[test]
fn contract_d4_senders_that_wait_learn_of_the_close() {
    let outbox = Outbox::new(LIMITS);
    outbox.push(run(0, 40)).unwrap();
    let mut room = Box::pin(outbox.wait_for_room());
    let mut closed = Box::pin(outbox.closed());
    assert!(room.as_mut().now_or_never().is_none());
    assert!(closed.as_mut().now_or_never().is_none());
    assert!(outbox.close(CloseReason::SystemShutdown));
    assert!(!outbox.close(CloseReason::Replaced));
    assert!(room.as_mut().now_or_never().is_some());
    assert_eq!(closed.now_or_never(), Some(CloseReason::SystemShutdown));
    assert!(matches!(outbox.push(run(40, 1)), Err(PushError::Closed(_))));
}

#[test]
fn a_push_wakes_the_writer_that_waits() {
    let outbox = Arc::new(Outbox::new(LIMITS));
    let mut batch = WriteBatch::default();
    let mut taking = Box::pin(outbox.take_into(&mut batch));
    let (waker, wakes) = futures_test_waker();
    let mut cx = Context::from_waker(&waker);
    assert!(taking.as_mut().poll(&mut cx).is_pending());
    outbox.push(run(0, 1)).unwrap();
    outbox.push(run(1, 1)).unwrap();
    assert_eq!(wakes.load(Ordering::Relaxed), 1, "one wake for two pushes");
    assert_eq!(taking.as_mut().poll(&mut cx), Poll::Ready(true));
    drop(taking);
    assert_eq!(batch.len(), 2);
}

#[test]
fn small_deliveries_do_not_keep_large_buffers_alive() {
    let outbox = Outbox::new(OutboxLimits::default());
    for number in 0..2000 {
        let mut delivery = run(number, 1);
        let mut buffer = vec![b' '; 64 * 1024];
        buffer[..delivery.bytes.len()].copy_from_slice(&delivery.bytes);
        delivery.bytes = Bytes::from(buffer).slice(..delivery.bytes.len());
        outbox.push(delivery).unwrap();
    }
    let state = outbox.state.lock();
    // A copy lies right behind the copy before it.
    let copied = state
        .queue
        .iter()
        .zip(state.queue.iter().skip(1))
        .filter(|(one, next)| one.bytes.as_ptr_range().end == next.bytes.as_ptr())
        .count();
    assert!(copied > 1000, "{copied}");
    drop(state);
    assert_eq!(numbers_of(&outbox.finish()), (0..2000).collect::<Vec<_>>());
}

fn futures_test_waker() -> (Waker, Arc<std::sync::atomic::AtomicUsize>) {
    struct Count(Arc<std::sync::atomic::AtomicUsize>);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::default();
    (Waker::from(Arc::new(Count(Arc::clone(&count)))), count)
}
