use std::fmt;

/// A link of the routing chain, with MongooseIM's names (contract R1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RoutingModule {
    /// Filters.
    Global,
    /// The router's own entity on `general.hosts` (contract H).
    Localdomain,
    /// A component of that domain on this node.
    ExternalLocalnode,
    /// A component of that domain on any node.
    External,
    /// `prefix.HOST` of `is_subdomain` components (contract R4).
    DynamicDomains,
    /// Accepted for MongooseIM's sake; passes everything on.
    S2s,
}

impl RoutingModule {
    /// Every module.
    pub(crate) const ALL: [Self; 6] = [
        Self::Global,
        Self::Localdomain,
        Self::ExternalLocalnode,
        Self::External,
        Self::DynamicDomains,
        Self::S2s,
    ];

    /// The chain when `general.routing_modules` is absent: MongooseIM's, less s2s.
    pub(crate) const DEFAULT_CHAIN: [Self; 5] = [
        Self::Global,
        Self::Localdomain,
        Self::ExternalLocalnode,
        Self::External,
        Self::DynamicDomains,
    ];

    /// The name in a configuration file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Global => "mongoose_router_global",
            Self::Localdomain => "mongoose_router_localdomain",
            Self::ExternalLocalnode => "mongoose_router_external_localnode",
            Self::External => "mongoose_router_external",
            Self::DynamicDomains => "mongoose_router_dynamic_domains",
            Self::S2s => "ejabberd_s2s",
        }
    }
}

impl fmt::Display for RoutingModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
