//! What a node had taken from others, and not yet written to its components, when it was killed or
//! hung (contract D1).

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use switchyard_tests::{
    Cluster, Component, ComponentReceiver, ComponentSender, Fate, History, PATIENCE, eventually,
    http,
};

/// More than every buffer on the way can hold: sockets, the outbox, the link's window.
const MESSAGES: u64 = 3_000;
const BODY: usize = 16_000;

/// The lease of a node is 10 s; a machine under load may need a little longer to see its end.
const LEASE_AND_MORE: Duration = Duration::from_secs(60);

#[test]
fn contract_d1_what_a_killed_node_had_not_written_is_answered_once_by_the_senders_node()
-> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let victim = (cluster.leader()? + 1) % 3;
        let mut flood = Flood::start(cluster, victim)?;
        thread::scope(|scope| {
            let sending = scope.spawn(|| flood.sender.send_all());
            flood.outcomes.wait_until_stuck(cluster, victim)?;
            cluster[victim].kill();
            // What was in the socket is the component's.
            flood.outcomes.receive_rest(&mut flood.stuck);
            flood.outcomes.await_answers(&mut flood.answers)?;
            sending.join().expect("no thread panics")
        })?;
        flood.outcomes.judge()
    })
}

#[test]
fn contract_d1_what_a_hung_node_had_not_written_is_not_written_when_it_comes_back() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let victim = (cluster.leader()? + 1) % 3;
        let mut flood = Flood::start(cluster, victim)?;
        let mut probe = cluster[(victim + 1) % 3].connect("probe.example")?;
        thread::scope(|scope| {
            let sending = scope.spawn(|| flood.sender.send_all());
            flood.outcomes.wait_until_stuck(cluster, victim)?;
            cluster[victim].pause()?;
            eventually("the hung node to be given up", LEASE_AND_MORE, || {
                probe.send_message("stuck.example", "1")?;
                probe
                    .receive_error("1", "remote-server-not-found", "cancel")
                    .map(drop)
            })?;
            cluster[victim].resume()?;
            // It reads again, and may have lost its stream: a stanza was cut in half.
            scope.spawn(|| flood.outcomes.receive_rest(&mut flood.stuck));
            flood.outcomes.await_answers(&mut flood.answers)?;
            sending.join().expect("no thread panics")
        })?;
        flood.outcomes.judge()
    })
}

/// A component that sends to one on another node, which does not read.
struct Flood {
    sender: Sending,
    outcomes: Arc<Outcomes>,
    answers: ComponentReceiver,
    stuck: ComponentReceiver,
    _stuck: ComponentSender,
}

struct Sending {
    socket: ComponentSender,
    outcomes: Arc<Outcomes>,
}

/// What became of the messages.
#[derive(Default)]
struct Outcomes(Mutex<History>);

impl Flood {
    fn start(cluster: &Cluster, victim: usize) -> Result<Self> {
        let flood = cluster[(victim + 1) % 3].connect("flood.example")?;
        let stuck = cluster[victim].connect("stuck.example")?;
        let outcomes = Arc::<Outcomes>::default();
        let (socket, answers) = Component::split(flood);
        let (own, stuck) = stuck.split();
        let sender = Sending {
            socket,
            outcomes: outcomes.clone(),
        };
        Ok(Self {
            sender,
            outcomes,
            answers,
            stuck,
            _stuck: own,
        })
    }
}

impl Sending {
    fn send_all(&mut self) -> Result<()> {
        let body = "z".repeat(BODY);
        (0..MESSAGES).try_for_each(|_| {
            let id = self.outcomes.0.lock().send();
            self.socket.send(&format!(
                "<message from='flood.example' to='stuck.example' id='{id}'><body>{body}</body></message>"
            ))
        })
    }
}

impl Outcomes {
    /// Waits until the sender has not got on for a while, nor the link.
    fn wait_until_stuck(&self, cluster: &Cluster, victim: usize) -> Result<()> {
        let http = cluster[(victim + 1) % 3].config().http;
        let mut before = None;
        eventually("the sender is held up", PATIENCE, || {
            thread::sleep(Duration::from_millis(500));
            let (_, page) = http::get(http, "/metrics")?;
            let held = page
                .lines()
                .filter(|line| line.starts_with("switchyard_link_held_bytes"))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
                .max();
            let now = (self.0.lock().sent(), held.context("no such metric")?);
            ensure!(now.0 < MESSAGES, "everything is buffered");
            let stuck = now.1 > 500_000 && before == Some(now);
            before = Some(now);
            ensure!(stuck, "messages sent and bytes held: {now:?}");
            Ok(())
        })
    }

    /// Reads what there is, to the end of the stream.
    fn receive_rest(&self, stuck: &mut ComponentReceiver) {
        while let Ok(Some(stanza)) = stuck.receive_within(Duration::from_secs(3)) {
            if let Ok(number) = stanza.attribute("id").parse() {
                self.0.lock().delivered(number);
            }
        }
    }

    /// Reads answers until every message has an outcome.
    fn await_answers(&self, answers: &mut ComponentReceiver) -> Result<()> {
        eventually("an outcome for every message", LEASE_AND_MORE, || {
            while let Some(stanza) = answers.receive_within(Duration::from_millis(200))? {
                let (condition, _) = stanza.stanza_error().context("not an error")?;
                let number = stanza.attribute("id").parse()?;
                self.0.lock().bounced(number, condition);
            }
            let history = self.0.lock();
            ensure!(
                history.sent() == MESSAGES && history.outstanding() == 0,
                "{history}"
            );
            Ok(())
        })
    }

    /// The component did not read, so everything that had been written was confirmed: no outcome is
    /// undecidable.
    fn judge(&self) -> Result<()> {
        let history = self.0.lock();
        eprintln!("{history}");
        let lost = history.bounces().get("remote-server-timeout");
        ensure!(lost.is_some_and(|lost| *lost > 20), "{history}");
        history.judge(Fate::Stayed)
    }
}
