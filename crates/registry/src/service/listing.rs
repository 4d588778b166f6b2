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
