//! The router's own entity: what answers for the served hosts (contract H).

mod disco_info;
mod disco_items;
mod ping;
mod query;
mod reply;
mod uptime;
mod version;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use switchyard_listener::StanzaCondition;
use switchyard_registry::{Domain, Registration};
use tokio::time::Instant;

use self::query::Query;
use self::reply::Reply;
use crate::config::Disco;

/// Answers for the served hosts.
#[derive(Debug)]
pub(crate) struct Entity {
    disco: ArcSwap<Disco>,
    started: Instant,
}

/// An iq request to a served host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The served host that is asked.
    pub(crate) host: &'a Domain,
    /// The whole stanza.
    pub(crate) stanza: &'a [u8],
    /// `iq type='get'`; otherwise 'set'.
    pub(crate) is_get: bool,
    /// The host itself is asked, not an address at it.
    pub(crate) to_bare_host: bool,
    /// The asker's JID has a localpart.
    pub(crate) from_user: bool,
}

/// What the entity does about an iq request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It sends this stanza back.
    Result(Bytes),
    /// It refuses.
    Error(StanzaCondition, &'static str),
}

impl Entity {
    /// An entity that has been up since now.
    pub(crate) fn new(disco: Disco) -> Self {
        Self {
            disco: ArcSwap::from_pointee(disco),
            started: Instant::now(),
        }
    }

    /// Tells what `disco` says from here on.
    pub(crate) fn set_disco(&self, disco: Disco) {
        self.disco.store(Arc::new(disco));
    }

    /// Answers an iq request (contract H1). `components` lists what is registered in the cluster.
    pub(crate) fn answer(
        &self,
        request: Request<'_>,
        components: impl FnOnce() -> Vec<Registration>,
    ) -> Answer {
        const UNKNOWN: Answer = Answer::Error(
            StanzaCondition::ServiceUnavailable,
            "the router offers service discovery, ping, version and uptime",
        );
        let Some(query) = Query::parse(request.stanza) else {
            return UNKNOWN;
        };
        if !(request.is_get && request.to_bare_host) {
            return UNKNOWN;
        }
        let reply = Reply::to(&query);
        let disco = self.disco.load();
        let written = match (query.namespace.as_str(), query.name.as_str()) {
            (disco_info::NAMESPACE | disco_items::NAMESPACE, "query") if query.node.is_some() => {
                return Answer::Error(StanzaCondition::ItemNotFound, "there is no such node here");
            }
            (disco_info::NAMESPACE, "query") => {
                reply.with(|writer| disco_info::write(writer, &disco.server_info))
            }
            (disco_items::NAMESPACE, "query") => {
                let items =
                    disco_items::Items::new(&disco, request.host, request.from_user, components());
                reply.with(|writer| items.write(writer))
            }
            (ping::NAMESPACE, "ping") => reply.with(|_| Ok(())),
            (version::NAMESPACE, "query") => reply.with(version::write),
            (uptime::NAMESPACE, "query") => {
                reply.with(|writer| uptime::write(writer, self.started.elapsed()))
            }
            _ => return UNKNOWN,
        };
        written.map_or(
            Answer::Error(
                StanzaCondition::InternalServerError,
                "the answer could not be written",
            ),
            Answer::Result,
        )
    }
}

#[cfg(test)]
mod tests {
    use switchyard_registry::{ConnectionId, Incarnation, NodeId};

    use super::*;
    use crate::config::ServerInfo;

    fn domain(name: &str) -> Domain {
        Domain::prepare(name).unwrap()
    }

    fn component(name: &str, is_subdomain: bool, hidden: bool) -> Registration {
        Registration {
            domain: domain(name),
            node: NodeId(1),
            incarnation: Incarnation(1),
            connection: ConnectionId(1),
            is_subdomain,
            hidden,
            exclusive: false,
        }
    }

    fn ask_as(payload: &str, from_user: bool, settings: Disco) -> Answer {
        let stanza = format!(
            "<iq type='get' id='a&amp;b' from=\"o'neil@a.example\" to='example.org'>{payload}</iq>"
        );
        let host = domain("example.org");
        let request = Request {
            host: &host,
            stanza: stanza.as_bytes(),
            is_get: true,
            to_bare_host: true,
            from_user,
        };
        Entity::new(settings).answer(request, || {
            vec![
                component("b.example", false, false),
                component("b.example", false, false),
                component("secret.example", false, true),
                component("chat", true, false),
            ]
        })
    }

    fn settings(users_can_see_hidden_services: bool) -> Disco {
        let abuse = ServerInfo {
            name: "abuse-addresses".into(),
            urls: vec!["mailto:abuse@example.org".into()],
        };
        Disco {
            users_can_see_hidden_services,
            extra_domains: vec![domain("extra.example")],
            server_info: vec![abuse],
        }
    }

    fn ask(payload: &str) -> String {
        match ask_as(payload, false, settings(true)) {
            Answer::Result(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Answer::Error(condition, _) => format!("{condition:?}"),
        }
    }

    #[test]
    fn contract_h1_the_reply_goes_back_to_the_asker_under_its_id() {
        let reply = ask("<ping xmlns='urn:xmpp:ping'/>");
        for part in ["type=\"result\"", "id=\"a&amp;b\"", "from=\"example.org\""] {
            assert!(reply.contains(part), "{part} in {reply}");
        }
        assert!(reply.contains("to=\"o&apos;neil@a.example\""), "{reply}");
    }

    #[test]
    fn contract_h1_info_version_and_uptime_are_answered() {
        let info = ask("<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(
            info.contains("category=\"server\" type=\"im\" name=\"Switchyard\""),
            "{info}"
        );
        assert!(info.contains("var=\"urn:xmpp:ping\""), "{info}");
        assert!(
            info.contains("<value>mailto:abuse@example.org</value>"),
            "{info}"
        );
        let version = ask("<query xmlns='jabber:iq:version'/>");
        assert!(version.contains("<name>Switchyard</name>"), "{version}");
        assert!(ask("<query xmlns='jabber:iq:last'/>").contains("seconds=\"0\""));
    }

    #[test]
    fn contract_h1_what_the_router_does_not_offer_is_refused() {
        assert_eq!(
            ask("<query xmlns='jabber:iq:roster'/>"),
            "ServiceUnavailable"
        );
        assert_eq!(ask(""), "ServiceUnavailable");
        assert_eq!(
            ask("<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>"),
            "ItemNotFound"
        );
    }

    #[test]
    fn contract_h2_items_list_each_component_once_and_hide_hidden_ones_from_users() {
        let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
        let all = ask(items);
        for jid in [
            "b.example",
            "secret.example",
            "chat.example.org",
            "extra.example",
        ] {
            assert_eq!(
                all.matches(&format!("jid=\"{jid}\"")).count(),
                1,
                "{jid} in {all}"
            );
        }
        let Answer::Result(seen) = ask_as(items, true, settings(false)) else {
            panic!()
        };
        let seen = String::from_utf8(seen.to_vec()).unwrap();
        assert!(
            !seen.contains("secret.example") && seen.contains("b.example"),
            "{seen}"
        );
        let Answer::Result(seen) = ask_as(items, false, settings(false)) else {
            panic!()
        };
        assert!(
            String::from_utf8_lossy(&seen).contains("secret.example"),
            "components see all"
        );
    }
}
