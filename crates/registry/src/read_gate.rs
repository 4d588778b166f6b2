use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::core::{Core, SubmitError};
use crate::registry::NoQuorum;

/// Time from one confirmation of the table to the next at least: components that send to unknown
/// domains all the time cost the cluster 200 rounds a second for each node, and no more.
const TABLE_SPACING: Duration = Duration::from_millis(5);

/// Lets many ask a costly question at once and asks it once: who arrives while it is being asked
/// waits for the next answer, since the one under way may not reflect what they know. However many
/// ask, the question is asked so often and no more.
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
    /// A gate and its task, which asks every `spacing` at most; after a pause at once. `ask` must
    /// end in bounded time: that bounds how many can wait.
    pub(crate) fn new<A, F>(
        mut ask: A,
        spacing: Duration,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send)
    where
        A: FnMut() -> F + Send,
        F: Future<Output = T> + Send,
    {
        let (waiters, mut queue) = mpsc::unbounded_channel::<oneshot::Sender<T>>();
        let serve = async move {
            let mut next = Instant::now();
            while let Some(first) = queue.recv().await {
                sleep_until(next).await;
                next = Instant::now() + spacing;
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
    ReadGate::new(ask, TABLE_SPACING, stop.clone())
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
    ReadGate::new(ask, Duration::ZERO, stop.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn contract_r7_a_flood_of_questions_costs_a_bounded_number_of_rounds() {
        const ASKERS: u64 = 100;
        const EACH: u64 = 50;
        let rounds = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&rounds);
        let ask = move || {
            let round = counted.fetch_add(1, Ordering::Relaxed);
            async move { round }
        };
        let start = Instant::now();
        let (gate, task) = ReadGate::new(ask, TABLE_SPACING, CancellationToken::new());
        let serving = tokio::spawn(task);
        gate.ask().await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO, "the first does not wait");

        let askers = (0..ASKERS).map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let begun = rounds_so_far(&gate).await;
                    assert!(rounds_so_far(&gate).await > begun, "an answer of before");
                }
            })
        });
        for asker in askers.collect::<Vec<_>>() {
            asker.await.unwrap();
        }
        let spacings = start.elapsed().as_millis() / TABLE_SPACING.as_millis();
        let rounds = rounds.load(Ordering::Relaxed);
        assert!(u128::from(rounds) <= spacings + 2, "{rounds} in {spacings}");
        assert!(rounds <= 2 * EACH + 2, "{rounds} rounds were not shared");
        serving.abort();
    }

    async fn rounds_so_far(gate: &ReadGate<u64>) -> u64 {
        gate.ask().await.unwrap()
    }
}
