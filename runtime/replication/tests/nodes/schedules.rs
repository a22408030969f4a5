//! Any changes of any small catalog, told in any way: the slave is what the master is.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use weir_event::{Action, Event};
use weir_test_geoserver::Moment;

use crate::changes::{Change, Place};
use crate::rig::Rig;

/// How many schedules a run tries if `PROPTEST_CASES` does not say: some seconds.
const CASES: u32 = 16;

/// How long a frame waits for others that may have been lost.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long it waits for others that come, on however busy a machine.
const LONG_PATIENCE: Duration = Duration::from_secs(5);

const WORKSPACES: &[&str] = &["wa", "wb", "wc"];
const STORES: &[&str] = &["s1", "s2"];
const TYPES: &[&str] = &["f1", "f2", "f3"];
const STYLES: &[&str] = &["n1", "n2", "line"];
const GROUPS: &[&str] = &["g1", "g2", "g3"];

#[derive(Clone, Debug)]
enum Step {
    Make(Change),
    /// What was announced is told.
    Tell(Telling),
    Trouble(Trouble),
}

/// How hints are told.
#[derive(Clone, Debug)]
struct Telling {
    /// Which of the neighbouring hints are told in the other order.
    swapped: u16,
    twice: u16,
    lost: u16,
}

#[derive(Clone, Debug)]
enum Trouble {
    /// A call that is not done.
    Fails(u64),
    /// A call of which the answer is lost.
    Cut(u64),
    Down,
    /// The slave's memory is what was kept, or nothing.
    Restart(bool),
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![Just(None), select(WORKSPACES).prop_map(Some)]
}

fn change() -> impl Strategy<Value = Change> {
    use Change as C;
    let (within, store) = (|| select(WORKSPACES), || select(STORES));
    let (named, style, group) = (|| select(TYPES), || select(STYLES), || select(GROUPS));
    let said = || 0..4_u8;
    let styles = || vec((place(), style()), 1..3);
    let member = prop_oneof![
        (within().prop_map(Some), named()),
        (within().prop_map(Some), named()),
        (place(), group()),
    ];
    let common = prop_oneof![
        (within(), any::<bool>()).prop_map(|(w, it)| C::Workspace(w, it)),
        (within(), store(), said()).prop_map(|(w, s, it)| C::Store(w, s, it)),
        (within(), store(), named(), said()).prop_map(|(w, s, f, it)| C::Type(w, s, f, it)),
        (within(), store(), named(), said()).prop_map(|(w, s, f, it)| C::Type(w, s, f, it)),
        (within(), named(), styles(), said())
            .prop_map(|(w, f, styles, it)| C::Layer(w, f, styles, it)),
        (place(), style(), said()).prop_map(|(w, n, it)| C::Style(w, n, it)),
        (place(), group(), vec(member, 1..4), said())
            .prop_map(|(w, g, m, it)| C::Group(w, g, m, it)),
    ];
    let renames = prop_oneof![
        (within(), within()).prop_map(|(w, to)| C::RenameWorkspace(w, to)),
        (within(), store(), store()).prop_map(|(w, s, to)| C::RenameStore(w, s, to)),
        (within(), named(), named()).prop_map(|(w, f, to)| C::RenameType(w, f, to)),
        (within(), named(), named()).prop_map(|(w, f, to)| C::RenameType(w, f, to)),
        (place(), style(), style()).prop_map(|(w, n, to)| C::RenameStyle(w, n, to)),
    ];
    let removals = prop_oneof![
        within().prop_map(C::RemoveWorkspace),
        (within(), store()).prop_map(|(w, s)| C::RemoveStore(w, s)),
        (within(), named()).prop_map(|(w, f)| C::RemoveType(w, f)),
        (place(), style()).prop_map(|(w, n)| C::RemoveStyle(w, n)),
        (place(), group()).prop_map(|(w, g)| C::RemoveGroup(w, g)),
        within().prop_map(C::RemoveSettings),
        within().prop_map(C::RemoveTemplate),
    ];
    let others = prop_oneof![
        within().prop_map(C::Default),
        (within(), said()).prop_map(|(w, it)| C::Settings(w, it)),
        (place(), said()).prop_map(|(w, it)| C::Service(w, it)),
        said().prop_map(C::Rules),
        (within(), said()).prop_map(|(w, it)| C::Template(w, it)),
    ];
    prop_oneof![6 => common, 3 => renames, 2 => removals, 2 => others]
}

fn telling() -> impl Strategy<Value = Step> {
    let few = || prop_oneof![Just(0), any::<u16>().prop_map(|bits| bits & (bits >> 3))];
    (few(), few(), few()).prop_map(|(swapped, twice, lost)| {
        Step::Tell(Telling {
            swapped,
            twice,
            lost,
        })
    })
}

