//! The API of a node (contract A1), as the command line uses it.

use std::error::Error;
use std::time::Duration;

use anyhow::anyhow;
use switchyard_registry::cluster_api::cluster_client::ClusterClient;
use switchyard_registry::cluster_api::{StatusRequest, StatusResponse};
use switchyard_registry::registry_api::registry_client::RegistryClient;
use switchyard_registry::registry_api::{Component, ListRequest};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

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
    address: HostPort,
    channel: Channel,
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
    /// Connects to the API at `address`.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub(crate) async fn connect(address: HostPort) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        let channel = endpoint.connect().await.map_err(|error| {
            let reason = root_cause(&error);
            anyhow!(
                "cannot reach the API at http://{address}: {reason}; \
                 is a node running there? see --api"
            )
        })?;
        Ok(Self { address, channel })
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

    fn refused(&self, status: &Status) -> anyhow::Error {
        let reason = match status.message() {
            "" => status.code().description(),
            message => message,
        };
        anyhow!(
            "the node at http://{} did not answer: {reason}",
            self.address
        )
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

/// Reads `HOST:PORT`, with or without `http://`.
///
/// # Errors
///
/// When it is something else.
pub(crate) fn parse_address(text: &str) -> Result<HostPort, HostPortError> {
    let address = text.strip_prefix("http://").unwrap_or(text);
    let address = address.strip_suffix('/').unwrap_or(address);
    address.parse()
}
