use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use super::link::Link;
use super::proto::{self, LinkRequest, link_request::Frame};

/// The requests of one stream: a hello, then whatever the link has to send.
///
/// The transport takes the next batch when it has sent the one before. Until then parcels gather
/// in the window, so that batches grow with the load, and the link knows which are unsent.
pub(super) struct Outgoing {
    link: Arc<Link>,
    stream: u64,
    batch_bytes: usize,
    hello: Option<proto::Hello>,
}

impl Outgoing {
    /// `stream`: the number with which the link began it.
    pub(super) fn new(
        link: Arc<Link>,
        stream: u64,
        batch_bytes: usize,
        hello: proto::Hello,
    ) -> Self {
        Self {
            link,
            stream,
            batch_bytes,
            hello: Some(hello),
        }
    }
}

impl Stream for Outgoing {
    type Item = LinkRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LinkRequest>> {
        let frame = match self.hello.take() {
            Some(hello) => Poll::Ready(Some(Frame::Hello(hello))),
            None => self
                .link
                .poll_batch(self.stream, self.batch_bytes, cx.waker())
                .map(|batch| batch.map(Frame::Batch)),
        };
        frame.map(|frame| frame.map(|frame| LinkRequest { frame: Some(frame) }))
    }
}
