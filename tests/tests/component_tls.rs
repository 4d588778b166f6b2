//! `[listen.component.tls]` of a running node: what SIGHUP changes, and what it leaves (contract A4,
//! L), behind a proxy that says who connects.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sha1::{Digest, Sha1};
use switchyard_tests::{Cluster, Node, PATIENCE, SECRET, cli, eventually, http};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const HEADER: &str = "<stream:stream xmlns='jabber:component:accept' \
     xmlns:stream='http://etherx.jabber.org/streams' to='tls.example'>";

/// A component that speaks TLS.
struct Session(StreamOwned<ClientConnection, TcpStream>);

impl Session {
    /// Connects by way of `authority`, as a proxy would for a client at 192.0.2.7, and shows the
    /// certificate of `own`.
    fn open(address: SocketAddr, authority: &Authority, own: Option<&str>) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 5275\r\n")?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file("ca.pem"))?)?;
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(name) => builder.with_client_auth_cert(
                vec![authority.certificate(name)?],
                PrivateKeyDer::from_pem_file(authority.file(&format!("{name}.key")))?,
            )?,
        };
        let name = ServerName::try_from("router.example")?;
        let connection = ClientConnection::new(Arc::new(config), name)?;
        let mut session = Self(StreamOwned::new(connection, socket));
        session.send(HEADER)?;
        Ok(session)
    }

    /// Opens and authenticates.
    fn connect(address: SocketAddr, authority: &Authority, own: Option<&str>) -> Result<Self> {
        let mut session = Self::open(address, authority, own)?;
        session.read_until("?>")?;
        let header = session.read_until(">")?;
        let (_, rest) = header.split_once(" id='").context("no id")?;
        let (id, _) = rest.split_once('\'').context("no id")?;
        let digest = Sha1::digest(format!("{id}{SECRET}"));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        session.send(&format!("<handshake>{hex}</handshake>"))?;
        session.read_until("<handshake/>")?;
        Ok(session)
    }

    fn send(&mut self, xml: &str) -> Result<()> {
        self.0.write_all(xml.as_bytes())?;
        Ok(self.0.flush()?)
    }

    fn read_until(&mut self, end: &str) -> Result<String> {
        let (mut read, start) = (String::new(), Instant::now());
        while !read.ends_with(end) {
            ensure!(start.elapsed() < PATIENCE, "no {end} after {read:?}");
            let mut byte = [0];
            self.0
                .read_exact(&mut byte)
                .with_context(|| format!("no {end} after {read:?}"))?;
            read.push(char::from(byte[0]));
        }
        Ok(read)
    }

    /// Stanzas go both ways.
    fn works(&mut self) -> Result<()> {
        let ping = "<iq from='tls.example' to='HOST' type='get' id='p'>\
             <ping xmlns='urn:xmpp:ping'/></iq>";
        self.send(&ping.replace("HOST", switchyard_tests::SERVED_HOST))?;
        let answer = self.read_until("</iq>")?;
        ensure!(answer.contains(r#"type="result""#), "{answer}");
        Ok(())
    }

    /// What the server has shown.
    fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.0.conn.peer_certificates()?.first()
    }

    fn close(mut self) -> Result<()> {
        self.send("</stream:stream>")?;
        self.read_until("</stream:stream>").map(drop)
    }
}

/// An authority and what it has issued, as `switchyard cluster certs` writes them.
struct Authority(PathBuf);

impl Authority {
    fn new(dir: PathBuf) -> Result<Self> {
        let path = dir.display().to_string();
        let line = ["cluster", "certs", "--dir", &path, "--node"];
        let names = ["router.example", "--node", "tls.example"];
        let output = cli::run(line.into_iter().chain(names))?;
        ensure!(output.code == 0, "{output:?}");
        Ok(Self(dir))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn certificate(&self, name: &str) -> Result<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_file(
            self.file(&format!("{name}.pem")),
        )?)
    }

    /// Puts the certificate and the key where the listener has them.
    fn install(&self, certfile: &Path, keyfile: &Path) -> Result<()> {
        fs::copy(self.file("router.example.pem"), certfile)?;
        fs::copy(self.file("router.example.key"), keyfile)?;
        Ok(())
    }
}

#[test]
fn contract_a4_certificates_change_without_a_connection_lost_and_bad_ones_never() -> Result<()> {
    Cluster::start(1)?.run(|cluster| {
        let node = &cluster[0];
        let address = node.config().spare;
        let old = Authority::new(cluster.dir().join("old"))?;
        let new = Authority::new(cluster.dir().join("new"))?;
        let (certfile, keyfile) = (
            cluster.dir().join("cert.pem"),
            cluster.dir().join("key.pem"),
        );
        old.install(&certfile, &keyfile)?;
        let listener = format!(
            "\n[[listen.component]]\nport = {}\nip_address = \"{}\"\npassword = \"{SECRET}\"\n\
             proxy_protocol = true\n[listen.component.tls]\ncertfile = {certfile:?}\n\
             keyfile = {keyfile:?}\nverify_mode = \"none\"\n",
            address.port(),
            address.ip(),
        );
        node.reload(|text| text + &listener)?;
        reloads(node, "applied", 1)?;

        let mut first = Session::connect(address, &old, None)?;
        let shown = Some(old.certificate("router.example")?);
        ensure!(first.certificate() == shown.as_ref(), "another certificate");

        // A key that is not that of the certificate: the old pair is kept, and the log says why.
        fs::copy(new.file("router.example.key"), &keyfile)?;
        node.reload(|text| text)?;
        reloads(node, "refused", 1)?;
        let path = keyfile.display().to_string();
        for part in ["kept the old configuration", path.as_str()] {
            ensure!(node.log().contains(part), "{part}: {}", node.log_tail());
        }
        Session::open(address, &old, None)?.read_until(">")?;

        new.install(&certfile, &keyfile)?;
        node.reload(|text| text)?;
        reloads(node, "applied", 2)?;
        first.works()?;
        first.close()?;
        let second = Session::connect(address, &new, None)?;
        let shown = Some(new.certificate("router.example")?);
        ensure!(
            second.certificate() == shown.as_ref(),
            "another certificate"
        );

        // From now on clients need a certificate; who is connected stays.
        let peer = format!(
            "verify_mode = \"peer\"\ncacertfile = {:?}",
            new.file("ca.pem")
        );
        node.reload(|text| text.replacen("verify_mode = \"none\"", &peer, 1))?;
        reloads(node, "applied", 3)?;
        let refused = Session::open(address, &new, None).and_then(|mut s| s.read_until(">"));
        ensure!(refused.is_err(), "no certificate, and let in: {refused:?}");
        let mut second = second;
        second.works()?;
        second.close()?;
        Session::connect(address, &new, Some("tls.example"))?.close()?;
        ensure!(node.log().contains("192.0.2.7"), "{}", node.log_tail());
        Ok(())
    })
}

fn reloads(node: &Node, outcome: &str, count: u64) -> Result<()> {
    let line = format!("switchyard_config_reloads_total{{outcome=\"{outcome}\"}} {count}");
    eventually(&line, PATIENCE, || {
        let (_, metrics) = http::get(node.config().http, "/metrics")?;
        ensure!(
            metrics.lines().any(|found| found == line),
            "{}",
            node.log_tail()
        );
        Ok(())
    })
}
