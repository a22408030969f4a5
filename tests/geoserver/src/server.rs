//! A double that listens.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::BufStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::faults::{Fault, Faults};
use crate::http::{self, Reply, Request};
use crate::snapshot::Document;
use crate::state::State;
use crate::{Moment, snapshot};

/// How many calls are remembered: more than the largest bootstrap of a test makes.
const CALLS: usize = 2_000_000;

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// The path as it came, with the query: `/geoserver/rest/layers/a:b.json?x=y`.
    pub target: String,
    /// What was answered; none if nothing was, because it hung or was cut off.
    pub status: Option<u16>,
}

impl Call {
    /// True for what only looks.
    pub fn is_read(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// A GeoServer that is none. It is gone when this is dropped.
#[derive(Debug)]
pub struct GeoServer {
    shared: Arc<Shared>,
    url: String,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    calls: Mutex<VecDeque<Call>>,
    /// GeoServer has one for its whole configuration: who writes waits for all, and all for him.
    configuration: RwLock<()>,
    up: watch::Sender<bool>,
}

impl GeoServer {
    pub const USER: &str = "admin";
    pub const PASSWORD: &str = "geoserver";

    /// An empty GeoServer on a free port of 127.0.0.1.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// An empty GeoServer on a port of 127.0.0.1; 0 is a free one.
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://{}/geoserver", listener.local_addr()?);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(url.clone())),
            faults: Mutex::default(),
            calls: Mutex::default(),
            configuration: RwLock::default(),
            up: watch::Sender::new(true),
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            url,
            listening,
        })
    }

    /// `http://127.0.0.1:PORT/geoserver`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every call since the start, or since they were forgotten, in the order of their answers.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).iter().cloned().collect()
    }

    pub fn forget_calls(&self) {
        lock(&self.shared.calls).clear();
    }

    /// Every call takes this long, and one that changes something lets no other run meanwhile.
    pub fn slow(&self, by: Duration) {
        lock(&self.shared.faults).slowness = by;
    }

    /// The `nth` call from now on is not done and has this answer. 1 is the next one.
    pub fn fail(&self, nth: u64, status: u16) {
        lock(&self.shared.faults).add(nth, Fault::Status(status));
    }

    /// The `nth` call from now on is never answered.
    pub fn hang(&self, nth: u64, moment: Moment) {
        lock(&self.shared.faults).add(nth, Fault::Hang(moment));
    }

    /// The connection of the `nth` call from now on is closed without an answer.
    pub fn cut(&self, nth: u64, moment: Moment) {
        lock(&self.shared.faults).add(nth, Fault::Cut(moment));
    }

    /// No more faults, and no slowness.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Closes all connections, and every new one at once, until it is [`up`](Self::up) again.
    pub fn down(&self) {
        self.shared.up.send_replace(false);
    }

    pub fn up(&self) {
        self.shared.up.send_replace(true);
    }

    /// Everything that there is, by its path, as the interface shows it, but without what differs
    /// between two servers that are alike: links, dates, ids, cipher text (passwords are plain),
    /// the order of what has none, and `updateSequence`. What goes by a default is shown as that.
    pub fn state(&self) -> BTreeMap<String, Document> {
        snapshot::of(&lock(&self.shared.state))
    }

    /// Says what a store, `workspace:store`, has: native names, each with what GeoServer finds out
    /// about it (`{}` for the usual): `srs`, `attributes`, `nativeBoundingBox`, `latLonBoundingBox`
    /// and so on, as the interface writes them.
    pub fn tables(&self, store: &str, tables: impl IntoIterator<Item = (String, Value)>) {
        let mut state = lock(&self.shared.state);
        state
            .tables
            .insert(store.to_owned(), tables.into_iter().collect());
    }

    /// Which tables were made because somebody published what was not there, with its attributes:
    /// `workspace:store/table`. A real GeoServer makes them in a database that is somebody's.
    pub fn tables_created(&self) -> Vec<String> {
        lock(&self.shared.state).tables_created.clone()
    }

    /// Of which layers the tiles were thrown away.
    pub fn truncated(&self) -> Vec<String> {
        lock(&self.shared.state).truncated.clone()
    }

    /// Which version it says it is; 2.21.2 if nothing else is said.
    pub fn set_version(&self, version: &str) {
        version.clone_into(&mut lock(&self.shared.state).version);
    }
}

impl Drop for GeoServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// A test that panics while it holds a lock has failed already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped, it ends all connections.
    let mut connections = JoinSet::new();
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            // Too many open files: some will be closed.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let mut up = shared.up.subscribe();
            tokio::select! {
                // The client will notice.
                _ = serve(connection, &shared) => {}
                _ = up.wait_for(|up| !up) => {}
            }
        });
    }
}

async fn serve(connection: TcpStream, shared: &Shared) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut stream = BufStream::new(connection);
    while let Some(request) = http::read(&mut stream).await? {
        let (fault, slowness) = {
            let mut faults = lock(&shared.faults);
            (faults.next(), faults.slowness)
        };
        let reply = match fault {
            Some(Fault::Hang(Moment::Before) | Fault::Cut(Moment::Before)) => None,
            Some(Fault::Status(status)) => {
                sleep(slowness).await;
                Some(Reply::empty(status))
            }
            _ => Some(shared.answer(&request, slowness).await),
        };
        let is_told = matches!(fault, None | Some(Fault::Status(_)));
        let told = reply.filter(|_| is_told);
        shared.remember(&request, told.as_ref().map(|reply| reply.status));
        match (fault, told) {
            (_, Some(reply)) => http::write(&mut stream, &request.method, &reply).await?,
            (Some(Fault::Hang(_)), None) => pending().await,
            (_, None) => return Ok(()),
        }
    }
    Ok(())
}

impl Shared {
    async fn answer(&self, request: &Request, slowness: Duration) -> Reply {
        if request.header("authorization") != credentials() {
            let realm = "Basic realm=\"GeoServer Realm\"";
            return Reply::empty(401).with("WWW-Authenticate", realm);
        }
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let is_configuration =
            path.first() == Some(&"rest") && !matches!(path.get(1), Some(&"resource" | &"about"));
        let (_reading, _writing);
        if is_configuration && request.is_read() {
            _reading = self.configuration.read().await;
        } else if is_configuration {
            _writing = self.configuration.write().await;
        }
        if !slowness.is_zero() {
            sleep(slowness).await;
        }
        lock(&self.state).answer(request)
    }

    fn remember(&self, request: &Request, status: Option<u16>) {
        let mut calls = lock(&self.calls);
        if calls.len() == CALLS {
            calls.pop_front();
        }
        calls.push_back(Call {
            method: request.method.clone(),
            target: request.target.clone(),
            status,
        });
    }
}

fn credentials() -> String {
    let login = format!("{}:{}", GeoServer::USER, GeoServer::PASSWORD);
    format!("Basic {}", STANDARD.encode(login))
}
