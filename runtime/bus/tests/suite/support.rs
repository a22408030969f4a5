//! Buses to test on, and short ways to say what a test does with them.

use std::fmt::Display;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::{Connection, ConnectionProperties};
use tempfile::TempDir;
use weir_bus::{
    Address, AmqpUrl, Bus, Confirmation, Consumer, PublishError, Publisher, Received,
    Subscriptions, Topology,
};
use weir_event::{Message, Subscription};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names the broker that the tests may use as they like: `tests/rabbitmq ctl` reaches it, too.
const URL: &str = "WEIR_TEST_AMQP_URL";

/// How many virtual hosts are made at once: a call of `rabbitmqctl` takes long, and each test needs
/// a virtual host of its own.
const VHOSTS: usize = 48;

/// An empty bus of one test.
pub(crate) struct Fixture {
    pub(crate) address: Address,
    /// With the password, on RabbitMQ.
    pub(crate) url: Option<String>,
    _directory: Option<TempDir>,
}

impl Fixture {
    pub(crate) fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::Embedded(directory.path().to_owned());
        Self {
            address,
            url: None,
            _directory: Some(directory),
        }
    }

    /// `None`, and says so, if there is no broker to test with.
    pub(crate) fn rabbitmq() -> Option<Self> {
        let (url, _) = vhost()?;
        Some(Self {
            address: url.parse().unwrap(),
            url: Some(url),
            _directory: None,
        })
    }

    /// The bus, with no slaves.
    pub(crate) async fn bus(&self) -> Bus {
        let bus = within("opening the bus", Bus::open(&self.address))
            .await
            .unwrap();
        attach(&bus, &[]).await;
        bus
    }
}

/// The URL of a virtual host that nobody else uses, and its name.
pub(crate) fn vhost() -> Option<(String, String)> {
    static MADE: OnceLock<Option<(String, String)>> = OnceLock::new();
    static USED: AtomicUsize = AtomicUsize::new(0);
    let (url, prefix) = MADE.get_or_init(make_vhosts).as_ref()?;
    let index = USED.fetch_add(1, Ordering::Relaxed);
    assert!(index < VHOSTS, "raise VHOSTS");
    let name = format!("{prefix}-{index}");
    Some((format!("{url}/{name}"), name))
}

#[expect(clippy::print_stderr, reason = "a test that is skipped has to say so")]
fn make_vhosts() -> Option<(String, String)> {
    let Ok(url) = std::env::var(URL) else {
        eprintln!(
            "skipped: {URL} is not set; `tests/rabbitmq start` prints it, `make test` sets it"
        );
        return None;
    };
    let (scheme, rest) = url.split_once("://").expect("this is a URL");
    let (server, _) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
    let login = server.split_once('@').map_or("guest", |(login, _)| login);
    let (user, _) = login.split_once(':').unwrap_or((login, ""));
    let prefix = format!("test-{}", std::process::id());
    let expression = format!(
        // First those go whose process has gone.
        "[rabbit_vhost:delete(V, <<\"test\">>) || V <- rabbit_vhost:list_names(), \
         [\"test\", Process, _] <- [string:tokens(binary_to_list(V), \"-\")], \
         not filelib:is_dir(\"/proc/\" ++ Process)], \
         [begin New = list_to_binary(\"{prefix}-\" ++ integer_to_list(N)), \
         rabbit_vhost:add(New, <<\"test\">>), \
         rabbit_auth_backend_internal:set_permissions(\
         <<\"{user}\">>, New, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>) end \
         || N <- lists:seq(0, {})].",
        VHOSTS - 1
    );
    let made = rabbitmqctl(&["eval", &expression]);
    assert!(made.status.success(), "{made:?}");
    Some((format!("{scheme}://{server}"), prefix))
}

pub(crate) fn rabbitmqctl(arguments: &[&str]) -> Output {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/rabbitmq"))
        .arg("ctl")
        .args(arguments)
        .output()
        .unwrap()
}

pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// Has the bus keep these slaves, with what they subscribe to.
pub(crate) async fn attach(bus: &Bus, wanted: &[(&str, &[&str])]) {
    let topology = Topology {
        slaves: slaves(wanted),
        ..Topology::default()
    };
    within("maintaining", bus.maintain(&topology))
        .await
        .unwrap();
}

