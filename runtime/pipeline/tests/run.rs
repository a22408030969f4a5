//! The loop of a pipeline, between ends in memory and with time that is driven.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be is a failure")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_event::{Dialect, HeaderValue, Message, Reason};
use weir_pipeline::chain::{Chain, Side};
use weir_pipeline::crashes::Crashes;
use weir_pipeline::ends::{Confirmation, Delivery, EndError, Received, Sink, SinkFailure, Source};
use weir_pipeline::line::Policy;
use weir_pipeline::names::Names;
use weir_pipeline::observe::{Observation, Observer};
use weir_pipeline::run::{Pipeline, RunError, Stopped};

/// What the ends and the test share.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is set by another test")]
struct World {
    waiting: VecDeque<Received>,
    accepted: Vec<u64>,
    closed: bool,
    /// While true, the sink fails whatever it is given.
    away: bool,
    /// While true, the sink keeps its confirmations to itself.
    silent: bool,
    /// While true, handing a message to the sink does not come to an end.
    stuck: bool,
    /// What was handed out is void, as a source notices that is not asked for deliveries.
    lost: bool,
    /// The most bytes of headers that dead letters may have.
    header_limit: usize,
    arrived: Vec<Message>,
    dead: Vec<Message>,
    observed: Vec<String>,
}

type Shared = Arc<Mutex<World>>;

struct MemorySource(Shared);

