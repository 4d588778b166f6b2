//! TLS: contract L (`tls`), S4, S7, RFC 6120 §5.

use std::time::Duration;

use switchyard_listener::tls::rustls::{ProtocolVersion, version};
use switchyard_listener::tls::{
    ClientVerification, RevocationLists, ServerTls, TlsMode, TrustAnchors,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, Event, SECRET, handshake, header, message};
use crate::fixture::{Fixture, bounded, until};
use crate::pki::{Authority, Issued, listener_tls};
use crate::tls_client::{client_over, connect, is_let_in, read_until, secure};

const START_TLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

async fn listener(mode: TlsMode, server: ServerTls) -> Fixture {
    Fixture::configured(|config| config.tls = listener_tls(mode, server)).await
}

/// A header of a client that knows stream features.
fn header_1_0(to: &str) -> String {
    header(to).replace(" to=", " version='1.0' to=")
}

async fn authenticate(client: &mut Client, domain: &str) {
    client.send(header(domain)).await;
    let id = client.header().await.id.unwrap();
    client.send(handshake(&id, SECRET)).await;
    assert_eq!(client.element().await, "<handshake/>");
}

#[tokio::test]
async fn contract_l_tls_from_the_first_byte_in_both_versions() {
    let authority = Authority::new("ours");
    let fixture = listener(TlsMode::Tls, authority.server()).await;
    for (index, (spoken, expected)) in [
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ]
    .into_iter()
    .enumerate()
    {
        let config = authority.client_of(None, &[spoken]);
        let session = connect(fixture.address, config).await.unwrap();
        assert_eq!(session.get_ref().1.protocol_version(), Some(expected));
        let (mut client, bridged) = client_over(session).await;
        let domain = format!("c{index}.example");
        authenticate(&mut client, &domain).await;
        // Many small ones in one write, and one of many records of TLS.
        let small: Vec<String> = (0..500).map(|n| message(&domain, &domain, n)).collect();
        client.send(small.concat()).await;
        for expected in &small {
            assert_eq!(client.element().await, *expected);
        }
        let large = message(&domain, &domain, 0).replace("Hello", &"x".repeat(400_000));
        client.send(&large).await;
        assert_eq!(client.element().await, large);
        client.send("</stream:stream>").await;
        assert_eq!(client.next().await, Event::End);
        assert_eq!(client.read().await, 0);
        drop(client);
        let ended = bounded("the session ends", bridged).await.unwrap();
        ended.expect("the listener says goodbye to TLS before it closes");
    }
    assert_eq!(fixture.metrics.tls_handshake_failures(), 0);
}

#[tokio::test]
async fn contract_s3_a_stream_error_in_tls_arrives_whole() {
    let authority = Authority::new("ours");
    let fixture = listener(TlsMode::Tls, authority.server()).await;
    let session = connect(fixture.address, authority.client(None)).await;
    let (mut client, _bridged) = client_over(session.unwrap()).await;
    client.send(header("a.example")).await;
    client.header().await;
    client
        .send(format!("<handshake>{}</handshake>", "0".repeat(40)))
        .await;
    client.end(Some("not-authorized")).await;
}

#[tokio::test]
async fn rfc_6120_5_starttls_begins_another_stream_in_tls() {
    let authority = Authority::new("ours");
    for mode in [TlsMode::StartTls, TlsMode::StartTlsRequired] {
        let fixture = listener(mode, authority.server()).await;
        let mut socket = TcpStream::connect(fixture.address).await.unwrap();
        let opening = header_1_0("a.example");
        socket.write_all(opening.as_bytes()).await.unwrap();
        let opened = read_until(&mut socket, "</stream:features>").await;
        let (plain_header, features) = opened.split_once("<stream:features>").unwrap();
        assert!(plain_header.contains(" version='1.0'>"), "{plain_header}");
        let required = features.contains("<required/>");
        assert_eq!(required, mode == TlsMode::StartTlsRequired, "{features}");
        // White space is a keepalive, and nothing that could be smuggled in.
        socket
            .write_all(format!("{START_TLS}\n").as_bytes())
            .await
            .unwrap();
        read_until(&mut socket, PROCEED).await;

        let session = secure(socket, authority.client(None)).await.unwrap();
        let (mut client, _bridged) = client_over(session).await;
        client.send(opening).await;
        let answer = client.header().await;
        let id = answer.id.unwrap();
        assert!(!plain_header.contains(&id), "the id is fresh");
        assert_eq!(answer.version, None, "no features follow in TLS");
        client.send(handshake(&id, SECRET)).await;
        assert_eq!(client.element().await, "<handshake/>");
    }
}

