//! Service Discovery (XEP-0030), the components of the cluster.

use std::collections::BTreeSet;
use std::io;

use switchyard_registry::{Domain, Registration};

use super::reply::Payload;
use crate::config::Disco;

/// `http://jabber.org/protocol/disco#items`
pub(super) const NAMESPACE: &str = "http://jabber.org/protocol/disco#items";

/// The addresses that a host lists, each once, sorted.
#[derive(Debug)]
pub(super) struct Items(BTreeSet<String>);

impl Items {
    /// What `host` lists for an asker (contract H2): every component of the cluster, the
    /// subdomains among them under this host, and the extra domains.
    pub(super) fn new(
        settings: &Disco,
        host: &Domain,
        asked_by_user: bool,
        components: Vec<Registration>,
    ) -> Self {
        let show_hidden = !asked_by_user || settings.users_can_see_hidden_services;
        let shown = components
            .into_iter()
            .filter(|component| show_hidden || !component.hidden);
        let mut items: BTreeSet<_> = shown
            .map(|component| match component.is_subdomain {
                true => format!("{}.{host}", component.domain),
                false => component.domain.to_string(),
            })
            .collect();
        items.extend(settings.extra_domains.iter().map(Domain::to_string));
        Self(items)
    }

    /// Writes the list.
    pub(super) fn write(&self, writer: &mut Payload) -> io::Result<()> {
        writer
            .create_element("query")
            .with_attribute(("xmlns", NAMESPACE))
            .write_inner_content(|query| {
                for address in &self.0 {
                    query
                        .create_element("item")
                        .with_attribute(("jid", address.as_str()))
                        .write_empty()?;
                }
                Ok(())
            })?;
        Ok(())
    }
}
