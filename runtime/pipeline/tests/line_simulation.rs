//! The line, driven by a simulated source, sink and dead-letter queue that fail in every way they
//! can: what the delivery promises say must hold on every run.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use weir_event::Reason;
use weir_pipeline::ends::SinkFailure;
use weir_pipeline::line::{Line, OnFailure, Policy, Processed, Settled, Step};

/// What an event is made to do, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Outcomes(usize),
    Rejected,
    /// The sink will never take it.
    Refused,
    RetriedOnce,
}

fn fate(number: u64) -> Fate {
    match number % 11 {
        3 => Fate::Outcomes(0),
        5 => Fate::Outcomes(3),
        6 => Fate::Refused,
        7 => Fate::Rejected,
        9 => Fate::RetriedOnce,
        _ => Fate::Outcomes(1),
    }
}

/// An outcome: the event and which of its outcomes it is.
type Outcome = (u64, usize);

struct World {
    random: SmallRng,
    /// Faults happen until then; afterwards everything works, so that everything must end.
    faults_until: Duration,
    events: u64,
    /// The first event that is not accepted: what a source that restarts begins with.
    accepted: u64,
    next: u64,
    /// What the sink holds, in the order of its arrival, but for what came late.
    arrived: Vec<Outcome>,
    /// On old channels, whose confirmations nobody hears any more, and what of that has arrived.
    on_old_channels: VecDeque<Outcome>,
    late: Vec<Outcome>,
    /// Being processed: the turn and the event. Some are void, since the source started again.
    working: Vec<(u64, u64)>,
    buried: Vec<u64>,
    in_flight: VecDeque<(u64, Result<(), SinkFailure>)>,
    burying: VecDeque<(u64, Result<(), SinkFailure>)>,
    retried: Vec<u64>,
    tickets: u64,
    now: Duration,
}

