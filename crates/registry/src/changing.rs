//! How any node carries an operator's change out: it asks who can, again and again until it is done.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use crate::Registry;
use crate::core::{Core, Leader};
use crate::operations::Operations;
use crate::pb::cluster::ChangeProgress;
use crate::pb::peer as pb;
use crate::pb::peer::change_request::Change;
use crate::peer_service;

/// Who waits for a change.
pub(crate) type Watcher = mpsc::Sender<Result<ChangeProgress, Status>>;

/// Longest time for a change other than a drain, which takes as long as its components take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for one step.
const STEP: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

impl Registry {
    /// Makes a change, or says why not.
    pub(crate) async fn change(&self, change: Change, watcher: &Watcher) -> Result<(), Status> {
        self.check_membership()?;
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            let reason = match step(&self.core, &self.operations, change.clone()).await {
                Ok(answer) if answer.done => {
                    return say(watcher, answer.message, true, 0).await;
                }
                Ok(answer) => answer.message,
                Err(status) if is_final(status.code()) => return Err(status),
                Err(status) => status.message().to_owned(),
            };
            if Instant::now() >= deadline {
                return Err(Status::unavailable(reason));
            }
            if reason != said {
                say(watcher, reason.clone(), false, 0).await?;
                said = reason;
            }
            sleep(PAUSE).await;
        }
    }

    /// Drains a node given by its name or its id, and waits until its components have gone.
    pub(crate) async fn drain(&self, node: &str, watcher: &Watcher) -> Result<(), Status> {
        self.check_membership()?;
        let mut said = None;
        let mut before = None;
        loop {
            let pb::DrainResponse {
                remaining,
                was_drained,
            } = self.drain_step(node).await?;
            let is_first = before.is_none();
            let already = *before.get_or_insert(if was_drained { "already " } else { "" });
            // One that was accepted at that moment is seen when it is asked again.
            if remaining == 0 && (was_drained || !is_first) {
                let message =
                    format!("{node} is {already}drained: no component is connected to it");
                return say(watcher, message, true, 0).await;
            }
            if remaining > 0 && said != Some(remaining) {
                let message = format!("{node}: components still connected: {remaining}");
                say(watcher, message, false, remaining).await?;
                said = Some(remaining);
            }
            sleep(PAUSE).await;
        }
    }

    /// A node that waits to be taken in can do nothing for an operator.
    fn check_membership(&self) -> Result<(), Status> {
        let metrics = self.core.raft.metrics();
        let metrics = metrics.borrow();
        let mut members = metrics.membership_config.membership().nodes();
        match members.next() {
            Some(_) => Ok(()),
            None => Err(Status::failed_precondition(format!(
                "{}, which was asked, belongs to no cluster yet: ask a node of the cluster (--api)",
                self.core.config.node
            ))),
        }
    }

    async fn drain_step(&self, node: &str) -> Result<pb::DrainResponse, Status> {
        let (id, address) = self.locate(node)?;
        if id == self.core.id().0 {
            return Ok(peer_service::drain(&self.core, &self.connected));
        }
        let header = Some(self.core.identity.header(id));
        let mut client = self.core.client_of(id, &address)?;
        let call = timeout(STEP, client.drain(pb::DrainRequest { header })).await;
        let answer = call.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        let answer = answer.map_err(|status| {
            Status::unavailable(format!(
                "{node} does not answer: {}; if it does not run, there is nothing to drain",
                status.message()
            ))
        })?;
        Ok(answer.into_inner())
    }

    /// The id and the address of a member.
    fn locate(&self, node: &str) -> Result<(u64, String), Status> {
        let metrics = self.core.raft.metrics().borrow().clone();
        let members = metrics.membership_config.membership();
        let by_name = members.nodes().find(|(_, member)| member.name == node);
        let by_id = || members.nodes().find(|(id, _)| id.to_string() == node);
        let (id, member) = by_name.or_else(by_id).ok_or_else(|| {
            let mut names: Vec<&str> = members.nodes().map(|(_, member)| &*member.name).collect();
            names.sort_unstable();
            let names = names.join(", ");
            Status::not_found(format!(
                "no node {node:?} in the cluster: there are {names}"
            ))
        })?;
        let address = self.core.address(*id, Some(member)).unwrap_or_default();
        Ok((*id, address.to_string()))
    }
}

/// One step, by the leader.
async fn step(
    core: &Core,
    operations: &Operations,
    change: Change,
) -> Result<pb::ChangeResponse, Status> {
    match core.leader() {
        None => Err(Status::unavailable(format!(
            "no leader is known: {}",
            core.why_no_quorum()
        ))),
        Some(Leader::Me) => operations.step(change).await,
        Some(Leader::Other { id, address }) => {
            let request = pb::ChangeRequest {
                header: Some(core.identity.header(id)),
                change: Some(change),
            };
            let mut client = core.client_of(id, &address)?;
            let call = timeout(STEP, client.change(request)).await;
            let answer = call.map_err(|_| Status::unavailable("the leader does not answer"))?;
            Ok(answer?.into_inner())
        }
    }
}

/// True for refusals of the change itself; everything else may pass.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::NotFound | Code::FailedPrecondition | Code::InvalidArgument | Code::PermissionDenied
    )
}

/// An error if nobody waits any more.
async fn say(watcher: &Watcher, message: String, done: bool, remaining: u64) -> Result<(), Status> {
    let progress = ChangeProgress {
        message,
        done,
        remaining,
    };
    let said = watcher.send(Ok(progress)).await;
    said.map_err(|_| Status::cancelled("nobody waits for the change"))
}
