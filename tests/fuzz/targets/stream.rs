//! Any order of events on one component's stream (contract S): the state machine against a model of
//! what may follow what.
//!
//! An input is text. Its first byte chooses TLS: `0` none, `1` from the first byte, `2` STARTTLS, `3`
//! STARTTLS required. Each further line is an event: its first byte says which, the rest is what
//! arrives (see `Run::event`). `$RIGHT`, `$UPPER` and `$WRONG` in a line stand for digests.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use sha1::{Digest, Sha1};
use switchyard_listener::fuzzing::{Ending, StreamMachine};
use switchyard_listener::tls::{
    CertificateChain, CipherSuites, Identity, ListenerTls, PrivateKey, ServerTls, TlsMode,
    TlsVersion,
};
use switchyard_listener::xml::{Framer, Limits, StreamHeader, XmlError, text_content};
use switchyard_listener::{
    Component, ListenerConfig, RegisterError, Secret, Secrets, StreamCondition,
};
use switchyard_registry::Domain;

#[path = "../../../crates/listener/tests/xml/seen.rs"]
mod seen;

const SECRET: &str = "tr0ub4dor&3";
const END: &str = "</stream:stream>";

fuzz_target!(|input: &str| {
    let mut lines = input.split('\n');
    let tls = lines.next().and_then(|line| line.bytes().next());
    let mut run = Run::new(match tls {
        Some(b'1') => Some(TlsMode::Tls),
        Some(b'2') => Some(TlsMode::StartTls),
        Some(b'3') => Some(TlsMode::StartTlsRequired),
        _ => None,
    });
    for line in lines {
        run.event(line);
        run.check_written(input);
    }
});

/// What has happened so far, as the contract has it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    AwaitHeader,
    AwaitHandshake(Domain),
    AwaitTls,
    Registering,
    Open,
    Closed,
}

struct Run {
    machine: StreamMachine,
    phase: Phase,
    mode: Option<TlsMode>,
    in_tls: bool,
    /// All that has been written since the stream began.
    written: Vec<u8>,
}

impl Run {
    fn new(mode: Option<TlsMode>) -> Self {
        let address = ([127, 0, 0, 1], 0).into();
        let mut config = ListenerConfig::new(address, Secret::new(SECRET));
        config.hosts = ["example.org"]
            .map(|host| Domain::prepare(host).expect("a domain"))
            .into();
        config.tls = mode.map(tls);
        Self {
            machine: StreamMachine::new(Arc::new(config)).expect("randomness"),
            phase: Phase::AwaitHeader,
            mode,
            in_tls: mode == Some(TlsMode::Tls),
            written: Vec::new(),
        }
    }

