//! The line of deliveries of one pipeline, and what is to be done about each.
//!
//! This is the machine behind the delivery promises, and it is pure: it has no clock, no socket and
//! no task of its own. Whoever drives it asks [`Line::next`] what to do, does it, and reports what
//! came of it. The time is an argument, and the jitter of the backoff comes from a seed, so that a
//! simulation can replay any run.
//!
//! Deliveries are worked in the order in which they come, several at a time; their outcomes leave in
//! that order, whichever is ready first. Outcomes are handed to the sink one after the other without
//! waiting for confirmations, so that a sink that confirms slowly is kept busy; deliveries are
//! accepted in order, many at a time. When the sink fails one outcome, its delivery and everything
//! after it is sent again, in order ("go back N"): an outcome may then arrive twice, but the last
//! copy of each arrives in order. A sink for which even that is too much uses a line with a capacity
//! of one.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use weir_event::Reason;

use crate::ends::SinkFailure;

/// What the line does about failures, and how much it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The most deliveries that are unsettled at one time.
    pub capacity: usize,
    /// The bytes of unsettled deliveries and their outcomes at which no other one is taken or
    /// worked; one delivery always is. Also the most that the outcomes of one delivery may take.
    pub bytes: usize,
    /// How many deliveries are worked at one time; as many as there are cores, if nothing is said.
    pub parallel: Option<usize>,
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
            // Four of the largest messages, or all of a full line at the size that events have.
            bytes: 64 << 20,
            parallel: None,
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
    /// Messages for the sink, none if the event was dropped, and the bytes that it takes to hold
    /// them beside the delivery.
    Outcomes { messages: Vec<M>, bytes: usize },
    /// Not now.
    Retry(Reason),
    /// Never.
    Reject(Rejection),
}

