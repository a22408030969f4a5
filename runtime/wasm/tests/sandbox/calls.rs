//! What becomes of an event, whatever the plugin does with it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use weir_event::{Action, Body, Event, Kind, Object, Pair, Reason, Reference};
use weir_wasm::{
    Cause, Digest, Fault, Filter, Instances, Judgement, Limits, Router, Settings, Stage, Transform,
};

use crate::guests::{WARM, event, guest, host, misbehaving, stage, transformed};

/// What comes of one event with the default limits and a fresh instance.
async fn misbehave(deed: &str) -> Result<Vec<Event>, Fault> {
    let stage = misbehaving(deed, Limits::default(), Instances::Fresh).await;
    transformed(&stage, &event("one")).await
}

async fn cause(deed: &str) -> Cause {
    misbehave(deed).await.unwrap_err().cause
}

async fn filter(say: &str) -> Filter {
    let settings = format!(r#"{{"say": {say}}}"#);
    match stage(&host(), "misjudge", &settings, Limits::default(), WARM).await {
        Ok(Stage::Filter(stage)) => stage,
        other => panic!("{other:?}"),
    }
}

async fn router(config: &str, slaves: &[String]) -> Router {
    let settings = Settings {
        config: config.to_owned(),
        slaves: slaves.to_vec(),
    };
    let plugin = host().read("misroute", &guest("misroute")).unwrap();
    let (limits, instances) = (Limits::default(), Instances::Fresh);
    match plugin.stage("test", &settings, limits, instances).await {
        Ok(Stage::Router(stage)) => stage,
        other => panic!("{other:?}"),
    }
}

fn slaves() -> Vec<String> {
    ["eu", "us", "lab"].map(str::to_owned).to_vec()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", Just("topp".to_owned())]
}

fn object() -> impl Strategy<Value = Object> {
    let kind = prop_oneof![
        prop::sample::select(Kind::KNOWN.to_vec()),
        "novel-[a-z]{1,5}".prop_map(Kind::Other),
    ];
    let name = || prop::option::of(text());
    (kind, name(), name(), name()).prop_map(|(kind, workspace, name, id)| Object {
        kind,
        workspace,
        name,
        id,
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let reference = (text(), object()).prop_map(|(role, target)| Reference { role, target });
    let pair = || (text(), text()).prop_map(|(name, value)| Pair { name, value });
    let body = (text(), prop::collection::vec(any::<u8>(), 0..2000));
    let said = (".{1,40}", text(), text(), any::<Option<u64>>());
    let about = (
        prop_oneof![
            prop::sample::select(Action::KNOWN.to_vec()),
            "novel-[a-z]{1,5}".prop_map(Action::Other),
        ],
        object(),
        prop::option::of(object()),
        prop::collection::vec(reference, 0..5),
    );
    let more = (
        prop::collection::vec(pair(), 0..5),
        prop::collection::vec(pair(), 0..5),
        prop::option::of(body),
    );
    (said, about, more).prop_map(|(said, about, more)| {
        let (id, source, time, sequence) = said;
        let (action, subject, previous, references) = about;
        let (properties, attributes, body) = more;
        let body = body.map(|(content_type, data)| Body {
            content_type,
            data: data.into(),
        });
        Event {
            id,
            source,
            time,
            sequence,
            action,
            subject,
            previous,
            references,
            properties,
            attributes,
            body,
        }
    })
}

/// Into the guest and out of it again nothing is lost, whatever is in an event.
#[test]
fn an_event_comes_back_as_it_went_in() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let echo = misbehaving(r#""echo""#, Limits::default(), Instances::Fresh);
    let stage = runtime.block_on(echo);
    proptest!(|(event in any_event())| {
        let outcomes = runtime.block_on(transformed(&stage, &event)).unwrap();
        prop_assert_eq!(outcomes, [event]);
    });
}

#[tokio::test]
async fn a_filter_keeps_drops_and_fails_as_it_says() {
    let keep = filter(r#""keep""#).await.filter(&event("one")).await;
    assert_eq!(keep.unwrap(), Judgement::Keep);
    let drop = filter(r#"{"drop": "not ours"}"#).await;
    let judged = drop.filter(&event("one")).await.unwrap();
    assert_eq!(judged, Judgement::Drop(Reason::new("not ours")));

    let retry = filter(r#"{"retry": "later"}"#).await;
    let fault = retry.filter(&event("one")).await.unwrap_err();
    assert_eq!(fault.cause, Cause::Retry(Reason::new("later")));
    assert!(matches!(fault.cause, Cause::Retry(_)) && fault.is_worth_a_retry());

    let reject = filter(r#"{"reject": "never"}"#).await;
    let fault = reject.filter(&event("one")).await.unwrap_err();
    assert_eq!(fault.cause, Cause::Reject(Reason::new("never")));
    assert!(matches!(fault.cause, Cause::Reject(_)) && !fault.is_worth_a_retry());
}

#[tokio::test]
async fn a_router_chooses_among_the_slaves_in_their_order() {
    let all = router("{}", &slaves()).await;
    assert_eq!(all.route(&event("one")).await.unwrap(), slaves());
    let none = router("{}", &[]).await;
    assert_eq!(none.route(&event("one")).await.unwrap(), [""; 0]);
    let choice = r#"{"choose": ["lab", "eu", "lab"]}"#;
    let some = router(choice, &slaves()).await;
    assert_eq!(some.route(&event("one")).await.unwrap(), ["eu", "lab"]);
    let other = router(choice, &slaves()[1..]).await;
    let fault = other.route(&event("one")).await.unwrap_err();
    assert_eq!(fault.cause, Cause::UnknownSlave(Reason::new("eu")));
}

#[tokio::test]
async fn a_crash_fails_its_event_and_says_what_the_plugin_wrote() {
    let fault = misbehave(r#""panic""#).await.unwrap_err();
    let Cause::Crashed { trap, said } = &fault.cause else {
        panic!("{fault}");
    };
    assert!(trap.contains("unreachable"), "{trap}");
    assert!(said.contains("as told"), "{said}");
    assert!(!fault.is_worth_a_retry());
    let digest = Digest::of(&fs::read(guest("misbehave")).unwrap()).to_string();
    let start = format!(
        "stage `test`: plugin `misbehave` ({}) crashed: ",
        &digest[..12]
    );
    assert!(fault.to_string().starts_with(&start), "{fault}");

    for deed in [r#""exit""#, r#""recurse""#] {
        let cause = cause(deed).await;
        assert!(matches!(cause, Cause::Crashed { .. }), "{deed}: {cause}");
    }
}

#[tokio::test]
async fn an_endless_loop_ends_when_the_fuel_does() {
    let fuel = Limits::default().fuel;
    assert_eq!(cause(r#""spin""#).await, Cause::OutOfFuel { fuel });
}

#[tokio::test]
async fn a_loop_with_fuel_ends_at_the_deadline_and_lets_other_tasks_go_on() {
    let limits = Limits {
        fuel: u64::MAX,
        deadline: Duration::from_millis(100),
        ..Limits::default()
    };
    let deadline = limits.deadline;
    let stage = misbehaving(r#""spin""#, limits, Instances::Fresh).await;
    // One thread runs both: the other task gets its turn only if the guest lets go of it.
    let mut turns = 0;
    let event = event("one");
    let call = transformed(&stage, &event);
    tokio::pin!(call);
    let fault = loop {
        tokio::select! {
            biased;
            answer = &mut call => break answer.unwrap_err(),
            () = tokio::task::yield_now() => turns += 1,
        }
    };
    assert_eq!(fault.cause, Cause::TooSlow { deadline });
    assert!(fault.is_worth_a_retry());
    assert!(turns > 0);
}

/// Settings that are taken in every instance have their own time, and leave the event's as it is.
#[tokio::test]
async fn time_for_settings_is_not_time_for_the_event() {
    let limits = Limits {
        fuel: u64::MAX,
        deadline: Duration::from_millis(50),
        ..Limits::default()
    };
    let deadline = limits.deadline;
    let stage = misbehaving(r#""dawdle""#, limits, Instances::Fresh).await;
    assert_eq!(
        transformed(&stage, &event("one")).await.unwrap(),
        [event("one")]
    );
    let fault = transformed(&stage, &event("slow")).await.unwrap_err();
    assert_eq!(fault.cause, Cause::TooSlow { deadline });
}

/// Real time is no part of a call: it would come out differently the next time.
#[tokio::test]
async fn a_plugin_that_sleeps_is_woken_at_once_and_sees_the_time_pass() {
    let limits = Limits {
        deadline: Duration::from_secs(10),
        ..Limits::default()
    };
    for instances in [Instances::Fresh, WARM] {
        let stage = misbehaving(r#""sleep""#, limits.clone(), instances).await;
        for _ in 0..2 {
            assert_eq!(said(&stage, "one", "slept").await, "60");
        }
    }
}

#[tokio::test]
async fn memory_below_the_limit_is_granted_and_above_it_is_not() {
    // Touching so much memory takes more fuel and time than the defaults allow.
    let hog = async |memory: u64| {
        let limits = Limits {
            memory,
            fuel: u64::MAX,
            deadline: Duration::from_mins(1),
            ..Limits::default()
        };
        let stage = misbehaving(r#"{"hog": 30}"#, limits, Instances::Fresh).await;
        transformed(&stage, &event("one")).await
    };
    assert!(hog(64 << 20).await.is_ok());
    let Cause::OutOfMemory { memory, .. } = hog(16 << 20).await.unwrap_err().cause else {
        panic!("not out of memory");
    };
    assert_eq!(memory, 16 << 20);
}

#[tokio::test]
async fn outcomes_are_checked() {
    assert_eq!(misbehave(r#"{"flood": 100}"#).await.unwrap().len(), 100);
    assert_eq!(
        cause(r#"{"flood": 101}"#).await,
        Cause::TooManyOutcomes {
            count: 101,
            limit: 100
        }
    );
    assert!(misbehave(r#"{"bloat": 4000000}"#).await.is_ok());
    let huge = cause(r#"{"bloat": 5000000}"#).await;
    assert!(
        matches!(huge, Cause::OutcomeTooLarge { bytes, .. } if bytes > 5_000_000),
        "{huge}"
    );
    for deed in ["twins", "nameless", "kindless"] {
        let cause = cause(&format!(r#""{deed}""#)).await;
        assert!(matches!(cause, Cause::BadOutcome(_)), "{deed}: {cause}");
    }
}

#[tokio::test]
async fn what_an_event_refers_to_can_be_changed_and_not_taken_away() {
    let mut event = event("one");
    event.references.push(Reference {
        role: "store".to_owned(),
        target: Object::of(Kind::DataStore),
    });
    let stage = misbehaving(r#""forget""#, Limits::default(), Instances::Fresh).await;
    let fault = transformed(&stage, &event).await.unwrap_err();
    let Cause::BadOutcome(problem) = fault.cause else {
        panic!("{fault}");
    };
    assert!(
        problem.starts_with("the reference `store` to datastore is missing; a plugin may"),
        "{problem}"
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_fresh_instance() {
    let stage = misbehaving(r#""count""#, Limits::default(), Instances::Fresh).await;
    for _ in 0..3 {
        assert_eq!(said(&stage, "one", "count").await, "1");
    }
}

#[tokio::test]
async fn a_warm_instance_lives_until_it_is_recycled() {
    let warm = Instances::Warm { recycle: 2 };
    let stage = misbehaving(r#""count""#, Limits::default(), warm).await;
    let mut counts = Vec::new();
    for _ in 0..20 {
        counts.push(said(&stage, "one", "count").await);
    }
    // On a busy machine a call may miss the fast lane, and find another instance in the full one.
    assert!(
        counts.iter().all(|count| count == "1" || count == "2"),
        "{counts:?}"
    );
    assert!(counts.iter().any(|count| count == "2"), "{counts:?}");
}

#[tokio::test]
async fn a_warm_instance_that_crashed_is_replaced() {
    let stage = filter(r#""panic""#).await;
    for _ in 0..3 {
        let fault = stage.filter(&event("one")).await.unwrap_err();
        let Cause::Crashed { trap, .. } = fault.cause else {
            panic!("{fault}");
        };
        // An instance that crashed before says something else.
        assert!(trap.contains("unreachable"), "{trap}");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_behind() {
    let endless = Limits {
        fuel: u64::MAX,
        deadline: Duration::from_mins(1),
        ..Limits::default()
    };
    let stage = misbehaving(r#""spin""#, endless, WARM).await;
    for _ in 0..3 {
        let given_up =
            tokio::time::timeout(Duration::ZERO, transformed(&stage, &event("one"))).await;
        assert!(given_up.is_err());
    }
}

/// The value of an attribute that a stage adds to an event of this id.
async fn said(stage: &Transform, id: &str, attribute: &str) -> String {
    let outcomes = transformed(stage, &event(id)).await.unwrap();
    outcomes[0].attribute(attribute).unwrap().to_owned()
}

#[tokio::test]
async fn a_plugin_sees_the_event_and_nothing_else() {
    for instances in [Instances::Fresh, WARM] {
        let stage = misbehaving(r#""peek""#, Limits::default(), instances).await;
        for _ in 0..2 {
            let outcomes = transformed(&stage, &event("one")).await.unwrap();
            let found = |name| outcomes[0].attribute(name).unwrap();
            // The event's time, 2026-08-16T20:13:21.5Z.
            assert_eq!(found("clock"), "1786911201500");
            assert_eq!(found("elapsed"), "1000");
            assert_eq!(found("variables"), "0");
            assert_eq!(found("arguments"), "0");
            assert_eq!(found("files"), "false");
            assert_eq!(found("network"), "false");
        }
    }
}

#[tokio::test]
async fn random_numbers_follow_from_the_id_of_the_event() {
    let stage = misbehaving(r#""peek""#, Limits::default(), Instances::Fresh).await;
    let one = said(&stage, "one", "random").await;
    assert_eq!(said(&stage, "one", "random").await, one);
    assert_ne!(said(&stage, "two", "random").await, one);
    let again = misbehaving(r#""peek""#, Limits::default(), Instances::Fresh).await;
    assert_eq!(said(&again, "one", "random").await, one);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_run_in_tasks_of_their_own() {
    let stage = Arc::new(misbehaving(r#""echo""#, Limits::default(), WARM).await);
    let tasks = (0..8).map(|number| {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            let event = event(&number.to_string());
            assert_eq!(transformed(&stage, &event).await.unwrap(), [event]);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}
