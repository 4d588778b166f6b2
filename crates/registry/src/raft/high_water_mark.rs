use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::snapshot::sync_directory;

/// The number of the last transaction that the log has had on disk, in a file beside it.
///
/// After a crash redb takes its last transaction for one that was cut short if anything of it is
/// damaged, and goes on with the one before. To Raft that would be a vote or an entry that was
/// forgotten after others had been told of it. By this file the log knows better.
///
/// It is written after each transaction and never synced: what a killed process has written is
/// there, and after a loss of power it names an earlier transaction, which says less and nothing
/// wrong.
#[derive(Debug)]
pub(crate) struct HighWaterMark {
    file: File,
}

/// The number, big endian, and the CRC-32 of its octets.
const LENGTH: usize = 8 + 4;

impl HighWaterMark {
    /// The mark in the file `path`, and what it says; makes the file, with `number`, if there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written, or is damaged.
    pub(crate) fn open(path: &Path, number: u64) -> io::Result<(Self, u64)> {
        let open = OpenOptions::new().read(true).write(true).open(path);
        match open {
            Ok(file) => {
                let number = read(&file)?;
                Ok((Self { file }, number))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((Self::create(path, number)?, number))
            }
            Err(error) => Err(error),
        }
    }

    /// Under another name first: a crash leaves either a whole one or none.
    fn create(path: &Path, number: u64) -> io::Result<Self> {
        let unfinished = path.with_extension("mark-new");
        let file = File::create(&unfinished)?;
        let mark = Self { file };
        mark.raise(number)?;
        mark.file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        sync_directory(path)?;
        Ok(mark)
    }

    /// Notes that transaction `number` is on disk.
    pub(crate) fn raise(&self, number: u64) -> io::Result<()> {
        let number = number.to_be_bytes();
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&number);
        bytes[8..].copy_from_slice(&crc32fast::hash(&number).to_be_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}

fn read(file: &File) -> io::Result<u64> {
    let damaged = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds no number of a transaction",
        )
    };
    if file.metadata()?.len() != LENGTH as u64 {
        return Err(damaged());
    }
    let mut bytes = [0; LENGTH];
    file.read_exact_at(&mut bytes, 0)?;
    let (number, crc) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    if crc != crc32fast::hash(number).to_be_bytes() {
        return Err(damaged());
    }
    Ok(u64::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_mark_survives_and_says_when_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let (mark, number) = HighWaterMark::open(&path, 5).unwrap();
        assert_eq!(number, 5);
        mark.raise(6).unwrap();
        assert_eq!(HighWaterMark::open(&path, 9).unwrap().1, 6);
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            HighWaterMark::open(&path, 9).unwrap_err();
            fs::write(&path, &bytes[..at]).unwrap();
            HighWaterMark::open(&path, 9).unwrap_err();
        }
    }
}
