use serde::Serialize;
use switchyard_registry::cluster_api::node::Role;
use switchyard_registry::cluster_api::{
    AddRequest, ChangeProgress, DrainRequest, Node, PromoteRequest, RemoveRequest, StatusResponse,
};

use super::api_target;
use super::args::{ApiArgs, ClusterCommand, NodeArgs};
use super::exit::Failure;
use super::output::{print, print_json, print_json_line};
use super::table::Table;
use crate::api_client::{ApiClient, Change};

/// Looks at or changes the cluster.
pub(crate) fn run(command: &ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Add(args) => {
            let node = args.node.clone();
            let address = args.address.to_string();
            change(&args.api, Change::Add(AddRequest { node, address }))
        }
        ClusterCommand::Certs(args) => Ok(super::certs::run(args)?),
        ClusterCommand::Drain(NodeArgs { node, api }) => {
            let node = node.clone();
            change(api, Change::Drain(DrainRequest { node }))
        }
        ClusterCommand::Promote(NodeArgs { node, api }) => {
            let node = node.clone();
            change(api, Change::Promote(PromoteRequest { node }))
        }
        ClusterCommand::Remove(NodeArgs { node, api }) => {
            let node = node.clone();
            change(api, Change::Remove(RemoveRequest { node }))
        }
        ClusterCommand::Status(args) => status(args),
    }
}

/// Has a node make a change, and prints how it goes as it goes.
fn change(args: &ApiArgs, change: Change) -> Result<(), Failure> {
    let target = api_target::resolve(args)?;
    Ok(super::block_on(async {
        let client = ApiClient::connect(target).await?;
        let mut progress = client.change(change).await?;
        while let Some(step) = progress.next().await? {
            match args.json {
                true => print_json_line(&ChangeJson::from(&step))?,
                false => print(&format!("{}\n", step.message))?,
            }
        }
        Ok(())
    })?)
}

/// What `--json` prints, one line for each step. Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct ChangeJson<'a> {
    message: &'a str,
    done: bool,
    /// Of a drain: components that are still connected.
    remaining: u64,
}

impl<'a> From<&'a ChangeProgress> for ChangeJson<'a> {
    fn from(progress: &'a ChangeProgress) -> Self {
        Self {
            message: &progress.message,
            done: progress.done,
            remaining: progress.remaining,
        }
    }
}

fn status(args: &ApiArgs) -> Result<(), Failure> {
    let target = api_target::resolve(args)?;
    let status = super::block_on(async {
        let client = ApiClient::connect(target).await?;
        client.status().await
    })?;
    let printed = match args.json {
        true => print_json(&StatusJson::from(&status)),
        false => print(&describe(&status)),
    };
    Ok(printed?)
}

/// What `--json` prints. Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct StatusJson<'a> {
    cluster: &'a str,
    /// `null`: none known.
    leader: Option<&'a str>,
    revision: u64,
    nodes: Vec<NodeJson<'a>>,
    answered_by: &'a str,
    /// Empty: the node belongs to no cluster yet.
    cluster_id: &'a str,
}

#[derive(Debug, Serialize)]
struct NodeJson<'a> {
    node: &'a str,
    id: u64,
    address: &'a str,
    role: &'static str,
    /// 0: has not joined.
    incarnation: u64,
    /// 0: unknown.
    applied: u64,
    alive: bool,
    drained: bool,
    /// Empty: none is known.
    problem: &'a str,
}

impl<'a> From<&'a StatusResponse> for StatusJson<'a> {
    fn from(status: &'a StatusResponse) -> Self {
        let node = |node: &'a Node| NodeJson {
            node: &node.node,
            id: node.id,
            address: &node.address,
            role: role(node),
            incarnation: node.incarnation,
            applied: node.applied,
            alive: node.alive,
            drained: node.drained,
            problem: &node.problem,
        };
        Self {
            cluster: &status.cluster,
            leader: Some(status.leader.as_str()).filter(|leader| !leader.is_empty()),
            revision: status.revision,
            nodes: status.nodes.iter().map(node).collect(),
            answered_by: &status.answered_by,
            cluster_id: &status.cluster_id,
        }
    }
}

