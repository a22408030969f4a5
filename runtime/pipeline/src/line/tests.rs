use super::*;

const NOW: Duration = Duration::ZERO;

fn line(policy: Policy) -> Line<u64, String> {
    Line::new(policy, 1)
}

fn accepted(line: &mut Line<u64, String>) -> Option<u64> {
    line.accept().map(|settled| settled.last)
}

fn outcome(text: &str) -> Processed<String> {
    Processed::Outcomes {
        messages: vec![text.to_owned()],
        bytes: text.len(),
    }
}

/// The turn of the delivery that is to be processed now.
fn begin(line: &mut Line<u64, String>, now: Duration, number: u64) -> u64 {
    match line.next(now) {
        Step::Process { turn, delivery } if *delivery == number => turn,
        other => panic!("{other:?}"),
    }
}

/// Takes one delivery through processing and sending, under the ticket `100 + number`.
fn send(line: &mut Line<u64, String>, number: u64) {
    line.received(number, 10);
    let turn = begin(line, NOW, number);
    line.processed(NOW, turn, outcome(&number.to_string()));
    assert_eq!(line.next(NOW), Step::Publish(&number.to_string()));
    line.sent(100 + number);
}

#[test]
fn accepts_in_order_and_only_what_is_confirmed() {
    let mut line = line(Policy::default());
    for number in 0..3 {
        send(&mut line, number);
    }
    line.confirmed(NOW, 101, Ok(()));
    assert_eq!(accepted(&mut line), None, "0 is not confirmed");
    line.confirmed(NOW, 100, Ok(()));
    assert_eq!(accepted(&mut line), Some(1));
    assert_eq!(line.len(), 1);
}

#[test]
fn a_dropped_event_waits_for_those_before_it() {
    let mut line = line(Policy::default());
    send(&mut line, 0);
    line.received(1, 10);
    let turn = begin(&mut line, NOW, 1);
    line.processed(
        NOW,
        turn,
        Processed::Outcomes {
            messages: Vec::new(),
            bytes: 0,
        },
    );
    assert_eq!(accepted(&mut line), None);
    line.confirmed(NOW, 100, Ok(()));
    assert_eq!(accepted(&mut line), Some(1));
}

#[test]
fn a_failed_outcome_is_sent_again_with_all_that_followed() {
    let mut line = line(Policy::default());
    for number in 0..3 {
        send(&mut line, number);
    }
    line.confirmed(NOW, 102, Ok(()));
    let notice = line.confirmed(NOW, 101, Err(SinkFailure::Transient(Reason::new("away"))));
    let Some(Notice::Held { pause, .. }) = notice else {
        panic!("{notice:?}")
    };
    assert_eq!(line.next(NOW), Step::WaitUntil(pause));
    assert_eq!(
        line.next(pause),
        Step::Wait,
        "0 may show that the sink is back"
    );
    line.confirmed(pause, 100, Ok(()));
    for (ticket, expected) in [(201, "1"), (202, "2")] {
        assert_eq!(line.next(pause), Step::Publish(&expected.to_owned()));
        line.sent(ticket);
    }
    assert_eq!(
        accepted(&mut line),
        Some(0),
        "what was before the failure is not sent again"
    );
    line.confirmed(pause, 201, Ok(()));
    line.confirmed(pause, 202, Ok(()));
    let settled = Settled {
        last: 2,
        deliveries: 2,
        outcomes: 2,
        dead: 0,
    };
    assert_eq!(
        line.accept(),
        Some(settled),
        "what was sent twice counts once"
    );
}

#[test]
fn a_plugin_may_ask_for_retries_until_they_are_used_up() {
    let mut line = line(Policy {
        attempts: 3,
        ..Policy::default()
    });
    line.received(7, 10);
    let mut now = NOW;
    for _ in 0..2 {
        let turn = begin(&mut line, now, 7);
        let notice = line.processed(now, turn, Processed::Retry(Reason::new("not yet")));
        let Some(Notice::Held { pause, .. }) = notice else {
            panic!("{notice:?}")
        };
        now += pause;
    }
    let turn = begin(&mut line, now, 7);
    line.processed(now, turn, Processed::Retry(Reason::new("not yet")));
    let rejection = Reason::new("gave up after 3 attempts: not yet").into();
    assert_eq!(
        line.next(now),
        Step::Bury {
            delivery: &7,
            rejection: &rejection,
            cut: false
        }
    );
    line.buried(1);
    assert_eq!(
        accepted(&mut line),
        None,
        "the dead letter is not confirmed"
    );
    line.bury_confirmed(now, 1, Ok(()));
    let settled = Settled {
        last: 7,
        deliveries: 1,
        outcomes: 0,
        dead: 1,
    };
    assert_eq!(line.accept(), Some(settled));
}

