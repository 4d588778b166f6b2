use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rcgen::KeyPair;

use super::authority::{Authority, Subject};

/// The name of the operator's certificate, which no node may have.
const OPERATOR: &str = "operator";
/// The name of the authority's files, which no node may have.
const AUTHORITY: &str = "ca";
/// Where clients on the same machine find the API of every node.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A directory with the certificates of a cluster.
#[derive(Debug)]
pub(crate) struct CertificateDirectory {
    path: PathBuf,
}

/// What became of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was there, and is as it was.
    Kept,
    /// It is new.
    Made,
}

impl CertificateDirectory {
    /// The directory at `path`, which is made, for its owner alone, if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        let path = fs::canonicalize(path);
        Ok(Self {
            path: path.context("cannot find the directory")?,
        })
    }

    /// The file of a certificate.
    pub(crate) fn certificate(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.pem"))
    }

    /// The file of a private key.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.key"))
    }

    /// Makes what is missing: the authority, a certificate for each of `nodes` and one for an
    /// operator. Nothing that is there is changed. Gives each name with what became of it.
    ///
    /// # Errors
    ///
    /// When names collide, a file belongs to no other, or cannot be read or written.
    pub(crate) fn complete(
        &self,
        nodes: &[String],
        hosts: &[String],
        days: u32,
    ) -> Result<Vec<(String, Outcome)>> {
        self.check_names(nodes, hosts)?;
        let (authority, made) = self.authority()?;
        let mut outcomes = vec![(AUTHORITY.to_owned(), made)];
        let local = LOCAL.map(str::to_owned);
        let hosts = [&local[..], hosts].concat();
        for node in nodes {
            let made = self.issue(&authority, &Subject::Node(node, &hosts), node, days)?;
            outcomes.push((node.clone(), made));
        }
        let made = self.issue(&authority, &Subject::Operator(OPERATOR), OPERATOR, days)?;
        outcomes.push((OPERATOR.to_owned(), made));
        Ok(outcomes)
    }

    /// A certificate with the name of another node could speak as that node.
    fn check_names(&self, nodes: &[String], hosts: &[String]) -> Result<()> {
        for node in nodes {
            let is_taken = [AUTHORITY, OPERATOR].contains(&&**node) || LOCAL.contains(&&**node);
            ensure!(!is_taken, "no node can be called {node} here");
        }
        for host in hosts {
            let is_node = nodes.contains(host) || self.certificate(host).exists();
            if is_node && nodes != std::slice::from_ref(host) {
                bail!("--host {host} is the name of a node: its certificate is for it alone");
            }
        }
        Ok(())
    }

    fn authority(&self) -> Result<(Authority, Outcome)> {
        let file = self.certificate(AUTHORITY);
        let (key, is_new) = self.key_of(AUTHORITY, file.exists())?;
        if is_new || !file.exists() {
            write(&file, &Authority::certificate(&key)?, 0o644)?;
        }
        let outcome = if is_new { Outcome::Made } else { Outcome::Kept };
        Ok((Authority::new(key), outcome))
    }

    fn issue(
        &self,
        authority: &Authority,
        subject: &Subject<'_>,
        name: &str,
        days: u32,
    ) -> Result<Outcome> {
        let file = self.certificate(name);
        let (key, _) = self.key_of(name, file.exists())?;
        if file.exists() {
            return Ok(Outcome::Kept);
        }
        let certificate = authority.issue(subject, &key, days);
        let certificate = certificate.with_context(|| format!("no certificate for {name}"))?;
        write(&file, &certificate, 0o644)?;
        Ok(Outcome::Made)
    }

    /// The key of `name`, and whether it is new.
    fn key_of(&self, name: &str, has_certificate: bool) -> Result<(KeyPair, bool)> {
        let file = self.key(name);
        if file.exists() {
            let text = fs::read_to_string(&file);
            let text = text.with_context(|| format!("cannot read {}", file.display()))?;
            let key = KeyPair::from_pem(&text);
            // The error could quote the key.
            return match key {
                Ok(key) => Ok((key, false)),
                Err(_) => bail!("{} holds no key that can be used", file.display()),
            };
        }
        if has_certificate {
            bail!(
                "{} is missing, and its certificate is there: bring the key back, or move the \
                 certificate away",
                file.display()
            );
        }
        let key = KeyPair::generate().context("no key can be made")?;
        write(&file, &key.serialize_pem(), 0o600)?;
        Ok((key, true))
    }
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn contract_a2_certificates_are_added_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let files = CertificateDirectory::open(&dir.path().join("tls")).unwrap();
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        files.complete(&names(&["node1"]), &[], 30).unwrap();
        let before = ["ca", "node1", "operator"].map(|name| {
            let mode = fs::metadata(files.key(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            (
                fs::read(files.key(name)).unwrap(),
                fs::read(files.certificate(name)).unwrap(),
            )
        });
        let outcomes = files
            .complete(&names(&["node1", "node2"]), &[], 30)
            .unwrap();
        let expected = [
            ("ca", Outcome::Kept),
            ("node1", Outcome::Kept),
            ("node2", Outcome::Made),
            ("operator", Outcome::Kept),
        ];
        assert_eq!(
            outcomes,
            expected.map(|(name, outcome)| (name.to_owned(), outcome))
        );
        let after = ["ca", "node1", "operator"].map(|name| {
            (
                fs::read(files.key(name)).unwrap(),
                fs::read(files.certificate(name)).unwrap(),
            )
        });
        assert_eq!(before, after);
        // Nobody gets a certificate that could speak as somebody else.
        for (nodes, hosts) in [
            (&["node3"][..], &["node2"][..]),
            (&["operator"], &[]),
            (&["node3", "node4"], &["node4"]),
        ] {
            files
                .complete(&names(nodes), &names(hosts), 30)
                .unwrap_err();
        }
        // The authority's key is kept elsewhere: nothing can be issued, and no other takes its place.
        fs::rename(files.key("ca"), dir.path().join("safe")).unwrap();
        let error = files.complete(&names(&["node3"]), &[], 30).unwrap_err();
        assert!(error.to_string().contains("ca.key is missing"), "{error}");
    }
}
