use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt, unfold};
use futures::{FutureExt, Stream};
use parking_lot::Mutex;
use tonic::{Status, Streaming};

use super::proto::{self, LinkRequest, LinkResponse, link_request, link_response::Frame};
use super::receiver::{ReceiveError, Receiver, StreamId};
use super::server::LinkService;
use super::{Destination, batch};

/// So many batches that have arrived already are processed before one acknowledgement for all.
const MAX_BATCHES_PER_ACK: usize = 8;

type Relief = Pin<Box<dyn Future<Output = Destination> + Send>>;

/// One stream from a peer, on the receiving side. Works when its responses are polled, and so ends
/// when the transport drops them.
pub(super) struct Incoming {
    /// Its view of this node's life is the one that the stream was opened to.
    service: LinkService,
    requests: Streaming<LinkRequest>,
    receiver: Arc<Mutex<Receiver>>,
    stream: StreamId,
    replies: VecDeque<LinkResponse>,
    /// Destinations for which the sender was asked to hold back.
    congested: HashSet<Destination>,
    /// Ready when one of them is no longer congested.
    relieved: FuturesUnordered<Relief>,
    /// The replies so far should be sent before more batches are processed.
    flush: bool,
    ended: bool,
}

impl Incoming {
    pub(super) fn new(
        service: LinkService,
        requests: Streaming<LinkRequest>,
        (receiver, stream): (Arc<Mutex<Receiver>>, StreamId),
        welcome: proto::Welcome,
    ) -> Self {
        Self {
            service,
            requests,
            receiver,
            stream,
            replies: VecDeque::from([response(Frame::Welcome(welcome))]),
            congested: HashSet::new(),
            relieved: FuturesUnordered::new(),
            flush: false,
            ended: false,
        }
    }

    /// What the peer is answered, to the end of the stream.
    pub(super) fn into_responses(self) -> impl Stream<Item = Result<LinkResponse, Status>> + Send {
        unfold(self, |mut incoming| async move {
            let response = incoming.next().await?;
            Some((response, incoming))
        })
    }

    async fn next(&mut self) -> Option<Result<LinkResponse, Status>> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Some(Ok(reply));
            }
            if self.ended {
                return None;
            }
            if std::mem::take(&mut self.flush) {
                // The transport collects responses until there is none at the moment.
                tokio::task::yield_now().await;
            }
            if let Err(status) = self.step().await {
                self.ended = true;
                return Some(Err(status));
            }
        }
    }

    /// Waits for something to do and does it.
    async fn step(&mut self) -> Result<(), Status> {
        tokio::select! {
            biased;
            () = self.service.closed.cancelled() => Err(Status::unavailable("this node is shutting down")),
            _ = self.service.life.changed() => {
                Err(Status::failed_precondition("this node has ended the life you opened a link to"))
            }
            Some(to) = self.relieved.next(), if !self.relieved.is_empty() => {
                self.congested.remove(&to);
                self.replies.push_back(congestion(&to, false));
                Ok(())
            }
            request = self.requests.message() => self.take_all(request),
        }
    }

    /// Processes `request` and those that have arrived behind it, then acknowledges.
    fn take_all(&mut self, request: Result<Option<LinkRequest>, Status>) -> Result<(), Status> {
        let mut through_seq = None;
        let mut next = Some(request);
        for taken in 1..=MAX_BATCHES_PER_ACK {
            let Some(request) = next.take() else { break };
            let Some(LinkRequest { frame }) = request? else {
                self.ended = true;
                break;
            };
            through_seq = self.take(frame)?.or(through_seq);
            self.flush = taken == MAX_BATCHES_PER_ACK;
            if !self.flush {
                next = self.requests.message().now_or_never();
            }
        }
        if let Some(through_seq) = through_seq {
            let ack = proto::Ack { through_seq };
            self.replies.push_back(response(Frame::Ack(ack)));
        }
        Ok(())
    }

    fn take(&mut self, frame: Option<link_request::Frame>) -> Result<Option<u64>, Status> {
        match frame {
            Some(link_request::Frame::Batch(batch)) => self.receive(batch).map(Some),
            Some(link_request::Frame::Hello(_)) => {
                Err(Status::invalid_argument("a second hello on one stream"))
            }
            // A frame of a later version, which may be ignored.
            None => Ok(None),
        }
    }

    fn receive(&mut self, batch: proto::Batch) -> Result<u64, Status> {
        let Self {
            service, receiver, ..
        } = self;
        service.counters.count_received(&batch);
        let answer = receiver
            .lock()
            .receive(self.stream, batch, |to, delivery| {
                service.local.deliver(to, delivery)
            })?;
        let rejects = answer.rejects.into_iter();
        self.replies
            .extend(rejects.map(|reject| response(Frame::Reject(reject))));
        for to in answer.congested {
            self.note_congestion(to);
        }
        Ok(answer.through_seq)
    }

    /// Asks the sender to hold back what is for `to`, until there is room again.
    fn note_congestion(&mut self, to: Destination) {
        if !self.congested.insert(to.clone()) {
            return;
        }
        self.replies.push_back(congestion(&to, true));
        let relieved = self.service.local.relieved(&to);
        self.relieved.push(Box::pin(relieved.map(|()| to)));
    }
}

fn congestion(to: &Destination, congested: bool) -> LinkResponse {
    response(Frame::Congestion(proto::Congestion {
        destination: Some(batch::encode_destination(to)),
        congested,
    }))
}

fn response(frame: Frame) -> LinkResponse {
    LinkResponse { frame: Some(frame) }
}

impl From<ReceiveError> for Status {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Superseded => Self::aborted(error.to_string()),
            ReceiveError::Gap { .. }
            | ReceiveError::MalformedDestination
            | ReceiveError::UnknownDestination => Self::invalid_argument(error.to_string()),
        }
    }
}
