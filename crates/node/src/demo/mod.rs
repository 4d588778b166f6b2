//! `switchyard demo`: a cluster of three nodes on this machine, and two components on different
//! nodes that exchange numbered messages.
//!
//! The nodes are processes of this very program, in temporary directories; the components speak
//! XEP-0114 like anybody else's. What arrives is counted: once and in order, or the demo fails.

mod component;
mod exchange;
mod lane;
mod node_process;
mod nodes;
mod plan;
mod run;
mod screen;
mod signals;
mod tally;

pub(crate) use run::run;
