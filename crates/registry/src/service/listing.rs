use std::ops::ControlFlow;

use tonic::Status;

use super::convert;
use crate::Domain;
use crate::command::Name;
use crate::pb::registry as pb;
use crate::replica::State;
use crate::table::{Row, Table};

/// A page of the component table: which rows, and from where on.
#[derive(Debug)]
pub(super) struct Listing {
    domain: Option<Domain>,
    prefix: Option<String>,
    node: Option<String>,
    hidden: Option<bool>,
    is_subdomain: Option<bool>,
    after: Option<Cursor>,
    page_size: usize,
}

/// The last row of the page before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    name: Name,
    node: String,
}

const DEFAULT_PAGE: u32 = 1000;
const LARGEST_PAGE: u32 = 10_000;

// === impl Listing ===

impl Listing {
    pub(super) fn new(request: pb::ListRequest) -> Result<Self, Status> {
        let page_size = match request.page_size {
            0 => DEFAULT_PAGE,
            size => size.min(LARGEST_PAGE),
        };
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(
                Cursor::parse(token)
                    .ok_or_else(|| Status::invalid_argument("page_token is not one of ours"))?,
            ),
        };
        Ok(Self {
            domain: request.domain.as_deref().map(prepare).transpose()?,
            prefix: request.domain_prefix,
            node: request.node,
            hidden: request.hidden,
            is_subdomain: request.is_subdomain,
            after,
            page_size: page_size as usize,
        })
    }

    /// The page, as of `state`.
    pub(super) fn page(&self, state: &State) -> pb::ListResponse {
        let mut page = Page {
            components: Vec::new(),
            last: None,
            next: None,
        };
        // Broken off when the page is full.
        let _ = self.visit(&state.table, &mut page);
        pb::ListResponse {
            revision: state.revision(),
            components: page.components,
            next_page_token: page.next.map(|cursor| cursor.token()).unwrap_or_default(),
        }
    }

    fn visit(&self, table: &Table, page: &mut Page) -> ControlFlow<()> {
        for (name, rows) in table.names_from(&self.start()) {
            if self.is_past(name) {
                break;
            }
            if !self.matches_name(name) {
                continue;
            }
            for (node, row) in sorted_by_node(table, rows) {
                if self.is_seen(name, node) || !self.matches_row(node, row) {
                    continue;
                }
                if page.components.len() == self.page_size {
                    page.next = page.last.take();
                    return ControlFlow::Break(());
                }
                let registration = table.registration(name, row);
                page.components
                    .push(convert::component(&registration, node));
                page.last = Some(Cursor {
                    name: name.clone(),
                    node: node.to_owned(),
                });
            }
        }
        ControlFlow::Continue(())
    }

    /// The first name that can match.
    fn start(&self) -> Name {
        let first = self
            .domain
            .clone()
            .or_else(|| Domain::from_prepared(self.prefix.as_deref()?));
        let first = first.map(|domain| Name {
            domain,
            is_subdomain: false,
        });
        let after = self.after.as_ref().map(|cursor| cursor.name.clone());
        first.max(after).unwrap_or_else(Name::least)
    }

    /// True if neither this name nor any later one matches.
    fn is_past(&self, name: &Name) -> bool {
        let past_domain = self
            .domain
            .as_ref()
            .is_some_and(|domain| name.domain > *domain);
        let past_prefix = self.prefix.as_deref().is_some_and(|prefix| {
            name.domain.as_str() > prefix && !name.domain.as_str().starts_with(prefix)
        });
        past_domain || past_prefix
    }

    fn matches_name(&self, name: &Name) -> bool {
        self.domain
            .as_ref()
            .is_none_or(|domain| name.domain == *domain)
            && self
                .prefix
                .as_deref()
                .is_none_or(|prefix| name.domain.as_str().starts_with(prefix))
            && self
                .is_subdomain
                .is_none_or(|is_subdomain| name.is_subdomain == is_subdomain)
    }

    fn matches_row(&self, node: &str, row: &Row) -> bool {
        self.node.as_deref().is_none_or(|wanted| node == wanted)
            && self.hidden.is_none_or(|hidden| row.hidden == hidden)
    }

    fn is_seen(&self, name: &Name, node: &str) -> bool {
        self.after
            .as_ref()
            .is_some_and(|cursor| (name, node) <= (&cursor.name, cursor.node.as_str()))
    }
}

struct Page {
    components: Vec<pb::Component>,
    last: Option<Cursor>,
    next: Option<Cursor>,
}

// === impl Cursor ===

impl Cursor {
    fn token(&self) -> String {
        let kind = if self.name.is_subdomain { 's' } else { 'd' };
        // No domain holds a space.
        format!("{kind} {} {}", self.name.domain, self.node)
    }

