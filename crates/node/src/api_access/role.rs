/// What somebody may do over the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Role {
    /// Look: `Lookup`, `List`, `Watch`, `Status`, health, reflection.
    #[default]
    Read,
    /// That, and change the cluster.
    Admin,
}

/// What a reader may call: services, or methods of them. Everything else is for administrators,
/// what a later version adds included.
const READ: [&str; 4] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.",
    "/switchyard.cluster.v1.Cluster/Status",
    "/switchyard.registry.v1.Registry/",
];

impl Role {
    /// Every role.
    pub(crate) const ALL: [Self; 2] = [Self::Read, Self::Admin];

    /// The name in a configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// What it takes to call `path`, `/PACKAGE.SERVICE/METHOD`.
    pub(crate) fn for_call(path: &str) -> Self {
        let is_read = |call: &&str| match call.ends_with(['/', '.']) {
            true => path.starts_with(call),
            false => path == *call,
        };
        match READ.iter().any(is_read) {
            true => Self::Read,
            false => Self::Admin,
        }
    }
}
