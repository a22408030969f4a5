//! A supervised connection: connects in the background, for ever, each time from nothing.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::faults::fault;
use crate::{AmqpUrl, BusError, State};

/// How long a connection may take to come up where its URL has no `connection_timeout`. A connection
/// that is cut during its handshake says nothing, so this is what an outage costs beyond its end.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the broker may take to answer a request on a channel. Declaring a quorum queue on a
/// busy cluster is the slowest.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the state of a connection is looked at without being told of a change.
const LOOK: Duration = Duration::from_secs(1);

const NO_MORE: &str = "nothing connects any more";

/// A connection that comes back. Dropping it lets go of the connection once its channels are gone.
pub(super) struct Link {
    url: AmqpUrl,
    phase: watch::Receiver<Phase>,
    supervisor: AbortHandle,
}

#[derive(Clone)]
enum Phase {
    /// Not tried yet.
    New,
    Up {
        connection: Arc<Connection>,
        /// How many there were before.
        number: u64,
        blocked: Option<String>,
    },
    Down {
        since: SystemTime,
        error: String,
    },
}

impl Link {
    /// Begins to connect. `name` is what the broker shows for the connection.
    pub(super) fn new(url: &AmqpUrl, name: &'static str) -> Self {
        let (sender, phase) = watch::channel(Phase::New);
        let supervisor = tokio::spawn(supervise(url.clone(), name, sender)).abort_handle();
        Self {
            url: url.clone(),
            phase,
            supervisor,
        }
    }

    /// A new channel, as soon as there is a connection.
    pub(super) async fn wait_for_channel(&self) -> Result<Channel, BusError> {
        self.channel(|phase| phase.connection().is_some()).await
    }

    /// Returns when there is a connection.
    pub(super) async fn wait_until_up(&self) -> Result<(), BusError> {
        let mut phase = self.phase.clone();
        let up = phase.wait_for(|phase| phase.connection().is_some()).await;
        match up {
            Ok(_) => Ok(()),
            Err(_) => Err(BusError::Unavailable(NO_MORE.to_owned())),
        }
    }

    /// Tells of each connection, the one that there is included.
    pub(super) fn arrivals(&self) -> Arrivals {
        Arrivals {
            phase: self.phase.clone(),
            last: None,
        }
    }

    /// A new channel, or the reason why there is no connection; waits for the first attempt only.
    pub(super) async fn first_channel(&self) -> Result<Channel, BusError> {
        self.channel(|phase| !matches!(phase, Phase::New)).await
    }

    async fn channel(&self, ready: impl Fn(&Phase) -> bool) -> Result<Channel, BusError> {
        let mut phase = self.phase.clone();
        let connection = match phase.wait_for(ready).await.as_deref() {
            Ok(Phase::Down { error, .. }) => Err(error.clone()),
            Ok(phase) => phase
                .connection()
                .cloned()
                .ok_or_else(|| "the connection is lost".to_owned()),
            Err(_) => Err(NO_MORE.to_owned()),
        };
        let connection = connection.map_err(BusError::Unavailable)?;
        in_time("channel", connection.create_channel()).await
    }

    pub(super) fn state(&self) -> State {
        match &*self.phase.borrow() {
            Phase::New => State::Disconnected {
                since: SystemTime::now(),
                error: "not yet connected".to_owned(),
            },
            Phase::Up {
                blocked: Some(reason),
                ..
            } => State::Blocked {
                reason: reason.clone(),
            },
            Phase::Up { .. } => State::Connected,
            Phase::Down { since, error } => State::Disconnected {
                since: *since,
                error: error.clone(),
            },
        }
    }
}

impl Phase {
    /// The connection, if it is alive: the supervisor may not have noticed yet.
    fn connection(&self) -> Option<&Arc<Connection>> {
        match self {
            Self::Up { connection, .. } if connection.status().connected() => Some(connection),
            _ => None,
        }
    }
}

/// The connections that a link has, one after the other.
pub(super) struct Arrivals {
    phase: watch::Receiver<Phase>,
    last: Option<u64>,
}

impl Arrivals {
    /// Returns when there is another connection. Cancel-safe.
    pub(super) async fn next(&mut self) {
        let last = self.last;
        let another = |phase: &Phase| match phase {
            Phase::Up { number, .. } => Some(*number) != last,
            _ => false,
        };
        let number = match self.phase.wait_for(another).await.as_deref() {
            Ok(Phase::Up { number, .. }) => Some(*number),
            _ => None,
        };
        if number.is_none() {
            // Nothing connects any more.
            std::future::pending::<()>().await;
        }
        self.last = number;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("url", &self.url)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Awaits an answer of the broker to a request for `what`.
pub(super) async fn in_time<T>(
    what: &str,
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BusError> {
    within(REPLY_TIMEOUT, what, request).await
}

/// The same, where an answer may take another time.
pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BusError> {
    match timeout(limit, request).await {
        Ok(answer) => answer.map_err(|error| fault(what, &error)),
        Err(_) => Err(BusError::Unavailable(format!(
            "no answer about the {what} within {} s",
            limit.as_secs()
        ))),
    }
}

async fn supervise(url: AmqpUrl, name: &'static str, phase: watch::Sender<Phase>) {
    let mut backoff = Backoff::default();
    let mut since = SystemTime::now();
    let mut number = 0;
    loop {
        let error = match connect(&url, name).await {
            Ok(connection) => {
                tracing::info!(%url, name, "connected");
                backoff = Backoff::default();
                let error = watch_over(connection, number, &phase).await;
                number += 1;
                since = SystemTime::now();
                error
            }
            Err(error) => error,
        };
        tracing::warn!(%url, name, error, "no connection");
        phase.send_replace(Phase::Down { since, error });
        backoff.pause().await;
    }
}

async fn connect(url: &AmqpUrl, name: &str) -> Result<Connection, String> {
    let mut uri = url.0.clone();
    let default = u64::try_from(CONNECT_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    let limit = Duration::from_millis(*uri.query.connection_timeout.get_or_insert(default));
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    match timeout(limit, Connection::connect_uri(uri, properties)).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

/// Shows the connection to its users until it is lost, and returns why it was.
async fn watch_over(connection: Connection, number: u64, phase: &watch::Sender<Phase>) -> String {
    // The only listener: two would each get a part of the events.
    let mut events = Box::pin(connection.events_listener());
    let connection = Arc::new(connection);
    let show = |blocked| {
        phase.send_replace(Phase::Up {
            connection: Arc::clone(&connection),
            number,
            blocked,
        });
    };
    show(None);
    let mut last_error = "the connection was closed".to_owned();
    // A connection that broke before the listener was there is noticed by looking.
    while connection.status().connected() {
        match timeout(LOOK, events.next()).await {
            Ok(Some(Event::ConnectionBlocked(reason))) => {
                tracing::warn!(reason, "the broker takes no messages");
                show(Some(reason));
            }
            Ok(Some(Event::ConnectionUnblocked)) => show(None),
            Ok(Some(Event::Error(error))) => last_error = error.to_string(),
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => break,
        }
    }
    last_error
}

/// Pauses that grow from 200 ms to 10 s, with jitter, so that a broker that comes back is not met
/// by everybody at once.
pub(super) struct Backoff(Duration);

impl Backoff {
    const LEAST: Duration = Duration::from_millis(200);
    const MOST: Duration = Duration::from_secs(10);

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(rand::random_range(0.5..=1.0));
        self.0 = self.0.saturating_mul(2).min(Self::MOST);
        pause
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self(Self::LEAST)
    }
}
