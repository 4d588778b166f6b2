use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use super::chance::Chance;

/// The file of one node's log, on a disk that loses what was not synced when the power goes.
///
/// Clones are of the same file. The power goes at [`Self::cut_power`], or at a write in the middle
/// of something after [`Self::cut_power_after`]; from then on nothing reaches the disk. What was
/// written since the last sync is kept, lost or torn, each write for itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Platter(Arc<Mutex<File>>);

#[derive(Debug, Default)]
struct File {
    /// What survives for certain.
    durable: Vec<u8>,
    /// What the process reads: `durable` and `unsynced`.
    current: Vec<u8>,
    unsynced: Vec<Write>,
    /// Writes that are left before the power goes.
    fuse: Option<u32>,
    /// Counts the times that the power came back: who opened the file before has lost it.
    boot: u32,
    is_off: bool,
}

#[derive(Debug, Clone)]
enum Write {
    Length(usize),
    Data { at: usize, bytes: Vec<u8> },
}

/// The file, as one process has opened it.
#[derive(Debug)]
pub(super) struct OpenPlatter {
    platter: Platter,
    boot: u32,
}

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

// === impl Platter ===

impl Platter {
    /// Opens the file.
    pub(super) fn open(&self) -> OpenPlatter {
        OpenPlatter {
            platter: self.clone(),
            boot: self.0.lock().boot,
        }
    }

    /// The power goes now.
    pub(super) fn cut_power(&self) {
        self.0.lock().is_off = true;
    }

    /// Puts what another disk holds, all of it synced, in the place of this file, in one go.
    pub(super) fn rename_from(&self, other: &Self) {
        let contents = other.0.lock().durable.clone();
        let mut file = self.0.lock();
        file.durable = contents.clone();
        file.current = contents;
    }

    /// True if there is no file.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().current.is_empty()
    }

    /// A new disk takes the place of the one that has lost its power.
    pub(super) fn replace(&self) {
        let mut file = self.0.lock();
        let boot = file.boot;
        *file = File {
            boot,
            is_off: true,
            ..File::default()
        };
    }

    /// The power goes at the write that comes after `writes` more, in the middle of a transaction
    /// most of the time.
    pub(super) fn cut_power_after(&self, writes: u32) {
        self.0.lock().fuse = Some(writes);
    }

    /// The power does not go after all, if it has not yet.
    pub(super) fn keep_power(&self) {
        self.0.lock().fuse = None;
    }

    /// True once the power has gone.
    pub(super) fn is_off(&self) -> bool {
        self.0.lock().is_off
    }

    /// The power is back. `chance` says what became of each write that was not synced.
    pub(super) fn restore_power(&self, chance: &mut Chance) {
        let mut file = self.0.lock();
        for write in std::mem::take(&mut file.unsynced) {
            match chance.below(4) {
                0 => {}
                1 => write.torn(chance).apply(&mut file.durable),
                _ => write.apply(&mut file.durable),
            }
        }
        file.current = file.durable.clone();
        file.fuse = None;
        file.is_off = false;
        file.boot += 1;
    }
}

// === impl Write ===

impl Write {
    /// Applies the write to what is on disk; past its end, where a change of length was lost, there
    /// is nothing to write to.
    fn apply(&self, on: &mut Vec<u8>) {
        match self {
            Self::Length(length) => on.resize(*length, 0),
            Self::Data { at, bytes } => {
                let end = on.len().min(at + bytes.len());
                if let Some(target) = on.get_mut(*at..end) {
                    target.copy_from_slice(&bytes[..target.len()]);
                }
            }
        }
    }

    /// The first sectors of it.
    fn torn(self, chance: &mut Chance) -> Self {
        match self {
            Self::Data { at, mut bytes } => {
                let sectors = bytes.len().div_ceil(SECTOR) as u64;
                let kept = usize::try_from(chance.below(sectors)).unwrap() * SECTOR;
                bytes.truncate(kept);
                Self::Data { at, bytes }
            }
            length @ Self::Length(_) => length,
        }
    }
}

// === impl File ===

impl File {
    fn write(&mut self, write: Write) -> io::Result<()> {
        match &mut self.fuse {
            Some(0) => self.is_off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        // What was under way when the power went may have got to the disk.
        if !self.is_off || self.fuse.take().is_some() {
            write.apply(&mut self.current);
            self.unsynced.push(write);
        }
        self.powered()
    }

    fn powered(&self) -> io::Result<()> {
        if self.is_off {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }
}

// === impl OpenPlatter ===

impl OpenPlatter {
    fn with<T>(&self, work: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        let mut file = self.platter.0.lock();
        if file.boot != self.boot {
            return Err(io::Error::other("opened before the power went"));
        }
        work(&mut file)
    }
}

impl StorageBackend for OpenPlatter {
    fn len(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.current.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|file| {
            let at = usize::try_from(offset).map_err(io::Error::other)?;
            let source = file.current.get(at..at + out.len());
            let source = source.ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(source);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = usize::try_from(len).map_err(io::Error::other)?;
        self.with(|file| file.write(Write::Length(length)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|file| {
            file.powered()?;
            for write in std::mem::take(&mut file.unsynced) {
                write.apply(&mut file.durable);
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = data.to_owned();
        self.with(|file| file.write(Write::Data { at, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::LogDb;

    const NODE: u64 = 7;

    /// Whatever was said to be written is there after a power cut at any write: the count of lives
    /// stands for all the records, which go the same way.
    #[test]
    fn what_the_log_has_acknowledged_survives_a_power_cut_at_any_write() {
        for seed in 0..60 {
            let mut chance = Chance::new(seed);
            let platter = Platter::default();
            let mut lives = 0;
            drop(LogDb::open_on(platter.open(), NODE).unwrap());
            for _ in 0..4 {
                let mut db = LogDb::open_on(platter.open(), NODE).unwrap();
                platter.cut_power_after(u32::try_from(chance.below(40)).unwrap());
                while let Ok(life) = db.next_boot() {
                    assert!(life > lives, "seed {seed}: life {life} after {lives}");
                    lives = life;
                }
                assert!(platter.is_off());
                drop(db);
                platter.restore_power(&mut chance);
            }
            let mut db = LogDb::open_on(platter.open(), NODE).unwrap();
            assert!(db.next_boot().unwrap() > lives, "seed {seed}");
        }
    }

    #[test]
    fn what_was_not_synced_can_be_lost_and_what_was_synced_cannot() {
        let mut lost = 0;
        for seed in 0..20 {
            let platter = Platter::default();
            let open = platter.open();
            open.set_len(2).unwrap();
            open.write(0, b"a").unwrap();
            open.sync_data().unwrap();
            open.write(1, b"b").unwrap();
            platter.cut_power();
            assert!(open.sync_data().is_err());
            platter.restore_power(&mut Chance::new(seed));
            assert!(open.len().is_err(), "the old process is gone");
            let mut found = [0; 2];
            platter.open().read(0, &mut found).unwrap();
            assert_eq!(found[0], b'a');
            lost += u32::from(found[1] != b'b');
        }
        assert!((1..20).contains(&lost), "{lost}");
    }
}
