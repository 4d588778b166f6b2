use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use switchyard_registry::carries;

use super::section::Section;
use super::tls::{AcceptVersion1, read_authorities, read_identity};
use crate::tls::PeerTls;

/// `[cluster.tls]`: mutual TLS between nodes (contract A2), with the files that it names.
#[derive(Clone)]
pub(crate) struct ClusterTls {
    /// What the node needs.
    pub(crate) tls: PeerTls,
    /// A digest of all of it, contents of files included.
    inputs: u64,
}

impl ClusterTls {
    /// Reads the section of the node called `node_name`, and the files that it names; `None` if
    /// anything is wrong with them.
    pub(crate) fn read(mut section: Section<'_>, node_name: Option<&str>) -> Option<Self> {
        let read = Self::read_keys(&mut section, node_name);
        section.finish();
        read
    }

    fn read_keys(section: &mut Section<'_>, node_name: Option<&str>) -> Option<Self> {
        let mut inputs = DefaultHasher::new();
        let own = read_identity(section, AcceptVersion1::Never, &mut inputs);
        section.require("cacertfile");
        let authorities = read_authorities(section, &mut inputs);
        let identity = own?;
        let names = identity.dns_names();
        if let Some(node_name) = node_name
            && !carries(&names, node_name)
        {
            let found = match names.as_slice() {
                [] => "has no DNS name".to_owned(),
                names => format!("is that of {}", names.join(", ")),
            };
            let message = format!(
                "the certificate {found}: it must carry the DNS name {node_name}, which is \
                 node.name (switchyard cluster certs makes such certificates)"
            );
            section.error_at_key("certfile", &message);
        }
        let (anchors, revoked) = authorities?;
        let tls = PeerTls::new(identity, anchors, revoked);
        let tls = tls.map_err(|error| section.error_at_key("certfile", &error.to_string()));
        Some(Self {
            tls: tls.ok()?,
            inputs: inputs.finish(),
        })
    }
}

/// The same options, and files with the same contents.
impl PartialEq for ClusterTls {
    fn eq(&self, other: &Self) -> bool {
        self.inputs == other.inputs
    }
}

impl Eq for ClusterTls {}

impl fmt::Debug for ClusterTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterTls")
    }
}
