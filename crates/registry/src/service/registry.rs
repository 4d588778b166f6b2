use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::convert;
use super::listing::{Listing, prepare};
use super::watching;
use crate::Registry;
use crate::command::Name;
use crate::pb::registry as pb;
use crate::pb::registry::registry_server;
use crate::replica::State;

/// Serves `switchyard.registry.v1.Registry`.
#[derive(Clone)]
pub(crate) struct RegistryService {
    registry: Registry,
}

impl RegistryService {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Makes sure that what follows sees everything committed so far, if that is asked for.
    async fn confirm(&self, linearizable: bool) -> Result<(), Status> {
        if linearizable {
            let confirmed = self.registry.confirm().await;
            confirmed.map_err(|error| Status::unavailable(error.to_string()))?;
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl registry_server::Registry for RegistryService {
    async fn lookup(
        &self,
        request: Request<pb::LookupRequest>,
    ) -> Result<Response<pb::LookupResponse>, Status> {
        let request = request.into_inner();
        let domain = prepare(&request.domain)?;
        self.confirm(request.linearizable).await?;
        let names = [false, true].map(|is_subdomain| Name {
            domain: domain.clone(),
            is_subdomain,
        });
        let answer = self.registry.core.replica.read(|state| pb::LookupResponse {
            revision: state.revision(),
            components: names.iter().flat_map(|name| holders(state, name)).collect(),
        });
        Ok(Response::new(answer))
    }

    async fn list(
        &self,
        request: Request<pb::ListRequest>,
    ) -> Result<Response<pb::ListResponse>, Status> {
        let request = request.into_inner();
        let linearizable = request.linearizable;
        let listing = Listing::new(request)?;
        self.confirm(linearizable).await?;
        let page = self.registry.core.replica.read(|state| listing.page(state));
        Ok(Response::new(page))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<pb::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let from = request.into_inner().from_revision;
        let stream = watching::watch(&self.registry.core.replica, from)?;
        Ok(Response::new(Box::pin(stream)))
    }
}

fn holders(state: &State, name: &Name) -> Vec<pb::Component> {
    let table = &state.table;
    let mut components: Vec<pb::Component> = table
        .holders(name)
        .iter()
        .filter_map(|row| {
            let node = table.node(row.node)?;
            Some(convert::component(
                &table.registration(name, row),
                &node.name,
            ))
        })
        .collect();
    components.sort_by(|a, b| a.node.cmp(&b.node));
    components
}