fn trouble() -> impl Strategy<Value = Step> {
    let trouble = prop_oneof![
        (1..30_u64).prop_map(Trouble::Fails),
        (1..30_u64).prop_map(Trouble::Cut),
        Just(Trouble::Down),
        any::<bool>().prop_map(Trouble::Restart),
    ];
    trouble.prop_map(Step::Trouble)
}

/// A catalog that has some of everything.
fn beginning() -> Vec<Step> {
    use Change as C;
    let changes = [
        C::Workspace("wa", false),
        C::Workspace("wb", false),
        C::Style(None, "n1", 1),
        C::Style(Some("wa"), "n1", 2),
        C::Store("wa", "s1", 1),
        C::Store("wb", "s1", 1),
        C::Type("wa", "s1", "f1", 1),
        C::Type("wa", "s1", "f2", 1),
        C::Type("wb", "s1", "f1", 1),
        C::Layer("wa", "f1", vec![(Some("wa"), "n1"), (None, "n1")], 1),
        C::Group(
            None,
            "g1",
            vec![(Some("wa"), "f1"), (Some("wb"), "f1"), (Some("wa"), "f1")],
            1,
        ),
        C::Group(Some("wa"), "g2", vec![(Some("wa"), "f2")], 1),
        C::Group(None, "g2", vec![(None, "g1"), (Some("wa"), "f2")], 1),
    ];
    changes.into_iter().map(Step::Make).collect()
}

fn schedule(trouble: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![5 => change().prop_map(Step::Make), 3 => telling(), 1 => trouble];
    vec(step, 1..40)
}

impl Telling {
    /// Hints that say that something is gone or has another name are told, and where they stand:
    /// nothing else tells that.
    fn of(&self, mut hints: Vec<Event>) -> Vec<Event> {
        let is_plain = |hint: &Event| hint.action != Action::Removed && hint.previous.is_none();
        let chosen = |bits: u16, index: usize| bits >> (index % 16) & 1 == 1;
        for index in 1..hints.len() {
            if chosen(self.swapped, index) && is_plain(&hints[index - 1]) && is_plain(&hints[index])
            {
                hints.swap(index - 1, index);
            }
        }
        let mut told = Vec::new();
        for (index, hint) in hints.into_iter().enumerate() {
            if chosen(self.lost, index) && is_plain(&hint) {
                continue;
            }
            if chosen(self.twice, index) {
                told.push(hint.clone());
            }
            told.push(hint);
        }
        told
    }
}

/// Runs a schedule; gives how the slave differs in the end.
async fn run(prefix: &'static str, steps: Vec<Step>, loses: bool) -> Vec<String> {
    let patience = if loses { PATIENCE } else { LONG_PATIENCE };
    let mut rig = Rig::new(prefix, patience).await;
    let mut hints: Vec<Event> = Vec::new();
    for step in beginning().into_iter().chain(steps) {
        match step {
            Step::Make(change) => {
                // What is in it is asked for by its older name.
                if !loses && matches!(change, Change::RenameWorkspace(..)) {
                    rig.tell(&std::mem::take(&mut hints)).await;
                }
                hints.extend(change.make(&rig.master, &rig.node).await);
            }
            Step::Tell(telling) => {
                let hints = std::mem::take(&mut hints);
                let hints = if loses { telling.of(hints) } else { hints };
                rig.tell(&hints).await;
            }
            Step::Trouble(Trouble::Fails(nth)) => rig.slave.fail(nth, 503),
            Step::Trouble(Trouble::Cut(nth)) => rig.slave.cut(nth, Moment::After),
            Step::Trouble(Trouble::Down) => rig.slave.down(),
            Step::Trouble(Trouble::Restart(remembers)) => rig.restart(remembers),
        }
    }
    rig.tell(&hints).await;
    rig.slave.up();
    if loses {
        rig.slave.heal();
        let mut refused = rig.walk().await;
        refused.extend(rig.tell_the_dead().await);
        assert_eq!(refused, [] as [&str; 0]);
    }
    assert_eq!(rig.slave.tables_created(), [] as [&str; 0]);
    let mut differences = rig.differences();
    if !loses {
        // No master announces what becomes of its tile layers.
        differences.retain(|it| !it.starts_with("gwc/layers/"));
    }
    differences
}

fn holds(loses: bool) {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let schedules = (select(&["", "eu_"][..]), schedule(trouble()));
    let result = TestRunner::new(config).run(&schedules, |(prefix, steps)| {
        let differences = runtime.block_on(run(prefix, steps, loses));
        prop_assert_eq!(differences, [] as [&str; 0]);
        Ok(())
    });
    if let Err(failed) = result {
        panic!("{failed}");
    }
}

#[test]
fn a_walk_mends_whatever_was_lost() {
    holds(true);
}

#[test]
fn nothing_needs_a_walk_where_nothing_is_lost() {
    holds(false);
}
