use crate::stream_error::{StreamCondition, StreamError};

/// Why an outbox was closed, which ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The connection ended by itself: the component left, broke the stream or was lost.
    Ended,
    /// Another connection took the name over (contract S8, `kick_old`).
    Replaced,
    /// The secret, certificate or listener that the connection relied on is gone (contract A4).
    Reset,
    /// The node shuts down (contract S12).
    SystemShutdown,
}

impl CloseReason {
    /// What the component is told, if anything but `</stream:stream>`.
    pub(crate) fn stream_error(self) -> Option<StreamError> {
        let (condition, text) = match self {
            Self::Ended => return None,
            Self::Replaced => (StreamCondition::Conflict, "Replaced by new connection"),
            Self::Reset => (
                StreamCondition::Reset,
                "The configuration of this listener has changed, please connect again",
            ),
            Self::SystemShutdown => (
                StreamCondition::SystemShutdown,
                "This node is shutting down, please connect again",
            ),
        };
        Some(StreamError::new(condition, text))
    }
}
