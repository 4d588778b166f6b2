use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::core::{Core, SubmitError};
use crate::registry::NoQuorum;

/// Lets many ask a costly question at once and asks it once: who arrives while it is being asked
/// waits for the next answer, since the one under way may not reflect what they know.
#[derive(Debug)]
pub(crate) struct ReadGate<T> {
    waiters: mpsc::UnboundedSender<oneshot::Sender<T>>,
}

impl<T> Clone for ReadGate<T> {
    fn clone(&self) -> Self {
        Self {
            waiters: self.waiters.clone(),
        }
    }
}

impl<T: Clone + Send + 'static> ReadGate<T> {
    /// A gate and its task. `ask` must end in bounded time: that bounds how many can wait.
    pub(crate) fn new<A, F>(
        mut ask: A,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send)
    where
        A: FnMut() -> F + Send,
        F: Future<Output = T> + Send,
    {
        let (waiters, mut queue) = mpsc::unbounded_channel::<oneshot::Sender<T>>();
        let serve = async move {
            while let Some(first) = queue.recv().await {
                let mut asking = vec![first];
                while let Ok(next) = queue.try_recv() {
                    asking.push(next);
                }
                let answer = ask().await;
                for waiter in asking {
                    let _ = waiter.send(answer.clone());
                }
            }
        };
        let task = async move {
            stop.run_until_cancelled(serve).await;
        };
        (Self { waiters }, task)
    }

    /// The answer to a question asked from now on; none after the task has ended.
    pub(crate) async fn ask(&self) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.waiters.send(answer).ok()?;
        answered.await.ok()
    }
}

/// Confirms that this node's table has everything that was committed before.
pub(crate) fn of_table(
    core: &Core,
    stop: &CancellationToken,
) -> (
    ReadGate<Result<u64, NoQuorum>>,
    impl Future<Output = ()> + Send + use<>,
) {
    let core = core.clone();
    let ask = move || {
        let core = core.clone();
        async move {
            let deadline = Instant::now() + core.config.timings.confirm;
            core.read_index(deadline)
                .await
                .map_err(|_: SubmitError| NoQuorum)
        }
    };
    ReadGate::new(ask, stop.clone())
}

/// Proves that this node leads.
pub(crate) fn of_leadership(
    core: &Core,
    stop: &CancellationToken,
) -> (
    ReadGate<Result<u64, Status>>,
    impl Future<Output = ()> + Send + use<>,
) {
    let core = core.clone();
    let ask = move || {
        let core = core.clone();
        async move { core.read_index_here(core.config.timings.confirm).await }
    };
    ReadGate::new(ask, stop.clone())
}
