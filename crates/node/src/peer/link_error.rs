use switchyard_registry::Incarnation;
use tonic::{Code, Status};

use super::window::Violation;

/// Why an attempt to open a link failed, or an open one ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("{0:?} is not an address")]
    Address(String),
    #[error("cannot connect: {}", root_cause(.0))]
    Connect(#[source] tonic::transport::Error),
    #[error("the peer closed the stream")]
    Closed,
    #[error("this node has begun a new life")]
    NewLife,
    #[error("the peer answered with a frame that is not due")]
    Frame,
    #[error("the peer has begun a new life, {0}")]
    PeersNewLife(Incarnation),
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(#[from] Status),
    #[error("the peer did not answer in time")]
    TimedOut,
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// What to do about a [`LinkError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The two ends disagree on what was sent: start a new sequence, then retry.
    Abandon,
    /// The life of the peer that the link leads to is over.
    Retire,
    /// Try again soon.
    Retry,
    /// Try again, but tell the operator and give it time.
    RetrySlowly,
}

impl LinkError {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Closed | Self::Connect(_) | Self::NewLife | Self::TimedOut => Remedy::Retry,
            Self::Address(_) | Self::Frame => Remedy::RetrySlowly,
            Self::PeersNewLife(_) => Remedy::Retire,
            Self::Violation(_) => Remedy::Abandon,
            Self::Status(status) => match status.code() {
                Code::FailedPrecondition => Remedy::Retire,
                Code::InvalidArgument => Remedy::Abandon,
                Code::NotFound | Code::PermissionDenied | Code::Unimplemented => {
                    Remedy::RetrySlowly
                }
                _ => Remedy::Retry,
            },
        }
    }
}

/// tonic says no more than "transport error".
fn root_cause(error: &tonic::transport::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
