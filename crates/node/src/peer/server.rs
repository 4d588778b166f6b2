use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use switchyard_registry::{Caller, NodeId};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use super::hello::{self, Refusal};
use super::incoming::Incoming;
use super::proto::{self, LinkRequest, LinkResponse, link_request::Frame};
use super::receiver::ReceiveError;
use super::receivers::Receivers;
use super::{Life, LinkCounters, LocalDelivery, PeersConfig};

/// How long a peer may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// The receiving end of all links to this node, for the server on `cluster.listen`.
#[derive(Clone)]
pub(crate) struct LinkService {
    pub(super) config: Arc<PeersConfig>,
    pub(super) life: watch::Receiver<Option<Life>>,
    pub(super) receivers: Arc<Receivers>,
    pub(super) local: Arc<dyn LocalDelivery>,
    pub(super) counters: Arc<LinkCounters>,
    pub(super) closed: CancellationToken,
}

impl LinkService {
    fn accept(
        &self,
        hello: &proto::Hello,
        requests: Streaming<LinkRequest>,
    ) -> Result<Incoming, Refusal> {
        let mut service = self.clone();
        let own = service.life.borrow_and_update().clone();
        let accepted = hello::check(hello, &self.config, own.as_ref())?;
        let (receiver, welcome) = self
            .receivers
            .open(hello, &accepted, &self.local)
            .map_err(|_: ReceiveError| Refusal::Superseded)?;
        let stream = (receiver, accepted.stream);
        let life = accepted.receiver;
        Ok(Incoming::new(service, life, requests, stream, welcome))
    }
}

#[tonic::async_trait]
impl proto::link_server::Link for LinkService {
    type OpenStream = Pin<Box<dyn Stream<Item = Result<LinkResponse, Status>> + Send>>;

    async fn open(
        &self,
        request: Request<Streaming<LinkRequest>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let caller = Caller::of(request.extensions());
        let mut requests = request.into_inner();
        let first = timeout(HELLO_TIMEOUT, requests.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello in time"))??;
        let Some(Frame::Hello(hello)) = first.and_then(|request| request.frame) else {
            return Err(Status::invalid_argument(
                "the first request must be a hello",
            ));
        };
        let sender = hello.sender.as_ref().map_or("", |sender| &sender.name);
        check_names(&self.config, &caller, &hello)?;
        match self.accept(&hello, requests) {
            Ok(incoming) => {
                debug!(peer = sender, "Peer opened its link");
                Ok(Response::new(Box::pin(incoming.into_responses())))
            }
            Err(refusal) => {
                debug!(peer = sender, %refusal, "Refused a link");
                Err(refusal.into())
            }
        }
    }
}

/// Sees that the sender is the node whose name and whose identity it gives (contract A2).
pub(super) fn check_names(
    config: &PeersConfig,
    caller: &Caller,
    hello: &proto::Hello,
) -> Result<(), Status> {
    if let (Some(names), Some(sender)) = (&config.names, &hello.sender) {
        names.check_name(caller, &sender.name)?;
        names.check_id(caller, NodeId(sender.id))?;
    }
    Ok(())
}