fn describe(status: &StatusResponse) -> String {
    let leader = match status.leader.as_str() {
        "" => "no leader known",
        leader => &format!("leader {leader}"),
    };
    let mut table = Table::new([
        "NODE",
        "ROLE",
        "ALIVE",
        "INCARNATION",
        "APPLIED",
        "ADDRESS",
        "ID",
    ]);
    for node in &status.nodes {
        table.push([
            node.node.clone(),
            role(node).to_owned(),
            alive(node).to_owned(),
            or_dash(node.incarnation),
            or_dash(node.applied),
            match node.address.as_str() {
                "" => "-".to_owned(),
                address => address.to_owned(),
            },
            node.id.to_string(),
        ]);
    }
    let StatusResponse {
        cluster,
        revision,
        answered_by,
        ..
    } = status;
    if status.cluster_id.is_empty() {
        return format!(
            "{answered_by} belongs to no cluster yet, and waits to become a member of {cluster:?}: \
             its log says what for\n"
        );
    }
    let problems: String = status
        .nodes
        .iter()
        .filter(|node| !node.problem.is_empty())
        .map(|node| format!("{}: {}\n", node.node, node.problem))
        .collect();
    format!("cluster {cluster}, {leader}, revision {revision} on {answered_by}\n{table}{problems}")
}

fn alive(node: &Node) -> &'static str {
    match (node.alive, node.drained) {
        (false, _) => "no",
        (true, false) => "yes",
        (true, true) => "drained",
    }
}

fn role(node: &Node) -> &'static str {
    match node.role() {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Learner => "learner",
        Role::Unspecified => "unknown",
    }
}

fn or_dash(number: u64) -> String {
    match number {
        0 => "-".to_owned(),
        number => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> StatusResponse {
        let node = |name: &str, role: Role, alive| Node {
            node: name.to_owned(),
            id: 5,
            address: "127.0.0.1:7371".to_owned(),
            role: role.into(),
            incarnation: if alive { 3 } else { 0 },
            applied: 9,
            alive,
            drained: false,
            problem: String::new(),
        };
        StatusResponse {
            cluster: "demo".to_owned(),
            leader: "node1".to_owned(),
            revision: 9,
            nodes: vec![
                node("node1", Role::Leader, true),
                node("node2", Role::Follower, false),
            ],
            answered_by: "node1".to_owned(),
            cluster_id: "00000000000000ab".to_owned(),
        }
    }

    #[test]
    fn json_has_the_promised_fields() {
        let mut status = status();
        status.nodes.truncate(1);
        let json = serde_json::to_string(&StatusJson::from(&status)).unwrap();
        let expected = "{\"cluster\":\"demo\",\"leader\":\"node1\",\"revision\":9,\"nodes\":[{\
                        \"node\":\"node1\",\"id\":5,\"address\":\"127.0.0.1:7371\",\
                        \"role\":\"leader\",\"incarnation\":3,\"applied\":9,\"alive\":true,\
                        \"drained\":false,\"problem\":\"\"}],\
                        \"answered_by\":\"node1\",\"cluster_id\":\"00000000000000ab\"}";
        assert_eq!(json, expected);
        status.leader.clear();
        let json = serde_json::to_string(&StatusJson::from(&status)).unwrap();
        assert!(json.contains("\"leader\":null"), "{json}");
    }

    #[test]
    fn people_see_a_table() {
        let expected = "cluster demo, leader node1, revision 9 on node1\n\
            NODE   ROLE      ALIVE  INCARNATION  APPLIED  ADDRESS         ID\n\
            node1  leader    yes    3            9        127.0.0.1:7371  5\n\
            node2  follower  no     -            9        127.0.0.1:7371  5\n";
        assert_eq!(describe(&status()), expected);
        let mut status = status();
        status.nodes[0].drained = true;
        status.nodes[1].problem = "refused".to_owned();
        let described = describe(&status);
        assert!(described.contains("leader    drained"), "{described}");
        assert!(described.ends_with("\nnode2: refused\n"), "{described}");
        status.cluster_id.clear();
        assert!(describe(&status).starts_with("node1 belongs to no cluster yet"));
    }
}
