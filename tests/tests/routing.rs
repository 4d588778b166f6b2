//! Stanzas between components on the nodes of a cluster (contract D, R, X5).

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use switchyard_tests::{
    Cluster, Component, ComponentReceiver, ComponentSender, Listener, PATIENCE, SECRET,
    SERVED_HOST, eventually,
};

const NUMBERED: usize = 10_000;

#[test]
fn contract_d1_d2_numbered_stanzas_each_way_arrive_once_and_in_order() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        exchange(
            cluster[0].connect("a.example")?,
            cluster[1].connect("b.example")?,
        )
        .context("between nodes")?;
        exchange(
            cluster[2].connect("c.example")?,
            cluster[2].connect("d.example")?,
        )
        .context("on one node")
    })
}

/// Pipelines [`NUMBERED`] stanzas each way at the same time.
fn exchange(a: Component, b: Component) -> Result<()> {
    let (a_domain, b_domain) = (a.domain().to_owned(), b.domain().to_owned());
    let (mut a_sender, mut a_receiver) = a.split();
    let (mut b_sender, mut b_receiver) = b.split();
    thread::scope(|scope| {
        let threads = [
            scope.spawn(|| send_numbered(&mut a_sender, &a_domain, &b_domain)),
            scope.spawn(|| send_numbered(&mut b_sender, &b_domain, &a_domain)),
            scope.spawn(|| receive_numbered(&mut a_receiver)),
            scope.spawn(|| receive_numbered(&mut b_receiver)),
        ];
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("no thread panics"))
    })
}

fn send_numbered(sender: &mut ComponentSender, from: &str, to: &str) -> Result<()> {
    (0..NUMBERED).try_for_each(|i| {
        sender.send(&format!(
            "<message from='x@{from}' to='y@{to}' id='{i}'><body>{i}</body></message>"
        ))
    })
}

/// Nothing is lost, doubled or out of order when each number follows the one before it and the
/// last one is the last stanza of all.
fn receive_numbered(receiver: &mut ComponentReceiver) -> Result<()> {
    for i in 0..NUMBERED {
        let stanza = receiver
            .receive()
            .with_context(|| format!("waiting for number {i}"))?;
        ensure!(
            stanza.body() == i.to_string(),
            "{stanza:?} instead of number {i}"
        );
    }
    Ok(())
}

#[test]
fn contract_x5_every_kind_of_stanza_arrives_as_it_was_sent() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let mut a = cluster[0].connect("a.example")?;
        let mut b = cluster[1].connect("b.example")?;
        let mut c = cluster[0].connect("c.example")?;
        for b in [&mut b, &mut c] {
            every_kind(&mut a, b).with_context(|| format!("to {}", b.domain()))?;
        }
        prefixes_and_language_of_the_header(cluster, &mut b)
    })
}

