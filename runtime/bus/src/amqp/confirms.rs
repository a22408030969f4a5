//! Which message a confirm and a return are about.
//!
//! RabbitMQ confirms a message that no queue takes, too; a mandatory one it returns first. lapin
//! hands a return to whichever confirm it resolves next, so that a confirm with a return may be
//! about another message, and a confirm without one proves little by itself: its own return may
//! have left with a neighbour. What holds is this:
//!
//! - the return of a message comes before its confirm;
//! - every confirm that lapin resolves takes the oldest return that waits, if there is one.
//!
//! So a confirm that carries nothing says that no return was waiting when it was resolved: whatever
//! had been resolved until then was either returned, and its return is with a confirm that had been
//! resolved too, or it was delivered. Therefore [`Ledger::drained`]: verdicts are passed only when
//! every confirm that is resolved has been told. Returns are matched by message id and routing key.

use std::collections::VecDeque;
use std::time::Instant;

use crate::{Confirmation, PublishError};

/// What a message is known by when it is returned: its id and its routing key.
pub(super) type Identity = (String, String);

/// The messages that were sent, in order, until their verdicts are taken.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    /// The ticket of the first of `entries`.
    first: u64,
    /// How many entries, and how many bytes of payload, have no verdict.
    open: usize,
    open_bytes: usize,
    /// How many entries have neither a verdict nor a confirm.
    unconfirmed: usize,
    /// Confirmed since the last drain, with nothing or with another's return.
    with_nothing: Vec<u64>,
    with_another: Vec<u64>,
    /// Confirmed with another's return before the last drain.
    undecided: Vec<u64>,
}

#[derive(Debug)]
struct Entry {
    /// `None` if it cannot be returned.
    identity: Option<Identity>,
    size: usize,
    sent: Instant,
    returned: bool,
    confirmed: Option<Confirmed>,
    result: Option<Result<(), PublishError>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confirmed {
    Accepted,
    Refused,
}

/// What lapin says with a confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Confirm {
    /// False if the broker refused the message.
    pub(super) ack: bool,
    /// The return that came with it, which may be another message's.
    pub(super) returned: Option<Identity>,
}

