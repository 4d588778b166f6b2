//! tokio-xmpp's component on different nodes of a cluster, and what it gets.
//!
//!     tokio-xmpp-components NODE1 NODE2 NODE3        each HOST:PORT of a component listener

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;
use tokio_xmpp::connect::{DnsConfig, TcpServerConnector};
use tokio_xmpp::jid::Jid;
use tokio_xmpp::minidom::Element;
use tokio_xmpp::parsers::disco::DiscoInfoResult;
use tokio_xmpp::parsers::iq::Iq;
use tokio_xmpp::parsers::message::{Id, Lang, Message};
use tokio_xmpp::parsers::presence::{Presence, Show};
use tokio_xmpp::xmlstream::Timeouts;
use tokio_xmpp::{Component, Stanza};

type Client = Component<TcpServerConnector>;
type Outcome = Result<(), Box<dyn Error>>;

const SECRET: &str = "secret";
const HOST: &str = "example.org";
const A: &str = "a.tokio.example";
const B: &str = "b.tokio.example";
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let addresses: Vec<String> = env::args().skip(1).collect();
    let [one, two, three] = &addresses[..] else {
        eprintln!("three addresses of component listeners, please");
        return ExitCode::from(2);
    };
    let connected = (connect(A, SECRET, one).await, connect(B, SECRET, two).await);
    let (mut a, mut b) = match connected {
        (Ok(a), Ok(b)) => (a, b),
        (a, b) => {
            println!("FAILED tokio-xmpp: connect: {:?} {:?}", a.err(), b.err());
            return ExitCode::FAILURE;
        }
    };
    let outcomes = [
        (
            "message",
            pass(&mut a, &mut b, message(A, B, "hello")).await,
        ),
        (
            "message back",
            pass(&mut b, &mut a, message(B, A, "and back")).await,
        ),
        (
            "unicode",
            pass(&mut a, &mut b, message(A, B, "žluťoučký 🐎 日本語 <&>'\"")).await,
        ),
        (
            "200 kB",
            pass(&mut b, &mut a, message(B, A, &"ü".repeat(100_000))).await,
        ),
        ("presence", pass(&mut a, &mut b, presence(A, B)).await),
        ("iq both ways", iq_both_ways(&mut a, &mut b).await),
        ("disco of the host", disco(&mut b).await),
        ("unknown domain", unknown_domain(&mut a).await),
        ("wrong password", refused(A, "wrong", three).await),
        ("conflict", refused(A, SECRET, one).await),
        (
            "still there after the conflict",
            pass(&mut b, &mut a, message(B, A, "still")).await,
        ),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => println!("ok tokio-xmpp: {name}"),
            Err(error) => {
                println!("FAILED tokio-xmpp: {name}: {error:.2000}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

async fn connect(domain: &str, secret: &str, address: &str) -> Result<Client, Box<dyn Error>> {
    let dns = DnsConfig::addr(address);
    let connected = Component::new_plaintext(domain, secret, dns, Timeouts::tight());
    Ok(timeout(PATIENCE, connected).await??)
}

/// Connecting has to fail by an answer, not by silence.
async fn refused(domain: &str, secret: &str, address: &str) -> Outcome {
    let dns = DnsConfig::addr(address);
    let connected = Component::new_plaintext(domain, secret, dns, Timeouts::tight());
    match timeout(PATIENCE, connected).await? {
        Ok(_) => Err("it was accepted".into()),
        Err(_) => Ok(()),
    }
}

/// What one sends, the other receives.
async fn pass(from: &mut Client, to: &mut Client, stanza: Stanza) -> Outcome {
    from.send_stanza(clone(&stanza)).await?;
    let received = receive(to).await?;
    if received == stanza {
        Ok(())
    } else {
        Err(format!("received {received:?}").into())
    }
}

async fn receive(component: &mut Client) -> Result<Stanza, Box<dyn Error>> {
    Ok(timeout(PATIENCE, component.next())
        .await?
        .ok_or("the stream has ended")?)
}

async fn iq_both_ways(a: &mut Client, b: &mut Client) -> Outcome {
    let payload: Element = "<query xmlns='urn:example:q'><x y='1'>z</x></query>".parse()?;
    pass(a, b, get(A, B, payload.clone())?.into()).await?;
    pass(b, a, result(B, A, payload.clone())?.into()).await?;
    pass(b, a, get(B, A, payload.clone())?.into()).await?;
    pass(a, b, result(A, B, payload)?.into()).await
}

async fn disco(b: &mut Client) -> Outcome {
    let query = "<query xmlns='http://jabber.org/protocol/disco#info'/>".parse()?;
    b.send_stanza(get(B, HOST, query)?.into()).await?;
    let Stanza::Iq(Iq::Result {
        payload: Some(payload),
        ..
    }) = receive(b).await?
    else {
        return Err("no result".into());
    };
    let info = DiscoInfoResult::try_from(payload)?;
    let server = info
        .identities
        .iter()
        .any(|i| i.category == "server" && i.type_ == "im");
    if server {
        Ok(())
    } else {
        Err(format!("{info:?}").into())
    }
}

async fn unknown_domain(a: &mut Client) -> Outcome {
    let ping = "<ping xmlns='urn:xmpp:ping'/>".parse()?;
    a.send_stanza(get(A, "nowhere.example", ping)?.into())
        .await?;
    match receive(a).await? {
        Stanza::Iq(Iq::Error { error, .. })
            if format!("{:?}", error.defined_condition) == "RemoteServerNotFound" =>
        {
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    }
}

fn jid(text: &str) -> Result<Jid, Box<dyn Error>> {
    Ok(Jid::new(text)?)
}

fn get(from: &str, to: &str, payload: Element) -> Result<Iq, Box<dyn Error>> {
    let (from, to) = (Some(jid(from)?), Some(jid(to)?));
    Ok(Iq::Get {
        from,
        to,
        id: "q".to_owned(),
        payload,
    })
}

fn result(from: &str, to: &str, payload: Element) -> Result<Iq, Box<dyn Error>> {
    let (from, to) = (Some(jid(from)?), Some(jid(to)?));
    Ok(Iq::Result {
        from,
        to,
        id: "q".to_owned(),
        payload: Some(payload),
    })
}

fn message(from: &str, to: &str, body: &str) -> Stanza {
    let mut message = Message::new(Jid::new(to).ok()).with_body(Lang::default(), body.to_owned());
    message.from = Jid::new(from).ok();
    message.id = Some(Id("m".to_owned()));
    message.into()
}

fn presence(from: &str, to: &str) -> Stanza {
    let mut presence = Presence::available()
        .with_show(Show::Away)
        .with_id("p".to_owned());
    presence.from = Jid::new(from).ok();
    presence.to = Jid::new(to).ok();
    presence.set_status("en", "žluťoučký 🐎");
    presence.into()
}

fn clone(stanza: &Stanza) -> Stanza {
    match stanza {
        Stanza::Iq(iq) => iq.clone().into(),
        Stanza::Message(message) => message.clone().into(),
        Stanza::Presence(presence) => presence.clone().into(),
    }
}