fn every_kind(a: &mut Component, b: &mut Component) -> Result<()> {
    let to = b.domain().to_owned();
    let long = "y".repeat(200_000);
    let stanzas = [
        format!(
            "<message from='ä@a.example/☃' to='ß@{to}' id='1' type='chat'><body>žluťoučký 🐎 日本語 &amp; &lt;&#x1F600;</body></message>"
        ),
        format!("<presence from='a.example' to='{to}'/>"),
        format!(
            "<presence from=\"a.example\" to=\"{to}\" type=\"unavailable\"><x xmlns='urn:example:unknown'><y:z xmlns:y='urn:y' y:w='1'/></x></presence>"
        ),
        format!(
            "<iq from='a.example' to='{to}' type='get' id='q'><query xmlns='urn:example:q'/></iq>"
        ),
        format!(
            "<iq from='a.example' to='{to}' type='set' id='s'><query xmlns='urn:example:q'><![CDATA[<raw & text>]]></query></iq>"
        ),
        format!(
            "<message from='a.example' to='{to}' type='error' id='e'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ),
        format!("<message from='a.example' to='{to}' id='long'><body>{long}</body></message>"),
    ];
    // Together, so that they travel in runs, and one by one.
    a.send(&stanzas.concat())?;
    for stanza in &stanzas {
        receive_exactly(b, stanza)?;
    }
    for stanza in &stanzas {
        a.send(stanza)?;
        receive_exactly(b, stanza)?;
    }
    // The answer to an iq travels the other way.
    let result = format!("<iq from='{to}' to='a.example' type='result' id='q'/>");
    b.send(&result)?;
    receive_exactly(a, &result)
}

fn receive_exactly(component: &mut Component, stanza: &str) -> Result<()> {
    let received = component.receive()?;
    let same = received.raw == stanza.as_bytes();
    ensure!(
        same,
        "not {stanza:.200} but {:.200}",
        String::from_utf8_lossy(&received.raw)
    );
    Ok(())
}

/// A prefix declared on the sender's header, a content namespace of another kind of stream and the
/// header's language do not exist on the receiver's stream: the stanza has to bring them along.
fn prefixes_and_language_of_the_header(cluster: &Cluster, b: &mut Component) -> Result<()> {
    let address = cluster[0].listener(Listener::Disconnect);
    let mut sender = Component::open(address, "prefix.example", " xmlns:p='urn:p' xml:lang='pl'")?
        .authenticate(SECRET)?;
    sender.send("<message xmlns='jabber:client' from='prefix.example' to='b.example'><p:x p:y='1'/></message>")?;
    let stanza = b.receive()?;
    ensure!(stanza.namespace == "jabber:component:accept", "{stanza:?}");
    ensure!(
        stanza.attribute("{http://www.w3.org/XML/1998/namespace}lang") == "pl",
        "{stanza:?}"
    );
    let child = stanza.child("x").context("the payload is gone")?;
    ensure!(
        child.namespace == "urn:p" && child.attribute("{urn:p}y") == "1",
        "{child:?}"
    );
    sender.close()
}

#[test]
fn contract_d3_v5_what_cannot_be_delivered_is_answered_once_if_it_may_be() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let mut a = cluster[0].connect("a.example")?;
        let mut b = cluster[1].connect("b.example")?;
        a.send(
            "<message from='a.example' to='x@nowhere.example' id='m'><body>hello</body></message>",
        )?;
        let error = a.receive_error("m", "remote-server-not-found", "cancel")?;
        ensure!(error.attribute("from") == "x@nowhere.example", "{error:?}");
        ensure!(error.attribute("to") == "a.example", "{error:?}");
        ensure!(
            error.body() == "hello",
            "the original payload is missing: {error:?}"
        );
        a.send(
            "<iq from='a.example' to='nowhere.example' type='get' id='q'><x xmlns='urn:x'/></iq>",
        )?;
        a.receive_error("q", "remote-server-not-found", "cancel")?;
        // Neither errors nor results are answered: the next thing to arrive is something else.
        a.send("<message from='a.example' to='nowhere.example' type='error' id='1'/>")?;
        a.send("<iq from='a.example' to='nowhere.example' type='result' id='2'/>")?;
        b.send_message("a.example", "fence")?;
        a.receive_message("fence")?;
        // A component that has gone is unknown as one that never was.
        b.close()?;
        eventually("b.example to be unknown", PATIENCE, || {
            a.send_message("b.example", "gone")?;
            a.receive_error("gone", "remote-server-not-found", "cancel")
                .map(drop)
        })
    })
}

#[test]
fn contract_r4_a_subdomain_component_is_reached_under_the_served_host_from_every_node() -> Result<()>
{
    Cluster::start(3)?.run(|cluster| {
        let address = cluster[1].listener(Listener::Disconnect);
        let mut chat = Component::connect_subdomain(address, "chat")?;
        let full = format!("chat.{SERVED_HOST}");
        for node in &**cluster {
            let mut sender = node.connect("sender.example")?;
            sender.send_message(&format!("room@{full}"), "hello")?;
            let message = chat.receive_message("hello")?;
            chat.send(&format!(
                "<message from='room@{full}' to='{}'><body>back</body></message>",
                message.attribute("from")
            ))?;
            sender.receive_message("back")?;
            // The prefix alone is nobody's domain.
            sender.send_message("chat", "bare")?;
            sender.receive_error("bare", "remote-server-not-found", "cancel")?;
            sender.close()?;
        }
        Ok(())
    })
}

