//! A source whose messages are numbered by their sender, and may arrive swapped.
//!
//! A node of GeoServer Cloud numbers the events of its cluster one after the other, and publishes
//! over several channels: of two events a millisecond apart, the later one arrives first at times.
//! Where a number is missing, what follows it waits for it, for a short time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use weir_event::Message;

use crate::ends::{Delivery, EndError, Received, Source};

/// The most deliveries that wait. A source must be able to have so many more under way.
pub const MOST: u16 = 64;

/// No event is so many others late: a number that is further below the one that is due is one of a
/// sender that began to count anew.
const FAR: u64 = 10_000;

/// The number that its sender gave a message, where it has one.
pub type Sequence = Box<dyn Fn(&Message) -> Option<u64> + Send + Sync>;

/// A source in the order of the numbers, as far as they arrive within a time of each other.
///
/// What has no number, or one that is lower than one that was handed out, stays behind what came
/// before it.
pub struct Reordered {
    source: Box<dyn Source>,
    sequence: Sequence,
    window: Duration,
    /// The number that is due, once there was one.
    due: Option<u64>,
    /// Deliveries that wait for a lower number, until a time, with what stays behind them.
    waiting: BTreeMap<u64, Vec<(Delivery, Instant)>>,
    /// The source is at its end.
    ended: bool,
    /// The last tag that was handed out: ours, as the source's do not grow here.
    tag: u64,
    /// What was handed out and is not accepted: our tag, that of the source, and the number.
    handed: VecDeque<(u64, u64, Option<u64>)>,
    /// The tags of the source in the order in which they came, and those of them, with their numbers,
    /// that are accepted here and not there: a source accepts in its own order.
    came: VecDeque<u64>,
    accepted: BTreeMap<u64, Option<u64>>,
}

impl Reordered {
    pub fn new(source: Box<dyn Source>, sequence: Sequence, window: Duration) -> Self {
        Self {
            source,
            sequence,
            window,
            due: None,
            waiting: BTreeMap::new(),
            ended: false,
            tag: 0,
            handed: VecDeque::new(),
            came: VecDeque::new(),
            accepted: BTreeMap::new(),
        }
    }

    /// The lowest number that waits, if it need not wait any longer.
    fn ripe(&self, now: Instant) -> Option<u64> {
        let (&lowest, _) = self.waiting.first_key_value()?;
        let all = self.waiting.values().flatten();
        let is_due = self.due.is_none_or(|due| lowest <= due);
        // Whatever waits behind the one whose time is over goes before it.
        let is_over = || all.clone().any(|(_, until)| *until <= now);
        let is_full = || all.clone().count() >= usize::from(MOST);
        (is_due || self.ended || is_over() || is_full()).then_some(lowest)
    }

    /// When the time of the first one that waits is over.
    fn deadline(&self) -> Option<Instant> {
        let all = self.waiting.values().flatten();
        all.map(|(_, until)| *until).min()
    }

    fn release(&mut self, sequence: u64) -> Option<Received> {
        let mut entry = self.waiting.first_entry()?;
        let (delivery, _) = entry.get_mut().remove(0);
        if entry.get().is_empty() {
            entry.remove();
        }
        Some(self.hand_out(delivery, Some(sequence)))
    }

    fn hand_out(&mut self, delivery: Delivery, sequence: Option<u64>) -> Received {
        if let Some(sequence) = sequence {
            let next = sequence.saturating_add(1);
            self.due = Some(self.due.map_or(next, |due| due.max(next)));
        }
        self.tag += 1;
        self.handed.push_back((self.tag, delivery.tag, sequence));
        Received::Delivery(Delivery {
            tag: self.tag,
            ..delivery
        })
    }

    /// What came is void, and comes again: its lowest number is due.
    fn restart(&mut self) {
        let handed = self.handed.iter().filter_map(|(_, _, sequence)| *sequence);
        let waiting = self.waiting.keys().copied();
        // These come again as well: the source has not heard that they are accepted.
        let accepted = self.accepted.values().filter_map(|sequence| *sequence);
        self.due = handed.chain(waiting).chain(accepted).min().or(self.due);
        self.waiting.clear();
        self.handed.clear();
        self.came.clear();
        self.accepted.clear();
    }
}