    fn event(&mut self, line: &str) {
        let (event, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
        match event {
            "H" => self.header(rest),
            "E" => self.element(&self.with_digests(rest)),
            "R" => self.registered(Ok(())),
            "C" => self.registered(Err(RegisterError::Conflict(rest.to_owned()))),
            "Q" => self.registered(Err(RegisterError::Unavailable(rest.to_owned()))),
            "L" => self.start_tls(rest.as_bytes()),
            "A" => self.restart(),
            "T" => {
                let ending = self.machine.timeout();
                self.ended(ending, None);
            }
            "F" => {
                let ending = self.machine.flooded();
                self.ended(ending, Some(StreamCondition::PolicyViolation));
            }
            "X" => {
                let ending = self.machine.end();
                assert_eq!(ending.condition, None);
                self.ended(ending, None);
            }
            _ => {}
        }
    }

    /// `H`: the bytes of a stream header.
    fn header(&mut self, text: &str) {
        let header: StreamHeader = match Framer::new(Limits::default()).read_header(text.as_bytes())
        {
            Ok(Some(header)) => header,
            Ok(None) => return,
            Err(error) => return self.xml_error(&error),
        };
        match self.machine.header(&header) {
            Ok(answer) => {
                assert_eq!(self.phase, Phase::AwaitHeader);
                assert!(!header.is_empty);
                let to = header.to.as_deref().unwrap_or_default();
                let domain = Domain::prepare(to).expect("checked by the machine");
                self.phase = Phase::AwaitHandshake(domain);
                self.written.extend(answer);
            }
            Err(ending) => self.ended(ending, None),
        }
    }

    /// `E`: the bytes of a first-level element.
    fn element(&mut self, text: &str) {
        let (bytes, mut found) = (text.as_bytes(), Vec::new());
        Framer::for_stanzas(Limits::default()).read_elements(bytes, 1, &mut found);
        let Some(element) = found.first() else {
            return;
        };
        let content = text_content(bytes, element).unwrap_or_default();
        let bytes = element.span.of(bytes);
        let is_awaited = matches!(self.phase, Phase::AwaitHandshake(_));
        if self.machine.wants_tls(bytes) {
            assert!(is_awaited && self.is_tls_on_offer());
            return;
        }
        let must_be_tls = self.mode == Some(TlsMode::StartTlsRequired) && !self.in_tls;
        let proves = content.trim_ascii() == self.digest(SECRET);
        let secrets = Secrets::from(Secret::new(SECRET));
        match self.machine.handshake(bytes, &secrets) {
            Ok(Component { domain, .. }) => {
                assert!(is_awaited && proves && !must_be_tls, "{text}");
                assert_eq!(Phase::AwaitHandshake(domain), self.phase);
                self.phase = Phase::Registering;
            }
            Err(ending) => {
                let plain = format!("<handshake>{}</handshake>", self.digest(SECRET));
                assert!(!is_awaited || must_be_tls || text != plain);
                self.ended(ending, None);
            }
        }
    }

    /// `R`, `C`, `Q`: the registrar's answer.
    fn registered(&mut self, outcome: Result<(), RegisterError>) {
        let is_success = outcome.is_ok();
        match self.machine.registered(outcome) {
            Ok(answer) => {
                assert!(is_success && self.phase == Phase::Registering);
                assert_eq!(answer, b"<handshake/>");
                self.written.extend(answer);
                self.phase = Phase::Open;
            }
            Err(ending) => {
                assert!(!is_success || self.phase != Phase::Registering);
                self.ended(ending, None);
            }
        }
    }

    /// `L`: the component has asked for TLS, and sent the rest of the line behind its request.
    fn start_tls(&mut self, ahead: &[u8]) {
        let may = matches!(self.phase, Phase::AwaitHandshake(_)) && self.is_tls_on_offer();
        match self.machine.start_tls(ahead) {
            Ok(answer) => {
                assert!(may && ahead.iter().all(u8::is_ascii_whitespace));
                self.written.extend(answer);
                self.phase = Phase::AwaitTls;
            }
            Err(ending) => self.ended(ending, None),
        }
    }

    /// `A`: TLS has begun, if it has been agreed upon.
    fn restart(&mut self) {
        if self.phase == Phase::AwaitTls {
            assert!(self.machine.restart());
            self.phase = Phase::AwaitHeader;
            self.in_tls = true;
            self.written.clear();
        }
    }

    fn xml_error(&mut self, error: &XmlError) {
        let ending = self.machine.xml_error(error);
        self.ended(ending, Some(error.kind.condition()));
    }

    /// The machine has ended the stream, with `expected` if that is known.
    fn ended(&mut self, ending: Ending, expected: Option<StreamCondition>) {
        // Nothing follows the end of a stream, and nothing is said in the midst of a TLS handshake.
        if matches!(self.phase, Phase::Closed | Phase::AwaitTls) {
            assert_eq!(ending.condition, None);
            assert!(ending.bytes.is_empty());
        } else if let Some(condition) = ending.condition {
            assert!(expected.is_none_or(|expected| expected == condition));
            let text = String::from_utf8_lossy(&ending.bytes);
            assert!(text.contains(&format!("<stream:error><{condition} xmlns=")));
            assert!(text.ends_with("</stream:error></stream:stream>"));
        } else {
            assert_eq!(expected, None);
            assert!(ending.bytes.is_empty() || ending.bytes.ends_with(END.as_bytes()));
        }
        // The machine of a connection that breaks off in a TLS handshake is not used again.
        if self.phase != Phase::AwaitTls {
            self.phase = Phase::Closed;
        }
        self.written.extend(ending.bytes);
    }

    /// What has been written is a well-formed stream so far, and shows no secret.
    fn check_written(&self, input: &str) {
        let mut text = String::from_utf8(self.written.clone()).expect("UTF-8");
        assert!(input.contains(SECRET) || !text.contains(SECRET));
        if text.is_empty() {
            return;
        }
        assert!(
            text.starts_with("<?xml version='1.0'?><stream:stream "),
            "{text}"
        );
        assert_eq!(text.matches("<stream:stream ").count(), 1, "{text}");
        if !text.ends_with(END) {
            text.push_str(END);
        }
        assert!(seen::by_rxml(text.as_bytes()).is_some(), "{text}");
    }

    fn is_tls_on_offer(&self) -> bool {
        self.mode.is_some() && !self.in_tls
    }

    fn with_digests(&self, text: &str) -> String {
        text.replace("$RIGHT", &self.digest(SECRET))
            .replace("$UPPER", &self.digest(SECRET).to_ascii_uppercase())
            .replace("$WRONG", &self.digest("wrong"))
    }

    /// The digest of the stream's id and `secret` (XEP-0114 §3).
    fn digest(&self, secret: &str) -> String {
        let written = String::from_utf8_lossy(&self.written);
        let id = written
            .split(" id='")
            .nth(1)
            .and_then(|id| id.split('\'').next());
        hex::encode(Sha1::digest(format!("{}{secret}", id.unwrap_or_default())))
    }
}

fn tls(mode: TlsMode) -> ListenerTls {
    static SERVER: LazyLock<ListenerTls> = LazyLock::new(|| {
        let chain = include_bytes!("../../../crates/listener/testdata/tls/gateway.pem");
        let key = include_bytes!("../../../crates/listener/testdata/tls/gateway-pkcs8.key");
        let chain = CertificateChain::from_pem(chain).expect("a chain");
        let key = PrivateKey::from_pem(key, None).expect("a key");
        let server = ServerTls {
            identity: Identity::new(chain, key).expect("they belong together"),
            clients: None,
            versions: TlsVersion::ALL.to_vec(),
            ciphers: CipherSuites::default(),
            session_tickets: false,
            keep_secrets: false,
        };
        ListenerTls {
            mode: TlsMode::Tls,
            server: server.build().expect("TLS"),
        }
    });
    ListenerTls {
        mode,
        server: Arc::clone(&SERVER.server),
    }
}