pub(crate) fn slaves(slaves: &[(&str, &[&str])]) -> Subscriptions {
    let slaves = slaves.iter();
    slaves
        .map(|(slave, patterns)| ((*slave).to_owned(), subscriptions(patterns)))
        .collect()
}

pub(crate) fn subscriptions(patterns: &[&str]) -> Vec<Subscription> {
    patterns
        .iter()
        .map(|pattern| pattern.parse().unwrap())
        .collect()
}

/// A message that is known by its id.
pub(crate) fn message(key: &str, id: impl Display) -> Message {
    let id = id.to_string();
    Message {
        routing_key: key.to_owned(),
        content_type: Some("text/plain".to_owned()),
        payload: format!("payload of {id}").into(),
        message_id: Some(id),
        ..Message::default()
    }
}

/// Publishes messages `first..=last`, and waits until each is confirmed.
pub(crate) async fn publish(
    publisher: &mut Publisher,
    key: &str,
    numbers: std::ops::RangeInclusive<u32>,
) {
    for number in numbers.clone() {
        publisher.publish(message(key, number)).await;
    }
    for number in numbers {
        let confirmation = within("a confirm", publisher.confirmed()).await;
        assert_eq!(confirmation.result, Ok(()), "message {number}");
    }
}

/// Publishes messages, and waits until each is confirmed.
pub(crate) async fn publish_all(
    publisher: &mut Publisher,
    messages: impl IntoIterator<Item = Message>,
) {
    let mut sent = 0;
    for message in messages {
        publisher.publish(message).await;
        sent += 1;
    }
    for _ in 0..sent {
        let confirmation = within("a confirm", publisher.confirmed()).await;
        assert_eq!(confirmation.result, Ok(()));
    }
}

/// A delivery, taken apart.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) delivery_count: u32,
    pub(crate) message: Message,
}

impl Taken {
    pub(crate) fn id(&self) -> &str {
        self.message.message_id.as_deref().unwrap_or_default()
    }
}

pub(crate) async fn take(consumer: &mut Consumer) -> Taken {
    match within("a delivery", consumer.next()).await.unwrap() {
        Received::Delivery {
            tag,
            redelivered,
            delivery_count,
            message,
        } => Taken {
            tag,
            redelivered,
            delivery_count,
            message,
        },
        Received::Restarted => panic!("the connection was lost"),
    }
}

/// The ids of the next `count` messages, and the tag of the last.
pub(crate) async fn take_ids(consumer: &mut Consumer, count: usize) -> (Vec<String>, u64) {
    let (mut ids, mut last) = (Vec::new(), 0);
    for _ in 0..count {
        let taken = take(consumer).await;
        ids.push(taken.id().to_owned());
        last = taken.tag;
    }
    (ids, last)
}

pub(crate) fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers
        .into_iter()
        .map(|number| number.to_string())
        .collect()
}

/// Asserts that nothing comes. A delivery that should not come needs a moment to show itself; too
/// short a moment cannot fail a bus that is right.
pub(crate) async fn assert_quiet(consumer: &mut Consumer) {
    let moment = Duration::from_millis(300);
    if let Ok(received) = tokio::time::timeout(moment, consumer.next()).await {
        panic!("received {received:?}");
    }
}

/// The URL of a fixture on RabbitMQ.
pub(crate) fn amqp(address: &Address) -> &AmqpUrl {
    match address {
        Address::Amqp(url) => url,
        Address::Embedded(_) => panic!("not on RabbitMQ"),
    }
}

/// The virtual host of a fixture on RabbitMQ.
pub(crate) fn vhost_of(fixture: &Fixture) -> &str {
    let url = fixture.url.as_deref().unwrap_or_default();
    url.rsplit('/').next().unwrap_or_default()
}

/// What became of one message.
pub(crate) async fn publish_one(
    publisher: &mut Publisher,
    message: Message,
) -> Result<(), PublishError> {
    let sent = publisher.publish(message).await;
    let Confirmation { ticket, result } = within("a confirm", publisher.confirmed()).await;
    assert_eq!(ticket, sent);
    result
}

/// A channel of somebody else.
pub(crate) async fn channel(fixture: &Fixture) -> lapin::Channel {
    let url = fixture.url.as_deref().unwrap();
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    connection.create_channel().await.unwrap()
}
