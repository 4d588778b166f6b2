//! What must hold in every run, one file for each: each sees every look at every node, in the order
//! of time.

mod agreement;
mod convergence;
mod fencing;
mod leadership;
mod memory;
mod ownership;
mod removal;
#[cfg(test)]
mod sample;

pub(super) use self::convergence::converged;
use super::record::Sample;

/// An invariant. Each says in words what broke it.
pub(super) trait Check {
    fn see(&mut self, sample: &Sample) -> Result<(), String>;
}

/// All of them.
pub(super) fn all() -> Vec<Box<dyn Check>> {
    vec![
        Box::<agreement::Agreement>::default(),
        Box::<fencing::Fencing>::default(),
        Box::<leadership::Leadership>::default(),
        Box::<memory::Memory>::default(),
        Box::<ownership::Ownership>::default(),
        Box::<removal::Removal>::default(),
    ]
}