#[async_trait]
impl Source for Reordered {
    async fn next(&mut self) -> Result<Received, EndError> {
        loop {
            if let Some(sequence) = self.ripe(Instant::now())
                && let Some(received) = self.release(sequence)
            {
                return Ok(received);
            }
            if self.ended {
                return Ok(Received::End);
            }
            let deadline = self.deadline();
            let over = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let received = tokio::select! {
                biased;
                received = self.source.next() => received?,
                () = over => continue,
            };
            match received {
                Received::Delivery(delivery) => {
                    self.came.push_back(delivery.tag);
                    let sequence = (self.sequence)(&delivery.message);
                    // The sender counts anew: this is its first number.
                    if let (Some(sequence), Some(due)) = (sequence, self.due)
                        && sequence.saturating_add(FAR) < due
                    {
                        self.due = None;
                    }
                    let sequence = sequence
                        .filter(|sequence| self.due.is_none_or(|due| *sequence >= due))
                        .or_else(|| self.waiting.last_key_value().map(|(last, _)| *last));
                    let Some(sequence) = sequence else {
                        return Ok(self.hand_out(delivery, None));
                    };
                    let until = Instant::now() + self.window;
                    let same = self.waiting.entry(sequence).or_default();
                    same.push((delivery, until));
                }
                Received::Restarted => {
                    self.restart();
                    return Ok(Received::Restarted);
                }
                Received::End => self.ended = true,
            }
        }
    }

    async fn accept_through(&mut self, tag: u64) -> Result<(), EndError> {
        while let Some(&(handed, source, sequence)) = self.handed.front()
            && handed <= tag
        {
            self.handed.pop_front();
            self.accepted.insert(source, sequence);
        }
        let mut last = None;
        while let Some(first) = self.came.front()
            && self.accepted.remove(first).is_some()
        {
            last = self.came.pop_front();
        }
        match last {
            Some(last) => self.source.accept_through(last).await,
            None => Ok(()),
        }
    }

    async fn lost(&mut self) {
        self.source.lost().await;
        self.restart();
    }

