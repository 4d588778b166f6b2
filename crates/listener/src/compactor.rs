use bytes::{BufMut, Bytes, BytesMut};

/// Longer runs of bytes are left where they are.
const COPIED_BELOW: usize = 4 * 1024;
/// What copies are allocated in.
const CHUNK: usize = 16 * 1024;

/// Copies small runs of bytes together. A small slice keeps the whole buffer alive that it was read
/// into: where many of them wait, memory is in proportion to their bytes only if they are copied.
#[derive(Debug, Default)]
pub struct Compactor {
    chunk: BytesMut,
}

impl Compactor {
    /// The same bytes; a copy if there are few of them.
    #[must_use]
    pub fn compact(&mut self, bytes: Bytes) -> Bytes {
        if bytes.len() >= COPIED_BELOW {
            return bytes;
        }
        if self.chunk.capacity() < bytes.len() {
            self.chunk = BytesMut::with_capacity(CHUNK);
        }
        self.chunk.put_slice(&bytes);
        self.chunk.split().freeze()
    }

    /// Gives back the memory that no copy uses.
    pub fn shrink(&mut self) {
        self.chunk = BytesMut::new();
    }
}
