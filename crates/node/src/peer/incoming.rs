use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt, unfold};
use futures::{FutureExt, Stream};
use parking_lot::Mutex;
use switchyard_listener::Consignor;
use switchyard_registry::Incarnation;
use tonic::{Status, Streaming};

use super::proto::{self, LinkRequest, LinkResponse, link_request, link_response::Frame};
use super::receiver::{ReceiveError, Receiver, StreamId};
use super::server::LinkService;
use super::settlements::Settlements;
use super::{Destination, batch};

/// So many batches that have arrived already are processed before one report for all.
const MAX_BATCHES_PER_REPORT: usize = 8;

type Relief = Pin<Box<dyn Future<Output = Destination> + Send>>;

/// One stream from a peer, on the receiving side. Works when its responses are polled, and so ends
/// when the transport drops them.
pub(super) struct Incoming {
    service: LinkService,
    /// The life of this node that the stream was opened to.
    life: Incarnation,
    requests: Streaming<LinkRequest>,
    receiver: Arc<Mutex<Receiver>>,
    settlements: Arc<Settlements>,
    stream: StreamId,
    replies: VecDeque<LinkResponse>,
    /// Destinations for which the sender was asked to hold back.
    congested: HashSet<Destination>,
    /// Ready when one of them is no longer congested.
    relieved: FuturesUnordered<Relief>,
    /// The sender is to be told how far this node has got.
    due: bool,
    /// How the stream ends, once all replies are sent.
    end: Option<Result<(), Status>>,
}

impl Incoming {
    pub(super) fn new(
        service: LinkService,
        life: Incarnation,
        requests: Streaming<LinkRequest>,
        (receiver, stream): (Arc<Mutex<Receiver>>, StreamId),
        welcome: proto::Welcome,
    ) -> Self {
        let settlements = Arc::clone(receiver.lock().settlements());
        Self {
            service,
            life,
            requests,
            receiver,
            settlements,
            stream,
            replies: VecDeque::from([response(Frame::Welcome(welcome))]),
            congested: HashSet::new(),
            relieved: FuturesUnordered::new(),
            due: false,
            end: None,
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
            if std::mem::take(&mut self.due) {
                // The transport sends the responses so far, and what was just delivered may be
                // written meanwhile: one report for both.
                tokio::task::yield_now().await;
                if let Err(error) = self.report() {
                    self.end = Some(Err(error.into()));
                }
                continue;
            }
            if let Some(end) = &mut self.end {
                return std::mem::replace(end, Ok(())).err().map(Err);
            }
            if let Err(status) = self.step().await {
                self.end = Some(Err(status));
            }
        }
    }

    /// Waits for something to do and does it.
    async fn step(&mut self) -> Result<(), Status> {
        let (settlements, stream) = (&self.settlements, self.stream);
        tokio::select! {
            biased;
            () = self.service.closed.cancelled() => {
                // The components have been closed before: nothing is open any more.
                self.due = true;
                Err(Status::unavailable("this node is shutting down"))
            }
            changed = self.service.life.changed() => match changed {
                Ok(()) => self.check_life(),
                Err(_) => Err(Status::unavailable("this node is shutting down")),
            },
            Some(to) = self.relieved.next(), if !self.relieved.is_empty() => {
                self.congested.remove(&to);
                self.replies.push_back(congestion(&to, false));
                Ok(())
            }
            request = self.requests.message() => self.take_all(request),
            news = poll_fn(|cx| settlements.poll_news(stream, cx)) => {
                self.due = true;
                Ok(news?)
            }
        }
    }

    /// The stream was opened to one life of this node. A lease that has run out need not be the end of
    /// it: without quorum nobody gives a node up, and it goes on in the same life. The sender keeps
    /// what this node has, and comes back.
    fn check_life(&mut self) -> Result<(), Status> {
        let present = self.service.life.borrow_and_update();
        match present.as_ref().map(|life| life.incarnation) {
            None => Err(Status::unavailable("this node's lease has run out")),
            Some(life) if life == self.life => Ok(()),
            Some(_) => Err(Status::failed_precondition(
                "this node has ended the life you opened a link to",
            )),
        }
    }

    /// Processes `request` and those that have arrived behind it.
    fn take_all(&mut self, request: Result<Option<LinkRequest>, Status>) -> Result<(), Status> {
        let mut next = Some(request);
        for taken in 1..=MAX_BATCHES_PER_REPORT {
            let Some(request) = next.take() else { break };
            let Some(LinkRequest { frame }) = request? else {
                self.end = Some(Ok(()));
                break;
            };
            self.take(frame)?;
            if taken < MAX_BATCHES_PER_REPORT {
                next = self.requests.message().now_or_never();
            }
        }
        Ok(())
    }

    /// Tells the sender what has become of its parcels since the last time: rejects first.
    fn report(&mut self) -> Result<(), ReceiveError> {
        let (report, through_seq) = self.receiver.lock().report(self.stream)?;
        let rejects = report.rejects.into_iter();
        self.replies
            .extend(rejects.map(|reject| response(Frame::Reject(reject))));
        let ack = proto::Ack {
            through_seq,
            written: report.written,
            partly_written: report.partly_written,
        };
        self.replies.push_back(response(Frame::Ack(ack)));
        Ok(())
    }

    fn take(&mut self, frame: Option<link_request::Frame>) -> Result<(), Status> {
        match frame {
            Some(link_request::Frame::Batch(batch)) => self.receive(batch),
            Some(link_request::Frame::Hello(_)) => {
                Err(Status::invalid_argument("a second hello on one stream"))
            }
            // A frame of a later version, which may be ignored.
            None => Ok(()),
        }
    }

    fn receive(&mut self, batch: proto::Batch) -> Result<(), Status> {
        let Self {
            service,
            receiver,
            settlements,
            ..
        } = self;
        service.counters.count_received(&batch);
        // A process that was stopped finds batches in its socket buffers, and reads them before it
        // hears that it has been given up. The sender keeps them: should this life go on after all,
        // they come again, in their order. Should the process be stopped just here, writers ask again.
        if !settlements.may_write() {
            return Err(Status::unavailable("this node's lease has run out"));
        }
        let answer = receiver
            .lock()
            .receive(self.stream, batch, |to, delivery| {
                service.local.deliver(to, delivery)
            })?;
        self.due = true;
        for to in answer.congested {
            self.note_congestion(to);
        }
        Ok(())
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
