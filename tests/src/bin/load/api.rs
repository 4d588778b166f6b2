//! Asking a node's API.

use std::time::Duration;

use anyhow::Result;
use switchyard_registry::registry_api::registry_client::RegistryClient;
use switchyard_registry::registry_api::{Component, ListRequest, LookupRequest};
use switchyard_tests::Node;
use tonic::transport::{Channel, Endpoint};

use super::{crowd, usage};

/// A client of one node's API.
#[derive(Debug, Clone)]
pub(crate) struct Api(RegistryClient<Channel>);

/// The largest page of a list.
const PAGE: u32 = 10_000;

impl Api {
    pub(crate) async fn connect(node: &Node) -> Result<Self> {
        let endpoint = Endpoint::try_from(format!("http://{}", node.config().api))?;
        let client = RegistryClient::new(endpoint.connect().await?);
        Ok(Self(client.max_decoding_message_size(usize::MAX)))
    }

    /// The whole table of `node`.
    pub(crate) async fn list_of(node: &Node) -> Result<Vec<Component>> {
        Self::connect(node).await?.list().await
    }

    /// The whole table.
    pub(crate) async fn list(&mut self) -> Result<Vec<Component>> {
        let mut all = Vec::new();
        let mut request = ListRequest {
            page_size: PAGE,
            ..ListRequest::default()
        };
        loop {
            let page = self.0.list(request.clone()).await?.into_inner();
            all.extend(page.components);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Whether `domain` is registered.
    pub(crate) async fn has(&mut self, domain: String) -> Result<bool> {
        let request = LookupRequest {
            domain,
            linearizable: false,
        };
        Ok(!self
            .0
            .lookup(request)
            .await?
            .into_inner()
            .components
            .is_empty())
    }

    /// CPU time that `process`, the node's, needs for one of `count` lookups of the components
    /// below `domains`.
    pub(crate) async fn lookup_cost(
        &mut self,
        process: u32,
        count: usize,
        domains: usize,
    ) -> Result<Duration> {
        let before = usage::cpu_time(&[process])?;
        for index in 0..count {
            // A prime, so that neighbours are far apart.
            self.has(crowd::domain(index * 7919 % domains)).await?;
        }
        let used = usage::cpu_time(&[process])?.saturating_sub(before);
        Ok(used / u32::try_from(count)?)
    }
}
