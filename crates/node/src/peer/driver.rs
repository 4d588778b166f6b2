use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use switchyard_registry::{Connector, Incarnation, PeerAddress};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, warn};

use super::backoff::Backoff;
use super::link::Link;
use super::link_error::{LinkError, Remedy};
use super::outgoing::Outgoing;
use super::proto::link_client::LinkClient;
use super::proto::{LinkResponse, Welcome, link_response::Frame};
use super::{Life, PeersConfig, batch, hello, transport};

/// Keeps one link connected for as long as the peer lives.
pub(super) struct Driver {
    pub(super) link: Arc<Link>,
    pub(super) config: Arc<PeersConfig>,
    /// This node's own life.
    pub(super) life: watch::Receiver<Option<Life>>,
    /// Drawn at random by this process.
    pub(super) process: u64,
    /// Counts the streams of this process.
    pub(super) attempts: Arc<AtomicU64>,
}

/// An open stream. The link has been told.
struct Connection {
    /// Keeps the channel open.
    _client: LinkClient<Channel>,
    responses: Streaming<LinkResponse>,
}

impl Driver {
    /// Runs until the link is retired.
    pub(super) async fn run(mut self) {
        let retired = self.link.retired().clone();
        tokio::select! {
            () = retired.cancelled() => {}
            () = self.keep_connected() => {}
        }
    }

    async fn keep_connected(&mut self) {
        let timings = self.config.timings;
        let seed = self.process ^ self.link.peer().node.0;
        let mut backoff = Backoff::new(timings.backoff_min, timings.backoff_max, seed);
        let mut told = false;
        loop {
            let (error, was_open) = match self.connect_within_grace().await {
                Ok(connection) => (self.serve(connection).await, true),
                Err(error) => (error, false),
            };
            self.link.lose(timings.grace);
            let peer = self.link.peer();
            debug!(peer = peer.name, node = %peer.node, %error, "Link is down");
            let remedy = error.remedy();
            // A stream that opens only to end in disagreement is no success.
            if was_open && remedy != Remedy::Abandon {
                backoff.reset();
                told = false;
            }
            let pause = match remedy {
                Remedy::Retire => return self.link.retire(),
                Remedy::Retry => backoff.pause(),
                Remedy::RetrySlowly => {
                    self.tell_once(&mut told, &error);
                    timings.refused
                }
                Remedy::Abandon => {
                    self.tell_once(&mut told, &error);
                    self.link.abandon_session();
                    // The new sequence is the cure: whoever waits need not wait for more than that.
                    backoff.pause()
                }
            };
            self.within_grace(sleep(pause)).await;
        }
    }

    fn tell_once(&self, told: &mut bool, error: &LinkError) {
        if !std::mem::replace(told, true) {
            let peer = self.link.peer();
            warn!(peer = peer.name, node = %peer.node, %error, "Peer refuses the link");
        }
    }

    /// Does `work` while the link is down, and gives up waiting parcels when their time has come.
    async fn within_grace<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Some(until) = self.link.grace_ends() {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(until) => self.link.give_up(),
            }
        }
        work.await
    }

    async fn connect_within_grace(&mut self) -> Result<Connection, LinkError> {
        let mut life = self.life.clone();
        let Ok(own) = self
            .within_grace(async {
                life.wait_for(Option::is_some)
                    .await
                    .map(|life| life.clone())
            })
            .await
        else {
            // Whoever could begin a life is gone: the process is ending.
            return std::future::pending().await;
        };
        self.life = life;
        match own {
            Some(own) => self.within_grace(self.connect(&own)).await,
            None => Err(LinkError::NewLife),
        }
    }

    async fn connect(&self, own: &Life) -> Result<Connection, LinkError> {
        let timings = &self.config.timings;
        let attempt = async {
            let channel = self
                .endpoint()?
                .connect_with_connector(self.connector())
                .await
                .map_err(LinkError::Connect)?;
            self.shake_hands(channel, own).await
        };
        timeout(timings.connect + timings.handshake, attempt)
            .await
            .unwrap_or(Err(LinkError::TimedOut))
    }

    fn endpoint(&self) -> Result<Endpoint, LinkError> {
        let address = self.link.address();
        transport::endpoint(&address, &self.config.timings).ok_or(LinkError::Address(address))
    }

    fn connector(&self) -> Connector {
        let peer = PeerAddress {
            address: self.link.address(),
            name: Some(self.link.peer().name.to_string()),
        };
        Connector::new(Arc::clone(&self.config.dialer), peer)
    }

    async fn shake_hands(&self, channel: Channel, own: &Life) -> Result<Connection, LinkError> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let position = self.link.begin(attempt);
        let peer = self.link.peer();
        let receiver = (peer.node, peer.incarnation);
        let hello = hello::say(&self.config, own, self.process, attempt, position, receiver);
        let link = Arc::clone(&self.link);
        let requests = Outgoing::new(link, attempt, self.config.batch_bytes, hello);
        let mut client = LinkClient::new(channel)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        let mut responses = client.open(requests).await?.into_inner();
        let first = responses
            .message()
            .await?
            .and_then(|response| response.frame);
        let Some(Frame::Welcome(welcome)) = first else {
            return Err(LinkError::Frame);
        };
        self.welcome(&welcome)?;
        Ok(Connection {
            _client: client,
            responses,
        })
    }

    fn welcome(&self, welcome: &Welcome) -> Result<(), LinkError> {
        let peer = self.link.peer();
        if welcome.incarnation != peer.incarnation.0 {
            return Err(LinkError::PeersNewLife(Incarnation(welcome.incarnation)));
        }
        self.link.welcome(welcome)?;
        debug!(peer = peer.name, node = %peer.node, last_seq = welcome.last_seq, "Link is open");
        Ok(())
    }

    /// Takes answers until the stream ends, and says why it did.
    async fn serve(&mut self, mut connection: Connection) -> LinkError {
        loop {
            let response = tokio::select! {
                _ = self.life.changed() => return LinkError::NewLife,
                response = connection.responses.message() => response,
            };
            let taken = match response {
                Ok(Some(response)) => self.take(response),
                Ok(None) => Err(LinkError::Closed),
                Err(status) => Err(status.into()),
            };
            if let Err(error) = taken {
                return error;
            }
        }
    }

    fn take(&self, response: LinkResponse) -> Result<(), LinkError> {
        match response.frame {
            Some(Frame::Ack(ack)) => self.link.ack(&ack)?,
            Some(Frame::Reject(reject)) => self.link.reject(&reject)?,
            Some(Frame::Congestion(congestion)) => {
                let to = congestion.destination.as_ref();
                if let Some(to) = to.and_then(batch::decode_destination) {
                    self.link.set_congested(to, congestion.congested);
                }
            }
            Some(Frame::Welcome(_)) => return Err(LinkError::Frame),
            // A frame of a later version, which may be ignored.
            None => {}
        }
        Ok(())
    }
}