impl World {
    fn faulty(&mut self, chance: f64) -> bool {
        self.now < self.faults_until && self.random.random_bool(chance)
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// A fault may hit before or after the message is kept: the sender cannot tell. It may also be
    /// under way on a channel that is given up, and land later.
    fn transfer(
        &mut self,
        keep: impl FnOnce(&mut Self),
        later: impl FnOnce(&mut Self),
    ) -> Result<(), SinkFailure> {
        if !self.faulty(0.2) {
            keep(self);
            return Ok(());
        }
        match self.random.random_range(0..3) {
            0 => keep(self),
            1 => later(self),
            _ => {}
        }
        Err(SinkFailure::Transient(Reason::new("away")))
    }

    /// One event is processed, any of those that are: true if there was one.
    fn process(&mut self, line: &mut Line<u64, Outcome>) -> bool {
        if self.working.is_empty() {
            return false;
        }
        let any = self.random.random_range(0..self.working.len());
        let (turn, number) = self.working.remove(any);
        let outcomes = |count| Processed::Outcomes {
            messages: (0..count).map(|part| (number, part)).collect(),
            bytes: count,
        };
        let result = match fate(number) {
            Fate::Outcomes(count) => outcomes(count),
            Fate::Refused => outcomes(1),
            Fate::Rejected => Processed::Reject(Reason::new("never").into()),
            Fate::RetriedOnce if self.retried.contains(&number) => outcomes(1),
            Fate::RetriedOnce => {
                self.retried.push(number);
                Processed::Retry(Reason::new("not yet"))
            }
        };
        line.processed(self.now, turn, result);
        true
    }

    /// One confirmation, from anywhere in what is in flight.
    fn hear(&mut self, line: &mut Line<u64, Outcome>) -> bool {
        let any = |random: &mut SmallRng, queue: &VecDeque<_>| {
            (!queue.is_empty()).then(|| random.random_range(0..queue.len()))
        };
        if let Some(at) = any(&mut self.random, &self.in_flight) {
            let (ticket, result) = self.in_flight.remove(at).expect("is in there");
            line.confirmed(self.now, ticket, result);
            return true;
        }
        if let Some(at) = any(&mut self.random, &self.burying) {
            let (ticket, result) = self.burying.remove(at).expect("is in there");
            line.bury_confirmed(self.now, ticket, result);
            return true;
        }
        false
    }

    fn check_accepted(&self, through: u64) {
        for number in self.accepted..=through {
            match fate(number) {
                Fate::Rejected | Fate::Refused => {
                    assert!(self.buried.contains(&number), "{number} is lost");
                }
                Fate::Outcomes(count) => {
                    for part in 0..count {
                        assert!(
                            self.arrived.contains(&(number, part)),
                            "{number}/{part} is lost"
                        );
                    }
                }
                Fate::RetriedOnce => assert!(self.arrived.contains(&(number, 0))),
            }
        }
    }

    fn run(&mut self, policy: &Policy, seed: u64) {
        let mut line: Line<u64, Outcome> = Line::new(policy.clone(), seed);
        let mut steps = 0_u64;
        while self.accepted < self.events {
            steps += 1;
            assert!(steps < 200_000, "no end in sight: {line:?}");
            if self.faulty(0.01) {
                line.restarted();
                self.next = self.accepted;
            }
            assert!(line.len() <= policy.capacity);
            if self.next < self.events && line.has_room() && self.random.random_bool(0.7) {
                line.received(self.next, 1);
                self.next += 1;
            }
            if self.random.random_bool(0.4) {
                self.hear(&mut line);
            }
            if self.random.random_bool(0.3) {
                self.process(&mut line);
            }
            if self.random.random_bool(0.1)
                && let Some(outcome) = self.on_old_channels.pop_front()
            {
                self.late.push(outcome);
            }
            // What is worked at one time may all come to three outcomes.
            let parallel = policy.parallel.expect("the test says so");
            assert!(line.bytes() <= policy.bytes + 3 * parallel, "{line:?}");
            if self.random.random_bool(0.3)
                && let Some(Settled {
                    last, deliveries, ..
                }) = line.accept()
            {
                assert_eq!(deliveries as u64, last + 1 - self.accepted);
                self.check_accepted(last);
                self.accepted = last + 1;
            }
            match line.next(self.now) {
                Step::Process { turn, delivery } => self.working.push((turn, *delivery)),
                Step::Publish(&outcome) => {
                    let ticket = self.ticket();
                    let result = if fate(outcome.0) == Fate::Refused && !self.faulty(0.2) {
                        Err(SinkFailure::Permanent(Reason::new("never")))
                    } else if fate(outcome.0) == Fate::Refused {
                        Err(SinkFailure::Transient(Reason::new("away")))
                    } else {
                        self.transfer(
                            |world| world.arrived.push(outcome),
                            |world| world.on_old_channels.push_back(outcome),
                        )
                    };
                    self.in_flight.push_back((ticket, result));
                    line.sent(ticket);
                }
                Step::Bury {
                    delivery: &number, ..
                } => {
                    let ticket = self.ticket();
                    let result = self.transfer(|world| world.buried.push(number), |_| {});
                    self.burying.push_back((ticket, result));
                    line.buried(ticket);
                }
                Step::WaitUntil(then) => {
                    if !self.hear(&mut line) && !self.process(&mut line) {
                        self.now = then;
                    }
                }
                Step::Wait => {
                    let _something = self.hear(&mut line) || self.process(&mut line);
                }
            }
            self.now += Duration::from_micros(100);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_is_lost_and_the_last_copies_are_in_order(
        seed in any::<u64>(),
        events in 1_u64..120,
        capacity in 1_usize..40,
        parallel in 1_usize..6,
        bytes in 1_usize..60,
        faults_ms in 0_u64..200,
    ) {
        let policy = Policy {
            capacity,
            bytes,
            parallel: Some(parallel),
            on_failure: OnFailure::DeadLetter,
            ..Policy::default()
        };
        let mut world = World {
            random: SmallRng::seed_from_u64(seed),
            faults_until: Duration::from_millis(faults_ms),
            events,
            accepted: 0,
            next: 0,
            arrived: Vec::new(),
            on_old_channels: VecDeque::new(),
            late: Vec::new(),
            working: Vec::new(),
            buried: Vec::new(),
            in_flight: VecDeque::new(),
            burying: VecDeque::new(),
            retried: Vec::new(),
            tickets: 0,
            now: Duration::ZERO,
        };
        world.run(&policy, seed);

        let mut last_copies: Vec<Outcome> = Vec::new();
        for outcome in world.arrived.iter().rev() {
            if !last_copies.contains(outcome) {
                last_copies.push(*outcome);
            }
        }
        last_copies.reverse();
        let expected: Vec<Outcome> = (0..events)
            .flat_map(|number| {
                let count = match fate(number) {
                    Fate::Outcomes(count) => count,
                    Fate::Rejected | Fate::Refused => 0,
                    Fate::RetriedOnce => 1,
                };
                (0..count).map(move |part| (number, part))
            })
            .collect();
        prop_assert_eq!(last_copies, expected);
        // What lands late is a copy of what the sink has anyway; nothing was settled because of it.
        for late in &world.late {
            prop_assert!(world.arrived.contains(late));
        }
        if capacity == 1 {
            // One at a time: not even a copy that is sent again arrives after a later event.
            prop_assert!(world.arrived.is_sorted_by_key(|(number, _)| *number));
        }
    }
}