/// A return of a message that was not sent: nothing that is open can be trusted any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stray;

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            first: 1,
            open: 0,
            open_bytes: 0,
            unconfirmed: 0,
            with_nothing: Vec::new(),
            with_another: Vec::new(),
            undecided: Vec::new(),
        }
    }

    /// Adds a message, and returns its ticket.
    pub(super) fn sent(&mut self, identity: Option<Identity>, size: usize) -> u64 {
        let sent = Instant::now();
        let entry = Entry {
            identity,
            size,
            sent,
            returned: false,
            confirmed: None,
            result: None,
        };
        self.entries.push_back(entry);
        self.open += 1;
        self.open_bytes += size;
        self.unconfirmed += 1;
        self.first + self.entries.len() as u64 - 1
    }

    /// Tells of a confirm. Any order will do, within what is told between two drains.
    pub(super) fn confirmed(&mut self, ticket: u64, confirm: Confirm) -> Result<(), Stray> {
        let carried = confirm.returned.is_some();
        if let Some(identity) = confirm.returned {
            self.returned(&identity)?;
        }
        let Some(entry) = self.entry(ticket) else {
            return Ok(());
        };
        entry.confirmed = Some(if confirm.ack {
            Confirmed::Accepted
        } else {
            Confirmed::Refused
        });
        let own = entry.returned;
        self.unconfirmed -= 1;
        if own {
            self.decide_returned(ticket);
        }
        if carried {
            self.with_another.push(ticket);
        } else {
            self.with_nothing.push(ticket);
        }
        Ok(())
    }

    fn returned(&mut self, identity: &Identity) -> Result<(), Stray> {
        let (index, entry) = self
            .entries
            .iter_mut()
            .enumerate()
            .find(|(_, entry)| {
                entry.result.is_none()
                    && !entry.returned
                    && entry.identity.as_ref() == Some(identity)
            })
            .ok_or(Stray)?;
        entry.returned = true;
        if entry.confirmed.is_some() {
            self.decide_returned(self.first + index as u64);
        }
        Ok(())
    }

    /// Says that every confirm that was resolved until now has been told.
    pub(super) fn drained(&mut self) {
        // Where nothing is left to be confirmed, every return has come, and was carried.
        let all_confirmed = self.unconfirmed == 0;
        if all_confirmed {
            self.undecided.append(&mut self.with_another);
        }
        if all_confirmed || !self.with_nothing.is_empty() {
            let nothing = std::mem::take(&mut self.with_nothing);
            for ticket in nothing
                .into_iter()
                .chain(std::mem::take(&mut self.undecided))
            {
                self.decide_confirmed(ticket);
            }
        }
        self.undecided.append(&mut self.with_another);
    }

    /// Passes the same verdict on all that have none: their channel is gone.
    pub(super) fn fail_all(&mut self, error: impl Fn(usize) -> PublishError) {
        for ticket in (self.first..).take(self.entries.len()) {
            let size = self.entry(ticket).map_or(0, |entry| entry.size);
            self.decide(ticket, Err(error(size)));
        }
        self.unconfirmed = 0;
        self.with_nothing.clear();
        self.with_another.clear();
        self.undecided.clear();
    }

    /// Adds a message that was not sent, with the reason.
    pub(super) fn failed(&mut self, error: PublishError) -> u64 {
        let ticket = self.sent(None, 0);
        self.unconfirmed -= 1;
        self.decide(ticket, Err(error));
        ticket
    }

    fn decide_confirmed(&mut self, ticket: u64) {
        let confirmed = self.entry(ticket).and_then(|entry| entry.confirmed);
        let result = if confirmed == Some(Confirmed::Refused) {
            Err(PublishError::Refused(
                "a queue is full, or could not keep it".to_owned(),
            ))
        } else {
            Ok(())
        };
        self.decide(ticket, result);
    }

    fn decide_returned(&mut self, ticket: u64) {
        let key = self
            .entry(ticket)
            .and_then(|entry| entry.identity.take())
            .map(|(_, key)| key)
            .unwrap_or_default();
        self.decide(ticket, Err(PublishError::Unroutable(key)));
    }

    /// The first verdict stands.
    fn decide(&mut self, ticket: u64, result: Result<(), PublishError>) {
        let Some(entry) = self.entry(ticket).filter(|entry| entry.result.is_none()) else {
            return;
        };
        entry.result = Some(result);
        let size = entry.size;
        self.open -= 1;
        self.open_bytes -= size;
    }

    fn entry(&mut self, ticket: u64) -> Option<&mut Entry> {
        let index = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(index)
    }

    /// The next verdict, in the order of the tickets.
    pub(super) fn take(&mut self) -> Option<Confirmation> {
        let result = self.entries.front_mut()?.result.take()?;
        self.entries.pop_front();
        let ticket = self.first;
        self.first += 1;
        Some(Confirmation { ticket, result })
    }

    /// How many messages have no verdict, and the bytes of their payloads.
    pub(super) fn open(&self) -> (usize, usize) {
        (self.open, self.open_bytes)
    }

    /// When the oldest message without a verdict was sent.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries
            .iter()
            .find(|entry| entry.result.is_none())
            .map(|entry| entry.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity(n: usize) -> Identity {
        (format!("id-{n}"), "key".to_owned())
    }

    fn ack(returned: Option<usize>) -> Confirm {
        Confirm {
            ack: true,
            returned: returned.map(identity),
        }
    }

    fn ledger(messages: usize) -> Ledger {
        let mut ledger = Ledger::new();
        for n in 1..=messages {
            assert_eq!(ledger.sent(Some(identity(n)), 1), n as u64);
        }
        ledger
    }

    fn verdicts(ledger: &mut Ledger) -> Vec<(u64, bool)> {
        std::iter::from_fn(|| ledger.take())
            .map(|Confirmation { ticket, result }| (ticket, result.is_ok()))
            .collect()
    }

    #[test]
    fn a_return_that_came_with_another_confirm_finds_its_message() {
        let mut ledger = ledger(3);
        ledger.confirmed(1, ack(Some(2))).unwrap();
        ledger.drained();
        assert_eq!(
            verdicts(&mut ledger),
            [],
            "1 may have been returned as well"
        );
        ledger.confirmed(2, ack(None)).unwrap();
        ledger.drained();
        assert_eq!(verdicts(&mut ledger), [(1, true), (2, false)]);
        assert_eq!(ledger.open(), (1, 1));
    }

    #[test]
    fn with_nothing_left_to_confirm_all_is_decided() {
        let mut ledger = ledger(2);
        ledger.confirmed(2, ack(Some(1))).unwrap();
        ledger.confirmed(1, ack(Some(2))).unwrap();
        ledger.drained();
        assert_eq!(verdicts(&mut ledger), [(1, false), (2, false)]);
    }

    #[test]
    fn a_return_of_something_else_is_told() {
        let mut ledger = ledger(1);
        assert_eq!(ledger.confirmed(1, ack(Some(9))), Err(Stray));
    }

    #[test]
    fn a_lost_channel_decides_everything_and_nothing_twice() {
        let mut ledger = ledger(3);
        ledger.confirmed(1, ack(None)).unwrap();
        ledger.drained();
        ledger.fail_all(|_| PublishError::Unavailable("cut".to_owned()));
        assert_eq!(verdicts(&mut ledger), [(1, true), (2, false), (3, false)]);
        assert_eq!(ledger.open(), (0, 0));
    }

    /// What happens on the wire and in lapin, as far as it matters here.
    #[derive(Clone, Debug)]
    struct Story {
        /// Per message: no queue takes it; the broker refuses it.
        messages: Vec<(bool, bool)>,
        /// Drawn on for every choice of order.
        choices: Vec<u16>,
    }

    fn story() -> impl Strategy<Value = Story> {
        let messages = prop::collection::vec((any::<bool>(), prop::bool::weighted(0.1)), 1..40);
        let choices = prop::collection::vec(any::<u16>(), 200);
        (messages, choices).prop_map(|(messages, choices)| Story { messages, choices })
    }

    proptest! {
        /// No interleaving of sends, returns, confirms (of one or of many) and drains makes a wrong
        /// verdict, and in the end every message has one.
        #[test]
        fn verdicts_are_right(Story { messages, choices } in story()) {
            let mut choices = choices.into_iter().cycle();
            let mut choose = move |among: usize| usize::from(choices.next().unwrap()) % among;
            let mut ledger = Ledger::new();
            let mut unsent: VecDeque<usize> = (1..=messages.len()).collect();
            let mut at_broker: Vec<usize> = Vec::new();
            let mut returned: Vec<usize> = Vec::new();      // by the broker, before the confirm
            let mut waiting: VecDeque<usize> = VecDeque::new(); // returns in lapin
            let mut resolved: Vec<(usize, Confirm)> = Vec::new(); // confirms in lapin, not yet told
            let mut seen = Vec::new();
            while !(unsent.is_empty() && at_broker.is_empty() && resolved.is_empty()) {
                match choose(5) {
                    0 => if let Some(n) = unsent.pop_front() {
                        ledger.sent(Some(identity(n)), 1);
                        at_broker.push(n);
                    },
                    1 => {
                        let some = at_broker.iter().copied()
                            .find(|n| messages[n - 1].0 && !returned.contains(n));
                        if let Some(n) = some {
                            returned.push(n);
                            waiting.push_back(n);
                        }
                    }
                    2 | 3 => {
                        // Several confirms at once, which lapin resolves in any order.
                        for _ in 0..=choose(4) {
                            if at_broker.is_empty() { break; }
                            let n = at_broker.remove(choose(at_broker.len()));
                            let (unroutable, refused) = messages[n - 1];
                            if unroutable && !returned.contains(&n) {
                                waiting.push_back(n);
                            }
                            let carried = waiting.pop_front().map(identity);
                            resolved.push((n, Confirm { ack: !refused, returned: carried }));
                        }
                    }
                    _ => {
                        while !resolved.is_empty() {
                            let (n, confirm) = resolved.remove(choose(resolved.len()));
                            prop_assert_eq!(ledger.confirmed(n as u64, confirm), Ok(()));
                        }
                        ledger.drained();
                        seen.extend(std::iter::from_fn(|| ledger.take()));
                    }
                }
            }
            for Confirmation { ticket, result } in &seen {
                let (unroutable, refused) = messages[usize::try_from(*ticket).unwrap() - 1];
                let right = match result {
                    Ok(()) => !unroutable && !refused,
                    Err(PublishError::Unroutable(_)) => unroutable,
                    Err(PublishError::Refused(_)) => refused,
                    Err(_) => false,
                };
                prop_assert!(right, "{ticket}: {result:?}");
            }
            let tickets: Vec<u64> = seen.iter().map(|seen| seen.ticket).collect();
            prop_assert_eq!(tickets, (1..=messages.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(ledger.open(), (0, 0));
        }
    }
}
