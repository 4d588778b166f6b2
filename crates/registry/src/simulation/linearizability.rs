//! Whether a history could have happened one operation after another.
//!
//! The algorithm of Wing and Gong with Lowe's memory of what was tried, for operations that may
//! never have taken effect. Crates for it demand an answer to every call (todc-utils) or forget
//! what they tried (stateright), and most of our operations on a cluster that fails are of the
//! kind that nobody got an answer to.

use std::collections::HashMap;

use crate::ConnectionId;

/// What one node holds of one domain, and what can be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// A connection gets the name, unless a newer one has it.
    Register(ConnectionId),
    /// A connection gives the name up, if it has it.
    Unregister(ConnectionId),
    /// The node's life ends, and its registrations with it.
    EndLife,
    /// The node has a new life, and what is connected is registered anew.
    Restore(ConnectionId),
    /// Somebody sees who has the name.
    Read(Option<ConnectionId>),
}

/// Something that was done between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) called: u64,
    /// None: it takes effect at any time after the call, or never.
    pub(super) returned: Option<u64>,
    /// What is called after this comes after the effect of the operation, if it had any.
    pub(super) closed: Option<u64>,
    /// The registration that was called then comes after the effect of the operation, if it had
    /// any, and so do later ones.
    pub(super) precedes: Option<u64>,
    pub(super) action: Cell,
}

/// Why a history was not found to be linearizable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is.
    Linearizable,
    /// It is not: this operation fits nowhere behind the others before it.
    Violation(Operation),
    /// The search was given up.
    Undecided,
}

type State = Option<ConnectionId>;

/// Steps of the search before it is given up.
const LIMIT: usize = 100_000;

impl Cell {
    /// True for what can happen again while it can happen at all.
    fn may_repeat(self) -> bool {
        matches!(self, Self::EndLife | Self::Restore(_))
    }

    /// The state afterwards; none if it cannot be done or changes nothing that anybody waits for.
    fn apply(self, state: State) -> Option<State> {
        match self {
            Self::Register(new) if state > Some(new) => None,
            Self::Register(new) => Some(Some(new)),
            Self::Unregister(old) => (state == Some(old)).then_some(None),
            Self::EndLife => state.map(|_| None),
            Self::Restore(held) => state.is_none().then_some(Some(held)),
            Self::Read(seen) => (seen == state).then_some(state),
        }
    }
}

/// Checks one history.
pub(super) fn check(operations: &[Operation]) -> Verdict {
    let mut operations = operations.to_vec();
    // What had to be done first: what may have been done is tried when nothing else helps.
    operations.sort_by_key(|operation| (operation.returned.is_none(), operation.called));
    let required = operations.partition_point(|operation| operation.returned.is_some());
    Search {
        required,
        done: vec![false; operations.len()],
        tried: HashMap::new(),
        count: 0,
        deepest: None,
        operations,
    }
    .run()
}

struct Search {
    /// Those that had to be done, then those that may have been, each in the order of their calls.
    operations: Vec<Operation>,
    /// How many had to be done.
    required: usize,
    done: Vec<bool>,
    /// Without success: what was done of the required operations and where that led, and for which
    /// of the others. Whoever has used up those and more cannot get further either.
    tried: HashMap<(Vec<bool>, State), Vec<Vec<bool>>>,
    /// How many ways were tried.
    count: usize,
    /// The operation that kept the search from going on where it got furthest.
    deepest: Option<(usize, Operation)>,
}

/// One step of the search: what was done, the state before it, and where to go on looking.
struct Step {
    operation: usize,
    before: State,
}

impl Search {
    fn run(mut self) -> Verdict {
        let mut state = None;
        let mut steps: Vec<Step> = Vec::new();
        let mut from = 0;
        loop {
            if self.count > LIMIT {
                return Verdict::Undecided;
            }
            let Some(first_return) = self.first_return() else {
                return Verdict::Linearizable;
            };
            if let Some((operation, after)) = self.next(from, first_return, state) {
                self.done[operation] = !self.operations[operation].action.may_repeat();
                steps.push(Step {
                    operation,
                    before: state,
                });
                state = after;
                from = 0;
                continue;
            }
            self.note_stuck(steps.len(), first_return);
            let Some(step) = steps.pop() else {
                return self.violation();
            };
            self.done[step.operation] = false;
            state = step.before;
            from = step.operation + 1;
        }
    }