#[test]
fn a_dead_letter_that_fails_is_tried_again() {
    let mut line = line(Policy::default());
    line.received(7, 10);
    let turn = begin(&mut line, NOW, 7);
    line.processed(NOW, turn, Processed::Reject(Reason::new("never").into()));
    line.next(NOW);
    line.buried(1);
    line.bury_confirmed(NOW, 1, Err(SinkFailure::Permanent(Reason::new("no"))));
    let Step::WaitUntil(then) = line.next(NOW) else {
        panic!("held")
    };
    assert_eq!(
        line.next(then),
        Step::Bury {
            delivery: &7,
            rejection: &Reason::new("never").into(),
            cut: true
        }
    );
}

#[test]
fn an_outcome_that_fails_its_neighbours_is_found() {
    let mut line = line(Policy::default());
    for number in 0..3 {
        send(&mut line, number);
    }
    // The sink drops the connection over 1, and says of what was in flight what it knows.
    for ticket in [100, 101, 102] {
        line.confirmed(
            NOW,
            ticket,
            Err(SinkFailure::Transient(Reason::new("away"))),
        );
    }
    let Step::WaitUntil(then) = line.next(NOW) else {
        panic!("held")
    };
    assert_eq!(line.next(then), Step::Publish(&"0".to_owned()));
    line.sent(200);
    assert_eq!(line.next(then), Step::Wait, "one at a time");
    line.confirmed(then, 200, Ok(()));
    assert_eq!(line.next(then), Step::Publish(&"1".to_owned()));
    line.sent(201);
    line.confirmed(
        then,
        201,
        Err(SinkFailure::Permanent(Reason::new("too large"))),
    );
    let rejection = Reason::new("too large").into();
    let (delivery, rejection) = (&1, &rejection);
    assert_eq!(
        line.next(then),
        Step::Bury {
            delivery,
            rejection,
            cut: false
        }
    );
}

#[test]
fn pausing_for_a_sink_sends_what_followed_again() {
    let mut line = line(Policy {
        on_failure: OnFailure::Pause,
        ..Policy::default()
    });
    send(&mut line, 0);
    send(&mut line, 1);
    line.confirmed(NOW, 101, Ok(()));
    line.confirmed(NOW, 100, Err(SinkFailure::Permanent(Reason::new("never"))));
    line.resume();
    let turn = begin(&mut line, NOW, 0);
    line.processed(NOW, turn, outcome("0"));
    for (ticket, expected) in [(200, "0"), (201, "1")] {
        assert_eq!(line.next(NOW), Step::Publish(&expected.to_owned()));
        line.sent(ticket);
    }
}

#[test]
fn pausing_keeps_the_delivery_until_something_changes() {
    let mut line = line(Policy {
        on_failure: OnFailure::Pause,
        ..Policy::default()
    });
    line.received(7, 10);
    let turn = begin(&mut line, NOW, 7);
    let notice = line.processed(NOW, turn, Processed::Reject(Reason::new("never").into()));
    assert_eq!(
        notice,
        Some(Notice::Paused {
            reason: Reason::new("never")
        })
    );
    assert_eq!(line.next(NOW), Step::Wait);
    assert!(!line.has_room());
    line.resume();
    begin(&mut line, NOW, 7);
}

#[test]
fn a_restarted_source_voids_everything() {
    let mut line = line(Policy::default());
    send(&mut line, 0);
    line.restarted();
    assert!(line.is_empty());
    assert_eq!(line.confirmed(NOW, 100, Ok(())), None);
    send(&mut line, 0);
    line.confirmed(NOW, 100, Ok(()));
    assert_eq!(accepted(&mut line), Some(0));
}

