use bytes::Bytes;

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
