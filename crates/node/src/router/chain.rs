use switchyard_registry::Domain;

use super::place::{Directory, Place, Verdict};
use super::{dynamic_domains, external, external_localnode, global, localdomain};
use crate::config::RoutingModule;

/// The ordered routing modules of `general.routing_modules` (contract R1): the first that takes a
/// stanza decides where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    modules: Vec<RoutingModule>,
}

impl Chain {
    /// The chain of these modules, in this order.
    pub(crate) fn new(modules: Vec<RoutingModule>) -> Self {
        Self { modules }
    }

    /// Where stanzas for `to` go; `None` if no module takes them.
    pub(crate) fn resolve(&self, to: &Domain, directory: &impl Directory) -> Option<Place> {
        self.modules
            .iter()
            .find_map(|module| match run(*module, to, directory) {
                Verdict::Take(place) => Some(place),
                Verdict::Pass => None,
            })
    }

    /// Whether components on other nodes can be reached at all: if not, a domain that this node
    /// does not know is unknown, and there is nothing to confirm with the registry.
    pub(crate) fn reaches_other_nodes(&self) -> bool {
        self.modules.iter().any(|module| {
            matches!(
                module,
                RoutingModule::External | RoutingModule::DynamicDomains
            )
        })
    }

    /// Whether a component may register the name of a served host: only where the external
    /// modules are asked before the host's own entity (contract R1, S8).
    pub(crate) fn components_supplant_hosts(&self) -> bool {
        let first = |wanted: &[RoutingModule]| {
            self.modules
                .iter()
                .position(|module| wanted.contains(module))
        };
        let external = first(&[RoutingModule::ExternalLocalnode, RoutingModule::External]);
        let local = first(&[RoutingModule::Localdomain]);
        match (external, local) {
            (Some(external), Some(local)) => external < local,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

fn run(module: RoutingModule, to: &Domain, directory: &impl Directory) -> Verdict {
    match module {
        RoutingModule::Global => global::route(),
        RoutingModule::Localdomain => localdomain::route(to, directory),
        RoutingModule::ExternalLocalnode => external_localnode::route(to, directory),
        RoutingModule::External => external::route(to, directory),
        RoutingModule::DynamicDomains => dynamic_domains::route(to, directory),
        // No s2s here: said once in the log at start (contract R1).
        RoutingModule::S2s => Verdict::Pass,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use switchyard_listener::Outbox;
    use switchyard_registry::{ConnectionId, Incarnation, NodeId, Route};

    use super::*;
    use crate::peer::Destination;

    #[derive(Default)]
    struct Maps {
        hosts: Vec<Domain>,
        local: HashMap<(String, bool), Arc<Outbox>>,
        anywhere: HashMap<(String, bool), Arc<[Route]>>,
    }

    impl Directory for Maps {
        fn serves(&self, domain: &str) -> bool {
            self.hosts.iter().any(|host| host.as_str() == domain)
        }

        fn hosts(&self) -> &[Domain] {
            &self.hosts
        }

        fn local(&self, destination: &Destination) -> Option<Arc<Outbox>> {
            self.local
                .get(&(destination.name.to_string(), destination.is_subdomain))
                .cloned()
        }

        fn anywhere(&self, destination: &Destination) -> Option<Arc<[Route]>> {
            self.anywhere
                .get(&(destination.name.to_string(), destination.is_subdomain))
                .cloned()
        }
    }

    impl Maps {
        fn with_remote(mut self, name: &str, is_subdomain: bool) -> Self {
            let route = Route {
                node: NodeId(2),
                incarnation: Incarnation(7),
                connection: ConnectionId(1),
                hidden: false,
                exclusive: false,
            };
            self.anywhere
                .insert((name.into(), is_subdomain), Arc::new([route]));
            self
        }

        fn serving(mut self, host: &str) -> Self {
            self.hosts.push(domain(host));
            self
        }
    }

    fn domain(name: &str) -> Domain {
        Domain::prepare(name).unwrap()
    }

    fn default_chain() -> Chain {
        use RoutingModule::*;
        Chain::new(vec![
            Global,
            Localdomain,
            ExternalLocalnode,
            External,
            DynamicDomains,
            S2s,
        ])
    }

    #[test]
    fn contract_r1_the_order_of_the_modules_decides_who_serves_a_host() {
        let maps = Maps::default()
            .serving("example.org")
            .with_remote("example.org", false);
        let to = domain("example.org");
        assert!(matches!(
            default_chain().resolve(&to, &maps),
            Some(Place::Entity(_))
        ));
        assert!(!default_chain().components_supplant_hosts());

        let chain = Chain::new(vec![RoutingModule::External, RoutingModule::Localdomain]);
        assert!(matches!(
            chain.resolve(&to, &maps),
            Some(Place::Instances { .. })
        ));
        assert!(chain.components_supplant_hosts());
    }

    #[test]
    fn contract_r1_a_chain_without_the_external_modules_reaches_no_component() {
        let maps = Maps::default().with_remote("a.example", false);
        let chain = Chain::new(vec![RoutingModule::Global, RoutingModule::Localdomain]);
        assert!(chain.resolve(&domain("a.example"), &maps).is_none());
        assert!(!chain.reaches_other_nodes());
    }

    #[test]
    fn contract_r2_localnode_alone_does_not_find_components_of_other_nodes() {
        let maps = Maps::default().with_remote("a.example", false);
        let chain = Chain::new(vec![RoutingModule::ExternalLocalnode]);
        assert!(chain.resolve(&domain("a.example"), &maps).is_none());
        assert!(
            default_chain()
                .resolve(&domain("a.example"), &maps)
                .is_some()
        );
    }

    #[test]
    fn contract_r4_a_prefix_is_reached_under_every_served_host_and_nowhere_else() {
        let maps = Maps::default()
            .serving("one.org")
            .serving("two.org")
            .with_remote("chat", true);
        let place = |name: &str| default_chain().resolve(&domain(name), &maps);
        assert!(matches!(
            place("chat.one.org"),
            Some(Place::Instances { .. })
        ));
        assert!(matches!(
            place("chat.two.org"),
            Some(Place::Instances { .. })
        ));
        for elsewhere in ["chat", "chat.three.org", "chatone.org", "a.chat.one.org"] {
            assert!(place(elsewhere).is_none(), "{elsewhere}");
        }
    }
}
