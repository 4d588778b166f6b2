use switchyard_registry::Domain;

use super::section::Section;
use super::value::{domain, one_of};
use super::{LogLevel, RoutingModule};

/// `[general]`: what the router serves and how it routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct General {
    /// The router's own domains (contract H); may be empty.
    pub(crate) hosts: Vec<Domain>,
    /// How much is logged.
    pub(crate) loglevel: LogLevel,
    /// The routing chain, in order (contract R1).
    pub(crate) routing_modules: Vec<RoutingModule>,
}

/// Keys that MongooseIM has, or had in its 4, 5 and 6 lines.
const SKIPPED: &[&str] = &[
    "all_metrics_are_global",
    "component_backend",
    "cowboy_server_name",
    "default_server_domain",
    "domain_certfile",
    "hide_service_name",
    "hidden_service_names",
    "host_types",
    "http_server_name",
    "language",
    "max_fsm_queue",
    "mongooseimctl_access_commands",
    "override",
    "pgsql_users_number_estimate",
    "rdbms_server_type",
    "registration_timeout",
    "replaced_wait_timeout",
    "route_subdomains",
    "s2s_backend",
    "sm_backend",
];

impl Default for General {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            loglevel: LogLevel::default(),
            routing_modules: RoutingModule::DEFAULT_CHAIN.to_vec(),
        }
    }
}

impl General {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let general = Self {
            hosts: section.set("hosts", domain).unwrap_or_default(),
            loglevel: section
                .optional("loglevel", one_of(&LogLevel::ALL, LogLevel::name))
                .unwrap_or(default.loglevel),
            routing_modules: section
                .set(
                    "routing_modules",
                    one_of(&RoutingModule::ALL, RoutingModule::name),
                )
                .unwrap_or(default.routing_modules),
        };
        general.warn_about_chain(&section);
        section.skip(SKIPPED, "MongooseIM's; it has no meaning here");
        section.finish();
        general
    }

    fn warn_about_chain(&self, section: &Section<'_>) {
        let has = |module| self.routing_modules.contains(&module);
        if has(RoutingModule::S2s) {
            let message = "there is no s2s here: ejabberd_s2s passes every stanza on";
            section.warn_at_key("routing_modules", message);
        }
        if !has(RoutingModule::External) && !has(RoutingModule::ExternalLocalnode) {
            let message = "without mongoose_router_external or mongoose_router_external_localnode \
                           no stanza reaches a component";
            section.warn_at_key("routing_modules", message);
        }
    }
}
