//! The echo component of ../../../README.md by tokio-xmpp. A stream of it ends with its connection;
//! the next one is made here.
//!
//!     echo HOST PORT DOMAIN SECRET

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::sleep;
use tokio_xmpp::connect::{DnsConfig, TcpServerConnector};
use tokio_xmpp::jid::Jid;
use tokio_xmpp::minidom::Element;
use tokio_xmpp::parsers::iq::Iq;
use tokio_xmpp::parsers::message::{Lang, Message, MessageType};
use tokio_xmpp::parsers::ping::Ping;
use tokio_xmpp::xmlstream::Timeouts;
use tokio_xmpp::{Component, Stanza};

const RETRY: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [host, port, domain, secret] = &arguments[..] else {
        return ExitCode::from(2);
    };
    loop {
        let dns = DnsConfig::addr(&format!("{host}:{port}"));
        match Component::new_plaintext(domain, secret, dns, Timeouts::tight()).await {
            Ok(component) => {
                println!("connected");
                let mut echo = Echo {
                    component,
                    asked: 0,
                    questions: HashMap::new(),
                };
                let reason = echo.run().await.err();
                println!(
                    "disconnected {}",
                    reason.unwrap_or("the stream has ended".into())
                );
            }
            Err(tokio_xmpp::Error::Auth(error)) => {
                println!("refused {error:?}: {error}");
                return ExitCode::FAILURE;
            }
            Err(error) => eprintln!("not connected: {error}"),
        }
        sleep(RETRY).await;
    }
}

struct Echo {
    component: Component<TcpServerConnector>,
    asked: u64,
    /// The messages that asked something, by the id of the iq that carries the question.
    questions: HashMap<String, Message>,
}

impl Echo {
    async fn run(&mut self) -> Result<(), Box<dyn Error>> {
        while let Some(stanza) = self.component.next().await {
            if let Some(reply) = self.reply(stanza)? {
                self.component.send_stanza(reply).await?;
            }
        }
        Ok(())
    }

    fn reply(&mut self, stanza: Stanza) -> Result<Option<Stanza>, Box<dyn Error>> {
        Ok(match stanza {
            Stanza::Message(message) if message.type_ == MessageType::Error => None,
            Stanza::Message(message) => Some(match body(&message).strip_prefix("ask ") {
                Some(whom) => self.ask(Jid::new(whom)?, message.clone()).into(),
                None => back(message).into(),
            }),
            Stanza::Iq(Iq::Get {
                from,
                to,
                id,
                payload,
            }) => Some(
                Iq::Result {
                    from: to,
                    to: from,
                    id,
                    payload: Some(payload),
                }
                .into(),
            ),
            Stanza::Iq(Iq::Result { id, .. }) => self.answer(&id, "result".to_owned()),
            Stanza::Iq(Iq::Error { id, error, .. }) => {
                let condition = Element::from(error.defined_condition);
                self.answer(&id, format!("error {}", condition.name()))
            }
            _ => None,
        })
    }

    fn ask(&mut self, whom: Jid, message: Message) -> Iq {
        self.asked += 1;
        let id = format!("question-{}", self.asked);
        let from = message.to.clone();
        self.questions.insert(id.clone(), message);
        Iq::Get {
            from,
            to: Some(whom),
            id,
            payload: Ping.into(),
        }
    }

    fn answer(&mut self, id: &str, text: String) -> Option<Stanza> {
        let mut answer = back(self.questions.remove(id)?);
        answer.bodies = [(Lang::default(), text)].into();
        Some(answer.into())
    }
}

fn body(message: &Message) -> &str {
    message.bodies.values().next().map_or("", String::as_str)
}

/// The same message, to where it came from.
fn back(mut message: Message) -> Message {
    std::mem::swap(&mut message.from, &mut message.to);
    message
}
