use std::io::Read;

use anyhow::Context;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::args::ServeArgs;
use super::exit::Failure;
use crate::config;
use crate::logging;
use crate::serve::{self, Signals, Start};

/// Runs a node until it is told to stop.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let signals = {
        let _runtime = runtime.enter();
        Signals::install()?
    };
    let loaded = config::load(&args.config)?;
    let logging = logging::init(loaded.config.general.loglevel).context("cannot start logging")?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let start = Start {
        config: loaded.config,
        file: args.config.clone(),
        logging,
        signals,
    };
    let served = match args.exit_with_parent {
        true => runtime.block_on(async {
            tokio::select! {
                served = serve::run(start) => served,
                () = parent_gone() => Err(anyhow::anyhow!("the parent process is gone")),
            }
        }),
        false => runtime.block_on(serve::run(start)),
    };
    Ok(served?)
}

/// Ready when standard input has ended.
async fn parent_gone() {
    let (gone, wait) = oneshot::channel();
    // A thread of its own: it stays in the read when the process ends, which a thread of the
    // runtime must not.
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        let _ = gone.send(());
    });
    let _ = wait.await;
}
