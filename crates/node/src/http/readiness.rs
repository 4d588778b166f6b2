use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Whether this node should be sent components, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    ready: bool,
    conditions: Vec<Condition>,
}

/// One thing that must hold, such as "joined the cluster".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Condition {
    name: &'static str,
    met: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

// === impl Readiness ===

impl Readiness {
    /// Ready if all of `conditions` are met.
    pub(crate) fn new(conditions: Vec<Condition>) -> Self {
        Self {
            ready: conditions.iter().all(|condition| condition.met),
            conditions,
        }
    }

    /// All conditions are met.
    pub(crate) const fn is_ready(&self) -> bool {
        self.ready
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        let status = match self.ready {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        match serde_json::to_string(&self) {
            Ok(body) => {
                let headers = [(CONTENT_TYPE, "application/json")];
                (status, headers, body + "\n").into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

// === impl Condition ===

impl Condition {
    /// `name` holds.
    pub(crate) const fn met(name: &'static str) -> Self {
        Self {
            name,
            met: true,
            reason: None,
        }
    }

    /// `name` does not hold, for `reason`.
    pub(crate) fn unmet(name: &'static str, reason: impl Into<String>) -> Self {
        Self {
            name,
            met: false,
            reason: Some(reason.into()),
        }
    }

    /// `name` holds if `met`; `reason` says why it does not.
    pub(crate) fn check(name: &'static str, met: bool, reason: &str) -> Self {
        match met {
            true => Self::met(name),
            false => Self::unmet(name, reason),
        }
    }
}
