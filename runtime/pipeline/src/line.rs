//! The line of deliveries of one pipeline, and what is to be done about each.
//!
//! This is the machine behind the delivery promises, and it is pure: it has no clock, no socket and
//! no task of its own. Whoever drives it asks [`Line::next`] what to do, does it, and reports what
//! came of it. The time is an argument, and the jitter of the backoff comes from a seed, so that a
//! simulation can replay any run.
//!
//! Deliveries are worked in the order in which they come. Outcomes are handed to the sink one after
//! the other without waiting for confirmations, so that a sink that confirms slowly is kept busy;
//! deliveries are accepted in order, many at a time. When the sink fails one outcome, its delivery
//! and everything after it is sent again, in order ("go back N"): an outcome may then arrive twice,
//! but the last copy of each arrives in order. A sink for which even that is too much uses a line
//! with a capacity of one.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::ends::SinkFailure;

/// What the line does about failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The most deliveries that are unsettled at one time.
    pub capacity: usize,
    /// What becomes of a delivery that will never work.
    pub on_failure: OnFailure,
    /// How often a plugin may say `retry` to one event before that counts as never. A sink that is
    /// away is waited for without end.
    pub attempts: u32,
    /// The first pause before another try.
    pub backoff_first: Duration,
    /// The longest pause between two tries.
    pub backoff_cap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            capacity: 256,
            on_failure: OnFailure::DeadLetter,
            attempts: 10,
            backoff_first: Duration::from_millis(100),
            backoff_cap: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// To the dead letters, with the reason; the line goes on.
    DeadLetter,
    /// The line stops before it, until the configuration or a plugin changes.
    Pause,
}

/// What processing a delivery came to.
#[derive(Debug)]
pub enum Processed<M> {
    /// Messages for the sink; none if the event was dropped.
    Outcomes(Vec<M>),
    /// Not now.
    Retry(String),
    /// Never. Both carry a reason and what else a dead letter tells.
    Reject(Reason),
}

/// Why a delivery goes to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub text: String,
    /// The stage that rejected it, with its plugin's digest, where one did.
    pub stage: Option<(String, String)>,
}

impl Reason {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            stage: None,
        }
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a, D, M> {
    /// Decode it and run the stages over it; then call [`Line::processed`].
    Process(&'a D),
    /// Hand the outcome to the sink; then call [`Line::sent`].
    Publish(&'a M),
    /// Hand a dead letter to the bus; then call [`Line::buried`].
    /// `cut` says that the bus refused the whole message: what is left must be small.
    Bury {
        delivery: &'a D,
        reason: &'a Reason,
        cut: bool,
    },
    /// Nothing before this time, unless something is reported earlier.
    WaitUntil(Duration),
    /// Nothing, unless something is reported.
    Wait,
}

/// What a report changed that people may want to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// The line is held and will try again after this pause.
    Held { pause: Duration, reason: String },
    /// The line is paused: a delivery will never work, and the policy is to wait for people.
    Paused { reason: String },
}

/// Deliveries that can be accepted, and what became of them for good.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled<D> {
    /// The last of them.
    pub last: D,
    pub deliveries: usize,
    /// Outcomes that the sink has.
    pub outcomes: usize,
    /// Dead letters that the bus has.
    pub dead: usize,
}

/// Deliveries of type `D` with outcomes of type `M`.
#[derive(Debug)]
pub struct Line<D, M> {
    policy: Policy,
    turns: VecDeque<Turn<D, M>>,
    /// The number of the turn at the front.
    first: u64,
    /// The number of the first turn that may have something to process, send or bury.
    cursor: u64,
    /// Outcomes and dead letters whose confirmation is awaited, by ticket: the turn they belong to.
    sent: HashMap<u64, u64>,
    buried: HashMap<u64, u64>,
    held_until: Duration,
    /// Failures since the last success, for the backoff.
    failures: u32,
    paused: bool,
    jitter: SmallRng,
}

#[derive(Debug)]
struct Turn<D, M> {
    delivery: D,
    attempts: u32,
    state: State<M>,
}

#[derive(Debug)]
enum State<M> {
    New,
    /// Kept until it is accepted, even when all is confirmed: a failure before it in the line sends
    /// it again. Without outcomes, for an event that was dropped.
    Outgoing {
        outcomes: Vec<M>,
        sent: usize,
        confirmed: usize,
    },
    Dead {
        reason: Reason,
        sent: bool,
        confirmed: bool,
        cut: bool,
    },
}