#[tokio::test]
async fn rfc_6120_5_nothing_is_smuggled_in_behind_starttls() {
    let authority = Authority::new("ours");
    let fixture = listener(TlsMode::StartTls, authority.server()).await;
    let (mut client, id) = fixture.open("a.example").await;
    client
        .send(format!("{START_TLS}{}", handshake(&id, SECRET)))
        .await;
    client.end(Some("policy-violation")).await;
    // What comes a moment later is read by TLS alone, which does not know it.
    let (mut client, id) = fixture.open("a.example").await;
    client.send(START_TLS).await;
    assert_eq!(client.element().await, PROCEED);
    client.send(handshake(&id, SECRET)).await;
    until("TLS fails", || {
        fixture.metrics.tls_handshake_failures() == 1
    })
    .await;
    assert!(fixture.switch.outbox("a.example").is_none());
}

#[tokio::test]
async fn contract_s1_l_a_component_without_starttls_goes_on_where_it_may() {
    let authority = Authority::new("ours");
    let fixture = listener(TlsMode::StartTls, authority.server()).await;
    let mut client = Client::dial(fixture.address).await;
    client.send(header("old.example")).await;
    let answer = client.header().await;
    assert_eq!(answer.version, None);
    assert_eq!(client.unread(), b"", "XEP-0114 knows no features");
    client.send(handshake(&answer.id.unwrap(), SECRET)).await;
    assert_eq!(client.element().await, "<handshake/>");
    let mut client = Client::dial(fixture.address).await;
    client.send(header_1_0("new.example")).await;
    let id = client.header().await.id.unwrap();
    assert!(client.features().await.starts_with("<stream:features>"));
    client.send(handshake(&id, SECRET)).await;
    assert_eq!(client.element().await, "<handshake/>");
}

#[tokio::test]
async fn contract_l_starttls_required_is_never_plain_text() {
    let authority = Authority::new("ours");
    let fixture = listener(TlsMode::StartTlsRequired, authority.server()).await;
    for opening in [header("a.example"), header_1_0("a.example")] {
        let mut client = Client::dial(fixture.address).await;
        client.send(opening).await;
        let id = client.header().await.id.unwrap();
        assert!(client.features().await.contains("<required/>"));
        client.send(handshake(&id, SECRET)).await;
        let error = client.element().await;
        assert!(
            error.starts_with("<stream:error><policy-violation "),
            "{error}"
        );
        assert!(error.contains("&lt;starttls/&gt;"), "{error}");
        client.end(None).await;
    }
    assert!(fixture.switch.outbox("a.example").is_none());
}

#[tokio::test]
async fn contract_s5_starttls_without_tls_is_an_element_like_any_other() {
    let fixture = Fixture::start().await;
    let (mut client, _) = fixture.open("a.example").await;
    client.send(START_TLS).await;
    client.end(Some("not-authorized")).await;
}

