use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a test waits for something that takes milliseconds when all is well. Generous: a busy
/// machine must not fail a test, and nothing waits longer than it has to.
pub const PATIENCE: Duration = Duration::from_secs(30);

const INTERVAL: Duration = Duration::from_millis(10);

/// Asks `condition` again and again until it gives a value.
///
/// # Errors
///
/// When it has given none after `patience`: names `what` was waited for and the last reason.
pub fn eventually<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                bail!("waited {patience:?} in vain for {what}: {error:#}")
            }
            Err(_) => thread::sleep(INTERVAL),
        }
    }
}
