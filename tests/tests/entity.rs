//! The router's own entity, asked across a cluster (contract H).

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use switchyard_tests::{Cluster, Component, Element, Listener, SERVED_HOST};

#[test]
fn contract_h1_h2_the_served_host_answers_disco_on_every_node() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let mut a = cluster[0].connect("a.example")?;
        let _hidden = Component::connect(cluster[1].listener(Listener::Hidden), "hidden.example")?;
        let _chat =
            Component::connect_subdomain(cluster[2].listener(Listener::Disconnect), "chat")?;

        let info = ask(
            &mut a,
            "a.example",
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        )?;
        let identity = info
            .child("query")
            .and_then(|query| query.child("identity"));
        let identity = identity.context("no identity")?;
        ensure!(identity.attribute("category") == "server", "{identity:?}");
        ensure!(identity.attribute("type") == "im", "{identity:?}");

        // A component sees hidden ones, a user does not (mod_disco, as configured).
        let chat = format!("chat.{SERVED_HOST}");
        let seen = items(&mut a, "a.example")?;
        ensure!(
            seen == set(["a.example", "hidden.example", &chat]),
            "{seen:?}"
        );
        let seen = items(&mut a, "user@a.example/home")?;
        ensure!(seen == set(["a.example", &chat]), "{seen:?}");

        ask(&mut a, "a.example", "<ping xmlns='urn:xmpp:ping'/>")?;
        let version = ask(&mut a, "a.example", "<query xmlns='jabber:iq:version'/>")?;
        let name = version.child("query").and_then(|query| query.child("name"));
        ensure!(
            name.is_some_and(|name| name.text == "Switchyard"),
            "{version:?}"
        );
        ask(&mut a, "a.example", "<query xmlns='jabber:iq:last'/>")?;

        a.send(&format!(
            "<iq from='a.example' to='{SERVED_HOST}' type='get' id='u'><x xmlns='urn:x'/></iq>"
        ))?;
        a.receive_error("u", "service-unavailable", "cancel")
            .map(drop)
    })
}

/// The result of an iq get to the served host.
fn ask(component: &mut Component, from: &str, payload: &str) -> Result<Element> {
    component.send(&format!(
        "<iq from='{from}' to='{SERVED_HOST}' type='get' id='i'>{payload}</iq>"
    ))?;
    let answer = component.receive()?;
    let is_result = answer.attribute("type") == "result"
        && answer.attribute("id") == "i"
        && answer.attribute("from") == SERVED_HOST
        && answer.attribute("to") == from;
    ensure!(
        is_result,
        "{payload}: {}",
        String::from_utf8_lossy(&answer.raw)
    );
    Ok(answer)
}

fn items(component: &mut Component, from: &str) -> Result<BTreeSet<String>> {
    let answer = ask(
        component,
        from,
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    )?;
    let query = answer.child("query").context("no query")?;
    Ok(query
        .children
        .iter()
        .map(|item| item.attribute("jid").to_owned())
        .collect())
}

fn set<'a>(domains: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    domains.into_iter().map(str::to_owned).collect()
}
