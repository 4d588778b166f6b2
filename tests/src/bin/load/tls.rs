//! TLS on the component listeners.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use switchyard_tests::Cluster;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::client::HOST;

/// Makes a certificate and has the component listeners of nodes that do not run use it.
pub(crate) fn configure(cluster: &Cluster) -> Result<()> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()])?;
    let file = certificate(cluster);
    fs::write(&file, cert.pem() + &signing_key.serialize_pem())?;
    for node in cluster.iter() {
        let text = fs::read_to_string(node.config_file())?;
        // Each listener's table ends where the next one starts, the last with the file.
        let mut parts = text.split(LISTENER);
        let head = parts.next().context("an empty configuration")?.to_owned();
        let section = format!(
            "\n[listen.component.tls]\nmode = \"tls\"\nverify_mode = \"none\"\ncertfile = {file:?}\n"
        );
        let text = parts.fold(head, |text, part| text + LISTENER + part + &section);
        fs::write(node.config_file(), text)?;
    }
    Ok(())
}

/// What components need to trust that certificate.
pub(crate) fn client(cluster: &Cluster) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate(cluster))?)?;
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(Arc::new(config.with_no_client_auth()))
}

const LISTENER: &str = "[[listen.component]]";

fn certificate(cluster: &Cluster) -> PathBuf {
    cluster.dir().join("components.pem")
}
