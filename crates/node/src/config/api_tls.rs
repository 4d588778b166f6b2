use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use switchyard_listener::tls::rustls::ServerConfig;
use switchyard_listener::tls::rustls::pki_types::CertificateDer;

use super::section::Section;
use super::tls::{AcceptVersion1, read_authorities, read_identity};
use super::value::{one_of, text};
use crate::api_access::{CertificateRoles, Role};
use crate::tls::api_server;

/// `[api.tls]`, with the files that it names.
#[derive(Clone)]
pub(crate) struct ApiTls {
    /// What the port needs.
    pub(crate) server: Arc<ServerConfig>,
    /// What it shows, for clients that can read this configuration.
    pub(crate) certificate: Option<CertificateDer<'static>>,
    /// What client certificates are good for; `None`: clients are not asked for one.
    pub(crate) roles: Option<CertificateRoles>,
    /// A digest of all of it, contents of files included.
    inputs: u64,
}

impl ApiTls {
    /// Reads the section and the files that it names; `None` if anything is wrong with them.
    pub(crate) fn read(mut section: Section<'_>) -> Option<Self> {
        let read = Self::read_keys(&mut section);
        section.finish();
        read
    }

    fn read_keys(section: &mut Section<'_>) -> Option<Self> {
        let mut inputs = DefaultHasher::new();
        let identity = read_identity(section, AcceptVersion1::Never, &mut inputs);
        let has_clients = section.value("cacertfile").is_some();
        let authorities = read_authorities(section, &mut inputs);
        let all = section.optional("client_role", one_of(&Role::ALL, Role::name));
        let admins = section.set("admins", text);
        if !has_clients {
            for key in ["client_role", "admins", "crl_files"] {
                if section.has(key) {
                    let message = "needs cacertfile, the authorities that issue the certificates \
                                   of clients";
                    section.error_at_key(key, message);
                }
            }
        }
        let roles = has_clients.then(|| CertificateRoles {
            all: all.unwrap_or_default(),
            admins: admins.unwrap_or_default(),
        });
        format!("{roles:?}").hash(&mut inputs);
        let clients = match has_clients {
            true => Some(authorities?),
            false => None,
        };
        let identity = identity?;
        let certificate = identity.certified_key().cert.first().cloned();
        let server = api_server(identity, clients);
        let server = server.map_err(|error| section.error_at_key("certfile", &error.to_string()));
        Some(Self {
            server: server.ok()?,
            certificate,
            roles,
            inputs: inputs.finish(),
        })
    }
}

/// The same options, and files with the same contents.
impl PartialEq for ApiTls {
    fn eq(&self, other: &Self) -> bool {
        self.inputs == other.inputs
    }
}

impl Eq for ApiTls {}

impl fmt::Debug for ApiTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiTls({:?})", self.roles)
    }
}