    /// When the first operation returned that must still be done.
    fn first_return(&self) -> Option<u64> {
        let left = self.operations.iter().zip(&self.done);
        left.filter(|(_, done)| !**done)
            .filter_map(|(operation, _)| operation.returned)
            .min()
    }

    /// The next operation that can be done and leads where the search has not been.
    fn next(&mut self, from: usize, first_return: u64, state: State) -> Option<(usize, State)> {
        for at in from..self.operations.len() {
            let operation = self.operations[at];
            // What was called after another had returned comes after it.
            if operation.called > first_return || self.done[at] || self.is_over(at) {
                continue;
            }
            let Some(after) = operation.action.apply(state) else {
                continue;
            };
            // What may happen again changes the state each time, and is not noted.
            self.done[at] = !operation.action.may_repeat();
            let is_new = self.note(after);
            self.done[at] = false;
            if is_new {
                return Some((at, after));
            }
        }
        None
    }

    /// True if it is too late for an operation to take effect.
    fn is_over(&self, at: usize) -> bool {
        let Operation {
            returned,
            closed,
            precedes,
            ..
        } = self.operations[at];
        let any = |_: &Operation| true;
        let is_closed = closed.is_some_and(|closed| self.last_call(any) >= closed);
        let is_behind = precedes.is_some_and(|called| self.last_call(is_registration) >= called);
        returned.is_none() && (is_closed || is_behind)
    }

    /// The last call among the operations of a kind that are done and had to be.
    fn last_call(&self, is_meant: impl Fn(&Operation) -> bool) -> u64 {
        let required = self.operations[..self.required].iter();
        let mut done = required.zip(&self.done).rev();
        let last = done.find(|(operation, done)| **done && is_meant(operation));
        last.map_or(0, |(operation, _)| operation.called)
    }

    /// Notes what is done and where that has led. False if something as good was tried before.
    fn note(&mut self, state: State) -> bool {
        // Whether what can take no effect any more had one does not matter.
        let optional = self.required..self.operations.len();
        let used: Vec<bool> = optional
            .map(|at| self.done[at] || self.is_over(at))
            .collect();
        let key = (self.done[..self.required].to_vec(), state);
        let tried = self.tried.entry(key).or_default();
        if tried.iter().any(|before| is_subset(before, &used)) {
            return false;
        }
        tried.retain(|before| !is_subset(&used, before));
        tried.push(used);
        self.count += 1;
        true
    }

    fn note_stuck(&mut self, depth: usize, first_return: u64) {
        if self.deepest.is_none_or(|(deepest, _)| depth > deepest) {
            let stuck = self
                .operations
                .iter()
                .find(|operation| operation.returned == Some(first_return));
            self.deepest = stuck.map(|stuck| (depth, *stuck));
        }
    }

    fn violation(&self) -> Verdict {
        self.deepest
            .map_or(Verdict::Undecided, |(_, stuck)| Verdict::Violation(stuck))
    }
}

fn is_registration(operation: &Operation) -> bool {
    matches!(operation.action, Cell::Register(_))
}

