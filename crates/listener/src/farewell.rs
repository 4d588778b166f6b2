use bytes::Bytes;

use crate::StreamCondition;
use crate::stream_error::StreamError;

/// The last bytes of a stream (contract S3, S10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Farewell {
    /// The header if there was none yet, the error if there is one, `</stream:stream>`. Empty
    /// before the stream began.
    pub(crate) bytes: Bytes,
    /// The error in `bytes`.
    pub(crate) error: Option<StreamError>,
}

impl Farewell {
    /// Whether it is a stream error of `condition`.
    pub(crate) fn is(&self, condition: StreamCondition) -> bool {
        self.error
            .as_ref()
            .is_some_and(|error| error.condition == condition)
    }

    /// Whether it is a stream error that is the component's own doing.
    pub(crate) fn is_fault(&self) -> bool {
        use StreamCondition::{Conflict, Reset, SystemShutdown};
        let error = self.error.as_ref();
        error.is_some_and(|error| !matches!(error.condition, Conflict | Reset | SystemShutdown))
    }
}
