//! The API of a node (contract A1), as the command line uses it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use switchyard_listener::Secret;
use switchyard_registry::cluster_api::cluster_client::ClusterClient;
use switchyard_registry::cluster_api::{
    AddRequest, ChangeProgress, DrainRequest, PromoteRequest, RemoveRequest, StatusRequest,
    StatusResponse,
};
use switchyard_registry::registry_api::registry_client::RegistryClient;
use switchyard_registry::registry_api::{Component, ListRequest};
use switchyard_registry::{Connector, Dialer, PeerAddress, TcpDialer};
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use crate::api_access::BEARER;
use crate::config::{HostPort, HostPortError};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Rows asked for at once: the most that a node gives.
const PAGE_SIZE: u32 = 10_000;

/// A connection to the API of one node.
#[derive(Debug, Clone)]
pub(crate) struct ApiClient {
    address: ApiAddress,
    channel: InterceptedService<Channel, Bearer>,
}

/// Where the API of a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiAddress {
    pub(crate) host: HostPort,
    /// It is served in TLS.
    pub(crate) is_tls: bool,
}

/// Where to ask, how to get there, and as whom.
#[derive(Debug)]
pub(crate) struct ApiTarget {
    pub(crate) address: ApiAddress,
    pub(crate) dialer: Arc<dyn Dialer>,
    pub(crate) token: Option<Secret>,
}

/// Shows a token with every call, if there is one.
#[derive(Debug, Clone)]
struct Bearer(Option<AsciiMetadataValue>);

/// What to change in the cluster.
#[derive(Debug)]
pub(crate) enum Change {
    Add(AddRequest),
    Drain(DrainRequest),
    Promote(PromoteRequest),
    Remove(RemoveRequest),
}

/// A change under way.
#[derive(Debug)]
pub(crate) struct ChangeSteps {
    address: ApiAddress,
    steps: Streaming<ChangeProgress>,
    is_done: bool,
}

/// Rows of the component table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listing {
    /// The Raft log index that the rows reflect. Of a listing that took several pages, during
    /// which the table may have changed: the lowest.
    pub(crate) revision: u64,
    /// Sorted by domain, then node.
    pub(crate) components: Vec<Component>,
}

impl ApiClient {
    /// Connects to the API at `target`.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub(crate) async fn connect(target: ApiTarget) -> anyhow::Result<Self> {
        let ApiTarget {
            address,
            dialer,
            token,
        } = target;
        let endpoint = Endpoint::from_shared(format!("http://{}", address.host))?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        let server = PeerAddress {
            address: address.host.to_string(),
            name: None,
        };
        let connecting = endpoint.connect_with_connector(Connector::new(dialer, server));
        let channel = connecting.await.map_err(|error| {
            let reason = root_cause(&error);
            anyhow!(
                "cannot reach the API at {address}: {reason}; \
                 is a node running there? see --api"
            )
        })?;
        Ok(Self {
            address,
            channel: InterceptedService::new(channel, Bearer::new(token.as_ref())?),
        })
    }

    /// The rows that match the filters of `request`, whose paging is seen to here.
    ///
    /// # Errors
    ///
    /// When the node refuses or does not answer.
    pub(crate) async fn list(&self, mut request: ListRequest) -> anyhow::Result<Listing> {
        let mut client = RegistryClient::new(self.channel.clone());
        request.page_size = PAGE_SIZE;
        let mut listing = Listing {
            revision: u64::MAX,
            components: Vec::new(),
        };
        loop {
            let page = client.list(request.clone()).await;
            let page = page.map_err(|status| self.refused(&status))?.into_inner();
            listing.revision = listing.revision.min(page.revision);
            listing.components.extend(page.components);
            if page.next_page_token.is_empty() {
                return Ok(listing);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// The cluster as the node sees it.
    ///
    /// # Errors
    ///
    /// When the node refuses or does not answer.
    pub(crate) async fn status(&self) -> anyhow::Result<StatusResponse> {
        let mut client = ClusterClient::new(self.channel.clone());
        let response = client.status(StatusRequest {}).await;
        Ok(response
            .map_err(|status| self.refused(&status))?
            .into_inner())
    }

    /// Begins a change of the cluster.
    ///
    /// # Errors
    ///
    /// When the node does not answer.
    pub(crate) async fn change(&self, change: Change) -> anyhow::Result<ChangeSteps> {
        let mut client = ClusterClient::new(self.channel.clone());
        let answer = match change {
            Change::Add(request) => client.add(request).await,
            Change::Drain(request) => client.drain(request).await,
            Change::Promote(request) => client.promote(request).await,
            Change::Remove(request) => client.remove(request).await,
        };
        let steps = answer.map_err(|status| self.refused(&status))?.into_inner();
        Ok(ChangeSteps {
            address: self.address.clone(),
            steps,
            is_done: false,
        })
    }

    fn refused(&self, status: &Status) -> anyhow::Error {
        if let Code::Unauthenticated | Code::PermissionDenied = status.code() {
            return anyhow!("the node at {} refuses: {}", self.address, status.message());
        }
        let reason = match status.message() {
            "" => status.code().description(),
            message => message,
        };
        // What has a cause comes from the connection, not from the node.
        if status.source().is_none() && status.code() == Code::Unavailable {
            return anyhow!("the node at {} cannot tell: {reason}", self.address);
        }
        let hint = match status.code() {
            Code::Unknown | Code::Unavailable | Code::Internal if !self.address.is_tls => {
                "; if it speaks TLS, say --api https://HOST:PORT"
            }
            _ => "",
        };
        anyhow!(
            "the node at {} did not answer: {reason}{hint}",
            self.address
        )
    }
}

impl ChangeSteps {
    /// What was done next, or is waited for; none after the change is done.
    ///
    /// # Errors
    ///
    /// When it is refused, or the node goes away before it is done.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<ChangeProgress>> {
        if self.is_done {
            return Ok(None);
        }
        match self.steps.message().await {
            Ok(Some(step)) => {
                self.is_done = step.done;
                Ok(Some(step))
            }
            // What has a cause comes from the connection, not from the node.
            Err(status) if status.source().is_none() => Err(anyhow!("{}", status.message())),
            Ok(None) | Err(_) => Err(anyhow!(
                "the node at {} went away before the change was done: ask another one (--api), \
                 the command may be repeated",
                self.address
            )),
        }
    }
}

/// The innermost reason: the layers above it add nothing for an operator.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl ApiTarget {
    /// In plain text, as nobody.
    pub(crate) fn plain(host: HostPort) -> Self {
        Self {
            address: ApiAddress {
                host,
                is_tls: false,
            },
            dialer: Arc::new(TcpDialer),
            token: None,
        }
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)
    }
}

impl Bearer {
    fn new(token: Option<&Secret>) -> anyhow::Result<Self> {
        let Some(token) = token else {
            return Ok(Self(None));
        };
        // The error would quote nothing, and the value must not be shown either.
        let mut value: AsciiMetadataValue = format!("{BEARER}{}", token.expose()).parse()?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Reads `HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`.
///
/// # Errors
///
/// When it is something else.
pub(crate) fn parse_address(text: &str) -> Result<ApiAddress, HostPortError> {
    let (is_tls, address) = match text.strip_prefix("https://") {
        Some(address) => (true, address),
        None => (false, text.strip_prefix("http://").unwrap_or(text)),
    };
    let host = address.strip_suffix('/').unwrap_or(address).parse()?;
    Ok(ApiAddress { host, is_tls })
}