#[test]
fn contract_r2_of_several_instances_the_local_one_is_preferred_and_a_remote_choice_is_stable()
-> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let mut first = cluster[0].connect("bot.example")?;
        let mut second = cluster[1].connect("bot.example")?;
        let mut near_first = cluster[0].connect("one.example")?;
        let mut near_second = cluster[1].connect("two.example")?;
        for i in 0..20 {
            near_first.send_message("bot.example", &format!("{i}"))?;
            first.receive_message(&format!("{i}"))?;
            near_second.send_message("bot.example", &format!("{i}"))?;
            second.receive_message(&format!("{i}"))?;
        }
        let mut far = cluster[2].connect("far.example")?;
        let by_first_and_second = spread(&mut far, &mut first, &mut second)?;
        for (sender, (at_first, at_second)) in by_first_and_second.iter().enumerate() {
            let stable = *at_first == 0 || *at_second == 0;
            ensure!(
                stable,
                "user {sender} reached both: {at_first} and {at_second}"
            );
        }
        let users_of_first = by_first_and_second
            .iter()
            .filter(|counts| counts.0 > 0)
            .count();
        ensure!(
            (1..SENDERS).contains(&users_of_first),
            "{users_of_first} of {SENDERS} reach one"
        );
        Ok(())
    })
}

const SENDERS: usize = 64;

/// Sends three stanzas of each of [`SENDERS`] users to `bot.example`. How many of each user's
/// reached the first and the second instance.
fn spread(
    far: &mut Component,
    first: &mut Component,
    second: &mut Component,
) -> Result<[(usize, usize); SENDERS]> {
    let total = SENDERS * 3;
    for i in 0..total {
        let user = i % SENDERS;
        far.send(&format!(
            "<message from='{user}@far.example/{i}' to='bot.example' id='{i}'/>"
        ))?;
    }
    let mut counts = [(0, 0); SENDERS];
    let mut received = 0;
    eventually("all of the users' messages", PATIENCE, || {
        for is_first in [true, false] {
            let instance = if is_first { &mut *first } else { &mut *second };
            while let Some(stanza) = instance.receive_within(Duration::from_millis(10))? {
                let user = stanza
                    .attribute("from")
                    .split('@')
                    .next()
                    .unwrap_or_default();
                let count = counts
                    .get_mut(user.parse::<usize>()?)
                    .context("an unknown user")?;
                *(if is_first { &mut count.0 } else { &mut count.1 }) += 1;
                received += 1;
            }
        }
        ensure!(received == total, "{received} of {total}");
        Ok(())
    })?;
    Ok(counts)
}

#[test]
fn contract_r7_a_component_is_reached_from_everywhere_as_soon_as_it_has_its_handshake() -> Result<()>
{
    const ROUNDS: usize = 60;
    Cluster::start(3)?.run(|cluster| {
        let mut senders = cluster
            .iter()
            .map(|node| node.connect(&format!("sender.{}.example", node.name())))
            .collect::<Result<Vec<_>>>()?;
        for round in 0..ROUNDS {
            let home = round % senders.len();
            let domain = format!("fresh{round}.example");
            // Known to be unknown just before: no node may rely on an answer of the past.
            for sender in &mut senders {
                sender.send_message(&domain, "early")?;
                sender.receive_error("early", "remote-server-not-found", "cancel")?;
            }
            let mut fresh = cluster[home].connect(&domain)?;
            for sender in &mut senders {
                sender.send_message(&domain, "hello")?;
            }
            for _ in &senders {
                fresh
                    .receive_message("hello")
                    .with_context(|| format!("round {round}"))?;
            }
        }
        Ok(())
    })
}