fn is_subset(part: &[bool], whole: &[bool]) -> bool {
    part.iter().zip(whole).all(|(part, whole)| !part || *whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn done(called: u64, returned: u64, action: Cell) -> Operation {
        Operation {
            called,
            returned: Some(returned),
            closed: None,
            precedes: None,
            action,
        }
    }

    fn pending(called: u64, action: Cell) -> Operation {
        Operation {
            called,
            returned: None,
            closed: None,
            precedes: None,
            action,
        }
    }

    #[track_caller]
    fn violates(history: &[Operation]) {
        let verdict = check(history);
        assert!(matches!(verdict, Verdict::Violation(_)), "{verdict:?}");
    }

    #[test]
    fn what_overlaps_may_have_happened_in_either_order() {
        let write = done(1, 6, Cell::Register(A));
        for seen in [None, Some(A)] {
            let history = [write, done(2, 3, Cell::Read(seen))];
            assert_eq!(check(&history), Verdict::Linearizable);
        }
        let flicker = [
            write,
            done(2, 3, Cell::Read(Some(A))),
            done(4, 5, Cell::Read(None)),
        ];
        violates(&flicker);
    }

    #[test]
    fn a_read_must_see_what_was_acknowledged_before_it() {
        let stale = done(3, 4, Cell::Read(None));
        violates(&[done(1, 2, Cell::Register(A)), stale]);
        assert_eq!(
            check(&[
                done(1, 2, Cell::Register(A)),
                stale,
                done(5, 6, Cell::Register(B))
            ]),
            Verdict::Violation(stale)
        );
    }

    #[test]
    fn what_nobody_got_an_answer_to_happens_once_at_most() {
        let lost = pending(1, Cell::Register(A));
        let read = |called, seen| done(called, called + 1, Cell::Read(seen));
        let late = [lost, read(2, None), read(4, Some(A))];
        assert_eq!(check(&late), Verdict::Linearizable);
        assert_eq!(check(&[lost, read(2, None)]), Verdict::Linearizable);
        violates(&[lost, read(2, Some(A)), read(4, None)]);
        let undone = pending(3, Cell::Unregister(A));
        let reads = [read(4, Some(A)), read(6, None)];
        assert_eq!(
            check(&[lost, undone, reads[0], reads[1]]),
            Verdict::Linearizable
        );
        violates(&[lost, undone, reads[0], reads[1], read(8, Some(A))]);
    }

    #[test]
    fn what_is_over_takes_no_effect_any_more() {
        let mut ended = pending(3, Cell::EndLife);
        let held = done(1, 2, Cell::Register(A));
        let read = |called, seen| done(called, called + 1, Cell::Read(seen));
        let history = |ended| [held, ended, read(5, Some(A)), read(8, None)];
        assert_eq!(check(&history(ended)), Verdict::Linearizable);
        ended.closed = Some(4);
        violates(&history(ended));
    }

    #[test]
    fn a_nodes_changes_take_effect_in_order() {
        let mut given_up = pending(3, Cell::Unregister(A));
        given_up.precedes = Some(5);
        let read = |called, seen| done(called, called + 1, Cell::Read(seen));
        let history = |last| {
            [
                done(1, 2, Cell::Register(A)),
                given_up,
                done(5, 20, Cell::Register(B)),
                read(6, Some(A)),
                read(8, None),
                read(10, Some(B)),
                read(12, last),
            ]
        };
        assert_eq!(check(&history(Some(B))), Verdict::Linearizable);
        violates(&history(None));
        let mut late = history(Some(B));
        late[5] = read(10, None);
        late[1].called = 11;
        violates(&late);
    }

    #[test]
    fn a_late_unregistration_does_not_remove_the_successor() {
        let history = [
            done(1, 2, Cell::Register(A)),
            done(3, 4, Cell::Register(B)),
            pending(5, Cell::Unregister(A)),
            done(6, 7, Cell::Read(None)),
        ];
        violates(&history);
    }

    #[test]
    fn a_registration_goes_only_with_a_reason() {
        let held = done(1, 2, Cell::Register(A));
        let gone = done(4, 5, Cell::Read(None));
        violates(&[held, gone]);
        violates(&[held, gone, pending(6, Cell::EndLife)]);
        let ended = pending(3, Cell::EndLife);
        assert_eq!(check(&[held, ended, gone]), Verdict::Linearizable);
        let restored = [
            held,
            ended,
            pending(3, Cell::Restore(A)),
            gone,
            done(6, 7, Cell::Read(Some(A))),
        ];
        assert_eq!(check(&restored), Verdict::Linearizable);
    }
}