#[async_trait]
impl Source for MemorySource {
    async fn next(&mut self) -> Result<Received, EndError> {
        loop {
            if let Some(received) = self.0.lock().unwrap().waiting.pop_front() {
                return Ok(received);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn accept_through(&mut self, tag: u64) -> Result<(), EndError> {
        self.0.lock().unwrap().accepted.push(tag);
        Ok(())
    }

    async fn lost(&mut self) {
        loop {
            if std::mem::take(&mut self.0.lock().unwrap().lost) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn close(self: Box<Self>) {
        self.0.lock().unwrap().closed = true;
    }
}

struct MemorySink {
    world: Shared,
    dead: bool,
    tickets: u64,
    open: VecDeque<Confirmation>,
}

#[async_trait]
impl Sink for MemorySink {
    async fn publish(&mut self, message: Message) -> u64 {
        let stuck = self.world.lock().unwrap().stuck;
        if stuck {
            std::future::pending::<()>().await;
        }
        self.tickets += 1;
        let mut world = self.world.lock().unwrap();
        let result = if !is_sendable(&message, world.header_limit) {
            Err(SinkFailure::Permanent(Reason::new("no broker takes it")))
        } else if self.dead {
            world.dead.push(message);
            Ok(())
        } else if world.away {
            Err(SinkFailure::Transient(Reason::new("away")))
        } else {
            world.arrived.push(message);
            Ok(())
        };
        self.open.push_back(Confirmation {
            ticket: self.tickets,
            result,
        });
        self.tickets
    }

    async fn confirmed(&mut self) -> Confirmation {
        loop {
            if !self.world.lock().unwrap().silent
                && let Some(confirmation) = self.open.pop_front()
            {
                return confirmation;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// As AMQP has it: short strings for names, and all headers in one frame.
fn is_sendable(message: &Message, header_limit: usize) -> bool {
    let texts = [&message.message_id, &message.content_type];
    let short = texts
        .into_iter()
        .flatten()
        .chain([&message.routing_key])
        .chain(message.headers.keys())
        .all(|text| text.len() <= 255);
    short && message.headers_size() <= header_limit
}

struct Watching(Shared);

impl Observer for Watching {
    fn observe(&self, observation: &Observation<'_>) {
        let told = match observation {
            Observation::Held { .. } => "held",
            Observation::Swapped => "swapped",
            Observation::Restarted => "restarted",
            Observation::Dropped { .. } => "dropped",
            Observation::Rejected { .. } => "rejected",
            _ => return,
        };
        self.0.lock().unwrap().observed.push(told.to_owned());
    }
}

struct Rig {
    world: Shared,
    chain: watch::Sender<Arc<Chain>>,
    stop: CancellationToken,
    run: JoinHandle<Result<Stopped, RunError>>,
}

fn chain(subscribe: &str) -> Chain {
    Chain {
        side: Side::Slave {
            name: "eu".to_owned(),
            subscribe: vec![subscribe.parse().unwrap()],
            dialect: Dialect::CloudEvents,
            version: None,
        },
        stages: Vec::new(),
        max_message: 10_000,
        max_outcome_bytes: 100_000,
    }
}

fn start(policy: Policy) -> Rig {
    start_with(policy, chain("#"))
}

fn start_with(policy: Policy, chain: Chain) -> Rig {
    let world = Shared::default();
    world.lock().unwrap().header_limit = 120 << 10;
    let sink = |dead| {
        let world = Arc::clone(&world);
        Box::new(MemorySink {
            world,
            dead,
            tickets: 0,
            open: VecDeque::new(),
        })
    };
    let (sender, receiver) = watch::channel(Arc::new(chain));
    let pipeline = Pipeline {
        name: "slave eu".to_owned(),
        source: Box::new(MemorySource(Arc::clone(&world))),
        sink: sink(false),
        hydrate: None,
        dead: sink(true),
        chain: receiver,
        names: Names::default(),
        crashes: Crashes::default(),
        policy,
        observer: Arc::new(Watching(Arc::clone(&world))),
    };
    let stop = CancellationToken::new();
    let run = tokio::spawn(pipeline.run(stop.clone(), Duration::from_secs(30)));
    Rig {
        world,
        chain: sender,
        stop,
        run,
    }
}

fn message(number: u64) -> Message {
    let payload = format!(
        r#"{{"specversion":"1.0","id":"{number}","source":"/m","type":"weir.catalog.layer.removed.v1","subject":"workspaces/topp/layers/l{number}"}}"#
    );
    Message {
        routing_key: "topp.layer.removed".to_owned(),
        content_type: Some("application/cloudevents+json".to_owned()),
        payload: payload.into(),
        ..Message::default()
    }
}

impl Rig {
    fn deliver(&self, tag: u64, message: Message) {
        let delivery = Delivery {
            tag,
            redelivered: false,
            message,
            asked: None,
        };
        self.world
            .lock()
            .unwrap()
            .waiting
            .push_back(Received::Delivery(delivery));
    }

    async fn until(&self, condition: impl Fn(&World) -> bool) {
        for _ in 0..1_000_000 {
            if condition(&self.world.lock().unwrap()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("waited in vain");
    }

    async fn stop(self) -> (Stopped, Shared) {
        self.stop.cancel();
        (self.run.await.unwrap().unwrap(), self.world)
    }
}

fn ids(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .map(|message| message.message_id.clone().unwrap())
        .collect()
}

fn expected(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_in_order_and_is_accepted_many_at_a_time() {
    let rig = start(Policy::default());
    for number in 1..=1000 {
        rig.deliver(number, message(number));
    }
    rig.until(|world| world.accepted.last() == Some(&1000))
        .await;
    let (stopped, world) = rig.stop().await;
    let world = world.lock().unwrap();
    assert_eq!(stopped, Stopped { given_back: 0 });
    assert_eq!(ids(&world.arrived), expected(1..=1000));
    assert!(
        world.accepted.is_sorted() && world.accepted.len() <= 100,
        "{:?}",
        world.accepted
    );
    assert!(world.closed);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_before_it_is_confirmed() {
    let rig = start(Policy {
        capacity: 5,
        ..Policy::default()
    });
    rig.world.lock().unwrap().silent = true;
    for number in 1..=10 {
        rig.deliver(number, message(number));
    }
    rig.until(|world| world.arrived.len() == 5).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    {
        let world = rig.world.lock().unwrap();
        assert_eq!(
            (world.arrived.len(), world.accepted.len()),
            (5, 0),
            "the line is full"
        );
    }
    rig.world.lock().unwrap().silent = false;
    rig.until(|world| world.accepted.last() == Some(&10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_away_is_waited_for() {
    let rig = start(Policy::default());
    rig.world.lock().unwrap().away = true;
    for number in 1..=20 {
        rig.deliver(number, message(number));
    }
    rig.until(|world| world.observed.len() >= 5).await;
    assert!(rig.world.lock().unwrap().accepted.is_empty());
    rig.world.lock().unwrap().away = false;
    rig.until(|world| world.accepted.last() == Some(&20)).await;
    let world = rig.world.lock().unwrap();
    assert_eq!(ids(&world.arrived), expected(1..=20));
    assert!(world.dead.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_sink_that_is_away() {
    let rig = start(Policy::default());
    rig.world.lock().unwrap().away = true;
    for number in 1..=3 {
        rig.deliver(number, message(number));
    }
    rig.until(|world| world.observed.len() >= 3).await;
    let started = tokio::time::Instant::now();
    let (stopped, world) = rig.stop().await;
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(stopped, Stopped { given_back: 3 });
    assert!(world.lock().unwrap().accepted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_is_in_flight_until_its_deadline() {
    let rig = start(Policy::default());
    rig.world.lock().unwrap().silent = true;
    rig.deliver(1, message(1));
    rig.until(|world| world.arrived.len() == 1).await;
    let started = tokio::time::Instant::now();
    let (stopped, _) = rig.stop().await;
    assert_eq!(stopped, Stopped { given_back: 1 });
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_buried_as_it_came() {
    let rig = start(Policy::default());
    let mut broken = message(1);
    broken.payload = "no JSON".into();
    broken
        .headers
        .insert("x-count".to_owned(), HeaderValue::Integer(7));
    rig.deliver(1, broken.clone());
    rig.deliver(
        2,
        Message {
            payload: vec![b' '; 10_001].into(),
            ..message(2)
        },
    );
    rig.deliver(3, message(3));
    rig.until(|world| world.accepted.last() == Some(&3)).await;
    let world = rig.world.lock().unwrap();
    assert_eq!(ids(&world.arrived), ["3"]);
    assert_eq!(world.dead.len(), 2);
    assert_eq!(world.dead[0].payload, broken.payload);
    assert_eq!(world.dead[0].headers["x-count"], HeaderValue::Integer(7));
    assert_eq!(world.dead[0].header("weir-pipeline"), Some("slave eu"));
    let reason = world.dead[1].header("weir-reason").unwrap();
    assert!(reason.contains("10001 bytes"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_starts_again_has_its_deliveries_handled_again() {
    let rig = start(Policy::default());
    rig.world.lock().unwrap().silent = true;
    rig.deliver(1, message(1));
    rig.until(|world| world.arrived.len() == 1).await;
    rig.world
        .lock()
        .unwrap()
        .waiting
        .push_back(Received::Restarted);
    rig.deliver(2, message(1));
    rig.until(|world| world.arrived.len() == 2).await;
    rig.world.lock().unwrap().silent = false;
    rig.until(|world| world.accepted == [2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_chain_takes_over_and_routes_are_minded() {
    let rig = start(Policy::default());
    rig.deliver(1, message(1));
    let mut chosen = message(2);
    chosen
        .headers
        .insert("weir-slaves".to_owned(), "us,eu".into());
    rig.deliver(2, chosen);
    let mut others = message(3);
    others.headers.insert("weir-slaves".to_owned(), "us".into());
    rig.deliver(3, others);
    rig.until(|world| world.accepted.last() == Some(&3)).await;
    rig.chain.send_replace(Arc::new(chain("elsewhere.#")));
    rig.until(|world| world.observed.contains(&"swapped".to_owned()))
        .await;
    rig.deliver(4, message(4));
    rig.until(|world| world.accepted.last() == Some(&4)).await;
    let world = rig.world.lock().unwrap();
    assert_eq!(ids(&world.arrived), ["1", "2"]);
    assert_eq!(world.observed, ["dropped", "swapped", "dropped"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_sink_that_hangs() {
    let rig = start(Policy::default());
    rig.world.lock().unwrap().stuck = true;
    rig.deliver(1, message(1));
    rig.until(|world| world.waiting.is_empty()).await;
    let started = tokio::time::Instant::now();
    let (stopped, world) = rig.stop().await;
    assert_eq!(stopped, Stopped { given_back: 1 });
    assert_eq!(started.elapsed().as_secs(), 30);
    assert!(world.lock().unwrap().closed);
}

#[tokio::test(start_paused = true)]
async fn a_full_line_hears_that_its_deliveries_are_void() {
    let rig = start(Policy {
        capacity: 2,
        ..Policy::default()
    });
    rig.world.lock().unwrap().away = true;
    rig.deliver(1, message(1));
    rig.deliver(2, message(2));
    rig.until(|world| world.observed.len() >= 3).await;
    rig.world.lock().unwrap().lost = true;
    rig.until(|world| world.observed.contains(&"restarted".to_owned()))
        .await;
    rig.world.lock().unwrap().away = false;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(
        rig.world.lock().unwrap().arrived.is_empty(),
        "nothing void is sent"
    );
    rig.deliver(3, message(1));
    rig.until(|world| world.accepted == [3]).await;
}

/// What accepting frees is room in bytes: the second delivery was waiting for it.
#[tokio::test(start_paused = true)]
async fn what_waited_for_bytes_goes_on_when_they_are_free() {
    let rig = start(Policy {
        // More than one delivery and its outcome, less than another delivery beside them.
        bytes: 3 * message(1).size(),
        ..Policy::default()
    });
    rig.world.lock().unwrap().silent = true;
    rig.deliver(1, message(1));
    rig.deliver(2, message(2));
    rig.until(|world| world.arrived.len() == 1 && world.waiting.is_empty())
        .await;
    rig.world.lock().unwrap().silent = false;
    rig.until(|world| world.accepted.last() == Some(&2)).await;
}

/// The bytes of payloads that are held now, and the most that ever were.
#[derive(Default)]
struct Held {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Payload(Vec<u8>, Arc<Held>);

impl Payload {
    fn of(size: usize, held: &Arc<Held>) -> Self {
        let now = held.now.fetch_add(size, Ordering::SeqCst) + size;
        held.most.fetch_max(now, Ordering::SeqCst);
        Self(vec![b'x'; size], Arc::clone(held))
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.1.now.fetch_sub(self.0.len(), Ordering::SeqCst);
    }
}

/// Makes large messages when it is asked for them.
struct LargeSource {
    left: u64,
    size: usize,
    held: Arc<Held>,
    world: Shared,
}

#[async_trait]
impl Source for LargeSource {
    async fn next(&mut self) -> Result<Received, EndError> {
        if self.left == 0 {
            return Ok(Received::End);
        }
        self.left -= 1;
        let message = Message {
            payload: Bytes::from_owner(Payload::of(self.size, &self.held)),
            ..Message::default()
        };
        Ok(Received::Delivery(Delivery {
            tag: 1000 - self.left,
            redelivered: false,
            message,
            asked: None,
        }))
    }

    async fn accept_through(&mut self, tag: u64) -> Result<(), EndError> {
        self.world.lock().unwrap().accepted.push(tag);
        // What the sink has is the sink's.
        self.world.lock().unwrap().dead.clear();
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_bounded_by_bytes() {
    const SIZE: usize = 16 << 20;
    let world = Shared::default();
    world.lock().unwrap().header_limit = 120 << 10;
    let held = Arc::new(Held::default());
    let sink = |dead| {
        Box::new(MemorySink {
            world: Arc::clone(&world),
            dead,
            tickets: 0,
            open: VecDeque::new(),
        })
    };
    let policy = Policy::default();
    let bytes = policy.bytes;
    let mut large = chain("#");
    large.max_message = SIZE;
    let (_chain, receiver) = watch::channel(Arc::new(large));
    let pipeline = Pipeline {
        name: "master cloud".to_owned(),
        source: Box::new(LargeSource {
            left: 256,
            size: SIZE,
            held: Arc::clone(&held),
            world: Arc::clone(&world),
        }),
        sink: sink(false),
        hydrate: None,
        dead: sink(true),
        chain: receiver,
        names: Names::default(),
        crashes: Crashes::default(),
        policy,
        observer: Arc::new(Watching(Arc::clone(&world))),
    };
    let stopped = pipeline
        .run(CancellationToken::new(), Duration::from_secs(30))
        .await;
    assert_eq!(stopped.unwrap(), Stopped { given_back: 0 });
    assert_eq!(world.lock().unwrap().accepted.last(), Some(&1000));
    let most = held.most.load(Ordering::SeqCst);
    assert!(most <= bytes + SIZE, "{most} bytes were held");
    assert_eq!(held.now.load(Ordering::SeqCst), 0);
}

fn header_value() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        Just(HeaderValue::Null),
        (1_usize..200_000).prop_map(|size| HeaderValue::Text("h".repeat(size))),
        any::<i64>().prop_map(HeaderValue::Integer),
    ];
    leaf.prop_recursive(24, 30, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(HeaderValue::List),
            prop::collection::btree_map("[a-z]{1,300}", inner, 0..3).prop_map(HeaderValue::Table),
        ]
    })
}

/// Payloads that quote much of themselves when they are refused, or that are none.
fn payload() -> impl Strategy<Value = Bytes> {
    let long = 1_usize..300_000;
    prop_oneof![
        ".{0,60}".prop_map(Bytes::from),
        any::<Vec<u8>>().prop_map(Bytes::from),
        long.clone().prop_map(|size| {
            let kind = "\u{fc}".repeat(size / 2);
            format!(r#"{{"specversion":"1.0","id":"1","source":"/m","type":"weir.catalog.layer.{kind}.v1","subject":"workspaces/topp/layers/l"}}"#).into()
        }),
        long.clone().prop_map(|size| {
            let version = "9".repeat(size);
            format!(r#"{{"specversion":"{version}","id":"1","source":"/m","type":"x"}}"#).into()
        }),
        long.prop_map(|size| {
            let id = "i".repeat(size);
            format!(r#"{{"specversion":"1.0","id":"{id}","source":"/m","type":"weir.catalog.layer.added.v1","subject":"workspaces/topp/layers/l"}}"#).into()
        }),
        (1_usize..300).prop_map(|depth| "[".repeat(depth).into()),
    ]
}

prop_compose! {
    fn hostile()(
        routing_key in prop_oneof!["[a-z.]{0,20}", "\\PC{200,300}"],
        message_id in prop::option::of("\\PC{0,300}"),
        content_type in prop::option::of("\\PC{0,300}"),
        headers in prop::collection::btree_map("[a-z-]{1,280}", header_value(), 0..4),
        payload in payload(),
    ) -> Message {
        Message { routing_key, message_id, content_type, headers, payload, ..Message::default() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_message_can_jam_a_pipeline(
        messages in prop::collection::vec(hostile(), 1..8),
        smallest_frames in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut tolerant = chain("#");
            tolerant.max_message = 1 << 20;
            let rig = start_with(Policy::default(), tolerant);
            if smallest_frames {
                rig.world.lock().unwrap().header_limit = 7 << 10;
            }
            let count = messages.len() as u64;
            for (tag, message) in (1..).zip(messages) {
                rig.deliver(tag, message);
            }
            rig.until(|world| world.accepted.last() == Some(&count)).await;
            rig.stop().await;
        });
    }
}
