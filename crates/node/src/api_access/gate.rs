use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use switchyard_registry::{Caller, LogLimit};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;
use tonic::service::Routes;

use super::ApiAccess;
use super::guarded_body::GuardedBody;
use super::rules::Denial;

/// Sees to the rules of access of the API, which may change at any time.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    access: watch::Sender<Arc<ApiAccess>>,
    unauthenticated: AtomicU64,
    permission_denied: AtomicU64,
    log: LogLimit,
}

impl Gate {
    /// With these rules.
    pub(crate) fn new(access: ApiAccess) -> Self {
        Self {
            access: watch::Sender::new(Arc::new(access)),
            ..Self::default()
        }
    }

    /// From the next call on; answers that go on end if they would not be given any more.
    pub(crate) fn set(&self, access: ApiAccess) {
        self.access.send_replace(Arc::new(access));
    }

    /// Calls that were refused, by reason.
    pub(crate) fn refused(&self) -> Vec<(String, u64)> {
        let count = |denial: Denial, count: &AtomicU64| {
            (denial.reason().to_owned(), count.load(Ordering::Relaxed))
        };
        vec![
            count(Denial::NoCredentials, &self.unauthenticated),
            count(Denial::NeedsAdmin, &self.permission_denied),
        ]
    }

    fn check(&self, call: &Call) -> Result<(), Denial> {
        let access = Arc::clone(&self.access.borrow());
        let checked = call.check(&access);
        checked.inspect_err(|denial| self.note(*denial, &call.caller, &call.path))
    }

    fn note(&self, denial: Denial, caller: &Caller, path: &str) {
        let count = match denial {
            Denial::NoCredentials | Denial::WrongToken => &self.unauthenticated,
            Denial::NeedsAdmin => &self.permission_denied,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = self.log.admit() {
            let address = caller.address.map(tracing::field::display);
            let certificate = caller.names.as_ref().map(|names| names.join(", "));
            let certificate = certificate.as_deref().map(str::escape_debug);
            let certificate = certificate.map(tracing::field::display);
            let call = path.escape_debug();
            tracing::warn!(address, certificate, %call, reason = %denial, suppressed, "API call refused");
        }
    }
}

/// `routes`, behind `gate`.
pub(crate) fn guard(routes: Routes, gate: Arc<Gate>) -> Routes {
    let router = routes.into_axum_router();
    router.layer(from_fn_with_state(gate, pass)).into()
}

async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let call = Call::of(&request);
    // Before the check, so that no change is missed.
    let changes = WatchStream::from_changes(gate.access.subscribe());
    match gate.check(&call) {
        Ok(()) => {
            let answer = next.run(request).await;
            answer.map(|answer| Body::new(GuardedBody::new(answer, call, changes)))
        }
        Err(denial) => Status::from(denial).into_http(),
    }
}

/// Who calls what.
pub(super) struct Call {
    authorization: Option<HeaderValue>,
    caller: Caller,
    path: String,
}

impl Call {
    fn of(request: &Request) -> Self {
        let caller = request.extensions().get::<Caller>().cloned();
        Self {
            authorization: request.headers().get(AUTHORIZATION).cloned(),
            caller: caller.unwrap_or_default(),
            path: request.uri().path().to_owned(),
        }
    }

    /// Whether these rules allow it.
    pub(super) fn check(&self, access: &ApiAccess) -> Result<(), Denial> {
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(HeaderValue::as_bytes);
        access.check(authorization, &self.caller, &self.path)
    }
}