#[test]
fn one_outage_counts_as_one_failure() {
    let mut line = line(Policy::default());
    for number in 0..200 {
        send(&mut line, number);
    }
    for number in (0..200).rev() {
        line.confirmed(
            NOW,
            100 + number,
            Err(SinkFailure::Transient(Reason::new("away"))),
        );
    }
    let Step::WaitUntil(then) = line.next(NOW) else {
        panic!("held")
    };
    assert!(then <= Policy::default().backoff_first, "{then:?}");
}

fn parallel(parallel: usize, bytes: usize) -> Line<u64, String> {
    line(Policy {
        parallel: Some(parallel),
        bytes,
        ..Policy::default()
    })
}

#[test]
fn what_is_ready_first_waits_for_its_turn() {
    let mut line = parallel(2, 1000);
    for number in 0..3 {
        line.received(number, 10);
    }
    let (first, second) = (begin(&mut line, NOW, 0), begin(&mut line, NOW, 1));
    assert_eq!(line.next(NOW), Step::Wait, "two at a time");
    line.processed(NOW, second, outcome("1"));
    let third = begin(&mut line, NOW, 2);
    line.processed(NOW, third, outcome("2"));
    assert_eq!(line.next(NOW), Step::Wait);
    line.processed(NOW, first, outcome("0"));
    for (ticket, expected) in [(100, "0"), (101, "1"), (102, "2")] {
        assert_eq!(line.next(NOW), Step::Publish(&expected.to_owned()));
        line.sent(ticket);
    }
}

#[test]
fn a_retry_or_a_pause_holds_up_only_what_follows() {
    let never = || Processed::Reject(Reason::new("never").into());
    let later = || Processed::Retry(Reason::new("later"));
    for on_failure in [OnFailure::Pause, OnFailure::DeadLetter] {
        let mut line = line(Policy {
            parallel: Some(2),
            on_failure,
            ..Policy::default()
        });
        for number in 0..3 {
            line.received(number, 10);
        }
        let (first, second) = (begin(&mut line, NOW, 0), begin(&mut line, NOW, 1));
        let failed = if on_failure == OnFailure::Pause {
            never()
        } else {
            later()
        };
        line.processed(NOW, second, failed);
        line.processed(NOW, first, outcome("0"));
        assert_eq!(line.next(NOW), Step::Publish(&"0".to_owned()));
        line.sent(100);
        let step = line.next(NOW);
        assert!(matches!(step, Step::Wait | Step::WaitUntil(_)), "{step:?}");
        line.confirmed(NOW, 100, Ok(()));
        assert_eq!(accepted(&mut line), Some(0));
        line.resume();
        begin(&mut line, NOW, 1);
    }
}

#[test]
fn bytes_are_counted_and_bound_what_is_taken_and_made() {
    let mut line = parallel(4, 100);
    line.received(0, 1_000);
    assert!(!line.has_room(), "one is taken, however large");
    let turn = begin(&mut line, NOW, 0);
    line.processed(NOW, turn, Processed::Reject(Reason::new("never").into()));
    line.next(NOW);
    line.buried(1);
    line.bury_confirmed(NOW, 1, Ok(()));
    assert_eq!(accepted(&mut line), Some(0));
    assert_eq!(line.bytes(), 0);

    for number in 1..4 {
        assert!(line.has_room());
        line.received(number, 30);
    }
    let (first, second) = (begin(&mut line, NOW, 1), begin(&mut line, NOW, 2));
    line.processed(NOW, second, outcome(&"x".repeat(20)));
    assert_eq!(line.bytes(), 110);
    assert_eq!(line.next(NOW), Step::Wait, "3 would be made beside them");
    line.processed(NOW, first, outcome("1"));
    line.next(NOW);
    line.sent(100);
    line.next(NOW);
    line.sent(101);
    assert_eq!(line.next(NOW), Step::Wait, "1 and 2 are not settled");
    line.confirmed(NOW, 100, Ok(()));
    assert_eq!(accepted(&mut line), Some(1));
    begin(&mut line, NOW, 3);
    line.restarted();
    assert_eq!(line.bytes(), 0);
}
