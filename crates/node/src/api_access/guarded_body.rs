use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;

use super::gate::Call;
use super::{ApiAccess, rules::Denial};

/// The answer to a call, which may go on for ever (`Watch`): it ends when the rules of access change
/// and no longer let the caller in.
pub(super) struct GuardedBody {
    answer: Body,
    call: Call,
    /// The rules, whenever they change.
    changes: WatchStream<Arc<ApiAccess>>,
    is_over: bool,
}

impl GuardedBody {
    pub(super) fn new(answer: Body, call: Call, changes: WatchStream<Arc<ApiAccess>>) -> Self {
        Self {
            answer,
            call,
            changes,
            is_over: false,
        }
    }

    /// Why the caller may not go on, once that is so.
    fn poll_denied(&mut self, cx: &mut Context<'_>) -> Poll<Denial> {
        while let Poll::Ready(Some(access)) = Pin::new(&mut self.changes).poll_next(cx) {
            if let Err(denial) = self.call.check(&access) {
                return Poll::Ready(denial);
            }
        }
        Poll::Pending
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(denial) = self.poll_denied(cx) {
            self.is_over = true;
            let mut trailers = HeaderMap::new();
            let ended = Status::from(denial).add_header(&mut trailers);
            return Poll::Ready(Some(match ended {
                Ok(()) => Ok(Frame::trailers(trailers)),
                Err(status) => Err(status.into()),
            }));
        }
        let answer = Pin::new(&mut self.answer).poll_frame(cx);
        answer.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
