//! A real cluster as a fixture: processes of the real binary on loopback, raw XEP-0114 clients, and
//! the checks that the tests have in common.
//!
//! - [`Cluster`] writes the configurations of its [`Node`]s, starts, kills and restarts them.
//! - [`Links`] is the network between them, where a test wants to cut it.
//! - [`SmallDisk`] is one that can be full.
//! - [`Component`] speaks XEP-0114 to one of them; every byte it receives goes through a strict XML
//!   parser, so that malformed output fails the test that met it.
//! - [`cli`] runs the command line, [`eventually()`] waits for a condition, [`History`] accounts
//!   for every stanza.
//!
//! Threads, blocking sockets and deadlines only: what drives the tests shares no code with what
//! they test. Every wait is bounded and every process ends with its fixture.

mod binary;
pub mod cli;
mod cluster;
mod component;
mod element;
mod eventually;
mod history;
pub mod http;
mod links;
mod node;
mod node_config;
mod ports;
mod skipped;
mod small_disk;
mod socket_owner;
mod stream_reader;
mod traffic;

pub use binary::switchyard;
pub use cluster::Cluster;
pub use component::{Component, ComponentReceiver, ComponentSender, Handshaking};
pub use element::Element;
pub use eventually::{PATIENCE, eventually};
pub use history::{Fate, History};
pub use links::{Cut, Links};
pub use node::Node;
pub use node_config::{Founder, Listener, NodeConfig, SECRET, SERVED_HOST, SHORT_LEASE};
pub use ports::PortBlock;
pub use skipped::skipped;
pub use small_disk::SmallDisk;
pub use stream_reader::StreamReader;
pub use traffic::Traffic;
