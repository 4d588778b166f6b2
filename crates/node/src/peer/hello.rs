use switchyard_registry::{Incarnation, NodeId};
use tonic::{Code, Status};

use super::receiver::{Sequence, StreamId};
use super::{Life, PeersConfig, proto};

/// The versions of the protocol that this program speaks. Neighbouring releases of Switchyard must
/// have one in common (rolling upgrades).
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=1;

/// Sequence numbers of an honest sender stay below.
const MAX_SEQ: u64 = u64::MAX / 2;

/// A hello that this node can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) version: u32,
    pub(super) sender: NodeId,
    pub(super) sequence: Sequence,
    pub(super) stream: StreamId,
    /// The life of this node that it was opened to.
    pub(super) receiver: Incarnation,
}

/// Why a hello is refused. The codes are part of the protocol: see `link.proto`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("incarnation {expected} of this node is over, it is now in {actual}")]
    IncarnationOver {
        expected: Incarnation,
        actual: Incarnation,
    },
    #[error("malformed hello: {0}")]
    Malformed(&'static str),
    #[error("this node has not joined the cluster in incarnation {0} yet")]
    NotJoined(Incarnation),
    #[error("a later stream of this sender is being served")]
    Superseded,
    #[error("this node speaks versions {first} to {last} of the protocol, the sender only others",
        first = VERSIONS.start(), last = VERSIONS.end())]
    Version,
    #[error("this node is of cluster {ours:?}, the sender of {theirs:?}")]
    WrongCluster { ours: String, theirs: String },
    #[error("this node is of another cluster that is also called {0:?}")]
    WrongClusterId(String),
    #[error("this is node {actual}, not {expected}")]
    WrongNode { expected: NodeId, actual: NodeId },
}

/// What of a window a hello tells the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) session: u64,
    pub(super) rejects_seen: u64,
    pub(super) sent_through: u64,
}

/// The hello of a stream from this node to `receiver`.
pub(super) fn say(
    config: &PeersConfig,
    life: &Life,
    process: u64,
    attempt: u64,
    position: Position,
    receiver: (NodeId, Incarnation),
) -> proto::Hello {
    proto::Hello {
        version: *VERSIONS.end(),
        oldest_version: *VERSIONS.start(),
        cluster: config.cluster.clone(),
        cluster_id: life.cluster_id.clone(),
        sender: Some(proto::Sender {
            id: config.node.0,
            name: config.name.clone(),
            incarnation: life.incarnation.0,
            process,
            session: position.session,
            attempt,
        }),
        receiver_id: receiver.0.0,
        receiver_incarnation: receiver.1.0,
        rejects_seen: position.rejects_seen,
        sent_through: position.sent_through,
    }
}

/// Decides whether this node, in its current `life`, is whom the sender wants to reach.
///
/// # Errors
///
/// When it is not, or the two cannot understand each other.
pub(super) fn check(
    hello: &proto::Hello,
    config: &PeersConfig,
    life: Option<&Life>,
) -> Result<Accepted, Refusal> {
    let version = hello.version.min(*VERSIONS.end());
    if version < hello.oldest_version || !VERSIONS.contains(&version) {
        return Err(Refusal::Version);
    }
    check_receiver(hello, config, life)?;
    if hello.sent_through > MAX_SEQ || hello.rejects_seen > hello.sent_through {
        return Err(Refusal::Malformed("impossible sequence numbers"));
    }
    let sender = hello
        .sender
        .as_ref()
        .ok_or(Refusal::Malformed("no sender"))?;
    Ok(Accepted {
        version,
        sender: NodeId(sender.id),
        sequence: Sequence {
            process: sender.process,
            session: sender.session,
        },
        stream: StreamId {
            incarnation: Incarnation(sender.incarnation),
            attempt: sender.attempt,
        },
        receiver: Incarnation(hello.receiver_incarnation),
    })
}

fn check_receiver(
    hello: &proto::Hello,
    config: &PeersConfig,
    life: Option<&Life>,
) -> Result<(), Refusal> {
    let expected = Incarnation(hello.receiver_incarnation);
    if hello.cluster != config.cluster {
        return Err(Refusal::WrongCluster {
            ours: config.cluster.clone(),
            theirs: hello.cluster.clone(),
        });
    }
    if NodeId(hello.receiver_id) != config.node {
        return Err(Refusal::WrongNode {
            expected: NodeId(hello.receiver_id),
            actual: config.node,
        });
    }
    let life = life.ok_or(Refusal::NotJoined(expected))?;
    if hello.cluster_id != life.cluster_id {
        return Err(Refusal::WrongClusterId(config.cluster.clone()));
    }
    if expected < life.incarnation {
        let actual = life.incarnation;
        return Err(Refusal::IncarnationOver { expected, actual });
    }
    if expected > life.incarnation {
        return Err(Refusal::NotJoined(expected));
    }
    Ok(())
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::IncarnationOver { .. } => Code::FailedPrecondition,
            Refusal::Malformed(_) => Code::InvalidArgument,
            Refusal::NotJoined(_) => Code::Unavailable,
            Refusal::Superseded => Code::Aborted,
            Refusal::Version => Code::Unimplemented,
            Refusal::WrongCluster { .. } | Refusal::WrongClusterId(_) => Code::PermissionDenied,
            Refusal::WrongNode { .. } => Code::NotFound,
        };
        Self::new(code, refusal.to_string())
    }
}