#[tokio::test]
async fn contract_l_client_certificates_are_verified() {
    let ours = Authority::new("ours");
    let theirs = Authority::new("theirs");
    let verified = || ClientVerification {
        anchors: ours.anchors(),
        revoked: RevocationLists::default(),
        optional: false,
        accept_self_signed: false,
        disconnect_on_failure: true,
    };
    let peer = verified();
    let selfsigned_peer = ClientVerification {
        optional: false,
        accept_self_signed: true,
        ..verified()
    };
    let revoked = ClientVerification {
        revoked: ours.revoked(&[7], true),
        ..verified()
    };
    let revoked_der = ClientVerification {
        revoked: ours.revoked(&[7], false),
        ..verified()
    };
    let lenient = ClientVerification {
        disconnect_on_failure: false,
        ..verified()
    };
    // Who is let in: nobody in particular, ours, ours and revoked, theirs, self-signed, self-signed
    // that calls itself an authority, and self-signed of X.509 version 1.
    for (what, clients, expected) in [
        ("none", None, [true; 7]),
        (
            "peer",
            Some(peer),
            [false, true, true, false, false, false, false],
        ),
        (
            "selfsigned_peer",
            Some(selfsigned_peer),
            [false, true, true, false, true, true, false],
        ),
        (
            "crl",
            Some(revoked),
            [false, true, false, false, false, false, false],
        ),
        (
            "crl, DER",
            Some(revoked_der),
            [false, true, false, false, false, false, false],
        ),
        ("disconnect_on_failure = false", Some(lenient), [true; 7]),
    ] {
        let server = ServerTls {
            clients,
            ..ours.server()
        };
        let fixture = listener(TlsMode::Tls, server).await;
        for spoken in [&version::TLS12, &version::TLS13] {
            let identities = [
                None,
                Some(ours.issue("a.example", 6)),
                Some(ours.issue("b.example", 7)),
                Some(theirs.issue("c.example", 6)),
                Some(Issued::self_signed(false)),
                Some(Issued::self_signed(true)),
                Some(Issued::version_1()),
            ];
            let mut let_in = [false; 7];
            for (let_in, identity) in let_in.iter_mut().zip(identities) {
                let config = ours.client_of(identity, &[spoken]);
                *let_in = is_let_in(fixture.address, config).await;
            }
            assert_eq!(let_in, expected, "{what}, {spoken:?}");
        }
    }
}

#[tokio::test]
async fn contract_l_a_client_certificate_that_cacertfile_lists_is_fine() {
    let ours = Authority::new("ours");
    let listed = Issued::self_signed(true);
    let expired = Issued::expired();
    let anchors = format!("{}{}", listed.certificate(), expired.certificate());
    let verified = |revoked| {
        Some(ClientVerification {
            anchors: TrustAnchors::from_pem(anchors.as_bytes()).unwrap(),
            revoked,
            optional: false,
            accept_self_signed: false,
            disconnect_on_failure: true,
        })
    };
    for (revoked, expected) in [
        (RevocationLists::default(), [true, false, false]),
        // Nobody's list says that it is not revoked.
        (ours.revoked(&[7], true), [false; 3]),
    ] {
        let server = ServerTls {
            clients: verified(revoked),
            ..ours.server()
        };
        let fixture = listener(TlsMode::Tls, server).await;
        let identities = [&listed, &expired, &Issued::self_signed(true)];
        let mut let_in = [false; 3];
        for (let_in, identity) in let_in.iter_mut().zip(identities) {
            let config = ours.client(Some(identity.clone()));
            *let_in = is_let_in(fixture.address, config).await;
        }
        assert_eq!(let_in, expected);
    }
}

#[tokio::test]
async fn contract_s4_s7_a_client_without_tls_on_a_tls_port_ends_alone_and_soon() {
    let authority = Authority::new("ours");
    let fixture = Fixture::configured(|config| {
        config.tls = listener_tls(TlsMode::Tls, authority.server());
        config.state_timeout = Duration::from_millis(300);
    })
    .await;
    let long_ago = TcpStream::connect(fixture.address).await.unwrap();
    for input in [
        header("a.example").into_bytes(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 100_000],
        // A record of TLS that never ends, and silence.
        b"\x16\x03\x01\x40\x00".to_vec(),
        Vec::new(),
    ] {
        let mut socket = TcpStream::connect(fixture.address).await.unwrap();
        socket.write_all(&input).await.unwrap();
        let reading = async {
            let mut answer = Vec::new();
            // A reset is an end as well.
            let _ended = socket.read_to_end(&mut answer).await;
            answer
        };
        let answer = bounded("the listener closes", reading).await;
        assert!(
            answer.is_empty() || answer[0] == 0x15,
            "an alert: {answer:?}"
        );
    }
    until("all have failed", || {
        fixture.metrics.tls_handshake_failures() == 6
    })
    .await;
    drop(long_ago);
    assert!(is_let_in(fixture.address, authority.client(None)).await);
    until("no connection is left", || {
        fixture.metrics.connections() <= 1
    })
    .await;
}
