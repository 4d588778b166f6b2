use std::path::Path;

use rustix::fs::{Access, access};

/// Why this user cannot keep data in `directory`, which may be still to be made; `None`: it can,
/// as far as can be told without writing.
pub(super) fn why_not_writable(directory: &Path) -> Option<String> {
    let here = Path::new(".");
    let mut ancestors = directory.ancestors().map(|path| match path {
        path if path.as_os_str().is_empty() => here,
        path => path,
    });
    let nearest = ancestors.find(|path| path.exists())?;
    if !nearest.is_dir() {
        return Some(format!("{} is not a directory", nearest.display()));
    }
    let error = access(nearest, Access::WRITE_OK | Access::EXEC_OK).err()?;
    let is_there = nearest == directory;
    let directory = directory.display();
    Some(match is_there {
        true => format!("{directory} cannot be written by this user: {error}"),
        false => format!(
            "{directory} is not there, and this user cannot make it in {}: {error}",
            nearest.display()
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::why_not_writable;

    #[test]
    fn a_directory_or_the_one_that_it_would_be_made_in_must_be_writable() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(why_not_writable(dir.path()), None);
        assert_eq!(why_not_writable(&dir.path().join("a/b")), None);
        assert!(!dir.path().join("a").exists());
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("a")] {
            let why = why_not_writable(&path).unwrap();
            assert_eq!(why, format!("{} is not a directory", file.display()));
        }
        // Nothing is forbidden to root.
        if rustix::process::geteuid().is_root() {
            return;
        }
        fs::set_permissions(dir.path(), Permissions::from_mode(0o555)).unwrap();
        let why = why_not_writable(dir.path()).unwrap();
        assert!(why.contains("cannot be written by this user"), "{why}");
        let why = why_not_writable(&dir.path().join("a")).unwrap();
        assert!(why.contains("cannot make it in"), "{why}");
    }
}