    fn parse(token: &str) -> Option<Self> {
        let mut parts = token.splitn(3, ' ');
        let is_subdomain = match parts.next()? {
            "d" => false,
            "s" => true,
            _ => return None,
        };
        let domain = Domain::from_prepared(parts.next()?)?;
        Some(Self {
            name: Name {
                domain,
                is_subdomain,
            },
            node: parts.next()?.to_owned(),
        })
    }
}

/// The holders of a name by the names of their nodes.
fn sorted_by_node<'a>(table: &'a Table, rows: &'a [Row]) -> Vec<(&'a str, &'a Row)> {
    let mut named: Vec<(&str, &Row)> = rows
        .iter()
        .filter_map(|row| Some((&*table.node(row.node)?.name, row)))
        .collect();
    named.sort_by_key(|(node, _)| *node);
    named
}

/// A domain from a request.
pub(super) fn prepare(domain: &str) -> Result<Domain, Status> {
    Domain::prepare(domain)
        .map_err(|error| Status::invalid_argument(format!("{domain:?} is no domain: {error}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::table::NodeRow;
    use crate::{ConnectionId, Incarnation, NodeId};

    /// `d0` to `d4` on nodes `b` and `a`, as domain and as prefix; every other one hidden.
    fn state() -> State {
        let node = |name: &str| NodeRow {
            name: name.into(),
            address: "127.0.0.1:1".into(),
            boot: 1,
            incarnation: Some(Incarnation(1)),
            sequence: 0,
        };
        let nodes = BTreeMap::from([(NodeId(1), node("b")), (NodeId(2), node("a"))]);
        let rows = (0..20_u64).map(|number| {
            let name = Name {
                domain: Domain::prepare(&format!("d{}", number / 4)).unwrap(),
                is_subdomain: number % 4 >= 2,
            };
            let row = Row {
                node: NodeId(1 + number % 2),
                connection: ConnectionId(number),
                hidden: (number / 4) % 2 == 0,
                exclusive: false,
            };
            (name, row)
        });
        State {
            table: Table::restore(nodes, rows),
            ..State::default()
        }
    }

    /// All pages, `size` rows each.
    fn pages(state: &State, size: u32, request: &pb::ListRequest) -> Vec<String> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let request = pb::ListRequest {
                page_size: size,
                page_token: token,
                ..request.clone()
            };
            let page = Listing::new(request).unwrap().page(state);
            assert!(page.components.len() <= size as usize);
            all.extend(page.components.iter().map(|row| {
                let kind = if row.is_subdomain { "*" } else { "" };
                format!("{}{kind}@{}", row.domain, row.node)
            }));
            token = page.next_page_token;
            if token.is_empty() {
                return all;
            }
            assert!(!page.components.is_empty(), "an empty page is the last one");
        }
    }

    #[test]
    fn contract_a1_pages_of_any_size_make_one_sorted_list() {
        let state = state();
        let whole = pages(&state, 1000, &pb::ListRequest::default());
        assert_eq!(whole[..5], ["d0@a", "d0@b", "d0*@a", "d0*@b", "d1@a"]);
        assert_eq!(whole.len(), 20);
        for size in 1..22 {
            assert_eq!(pages(&state, size, &pb::ListRequest::default()), whole);
        }
    }

    #[test]
    fn contract_a1_each_filter_must_match() {
        let state = state();
        let list = |request| pages(&state, 3, &request);
        let domain = pb::ListRequest {
            domain: Some("D3.".to_owned()),
            ..pb::ListRequest::default()
        };
        assert_eq!(list(domain.clone()), ["d3@a", "d3@b", "d3*@a", "d3*@b"]);
        let one = pb::ListRequest {
            node: Some("b".to_owned()),
            is_subdomain: Some(true),
            ..domain.clone()
        };
        assert_eq!(list(one), ["d3*@b"]);
        let none = pb::ListRequest {
            hidden: Some(true),
            ..domain
        };
        assert_eq!(list(none), [""; 0]);
        let prefix = |prefix: &str| pb::ListRequest {
            domain_prefix: Some(prefix.to_owned()),
            hidden: Some(true),
            is_subdomain: Some(false),
            ..pb::ListRequest::default()
        };
        assert_eq!(list(prefix("d")).len(), 6);
        assert_eq!(list(prefix("d4")), ["d4@a", "d4@b"]);
        assert_eq!(list(prefix("")).len(), 6);
        assert_eq!(list(prefix("x")), [""; 0]);
        let of_nobody = pb::ListRequest {
            node: Some("n9".to_owned()),
            ..pb::ListRequest::default()
        };
        assert_eq!(list(of_nobody), [""; 0]);
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
        for token in ["x", "d", "d a", "z a b", "d  b"] {
            let request = pb::ListRequest {
                page_token: token.to_owned(),
                ..pb::ListRequest::default()
            };
            assert!(Listing::new(request).is_err(), "{token:?}");
        }
    }
}
