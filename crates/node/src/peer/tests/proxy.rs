use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A TCP proxy on loopback that breaks connections.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    target: SocketAddr,
    /// How many bytes, of both directions, each connection carries; `None`: any number.
    budget: Mutex<Box<dyn FnMut() -> Option<u64> + Send>>,
    cuts: AtomicU64,
    /// While true nothing is forwarded, and nobody is told.
    held: watch::Sender<bool>,
}

/// What is left of one connection's budget.
struct Budget(Mutex<u64>);

impl Proxy {
    /// Forwards to `target`; `budget` says after how many bytes each connection breaks.
    pub(super) async fn start(
        target: SocketAddr,
        budget: impl FnMut() -> Option<u64> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            target,
            budget: Mutex::new(Box::new(budget)),
            cuts: AtomicU64::new(0),
            held: watch::Sender::new(false),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            task,
        }
    }

    /// How many connections it has broken.
    pub(super) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// Lets nothing through any more, as a network that has been parted, until told otherwise.
    pub(super) fn hold(&self, held: bool) {
        self.shared.held.send_replace(held);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((near, _)) = listener.accept().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            if let Ok(far) = TcpStream::connect(shared.target).await {
                forward(near, far, &shared).await;
            }
        });
    }
}

/// Ends both directions when either ends.
async fn forward(near: TcpStream, far: TcpStream, shared: &Shared) {
    let budget = (shared.budget.lock())();
    let budget = Budget(Mutex::new(budget.unwrap_or(u64::MAX)));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        () = copy(near_read, far_write, &budget, shared) => {}
        () = copy(far_read, near_write, &budget, shared) => {}
    }
    if *budget.0.lock() == 0 {
        shared.cuts.fetch_add(1, Ordering::Relaxed);
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, budget: &Budget, shared: &Shared) {
    let mut held = shared.held.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if held.wait_for(|held| !held).await.is_err() {
            return;
        }
        let allowed = budget.spend(read);
        if to.write_all(&buffer[..allowed]).await.is_err() || allowed < read {
            return;
        }
    }
}

impl Budget {
    /// How many of `bytes` may pass.
    fn spend(&self, bytes: usize) -> usize {
        let mut left = self.0.lock();
        let allowed = bytes.min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= allowed as u64;
        allowed
    }
}