/// Why a delivery goes to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// The stage that rejected it, with its plugin's digest, where one did.
    pub stage: Option<(String, String)>,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            stage: None,
        }
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a, D, M> {
    /// Decode it and run the stages over it; then call [`Line::processed`] with the number of its
    /// turn. Others may be done meanwhile.
    Process { turn: u64, delivery: &'a D },
    /// Hand the outcome to the sink; then call [`Line::sent`].
    Publish(&'a M),
    /// Hand a dead letter to the bus; then call [`Line::buried`].
    /// `cut` says that the bus refused the whole message: what is left must be small.
    Bury {
        delivery: &'a D,
        rejection: &'a Rejection,
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
    Held { pause: Duration, reason: Reason },
    /// The line is paused: a delivery will never work, and the policy is to wait for people.
    Paused { reason: Reason },
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
    /// The number of the first turn that may have something to send or bury.
    cursor: u64,
    /// The number of the first turn that may be new.
    fresh: u64,
    /// How many turns are being processed.
    processing: usize,
    /// What the turns hold.
    bytes: usize,
    /// Outcomes and dead letters whose confirmation is awaited, by ticket: the turn they belong to.
    sent: HashMap<u64, u64>,
    buried: HashMap<u64, u64>,
    held_until: Duration,
    /// Failures since the last success, for the backoff.
    failures: u32,
    /// The turn that waits for people: nothing is done about it and what follows.
    paused: Option<u64>,
    jitter: SmallRng,
}

#[derive(Debug)]
struct Turn<D, M> {
    delivery: D,
    /// Of the delivery.
    bytes: usize,
    attempts: u32,
    /// Not processed before then.
    retry_at: Duration,
    state: State<M>,
}

#[derive(Debug)]
enum State<M> {
    New,
    Processing,
    /// Kept until it is accepted, even when all is confirmed: a failure before it in the line sends
    /// it again. Without outcomes, for an event that was dropped.
    Outgoing {
        outcomes: Vec<M>,
        bytes: usize,
        sent: usize,
        confirmed: usize,
    },
    Dead {
        rejection: Rejection,
        sent: bool,
        confirmed: bool,
        cut: bool,
    },
}

impl<M> State<M> {
    /// True if there is nothing to process, send or bury.
    fn is_under_way(&self) -> bool {
        match self {
            Self::New | Self::Processing => false,
            Self::Outgoing { outcomes, sent, .. } => *sent == outcomes.len(),
            Self::Dead { sent, .. } => *sent,
        }
    }

    /// True if nothing remains but to accept it.
    fn is_done(&self) -> bool {
        match self {
            Self::New | Self::Processing => false,
            Self::Outgoing {
                outcomes,
                confirmed,
                ..
            } => *confirmed == outcomes.len(),
            Self::Dead { confirmed, .. } => *confirmed,
        }
    }

    /// What it holds beside the delivery.
    fn bytes(&self) -> usize {
        match self {
            Self::Outgoing { bytes, .. } => *bytes,
            Self::New | Self::Processing | Self::Dead { .. } => 0,
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
            fresh: 0,
            processing: 0,
            bytes: 0,
            sent: HashMap::new(),
            buried: HashMap::new(),
            held_until: Duration::ZERO,
            failures: 0,
            paused: None,
            jitter: SmallRng::seed_from_u64(seed),
        }
    }

    /// True if the line takes another delivery, however large.
    pub fn has_room(&self) -> bool {
        self.paused.is_none()
            && self.turns.len() < self.policy.capacity
            && (self.turns.is_empty() || self.bytes < self.policy.bytes)
    }

    /// True if no delivery is unsettled.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// True if a delivery waits for people to change something.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// How many deliveries are being processed, and how many outcomes and dead letters wait for
    /// their confirmation.
    pub fn in_flight(&self) -> usize {
        self.processing + self.sent.len() + self.buried.len()
    }

    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// The bytes of the unsettled deliveries and of what was made of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A delivery of this many bytes came. Ask [`Line::has_room`] first.
    pub fn received(&mut self, delivery: D, bytes: usize) {
        self.bytes += bytes;
        self.turns.push_back(Turn {
            delivery,
            bytes,
            attempts: 0,
            retry_at: Duration::ZERO,
            state: State::New,
        });
    }

    /// What to do next, at the time `now`. Each step is given once; report what came of it before
    /// asking again, but for [`Step::Process`], which may take its time.
    pub fn next(&mut self, now: Duration) -> Step<'_, D, M> {
        while self
            .turn(self.cursor)
            .is_some_and(|turn| turn.state.is_under_way())
        {
            self.cursor += 1;
        }
        self.fresh = self.fresh.max(self.cursor);
        while self
            .turn(self.fresh)
            .is_some_and(|turn| !matches!(turn.state, State::New))
        {
            self.fresh += 1;
        }
        let end = self.first + self.turns.len() as u64;
        let end = self.paused.map_or(end, |paused| paused.min(end));
        let sends = self.cursor < end
            && !matches!(
                self.turns[self.index(self.cursor)].state,
                State::New | State::Processing
            );
        // What is made must be kept until all before it is settled: where there is no room for that,
        // only the turn at the front goes on.
        let has_hands = self.processing < self.policy.parallel.unwrap_or(1)
            && (self.bytes < self.policy.bytes || self.fresh == self.first);
        let processes = self.fresh < end && has_hands;
        if !sends && !processes {
            return Step::Wait;
        }
        if now < self.held_until {
            return Step::WaitUntil(self.held_until);
        }
        // After a failure one outcome shows whether the sink is back: if all went at once, one that
        // it cannot take would fail the others with it each time, and never be found.
        let probing = self.failures > 0 && !self.sent.is_empty();
        let is_outcome = sends
            && matches!(
                self.turns[self.index(self.cursor)].state,
                State::Outgoing { .. }
            );
        if sends && !(is_outcome && probing) {
            return self.send();
        }
        if !processes {
            return Step::Wait;
        }
        let number = self.fresh;
        let index = self.index(number);
        let retry_at = self.turns[index].retry_at;
        if now < retry_at {
            return Step::WaitUntil(retry_at);
        }
        self.processing += 1;
        self.fresh += 1;
        let turn = &mut self.turns[index];
        turn.state = State::Processing;
        Step::Process {
            turn: number,
            delivery: &turn.delivery,
        }
    }

    /// The step that sends what the turn at the cursor has next.
    fn send(&self) -> Step<'_, D, M> {
        let turn = &self.turns[self.index(self.cursor)];
        match &turn.state {
            State::New | State::Processing => Step::Wait,
            State::Outgoing { outcomes, sent, .. } => Step::Publish(&outcomes[*sent]),
            State::Dead { rejection, cut, .. } => Step::Bury {
                delivery: &turn.delivery,
                rejection,
                cut: *cut,
            },
        }
    }

    /// What processing the delivery of [`Step::Process`] came to. A turn that is not known belongs
    /// to a time before the source started again.
    pub fn processed(
        &mut self,
        now: Duration,
        number: u64,
        result: Processed<M>,
    ) -> Option<Notice> {
        let known = number >= self.first
            && self
                .turn(number)
                .is_some_and(|turn| matches!(turn.state, State::Processing));
        if !known {
            return None;
        }
        self.processing -= 1;
        match result {
            Processed::Outcomes { messages, bytes } => {
                let state = State::Outgoing {
                    outcomes: messages,
                    bytes,
                    sent: 0,
                    confirmed: 0,
                };
                self.set(number, state);
                None
            }
            Processed::Retry(reason) => {
                let turn = self.turn_mut(number);
                turn.attempts += 1;
                let attempts = turn.attempts;
                if attempts >= self.policy.attempts {
                    let text = format_args!("gave up after {attempts} attempts: {reason}");
                    return self.fail(number, Reason::new(text).into());
                }
                let pause = self.pause(attempts);
                let turn = self.turn_mut(number);
                turn.state = State::New;
                turn.retry_at = now.saturating_add(pause);
                self.fresh = self.fresh.min(number);
                Some(Notice::Held { pause, reason })
            }
            Processed::Reject(rejection) => self.fail(number, rejection),
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
                self.fail(number, reason.into())
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
                self.cursor = self.cursor.min(number);
                let reason = Reason::new(format_args!("no dead letter: {failure}"));
                Some(self.hold_for_an_end(now, reason))
            }
        }
    }

    /// Takes the deliveries that can be accepted off the line.
    pub fn accept(&mut self) -> Option<Settled<D>> {
        let done = |turn: &&Turn<D, M>| turn.state.is_done();
        let deliveries = self.turns.iter().take_while(done).count();
        let (mut outcomes, mut dead, mut last) = (0, 0, None);
        for turn in self.turns.drain(..deliveries) {
            self.bytes -= turn.bytes + turn.state.bytes();
            match turn.state {
                State::Outgoing { outcomes: sent, .. } => outcomes += sent.len(),
                State::Dead { .. } => dead += 1,
                State::New | State::Processing => {}
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
        self.processing = 0;
        self.bytes = 0;
        self.sent.clear();
        self.buried.clear();
        self.paused = None;
    }

    /// The configuration changed: what was held or paused is worth a try at once.
    pub fn resume(&mut self) {
        self.paused = None;
        self.held_until = Duration::ZERO;
        for turn in &mut self.turns {
            turn.retry_at = Duration::ZERO;
        }
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

    fn fail(&mut self, number: u64, rejection: Rejection) -> Option<Notice> {
        self.cursor = self.cursor.min(number);
        match self.policy.on_failure {
            OnFailure::DeadLetter => {
                let state = State::Dead {
                    rejection,
                    sent: false,
                    confirmed: false,
                    cut: false,
                };
                self.set(number, state);
                None
            }
            OnFailure::Pause => {
                // What was sent after it would be out of order once it works.
                self.rewind(number);
                self.set(number, State::New);
                self.turn_mut(number).attempts = 0;
                self.fresh = self.fresh.min(number);
                self.paused = Some(self.paused.map_or(number, |paused| paused.min(number)));
                Some(Notice::Paused {
                    reason: rejection.reason,
                })
            }
        }
    }

    fn set(&mut self, number: u64, state: State<M>) {
        let new = state.bytes();
        let old = std::mem::replace(&mut self.turn_mut(number).state, state);
        self.bytes = self.bytes + new - old.bytes();
    }

    /// The outcomes that one outage fails count as one failure, however many they are.
    fn hold_for_an_end(&mut self, now: Duration, reason: Reason) -> Notice {
        if now >= self.held_until {
            self.failures = self.failures.saturating_add(1);
        }
        let pause = self.pause(self.failures.max(1));
        self.held_until = self.held_until.max(now.saturating_add(pause));
        Notice::Held { pause, reason }
    }

    fn pause(&mut self, failures: u32) -> Duration {
        let doubled = self
            .policy
            .backoff_first
            .saturating_mul(1 << (failures - 1).min(20));
        doubled
            .min(self.policy.backoff_cap)
            .mul_f64(self.jitter.random_range(0.5..=1.0))
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
mod tests;