impl<M> State<M> {
    /// True if there is nothing to process, send or bury.
    fn is_under_way(&self) -> bool {
        match self {
            Self::New => false,
            Self::Outgoing { outcomes, sent, .. } => *sent == outcomes.len(),
            Self::Dead { sent, .. } => *sent,
        }
    }

    /// True if nothing remains but to accept it.
    fn is_done(&self) -> bool {
        match self {
            Self::New => false,
            Self::Outgoing {
                outcomes,
                confirmed,
                ..
            } => *confirmed == outcomes.len(),
            Self::Dead { confirmed, .. } => *confirmed,
        }
    }
}

impl<D, M> Line<D, M> {
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self {
            policy,
            turns: VecDeque::new(),
            first: 0,
            cursor: 0,
            sent: HashMap::new(),
            buried: HashMap::new(),
            held_until: Duration::ZERO,
            failures: 0,
            paused: false,
            jitter: SmallRng::seed_from_u64(seed),
        }
    }

    /// True if the line takes another delivery.
    pub fn has_room(&self) -> bool {
        !self.paused && self.turns.len() < self.policy.capacity
    }

    /// True if no delivery is unsettled.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// True if a delivery waits for people to change something.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// How many outcomes and dead letters wait for their confirmation.
    pub fn in_flight(&self) -> usize {
        self.sent.len() + self.buried.len()
    }

    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// A delivery came. Ask [`Line::has_room`] first.
    pub fn received(&mut self, delivery: D) {
        self.turns.push_back(Turn {
            delivery,
            attempts: 0,
            state: State::New,
        });
    }

    /// What to do next, at the time `now`. Each step is given once; report what came of it before
    /// asking again.
    pub fn next(&mut self, now: Duration) -> Step<'_, D, M> {
        while self
            .turn(self.cursor)
            .is_some_and(|turn| turn.state.is_under_way())
        {
            self.cursor += 1;
        }
        if self.paused || self.turn(self.cursor).is_none() {
            return Step::Wait;
        }
        if now < self.held_until {
            return Step::WaitUntil(self.held_until);
        }
        // After a failure one outcome shows whether the sink is back: if all went at once, one that
        // it cannot take would fail the others with it each time, and never be found.
        let probing = self.failures > 0 && !self.sent.is_empty();
        let turn = self.turn(self.cursor).expect("was looked at above");
        match &turn.state {
            State::New => Step::Process(&turn.delivery),
            State::Outgoing { .. } if probing => Step::Wait,
            State::Outgoing { outcomes, sent, .. } => Step::Publish(&outcomes[*sent]),
            State::Dead { reason, cut, .. } => Step::Bury {
                delivery: &turn.delivery,
                reason,
                cut: *cut,
            },
        }
    }

    /// What processing the delivery of [`Step::Process`] came to.
    pub fn processed(&mut self, now: Duration, result: Processed<M>) -> Option<Notice> {
        let number = self.cursor;
        match result {
            Processed::Outcomes(outcomes) => {
                self.turn_mut(number).state = State::Outgoing {
                    outcomes,
                    sent: 0,
                    confirmed: 0,
                };
                None
            }
            Processed::Retry(text) => {
                let turn = self.turn_mut(number);
                turn.attempts += 1;
                let attempts = turn.attempts;
                if attempts >= self.policy.attempts {
                    let text = format!("gave up after {attempts} attempts: {text}");
                    return self.fail(number, Reason::new(text));
                }
                Some(self.hold(now, attempts, text))
            }
            Processed::Reject(reason) => self.fail(number, reason),
        }
    }

    /// The outcome of [`Step::Publish`] went to the sink, which will speak of it under this ticket.
    pub fn sent(&mut self, ticket: u64) {
        let number = self.cursor;
        if let State::Outgoing { sent, .. } = &mut self.turn_mut(number).state {
            *sent += 1;
            self.sent.insert(ticket, number);
        }
    }

    /// The dead letter of [`Step::Bury`] went to the bus.
    pub fn buried(&mut self, ticket: u64) {
        let number = self.cursor;
        if let State::Dead { sent, .. } = &mut self.turn_mut(number).state {
            *sent = true;
            self.buried.insert(ticket, number);
        }
    }

    /// The sink spoke of an outcome. A ticket that is not known belongs to an earlier try.
    pub fn confirmed(
        &mut self,
        now: Duration,
        ticket: u64,
        result: Result<(), SinkFailure>,
    ) -> Option<Notice> {
        let number = self.sent.remove(&ticket)?;
        match result {
            Ok(()) => {
                self.failures = 0;
                if let State::Outgoing { confirmed, .. } = &mut self.turn_mut(number).state {
                    *confirmed += 1;
                }
                None
            }
            Err(SinkFailure::Transient(reason)) => {
                self.rewind(number);
                Some(self.hold_for_an_end(now, reason))
            }
            Err(SinkFailure::Permanent(reason)) => {
                self.sent.retain(|_, turn| *turn != number);
                self.fail(number, Reason::new(reason))
            }
        }
    }

    /// The bus spoke of a dead letter.
    pub fn bury_confirmed(
        &mut self,
        now: Duration,
        ticket: u64,
        result: Result<(), SinkFailure>,
    ) -> Option<Notice> {
        let number = self.buried.remove(&ticket)?;
        let turn = &mut self.turn_mut(number).state;
        match result {
            Ok(()) => {
                if let State::Dead { confirmed, .. } = turn {
                    *confirmed = true;
                }
                self.failures = 0;
                None
            }
            // A dead letter must not be lost either: no failure of it is final. One that the bus
            // will never take as it is has to become smaller.
            Err(failure) => {
                if let State::Dead { sent, cut, .. } = turn {
                    *sent = false;
                    *cut |= matches!(failure, SinkFailure::Permanent(_));
                }
                let reason = failure.to_string();
                self.cursor = self.cursor.min(number);
                Some(self.hold_for_an_end(now, format!("no dead letter: {reason}")))
            }
        }
    }

    /// Takes the deliveries that can be accepted off the line.
    pub fn accept(&mut self) -> Option<Settled<D>> {
        let done = |turn: &&Turn<D, M>| turn.state.is_done();
        let deliveries = self.turns.iter().take_while(done).count();
        let (mut outcomes, mut dead, mut last) = (0, 0, None);
        for turn in self.turns.drain(..deliveries) {
            match turn.state {
                State::Outgoing { outcomes: sent, .. } => outcomes += sent.len(),
                State::Dead { .. } => dead += 1,
                State::New => {}
            }
            last = Some(turn.delivery);
        }
        self.first += deliveries as u64;
        self.cursor = self.cursor.max(self.first);
        Some(Settled {
            last: last?,
            deliveries,
            outcomes,
            dead,
        })
    }

    /// The source starts again: every delivery on the line is void and will come again.
    pub fn restarted(&mut self) {
        self.first += self.turns.len() as u64;
        self.cursor = self.first;
        self.turns.clear();
        self.sent.clear();
        self.buried.clear();
        self.paused = false;
    }

    /// The configuration changed: what was held or paused is worth a try at once.
    pub fn resume(&mut self) {
        self.paused = false;
        self.held_until = Duration::ZERO;
    }

    /// Sends everything from this turn on again, what is confirmed as well: it is out of order now.
    fn rewind(&mut self, number: u64) {
        let index = self.index(number);
        for turn in self.turns.range_mut(index..) {
            if let State::Outgoing {
                sent, confirmed, ..
            } = &mut turn.state
            {
                (*sent, *confirmed) = (0, 0);
            }
        }
        self.sent.retain(|_, turn| *turn < number);
        self.cursor = self.cursor.min(number);
    }

    fn fail(&mut self, number: u64, reason: Reason) -> Option<Notice> {
        self.cursor = self.cursor.min(number);
        match self.policy.on_failure {
            OnFailure::DeadLetter => {
                self.turn_mut(number).state = State::Dead {
                    reason,
                    sent: false,
                    confirmed: false,
                    cut: false,
                };
                None
            }
            OnFailure::Pause => {
                // What was sent after it would be out of order once it works.
                self.rewind(number);
                let turn = self.turn_mut(number);
                turn.state = State::New;
                turn.attempts = 0;
                self.paused = true;
                Some(Notice::Paused {
                    reason: reason.text,
                })
            }
        }
    }

    /// The outcomes that one outage fails count as one failure, however many they are.
    fn hold_for_an_end(&mut self, now: Duration, reason: String) -> Notice {
        if now >= self.held_until {
            self.failures = self.failures.saturating_add(1);
        }
        self.hold(now, self.failures.max(1), reason)
    }

    fn hold(&mut self, now: Duration, failures: u32, reason: String) -> Notice {
        let doubled = self
            .policy
            .backoff_first
            .saturating_mul(1 << (failures - 1).min(20));
        let pause = doubled
            .min(self.policy.backoff_cap)
            .mul_f64(self.jitter.random_range(0.5..=1.0));
        self.held_until = self.held_until.max(now + pause);
        Notice::Held { pause, reason }
    }

    fn index(&self, number: u64) -> usize {
        usize::try_from(number - self.first).expect("a line is no longer than its capacity")
    }

    fn turn(&self, number: u64) -> Option<&Turn<D, M>> {
        self.turns.get(self.index(number))
    }

    fn turn_mut(&mut self, number: u64) -> &mut Turn<D, M> {
        let index = self.index(number);
        &mut self.turns[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn line(policy: Policy) -> Line<u64, String> {
        Line::new(policy, 1)
    }

    fn accepted(line: &mut Line<u64, String>) -> Option<u64> {
        line.accept().map(|settled| settled.last)
    }

    fn outcome(text: &str) -> Processed<String> {
        Processed::Outcomes(vec![text.to_owned()])
    }

    /// Takes one delivery through processing and sending, under the ticket `100 + number`.
    fn send(line: &mut Line<u64, String>, number: u64) {
        line.received(number);
        assert_eq!(line.next(NOW), Step::Process(&number));
        line.processed(NOW, outcome(&number.to_string()));
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
        line.received(1);
        assert_eq!(line.next(NOW), Step::Process(&1));
        line.processed(NOW, Processed::Outcomes(Vec::new()));
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
        let notice = line.confirmed(NOW, 101, Err(SinkFailure::Transient("away".to_owned())));
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
        line.received(7);
        let mut now = NOW;
        for _ in 0..2 {
            assert_eq!(line.next(now), Step::Process(&7));
            let notice = line.processed(now, Processed::Retry("not yet".to_owned()));
            let Some(Notice::Held { pause, .. }) = notice else {
                panic!("{notice:?}")
            };
            now += pause;
        }
        assert_eq!(line.next(now), Step::Process(&7));
        line.processed(now, Processed::Retry("not yet".to_owned()));
        let reason = Reason::new("gave up after 3 attempts: not yet");
        assert_eq!(
            line.next(now),
            Step::Bury {
                delivery: &7,
                reason: &reason,
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
        line.received(7);
        line.next(NOW);
        line.processed(NOW, Processed::Reject(Reason::new("never")));
        line.next(NOW);
        line.buried(1);
        line.bury_confirmed(NOW, 1, Err(SinkFailure::Permanent("no".to_owned())));
        let Step::WaitUntil(then) = line.next(NOW) else {
            panic!("held")
        };
        assert_eq!(
            line.next(then),
            Step::Bury {
                delivery: &7,
                reason: &Reason::new("never"),
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
            line.confirmed(NOW, ticket, Err(SinkFailure::Transient("away".to_owned())));
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
            Err(SinkFailure::Permanent("too large".to_owned())),
        );
        let reason = Reason::new("too large");
        let (delivery, reason) = (&1, &reason);
        assert_eq!(
            line.next(then),
            Step::Bury {
                delivery,
                reason,
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
        line.confirmed(NOW, 100, Err(SinkFailure::Permanent("never".to_owned())));
        line.resume();
        assert_eq!(line.next(NOW), Step::Process(&0));
        line.processed(NOW, outcome("0"));
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
        line.received(7);
        line.next(NOW);
        let notice = line.processed(NOW, Processed::Reject(Reason::new("never")));
        assert_eq!(
            notice,
            Some(Notice::Paused {
                reason: "never".to_owned()
            })
        );
        assert_eq!(line.next(NOW), Step::Wait);
        assert!(!line.has_room());
        line.resume();
        assert_eq!(line.next(NOW), Step::Process(&7));
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
                Err(SinkFailure::Transient("away".to_owned())),
            );
        }
        let Step::WaitUntil(then) = line.next(NOW) else {
            panic!("held")
        };
        assert!(then <= Policy::default().backoff_first, "{then:?}");
    }
}
