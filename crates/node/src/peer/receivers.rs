use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use switchyard_registry::{Incarnation, NodeId};

use super::hello::Accepted;
use super::receiver::{ReceiveError, Receiver};
use super::settlements::Settlements;
use super::{LocalDelivery, proto};

/// For so many senders that the registry has given up this node remembers what it had of them, in
/// case they were only cut off and come back with something to resume.
const MAX_GONE: usize = 256;

/// What this node has processed, by sender.
#[derive(Default)]
pub(super) struct Receivers {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_sender: HashMap<NodeId, Arc<Mutex<Receiver>>>,
    /// Senders that are gone, the longest gone first.
    gone: VecDeque<NodeId>,
}

impl Receivers {
    /// Fences earlier streams of the sender and says where it stands.
    ///
    /// # Errors
    ///
    /// When a later stream was opened before.
    pub(super) fn open(
        &self,
        hello: &proto::Hello,
        accepted: &Accepted,
        local: &Arc<dyn LocalDelivery>,
    ) -> Result<(Arc<Mutex<Receiver>>, proto::Welcome), ReceiveError> {
        let Accepted {
            sender,
            sequence,
            stream,
            receiver: incarnation,
            version,
        } = *accepted;
        let settlements = || {
            let local = Arc::clone(local);
            Settlements::new(incarnation, local, stream, hello.rejects_seen)
        };
        let mut inner = self.inner.lock();
        inner.gone.retain(|gone| *gone != sender);
        let receiver = match inner.by_sender.get(&sender) {
            Some(known) => {
                known.lock().open(hello, sequence, stream, settlements)?;
                Arc::clone(known)
            }
            None => {
                let new = Receiver::new(hello, sequence, stream, settlements());
                let new = Arc::new(Mutex::new(new));
                inner.by_sender.insert(sender, Arc::clone(&new));
                new
            }
        };
        drop(inner);
        let state = receiver.lock();
        let standing = state.settlements().standing();
        let welcome = proto::Welcome {
            version,
            incarnation: incarnation.0,
            known_after: state.known_after(),
            last_seq: state.last_seq(),
            rejects: standing.rejects,
            unwritten: standing.unwritten,
            partly_written: standing.partly_written,
        };
        drop(state);
        Ok((receiver, welcome))
    }

    /// The state of one sender.
    #[cfg(test)]
    pub(super) fn of(&self, sender: NodeId) -> Option<Arc<Mutex<Receiver>>> {
        self.inner.lock().by_sender.get(&sender).cloned()
    }

    /// The registry says that this life of `sender` is over.
    pub(super) fn node_gone(&self, sender: NodeId, incarnation: Incarnation) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let Some(receiver) = inner.by_sender.get(&sender) else {
            return;
        };
        let receiver = receiver.lock();
        if receiver.incarnation() > incarnation || inner.gone.contains(&sender) {
            return;
        }
        receiver.settlements().sender_gone();
        drop(receiver);
        inner.gone.push_back(sender);
        if inner.gone.len() > MAX_GONE
            && let Some(oldest) = inner.gone.pop_front()
        {
            inner.forget(oldest);
        }
    }

    /// Forgets `sender`, as if many others had gone since it has.
    #[cfg(test)]
    pub(super) fn forget(&self, sender: NodeId) {
        self.inner.lock().forget(sender);
    }
}

impl Inner {
    /// Should it come back, it answers whatever it had not heard of: nothing of that may be written
    /// any more.
    fn forget(&mut self, sender: NodeId) {
        if let Some(forgotten) = self.by_sender.remove(&sender) {
            forgotten.lock().settlements().void();
        }
    }
}
