use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;

use anyhow::{Context, Result};

/// Below the range from which the kernel takes the ports of outgoing connections: a port of a node
/// that is down for a moment stays free.
const FIRST: u16 = 20_000;
const BLOCKS: u16 = 1_500;
const BLOCK: u16 = 8;

/// Seven neighbouring loopback ports that no other fixture on this machine uses, in this process or
/// another, for as long as this value lives.
#[derive(Debug)]
pub struct PortBlock {
    /// Holds the block's first port, and thereby the block.
    _guard: TcpListener,
    first: u16,
}

impl PortBlock {
    /// Reserves a block.
    ///
    /// # Errors
    ///
    /// When none is free.
    pub fn reserve() -> Result<Self> {
        // Programs that run at the same time start their search at different places.
        let start = (process::id().wrapping_mul(37) % u32::from(BLOCKS)) as u16;
        (0..BLOCKS)
            .map(|i| FIRST + (start + i) % BLOCKS * BLOCK)
            .find_map(Self::try_reserve)
            .context("no block of loopback ports is free")
    }

    fn try_reserve(base: u16) -> Option<Self> {
        let guard = TcpListener::bind((Ipv4Addr::LOCALHOST, base)).ok()?;
        let all_free = (base + 1..base + BLOCK)
            .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
        all_free.then_some(Self {
            _guard: guard,
            first: base + 1,
        })
    }

    /// The block's port number `index`, from 0 to 6.
    #[must_use]
    pub fn address(&self, index: u16) -> SocketAddr {
        assert!(index < BLOCK - 1, "a block has {} ports", BLOCK - 1);
        (Ipv4Addr::LOCALHOST, self.first + index).into()
    }
}
