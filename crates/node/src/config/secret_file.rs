use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use switchyard_listener::Secret;

/// Longest secret that is read from a file, in bytes.
const MAX_LEN: usize = 4096;

/// A secret that was read from a file.
#[derive(Debug)]
pub(super) struct SecretFile {
    pub(super) secret: Secret,
    /// Others than its owner and group can read or write the file.
    pub(super) is_open_to_others: bool,
}

/// Why a file does not give a secret. Names neither the file nor what is in it: the one could
/// be a secret by mistake, the other is one.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretFileError {
    #[error("the file is empty")]
    Empty,
    #[error("the file holds more than one line: it must hold the secret alone")]
    Lines,
    #[error("the file is not UTF-8")]
    NotUtf8,
    #[error("it is not a file")]
    NotAFile,
    #[error("the file is longer than {MAX_LEN} bytes: it must hold the secret alone")]
    TooLong,
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Reads the secret that the file at `path` holds. The end of its line does not belong to it.
///
/// # Errors
///
/// When the file cannot be read, or holds something else.
pub(super) fn read(path: &Path) -> Result<SecretFile, SecretFileError> {
    // Before it is opened: to open a pipe would wait for its other end.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile);
    }
    let mut text = Vec::new();
    let at_most = u64::try_from(MAX_LEN + 1).unwrap_or(u64::MAX);
    File::open(path)?.take(at_most).read_to_end(&mut text)?;
    if text.len() > MAX_LEN {
        return Err(SecretFileError::TooLong);
    }
    let text = std::str::from_utf8(&text).map_err(|_| SecretFileError::NotUtf8)?;
    Ok(SecretFile {
        secret: Secret::new(line(text)?),
        is_open_to_others: metadata.permissions().mode() & 0o006 != 0,
    })
}

/// The one line of `text`.
fn line(text: &str) -> Result<&str, SecretFileError> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        "" => Err(SecretFileError::Empty),
        line if line.contains(['\n', '\r']) => Err(SecretFileError::Lines),
        line => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_line_and_its_end_is_not_of_the_secret() {
        for text in ["s e c", "s e c\n", "s e c\r\n"] {
            assert_eq!(line(text).unwrap(), "s e c");
        }
        for text in ["", "\n", "\r\n"] {
            assert!(
                matches!(line(text), Err(SecretFileError::Empty)),
                "{text:?}"
            );
        }
        for text in ["one\ntwo", "one\n\n", "\none"] {
            assert!(
                matches!(line(text), Err(SecretFileError::Lines)),
                "{text:?}"
            );
        }
    }
}
