use std::fmt::Write as _;

use super::args::CertsArgs;
use super::output::print;
use crate::certificates::{CertificateDirectory, Outcome};

/// Makes the certificates of a cluster, and says what to write into the configuration.
pub(super) fn run(args: &CertsArgs) -> anyhow::Result<()> {
    let files = CertificateDirectory::open(&args.dir)?;
    let outcomes = files.complete(&args.nodes, &args.hosts, args.days)?;
    let mut text = String::new();
    // Into a string that cannot fail.
    for (name, outcome) in &outcomes {
        let done = match outcome {
            Outcome::Kept => "kept",
            Outcome::Made => "made",
        };
        let (certificate, key) = (files.certificate(name), files.key(name));
        let _ = writeln!(
            text,
            "{done} {} and {}",
            certificate.display(),
            key.display()
        );
    }
    for node in &args.nodes {
        let _ = write!(
            text,
            "\n# In the configuration of {node}, beside the rest of [cluster]:\n\
             [cluster.tls]\n\
             certfile = {:?}\n\
             keyfile = {:?}\n\
             cacertfile = {:?}\n",
            files.certificate(node).display().to_string(),
            files.key(node).display().to_string(),
            files.certificate("ca").display().to_string(),
        );
    }
    text.push_str(
        "\nThis authority is for tests and small clusters: whoever has ca.key can make himself a \
         node of\nthe cluster. Keep it off the nodes, give each node its own files and ca.pem \
         alone, and make new\ncertificates before these expire.\n",
    );
    print(&text)
}
