//! Asking a cluster who is connected where: the command line's JSON and the API (contract A1, A3).

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use switchyard_registry::registry_api::change::Kind;
use switchyard_registry::registry_api::registry_client::RegistryClient;
use switchyard_registry::registry_api::{ListRequest, LookupRequest, WatchRequest, WatchResponse};
use switchyard_tests::{Cluster, Component, Listener, Node, PATIENCE, cli, eventually};
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[test]
fn contract_a3_the_query_commands_print_the_documented_json_on_every_node() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let _a = cluster[0].connect("a.example")?;
        let _hidden = Component::connect(cluster[1].listener(Listener::Hidden), "b.example")?;
        let _chat =
            Component::connect_subdomain(cluster[2].listener(Listener::Disconnect), "chat")?;
        for node in &**cluster {
            let rows = eventually("three registrations", PATIENCE, || {
                let answer = node.query(&["components"])?;
                ensure!(answer["revision"].as_u64() > Some(0), "{answer}");
                let rows = answer["components"]
                    .as_array()
                    .context("no components")?
                    .clone();
                ensure!(rows.len() == 3, "{answer}");
                Ok(rows)
            })?;
            let expected = [
                ("a.example", "node1", false, false),
                ("b.example", "node2", false, true),
                ("chat", "node3", true, false),
            ];
            for (row, (domain, node, is_subdomain, hidden)) in rows.iter().zip(expected) {
                ensure!(row["domain"] == domain && row["node"] == node, "{row}");
                ensure!(
                    row["is_subdomain"] == is_subdomain && row["hidden"] == hidden,
                    "{row}"
                );
                ensure!(row["incarnation"].as_u64() > Some(0), "{row}");
            }
            let one = node.query(&["components", "--domain", "b.example"])?;
            ensure!(one["components"] == json!([rows[1]]), "{one}");
            let none = node.query(&["components", "--domain", "c.example"])?;
            ensure!(none["components"] == json!([]), "{none}");
            check_status(cluster, node)?;
        }
        tables_for_people(&cluster[0])
    })
}

fn check_status(cluster: &Cluster, node: &Node) -> Result<()> {
    eventually("a complete cluster status", PATIENCE, || {
        let status = node.query(&["cluster", "status"])?;
        ensure!(status["cluster"] == "test", "{status}");
        ensure!(status["revision"].as_u64() > Some(0), "{status}");
        let leader = status["leader"].as_str().context("no leader")?;
        let rows = status["nodes"].as_array().context("no nodes")?;
        ensure!(rows.len() == cluster.len(), "{status}");
        for member in &**cluster {
            let row = rows.iter().find(|row| row["node"] == member.name());
            let row = row.with_context(|| format!("no {} in {status}", member.name()))?;
            let role = if member.name() == leader {
                "leader"
            } else {
                "follower"
            };
            ensure!(row["role"] == role && row["alive"] == true, "{row}");
            ensure!(row["address"] == member.config().peers.to_string(), "{row}");
            for number in ["id", "incarnation", "applied"] {
                ensure!(row[number].as_u64() > Some(0), "{number} in {row}");
            }
        }
        Ok(())
    })
}

fn tables_for_people(node: &Node) -> Result<()> {
    let api = node.config().api.to_string();
    let components = cli::run(["components", "--api", &api])?;
    for part in ["a.example", "b.example", "chat", "node1", "node2", "node3"] {
        ensure!(
            components.stdout.contains(part),
            "no {part} in {components:?}"
        );
    }
    let status = cli::run(["cluster", "status", "--api", &api])?;
    for part in ["node1", "node2", "node3", "leader", "follower"] {
        ensure!(status.stdout.contains(part), "no {part} in {status:?}");
    }
    ensure!(
        components.code == 0 && status.code == 0,
        "{components:?} {status:?}"
    );
    Ok(())
}

#[test]
fn contract_a1_the_api_answers_lookups_lists_and_watches() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let api = cluster[1].config().api;
        block_on(async {
            let channel = Channel::from_shared(format!("http://{api}"))?
                .connect()
                .await?;
            let mut client = RegistryClient::new(channel);
            let request = WatchRequest { from_revision: 0 };
            let mut watch = client.watch(request).await?.into_inner();
            let snapshot = next(&mut watch).await?;
            ensure!(
                snapshot.snapshot_end && snapshot.changes.is_empty(),
                "{snapshot:?}"
            );

            let component = cluster[0].connect("a.example")?;
            let (added, revision) = one_change(&mut watch, Kind::Added).await?;
            ensure!(
                added == ("a.example".to_owned(), "node1".to_owned()),
                "{added:?}"
            );

            let request = LookupRequest {
                domain: "A.Example".to_owned(),
                linearizable: true,
            };
            let found = client.lookup(request).await?.into_inner();
            ensure!(found.revision >= revision, "{found:?} before {revision}");
            ensure!(
                found.components.len() == 1 && found.components[0].node == "node1",
                "{found:?}"
            );

            component.close()?;
            let (removed, end) = one_change(&mut watch, Kind::Removed).await?;
            ensure!(removed == added && end > revision, "{removed:?} at {end}");

            // Who was away asks for what it missed.
            let request = WatchRequest {
                from_revision: revision,
            };
            let mut missed = client.watch(request).await?.into_inner();
            let (removed, at) = one_change(&mut missed, Kind::Removed).await?;
            ensure!(removed == added && at == end, "{removed:?} at {at}");
            pages(cluster, &mut client).await
        })
    })
}

