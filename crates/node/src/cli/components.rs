use anyhow::bail;
use serde::Serialize;
use switchyard_registry::Domain;
use switchyard_registry::cluster_api::StatusResponse;
use switchyard_registry::registry_api::{Component, ListRequest};

use super::api_target;
use super::args::ComponentsArgs;
use super::exit::Failure;
use super::output::{print, print_json};
use super::table::Table;
use crate::api_client::{ApiClient, Listing};

/// Lists the registered components of the cluster.
pub(crate) fn run(args: &ComponentsArgs) -> Result<(), Failure> {
    let target = api_target::resolve(&args.api)?;
    let listing = super::block_on(async {
        let client = ApiClient::connect(target).await?;
        let listing = client.list(request(args)).await?;
        if let Some(node) = &args.node
            && listing.components.is_empty()
        {
            check_node(node, &client.status().await?)?;
        }
        Ok(listing)
    })?;
    let printed = match args.api.json {
        true => print_json(&ComponentsJson::from(&listing)),
        false if listing.components.is_empty() => print(&describe_none(args, listing.revision)),
        false => print(&describe_listing(&listing)),
    };
    Ok(printed?)
}

/// A node of a wrong name has no components either.
fn check_node(node: &str, status: &StatusResponse) -> anyhow::Result<()> {
    let names: Vec<&str> = status.nodes.iter().map(|node| node.node.as_str()).collect();
    if names.is_empty() || names.contains(&node) {
        return Ok(());
    }
    bail!(
        "no node {node:?} in the cluster: there are {}",
        names.join(", ")
    )
}

fn request(args: &ComponentsArgs) -> ListRequest {
    ListRequest {
        domain: args.domain.as_ref().map(Domain::to_string),
        node: args.node.clone(),
        linearizable: args.linearizable,
        ..ListRequest::default()
    }
}

/// What `--json` prints. Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct ComponentsJson<'a> {
    revision: u64,
    components: Vec<ComponentJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ComponentJson<'a> {
    domain: &'a str,
    node: &'a str,
    incarnation: u64,
    is_subdomain: bool,
    hidden: bool,
    connection: u64,
    node_id: u64,
    exclusive: bool,
}

impl<'a> From<&'a Listing> for ComponentsJson<'a> {
    fn from(listing: &'a Listing) -> Self {
        let component = |component: &'a Component| ComponentJson {
            domain: &component.domain,
            node: &component.node,
            incarnation: component.incarnation,
            is_subdomain: component.is_subdomain,
            hidden: component.hidden,
            connection: component.connection,
            node_id: component.node_id,
            exclusive: component.exclusive,
        };
        Self {
            revision: listing.revision,
            components: listing.components.iter().map(component).collect(),
        }
    }
}

/// What people see when there is nothing to list.
fn describe_none(args: &ComponentsArgs, revision: u64) -> String {
    let of = args.domain.as_ref().map(|domain| format!(" as {domain}"));
    let to = args.node.as_ref().map(|node| format!(" to {node}"));
    let (of, to) = (of.unwrap_or_default(), to.unwrap_or_default());
    format!("no components are connected{of}{to} (revision {revision})\n")
}

/// What people see: a row for each component, and how many there are.
pub(crate) fn describe_listing(listing: &Listing) -> String {
    let count = match listing.components.len() {
        1 => "1 component".to_owned(),
        count => format!("{count} components"),
    };
    let mut table = Table::new(["DOMAIN", "NODE", "INCARNATION", "KIND"]);
    for component in &listing.components {
        let kinds = [
            (component.is_subdomain, "subdomain"),
            (component.hidden, "hidden"),
            (component.exclusive, "exclusive"),
        ];
        let kinds = kinds.into_iter().filter(|(holds, _)| *holds);
        let kind = kinds.map(|(_, kind)| kind).collect::<Vec<_>>().join(", ");
        table.push([
            component.domain.clone(),
            component.node.clone(),
            component.incarnation.to_string(),
            kind,
        ]);
    }
    format!("{table}{count} (revision {})\n", listing.revision)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Command};

    fn listing() -> Listing {
        let component = Component {
            domain: "a.example".to_owned(),
            node: "node1".to_owned(),
            incarnation: 7,
            is_subdomain: true,
            hidden: false,
            connection: 3,
            node_id: 11,
            exclusive: true,
        };
        Listing {
            revision: 42,
            components: vec![component],
        }
    }

    #[test]
    fn json_has_the_promised_fields() {
        let json = serde_json::to_string(&ComponentsJson::from(&listing())).unwrap();
        let expected = "{\"revision\":42,\"components\":[{\"domain\":\"a.example\",\
                        \"node\":\"node1\",\"incarnation\":7,\"is_subdomain\":true,\
                        \"hidden\":false,\"connection\":3,\"node_id\":11,\"exclusive\":true}]}";
        assert_eq!(json, expected);
    }

    #[test]
    fn people_see_a_table_or_that_there_is_nothing() {
        let expected = "DOMAIN     NODE   INCARNATION  KIND\n\
                        a.example  node1  7            subdomain, exclusive\n\
                        1 component (revision 42)\n";
        assert_eq!(describe_listing(&listing()), expected);
        for (options, expected) in [
            (&[][..], "no components are connected (revision 9)\n"),
            (
                &["--domain", "A.example", "--node", "n1"],
                "no components are connected as a.example to n1 (revision 9)\n",
            ),
        ] {
            let line = ["switchyard", "components"].iter().chain(options);
            let Command::Components(args) = Args::parse_from(line).command else {
                panic!("{options:?}")
            };
            assert_eq!(describe_none(&args, 9), expected);
        }
    }
}
