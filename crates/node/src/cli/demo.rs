use anyhow::Context;
use tokio::runtime::Builder;

use super::args::DemoArgs;
use super::exit::Failure;

/// Runs three nodes on this machine and two components that exchange messages.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    Ok(runtime.block_on(crate::demo::run(args.seconds))?)
}