async fn next(watch: &mut Streaming<WatchResponse>) -> Result<WatchResponse> {
    let message = tokio::time::timeout(PATIENCE, watch.message()).await??;
    message.context("the watch has ended")
}

/// Domain and node of the next change, which has to be of that kind, and its revision.
async fn one_change(
    watch: &mut Streaming<WatchResponse>,
    kind: Kind,
) -> Result<((String, String), u64)> {
    let response = next(watch).await?;
    ensure!(response.changes.len() == 1, "{response:?}");
    let change = &response.changes[0];
    ensure!(change.kind() == kind, "{response:?}");
    let component = change.component.clone().context("a change of nothing")?;
    Ok(((component.domain, component.node), response.revision))
}

/// Every row comes once, over pages of any size, and only those that were asked for.
async fn pages(cluster: &Cluster, client: &mut RegistryClient<Channel>) -> Result<()> {
    const ROWS: usize = 23;
    let components: Vec<Component> = (0..ROWS)
        .map(|i| cluster[i % 3].connect(&format!("p{i:02}.example")))
        .collect::<Result<_>>()?;
    let mut domains = Vec::new();
    let mut request = ListRequest {
        page_size: 5,
        linearizable: true,
        ..ListRequest::default()
    };
    for _ in 0..ROWS {
        let page = client.list(request.clone()).await?.into_inner();
        ensure!(page.components.len() <= 5, "{page:?}");
        domains.extend(
            page.components
                .into_iter()
                .map(|component| component.domain),
        );
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<String> = components.iter().map(|c| c.domain().to_owned()).collect();
    ensure!(domains == expected, "{domains:?}");

    let request = ListRequest {
        node: Some("node2".to_owned()),
        ..ListRequest::default()
    };
    let page = client.list(request).await?.into_inner();
    ensure!(
        page.components
            .iter()
            .all(|component| component.node == "node2"),
        "{page:?}"
    );
    ensure!(page.components.len() == ROWS / 3 + 1, "{page:?}");

    let request = ListRequest {
        page_token: "nonsense".to_owned(),
        ..ListRequest::default()
    };
    let refused = client
        .list(request)
        .await
        .err()
        .context("a nonsensical token was accepted")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused}");
    Ok(())
}

#[test]
fn contract_a1_generic_tools_find_health_and_reflection() -> Result<()> {
    Cluster::start(1)?.run(|cluster| {
        let api = cluster[0].config().api;
        block_on(async {
            let channel = Channel::from_shared(format!("http://{api}"))?
                .connect()
                .await?;
            let mut health = HealthClient::new(channel.clone());
            for service in HEALTH_SERVICES {
                let answer = health.check(health_of(service)).await.context(service)?;
                let status = answer.into_inner().status();
                ensure!(status == ServingStatus::Serving, "{service:?}: {status:?}");
            }
            let services = list_services(channel).await?;
            for service in [
                "switchyard.registry.v1.Registry",
                "switchyard.cluster.v1.Cluster",
            ] {
                ensure!(services.iter().any(|name| name == service), "{services:?}");
            }
            Ok(())
        })
    })
}

#[test]
fn contract_a1_health_follows_readiness() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        for node in &**cluster {
            wait_for_health(node, ServingStatus::Serving)?;
        }
        block_on(async {
            let mut health = HealthClient::new(channel(&cluster[2]).await?);
            let mut watch = health.watch(health_of("")).await?.into_inner();
            ensure!(next_health(&mut watch).await? == ServingStatus::Serving);
            let drained = cluster[0].cluster(&["drain", "node3"])?;
            ensure!(drained.code == 0, "{drained:?}");
            ensure!(next_health(&mut watch).await? == ServingStatus::NotServing);
            Ok(())
        })?;
        wait_for_health(&cluster[2], ServingStatus::NotServing)?;
        wait_for_health(&cluster[0], ServingStatus::Serving)?;
        // Without a quorum the lease runs out.
        cluster[1].kill();
        cluster[2].kill();
        wait_for_health(&cluster[0], ServingStatus::NotServing)?;
        cluster[1].start()?;
        wait_for_health(&cluster[0], ServingStatus::Serving)
    })
}

/// What the health service knows: the node, and the services of the API.
const HEALTH_SERVICES: [&str; 3] = [
    "",
    "switchyard.registry.v1.Registry",
    "switchyard.cluster.v1.Cluster",
];

fn health_of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

/// Waits until every service of `node` has `status`.
fn wait_for_health(node: &Node, status: ServingStatus) -> Result<()> {
    eventually("the health of the node", PATIENCE, || {
        block_on(async {
            let mut health = HealthClient::new(channel(node).await?);
            for service in HEALTH_SERVICES {
                let answer = health.check(health_of(service)).await.context(service)?;
                let found = answer.into_inner().status();
                ensure!(found == status, "{} {service:?}: {found:?}", node.name());
            }
            Ok(())
        })
    })
}

async fn next_health(watch: &mut Streaming<HealthCheckResponse>) -> Result<ServingStatus> {
    let answer = watch.message().await?.context("the watch has ended")?;
    Ok(answer.status())
}

async fn channel(node: &Node) -> Result<Channel> {
    let endpoint = Channel::from_shared(format!("http://{}", node.config().api))?;
    Ok(endpoint.connect().await?)
}

async fn list_services(channel: Channel) -> Result<Vec<String>> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let requests = tokio_stream::once(request);
    let mut answers = client.server_reflection_info(requests).await?.into_inner();
    let answer = answers.message().await?.context("no answer")?;
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        anyhow::bail!("{answer:?}");
    };
    Ok(list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect())
}

fn block_on(test: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await? })
}
