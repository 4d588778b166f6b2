use std::net::{Ipv4Addr, SocketAddr};

use switchyard_listener::Secret;

use super::api_tls::ApiTls;
use super::section::Section;
use super::value::{Parsed, Value, boolean, one_of, socket_address, string};
use super::{refuse_plaintext, secret_file};
use crate::api_access::{ApiAccess, Role};

/// Where the API is served when the file does not say, and where the command line looks for it.
pub(crate) const DEFAULT_API_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7381);

/// Shorter tokens can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// `[api]`: gRPC for operators and programs. Left out: served on [`DEFAULT_API_LISTEN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Api {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// TLS; `None`: it speaks plain text.
    pub(crate) tls: Option<ApiTls>,
    /// Who may ask what.
    pub(crate) access: ApiAccess,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: DEFAULT_API_LISTEN,
            tls: None,
            access: ApiAccess::default(),
        }
    }
}

impl Api {
    /// Whether the port is the same, so that the rest can change while it is open.
    pub(crate) fn has_port_of(&self, other: &Self) -> bool {
        self.listen == other.listen && self.tls.is_some() == other.tls.is_some()
    }

    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let listen = section.optional("listen", socket_address);
        let insecure = section.optional("insecure", boolean).unwrap_or(false);
        let has_tokens = section.value("tokens").is_some();
        let tokens = section
            .sections("tokens")
            .into_iter()
            .filter_map(read_token);
        let tokens = tokens.collect();
        let tls = section.section("tls");
        let has_tls = tls.is_some();
        let tls = tls.and_then(ApiTls::read);
        let api = Self {
            listen: listen.unwrap_or(DEFAULT_API_LISTEN),
            access: ApiAccess {
                tokens,
                certificates: tls.as_ref().and_then(|tls| tls.roles.clone()),
            },
            tls,
        };
        let is_open = api.access.is_open() && !has_tokens && (api.tls.is_some() || !has_tls);
        if !api.listen.ip().is_loopback() && !insecure {
            match has_tls {
                false => refuse_plaintext(&section, "listen", "api"),
                true if is_open => section.error_at_key("listen", EVERYBODY),
                true => {}
            }
        }
        section.finish();
        api
    }
}

const EVERYBODY: &str = "off loopback, and for everybody: whoever reaches the port could change \
                         the cluster. Say who may: api.tls.cacertfile for client certificates, or \
                         [[api.tokens]]; or, if the network is protected otherwise, insecure = true";

/// One of `[[api.tokens]]`.
fn read_token(mut section: Section<'_>) -> Option<(Secret, Role)> {
    let role = section.required("role", one_of(&Role::ALL, Role::name));
    section.require("token_file");
    let value = section.value("token_file");
    let token = value.and_then(|value| {
        let token = token(&section, value);
        section.accept("token_file", token)
    });
    section.finish();
    token.zip(role)
}

fn token(section: &Section<'_>, value: Value<'_>) -> Parsed<Secret> {
    let path = section.directory().join(string(value)?);
    let read = secret_file::read(&path).or_else(|error| value.complain(error))?;
    if read.is_open_to_others {
        let message = "everybody on this machine can read or change the file: chmod o-rw";
        section.warn(value.at(), "token_file", message);
    }
    let token = read.secret.expose();
    if token.len() < SHORTEST_TOKEN {
        let message = "the token has fewer than 16 characters: make one with openssl rand -hex 32";
        return value.complain(message);
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return value
            .complain("a token is of ASCII letters, digits and punctuation, without spaces");
    }
    Ok(read.secret)
}
