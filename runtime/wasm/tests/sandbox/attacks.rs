//! Hostile plugins, many at once, and what a neighbour feels of them: its events are answered, and
//! timers of other tasks fire. How late is printed; `make bench` measures it on a quiet machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasm_encoder::{
    Component, ComponentAliasSection, ComponentInstanceSection, ComponentOuterAliasKind,
    InstanceSection, MemorySection, MemoryType, Module, ModuleArg, ModuleSection,
    NestedComponentSection, TableSection, TableType,
};
use weir_wasm::{Instances, Judgement, Limits, LoadError, Outcome, Stage, Transform};

use crate::guests::{WARM, event, host, misbehaving, stage};

/// What an attack must come to.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Every event fails, and says why with these words.
    Fails(&'static str),
    /// The plugin does no harm, and its events are answered.
    Answers,
}

use End::{Answers, Fails};

const ATTACKS: [(&str, End); 19] = [
    (r#""panic""#, Fails("crashed")),
    (r#""exit""#, Fails("crashed")),
    (r#""recurse""#, Fails("crashed")),
    (r#""spin""#, Fails("had no result within")),
    (r#""sleep""#, Answers),
    (r#"{"hog": 200}"#, Fails("ran out of memory")),
    (r#"{"flood": 101}"#, Fails("returned 101 events")),
    (r#"{"flood": 100000}"#, Fails("")),
    (r#"{"bloat": 5000000}"#, Fails("returned an event of")),
    (r#"{"bloat": 60000000}"#, Fails("")),
    (r#""twins""#, Fails("breaks the contract")),
    (r#""nameless""#, Fails("breaks the contract")),
    (r#""kindless""#, Fails("breaks the contract")),
    (r#"{"chatter": 1000000}"#, Answers),
    (r#""print""#, Answers),
    (r#"{"retry": "for ever"}"#, Fails("asks for another try")),
    (r#"{"reject": "you"}"#, Fails("rejects the event")),
    (r#""count""#, Answers),
    (r#""peek""#, Answers),
];

/// How many of each attack run at one time, and for how long.
const ATTACKERS: usize = 4;
const TIME: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attackers_fail_alone() {
    let neighbour = neighbour().await;
    let mut table = Vec::new();
    for (deed, end) in ATTACKS {
        for instances in [Instances::Fresh, WARM] {
            let limits = Limits {
                // Fuel would end most of them sooner.
                fuel: u64::MAX,
                deadline: Duration::from_millis(100),
                ..Limits::default()
            };
            let attacker = Arc::new(misbehaving(deed, limits, instances).await);
            let over = Arc::new(AtomicBool::new(false));
            let attacks: Vec<_> = (0..ATTACKERS)
                .map(|_| tokio::spawn(attack(Arc::clone(&attacker), end, Arc::clone(&over))))
                .collect();
            let (answers, lags) = tokio::join!(ask(&neighbour), watch_timers());
            over.store(true, Ordering::Relaxed);
            let mut failures = 0;
            for attack in attacks {
                failures += attack.await.unwrap();
            }
            table.push(format!(
                "{deed:24} {failures:6} attacks, a neighbour's answer p99 {:8.3} ms, timers late p99 {:8.3} ms",
                p99(answers),
                p99(lags),
            ));
        }
    }
    eprintln!("{}", table.join("\n"));
}

async fn neighbour() -> weir_wasm::Filter {
    let settings = r#"{"say": "keep"}"#;
    let (limits, instances) = (Limits::default(), Instances::Fresh);
    match stage(&host(), "misjudge", settings, limits, instances).await {
        Ok(Stage::Filter(stage)) => stage,
        other => panic!("{other:?}"),
    }
}

/// Attacks until it is over; says how often.
async fn attack(attacker: Arc<Transform>, end: End, over: Arc<AtomicBool>) -> usize {
    let mut attacks = 0;
    while !over.load(Ordering::Relaxed) {
        match (attacker.transform(&event("one")).await, end) {
            (Ok(Outcome::Unchanged | Outcome::Replaced(_)), Answers) => {}
            // While all of them fight for two cores, anything may be too slow.
            (Err(fault), _) if fault.to_string().contains("had no result within") => {}
            (Err(fault), Fails(words)) => {
                assert!(fault.to_string().contains(words), "{fault}");
            }
            (answer, end) => panic!("{answer:?} instead of {end:?}"),
        }
        attacks += 1;
        tokio::task::yield_now().await;
    }
    attacks
}

/// How long a neighbour's events took. Each is answered, and rightly.
async fn ask(neighbour: &weir_wasm::Filter) -> Vec<Duration> {
    let (start, mut answers) = (Instant::now(), Vec::new());
    while start.elapsed() < TIME {
        let asked = Instant::now();
        let answer = neighbour.filter(&event("neighbour")).await;
        answers.push(asked.elapsed());
        assert_eq!(answer, Ok(Judgement::Keep));
        tokio::task::yield_now().await;
    }
    answers
}

/// How late timers fired.
async fn watch_timers() -> Vec<Duration> {
    const STEP: Duration = Duration::from_millis(2);
    let (start, mut lags) = (Instant::now(), Vec::new());
    while start.elapsed() < TIME {
        let set = Instant::now();
        tokio::time::sleep(STEP).await;
        lags.push(set.elapsed().saturating_sub(STEP));
    }
    lags
}

/// In milliseconds.
fn p99(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() * 99 / 100].as_secs_f64() * 1e3
}

fn nothing<T>() -> [(&'static str, T, u32); 0] {
    []
}

/// Definitions that each instantiate the one before twice.
fn doubling() -> Vec<u8> {
    let mut root = Component::new();
    root.section(&NestedComponentSection(&Component::new()));
    for before in 0..60 {
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(wasm_encoder::Alias::Outer {
            kind: ComponentOuterAliasKind::Component,
            count: 1,
            index: before,
        });
        let mut instances = ComponentInstanceSection::new();
        for _ in 0..2 {
            instances.instantiate(0, nothing::<wasm_encoder::ComponentExportKind>());
        }
        let mut component = Component::new();
        component.section(&aliases).section(&instances);
        root.section(&NestedComponentSection(&component));
    }
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate(60, nothing::<wasm_encoder::ComponentExportKind>());
    root.section(&instances);
    root.finish()
}

fn instantiated(module: &Module, times: u32) -> Vec<u8> {
    let mut root = Component::new();
    root.section(&ModuleSection(module));
    let mut instances = InstanceSection::new();
    for _ in 0..times {
        let nothing: [(&str, ModuleArg); 0] = [];
        instances.instantiate(0, nothing);
    }
    root.section(&instances);
    root.finish()
}

fn with_memories(count: u32) -> Module {
    let mut memories = MemorySection::new();
    for _ in 0..count {
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
    }
    let mut module = Module::new();
    module.section(&memories);
    module
}

fn with_tables(count: u32) -> Module {
    let mut tables = TableSection::new();
    for _ in 0..count {
        tables.table(TableType {
            element_type: wasm_encoder::RefType::FUNCREF,
            minimum: 1,
            maximum: None,
            table64: false,
            shared: false,
        });
    }
    let mut module = Module::new();
    module.section(&tables);
    module
}

#[test]
fn what_would_take_a_machine_is_refused_unread() {
    let directory = tempfile::tempdir().unwrap();
    for (name, component, words) in [
        ("doubling", doubling(), "too many instances of components"),
        (
            "modules",
            instantiated(&Module::new(), 10_000),
            "too many instances of core modules",
        ),
        (
            "memories",
            instantiated(&with_memories(1), 50),
            "too many memories",
        ),
        (
            "memories-at-once",
            instantiated(&with_memories(50), 1),
            "too many memories",
        ),
        (
            "tables",
            instantiated(&with_tables(20), 20),
            "too many tables",
        ),
    ] {
        let path = directory.path().join(format!("{name}.wasm"));
        std::fs::write(&path, component).unwrap();
        let started = Instant::now();
        let error = host().read(name, &path).unwrap_err();
        assert!(matches!(error, LoadError::Unfit { .. }), "{name}: {error}");
        assert!(error.to_string().contains(words), "{name}: {error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}");
    }
}
