use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use switchyard_listener::Secret;
use switchyard_listener::tls::{CertificateChain, Identity, PrivateKey, TrustAnchors};
use switchyard_registry::{Dialer, TcpDialer};

use super::args::ApiArgs;
use super::exit::Failure;
use crate::api_access::Role;
use crate::api_client::{ApiAddress, ApiTarget};
use crate::config::{self, Api, DEFAULT_API_LISTEN, HostPort};
use crate::tls::{ApiDialer, ServerTrust};

/// The environment variable that holds a token, so that no command line shows it.
const TOKEN: &str = "SWITCHYARD_TOKEN";

/// Where to ask, and as whom: from the arguments, else from the configuration of a node on this
/// machine if one is named, else what a node does by default.
///
/// # Errors
///
/// When the configuration cannot be used, or a certificate or a token cannot.
pub(super) fn resolve(args: &ApiArgs) -> Result<ApiTarget, Failure> {
    let local = match &args.config {
        Some(file) => Some(config::load(file)?.config.api),
        None => None,
    };
    let address = match (&args.api, &local) {
        (Some(address), _) => address.clone(),
        (None, Some(api)) => address_of(api),
        (None, None) => ApiAddress {
            host: HostPort::from(DEFAULT_API_LISTEN),
            is_tls: false,
        },
    };
    let token = match token(args)? {
        Some(token) => Some(token),
        None => local.as_ref().and_then(token_of),
    };
    let dialer = dialer(args, &address, local.as_ref())?;
    Ok(ApiTarget {
        address,
        dialer,
        token,
    })
}

fn dialer(
    args: &ApiArgs,
    address: &ApiAddress,
    local: Option<&Api>,
) -> anyhow::Result<Arc<dyn Dialer>> {
    let identity = identity(args)?;
    if !address.is_tls {
        if args.cacert.is_some() || identity.is_some() {
            bail!(
                "certificates are of use with --api https://{} alone",
                address.host
            );
        }
        return Ok(Arc::new(TcpDialer));
    }
    let own = local.and_then(|api| api.tls.as_ref()?.certificate.clone());
    let trust = match (&args.cacert, own) {
        (Some(file), _) => {
            let anchors = TrustAnchors::from_pem(&read(file)?);
            let anchors = anchors.map_err(|error| anyhow!("{}: {error}", file.display()))?;
            ServerTrust::Authorities(anchors)
        }
        (None, Some(own)) => ServerTrust::Certificate(own),
        (None, None) => bail!(
            "{address} needs --cacert FILE, the authority that issued the node's certificate; or, \
             on the machine of the node, --config FILE"
        ),
    };
    let dialer = ApiDialer::new(&address.host.host(), trust, identity.as_ref());
    Ok(Arc::new(
        dialer.with_context(|| format!("no TLS with {address}"))?,
    ))
}

fn identity(args: &ApiArgs) -> anyhow::Result<Option<Identity>> {
    let (Some(certificate), Some(key)) = (&args.cert, &args.key) else {
        return Ok(None);
    };
    let chain = CertificateChain::from_pem(&read(certificate)?)
        .and_then(|chain| chain.check().map(|()| chain));
    let chain = chain.map_err(|error| anyhow!("{}: {error}", certificate.display()))?;
    let private = PrivateKey::from_pem(&read(key)?, None);
    let private = private.map_err(|error| anyhow!("{}: {error}", key.display()))?;
    let identity = Identity::new(chain, private);
    Ok(Some(
        identity.map_err(|error| anyhow!("{}: {error}", key.display()))?,
    ))
}

fn token(args: &ApiArgs) -> anyhow::Result<Option<Secret>> {
    let text = match &args.token_file {
        Some(file) => {
            let text = String::from_utf8(read(file)?);
            text.map_err(|_| anyhow!("{}: it is not UTF-8", file.display()))?
        }
        None => match std::env::var(TOKEN) {
            Ok(text) => text,
            Err(_) => return Ok(None),
        },
    };
    let text = text.trim_end();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("the token is empty, or has characters that no token has");
    }
    Ok(Some(Secret::new(text)))
}

/// The most that the configuration has to give.
fn token_of(api: &Api) -> Option<Secret> {
    let tokens = api.access.tokens.iter();
    let best = tokens.max_by_key(|(_, role)| *role == Role::Admin);
    best.map(|(token, _)| token.clone())
}

/// Where a node with this configuration is reached on its own machine.
fn address_of(api: &Api) -> ApiAddress {
    let ip = match api.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    ApiAddress {
        host: HostPort::from(SocketAddr::new(ip, api.listen.port())),
        is_tls: api.tls.is_some(),
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