    async fn close(self: Box<Self>) {
        self.source.close().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    const WINDOW: Duration = Duration::from_millis(100);

    /// What comes, and when; and what was accepted.
    struct Script {
        coming: VecDeque<(Instant, Received)>,
        accepted: Vec<u64>,
    }

    struct Scripted(Arc<Mutex<Script>>);

    #[async_trait]
    impl Source for Scripted {
        async fn next(&mut self) -> Result<Received, EndError> {
            let then = self.0.lock().unwrap().coming.front().map(|(then, _)| *then);
            if let Some(then) = then {
                sleep_until(then).await;
            }
            let next = self.0.lock().unwrap().coming.pop_front();
            Ok(next.map_or(Received::End, |(_, received)| received))
        }

        async fn accept_through(&mut self, tag: u64) -> Result<(), EndError> {
            self.0.lock().unwrap().accepted.push(tag);
            Ok(())
        }

        async fn close(self: Box<Self>) {}
    }

    /// The payload is the number, or no number.
    fn sequence(message: &Message) -> Option<u64> {
        std::str::from_utf8(&message.payload).ok()?.parse().ok()
    }

    fn delivery(tag: u64, payload: &str) -> Received {
        Received::Delivery(Delivery {
            tag,
            redelivered: false,
            asked: None,
            message: Message {
                payload: payload.to_owned().into(),
                ..Message::default()
            },
        })
    }

    /// A source of what comes, each so many milliseconds after the one before it.
    fn source(coming: Vec<(u64, Received)>) -> (Reordered, Arc<Mutex<Script>>) {
        let mut then = Instant::now();
        let coming = coming.into_iter().map(|(pause, received)| {
            then += Duration::from_millis(pause);
            (then, received)
        });
        let script = Arc::new(Mutex::new(Script {
            coming: coming.collect(),
            accepted: Vec::new(),
        }));
        let scripted = Box::new(Scripted(Arc::clone(&script)));
        (Reordered::new(scripted, Box::new(sequence), WINDOW), script)
    }

    /// What comes out, and when, in milliseconds.
    async fn all(source: &mut Reordered) -> Vec<(u64, String)> {
        let started = Instant::now();
        let mut all = Vec::new();
        loop {
            let said = match source.next().await.unwrap() {
                Received::Delivery(delivery) => {
                    String::from_utf8(delivery.message.payload.to_vec()).unwrap()
                }
                Received::Restarted => "restarted".to_owned(),
                Received::End => return all,
            };
            let after = started.elapsed().as_millis();
            all.push((u64::try_from(after).unwrap(), said));
        }
    }

    fn timed(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
        let expected = expected.iter();
        expected
            .map(|(at, said)| (*at, (*said).to_owned()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_order_does_not_wait_and_what_is_swapped_waits_for_the_other() {
        let (mut source, _) = source(vec![
            (0, delivery(1, "7")),
            (10, delivery(2, "9")),
            (1, delivery(3, "no number")),
            (1, delivery(4, "8")),
            (10, delivery(5, "10")),
        ]);
        let expected = [
            (0, "7"),
            (12, "8"),
            (12, "9"),
            (12, "no number"),
            (22, "10"),
        ];
        assert_eq!(all(&mut source).await, timed(&expected));
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_that_does_not_come_is_waited_for_as_long_as_the_window() {
        let (mut source, _) = source(vec![
            (0, delivery(1, "1")),
            (10, delivery(2, "4")),
            (50, delivery(3, "3")),
            (100, delivery(4, "2")),
            (10, delivery(5, "1")),
            (10, delivery(6, "5")),
        ]);
        let expected = [
            (0, "1"),
            (110, "3"),
            (110, "4"),
            (160, "2"),
            (170, "1"),
            (180, "5"),
        ];
        assert_eq!(all(&mut source).await, timed(&expected));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_again_is_in_order_again() {
        let (mut source, _) = source(vec![
            (0, delivery(1, "1")),
            (1, delivery(2, "3")),
            (1, delivery(3, "2")),
            (1, Received::Restarted),
            (1, delivery(4, "3")),
            (1, delivery(5, "2")),
        ]);
        let Received::Delivery(first) = source.next().await.unwrap() else {
            panic!("no delivery");
        };
        source.accept_through(first.tag).await.unwrap();
        // 2 comes out, and is accepted before 3, which came before it.
        let Received::Delivery(second) = source.next().await.unwrap() else {
            panic!("no delivery");
        };
        source.accept_through(second.tag).await.unwrap();
        let said: Vec<String> = all(&mut source)
            .await
            .into_iter()
            .map(|(_, said)| said)
            .collect();
        assert_eq!(said, ["3", "restarted", "2", "3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_counts_anew_is_followed() {
        let last = u64::MAX.to_string();
        let (mut source, _) = source(vec![
            (0, delivery(1, &last)),
            (1, delivery(2, "1")),
            (1, delivery(3, "3")),
            (1, delivery(4, "2")),
        ]);
        let expected = [(0, last.as_str()), (1, "1"), (3, "2"), (3, "3")];
        assert_eq!(all(&mut source).await, timed(&expected));
    }

    #[tokio::test(start_paused = true)]
    async fn few_wait_however_many_come() {
        let numbers = 100..200_u64;
        let mut coming = vec![(0, delivery(1, "1"))];
        coming.extend(numbers.map(|number| (0, delivery(number, &number.to_string()))));
        let (mut source, _) = source(coming);
        let handed = all(&mut source).await;
        assert_eq!(handed.len(), 101);
        assert!(handed.iter().all(|(at, _)| *at == 0), "{handed:?}");
    }

    proptest! {
        /// However numbers come and whenever they are accepted: each is handed out once, with tags
        /// that grow, and the source hears of a delivery only when all before it are accepted.
        #[test]
        fn nothing_is_lost_and_nothing_accepted_too_early(
            numbers in prop::collection::vec((prop::option::of(0_u64..30), 0_u64..150), 1..40),
            seed: u64,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let coming = numbers.iter().zip(1..).map(|((number, pause), tag)| {
                    let payload = number.map_or_else(|| "-".to_owned(), |number| number.to_string());
                    (*pause, delivery(tag, &payload))
                });
                let (mut source, script) = source(coming.collect());
                let mut random = SmallRng::seed_from_u64(seed);
                // Our tags, those of the source, and how many of the former are accepted.
                let (mut ours, mut accepted) = (Vec::new(), 0);
                while let Received::Delivery(delivery) = source.next().await.unwrap() {
                    assert!(ours.last().is_none_or(|(last, _)| *last < delivery.tag));
                    let of_source = source.handed.back().unwrap().1;
                    ours.push((delivery.tag, of_source));
                    if random.random_bool(0.3) {
                        accepted = random.random_range(accepted..=ours.len());
                        if let Some((tag, _)) = ours[..accepted].last() {
                            source.accept_through(*tag).await.unwrap();
                        }
                    }
                    let settled: BTreeSet<u64> =
                        ours[..accepted].iter().map(|(_, tag)| *tag).collect();
                    let heard = script.lock().unwrap().accepted.last().copied().unwrap_or(0);
                    assert!((1..=heard).all(|tag| settled.contains(&tag)));
                }
                assert_eq!(ours.len(), numbers.len());
                if let Some((tag, _)) = ours.last() {
                    source.accept_through(*tag).await.unwrap();
                }
                let heard = script.lock().unwrap().accepted.last().copied();
                assert_eq!(heard, Some(numbers.len() as u64));
            });
        }
    }
}
