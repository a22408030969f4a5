//! A source between whose deliveries Weir itself asks for objects of the master.
//!
//! A snapshot of a master and the changes that go on meanwhile need no join if both come through one
//! line: whoever walks through the objects of a master puts a hint for each into the source, and what
//! it comes to is fetched, numbered and sent in turn with everything else.

use std::collections::VecDeque;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use weir_event::Message;

use crate::ends::{Asked, Delivery, EndError, Received, Source};

/// Hints that are ready before the line takes them.
const AHEAD: usize = 16;

/// A source with hints that nobody sent.
pub struct Walked {
    source: Box<dyn Source>,
    hints: mpsc::Receiver<Hint>,
    /// What was handed out and has to be handed out again: its source cannot.
    again: VecDeque<Hint>,
    /// How many hints were accepted.
    accepted: watch::Sender<u64>,
    /// How many walks are asked for, or under way.
    walks: watch::Receiver<usize>,
    tag: u64,
    /// What was handed out and is not accepted: our tag, and that of the source or the hint.
    handed: VecDeque<(u64, Handed)>,
    ended: bool,
    /// Ends with this.
    _walker: JoinSet<()>,
}

type Hint = (Message, Asked);

enum Handed {
    Delivery(u64),
    Hint(Box<Hint>),
}

/// Where hints are put in, by whoever walks.
#[derive(Debug)]
pub struct Asking {
    hints: mpsc::Sender<Hint>,
    accepted: watch::Receiver<u64>,
    sent: u64,
}

impl Asking {
    /// Asks for an object: a hint of the dialect `geoserver-rest`, without the state. False if there
    /// is nobody to be asked any more.
    pub async fn ask(&mut self, hint: Message, asked: Asked) -> bool {
        self.sent += 1;
        self.hints.send((hint, asked)).await.is_ok()
    }

    /// Waits until all that was asked for is where it goes. False if that will never be.
    pub async fn are_accepted(&mut self) -> bool {
        let sent = self.sent;
        let all = self.accepted.wait_for(|accepted| *accepted >= sent);
        all.await.is_ok()
    }
}

impl Walked {
    /// `walks` counts the walks that are asked for or under way: until there is none, the source does
    /// not end. `walker` is what walks; it is given where to ask.
    pub fn new<W>(
        source: Box<dyn Source>,
        walks: watch::Receiver<usize>,
        walker: impl FnOnce(Asking) -> W,
    ) -> Self
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (hints, to_ask) = mpsc::channel(AHEAD);
        let (accepted, when) = watch::channel(0);
        let asking = Asking {
            hints,
            accepted: when,
            sent: 0,
        };
        let mut task = JoinSet::new();
        task.spawn(walker(asking));
        Self {
            source,
            hints: to_ask,
            again: VecDeque::new(),
            accepted,
            walks,
            tag: 0,
            handed: VecDeque::new(),
            ended: false,
            _walker: task,
        }
    }

    fn hand_out(&mut self, delivery: Delivery, handed: Handed) -> Received {
        self.tag += 1;
        self.handed.push_back((self.tag, handed));
        Received::Delivery(Delivery {
            tag: self.tag,
            ..delivery
        })
    }

    fn ask(&mut self, hint: Hint) -> Received {
        let (message, asked) = hint.clone();
        let delivery = Delivery {
            tag: 0,
            redelivered: false,
            message,
            asked: Some(asked),
        };
        self.hand_out(delivery, Handed::Hint(Box::new(hint)))
    }

    /// What was handed out is void.
    fn restart(&mut self) {
        let handed = std::mem::take(&mut self.handed).into_iter();
        let hints = handed.filter_map(|(_, handed)| match handed {
            Handed::Hint(hint) => Some(*hint),
            Handed::Delivery(_) => None,
        });
        let after = std::mem::take(&mut self.again);
        self.again = hints.chain(after).collect();
    }
}

#[async_trait]
impl Source for Walked {
    async fn next(&mut self) -> Result<Received, EndError> {
        if let Some(hint) = self.again.pop_front() {
            return Ok(self.ask(hint));
        }
        loop {
            let idle = *self.walks.borrow_and_update() == 0;
            if self.ended && idle {
                return Ok(Received::End);
            }
            // By turns, so that neither a busy master nor a long walk starves the other.
            tokio::select! {
                received = self.source.next(), if !self.ended => match received? {
                    Received::Delivery(delivery) => {
                        let tag = delivery.tag;
                        return Ok(self.hand_out(delivery, Handed::Delivery(tag)));
                    }
                    Received::Restarted => {
                        self.restart();
                        return Ok(Received::Restarted);
                    }
                    Received::End => self.ended = true,
                },
                Some(hint) = self.hints.recv() => return Ok(self.ask(hint)),
                Ok(()) = self.walks.changed(), if self.ended => {}
                else => return Ok(Received::End),
            }
        }
    }

    async fn accept_through(&mut self, tag: u64) -> Result<(), EndError> {
        let mut last = None;
        let mut hints = 0;
        while let Some((ours, _)) = self.handed.front()
            && *ours <= tag
            && let Some((_, handed)) = self.handed.pop_front()
        {
            match handed {
                Handed::Delivery(tag) => last = Some(tag),
                Handed::Hint(_) => hints += 1,
            }
        }
        if let Some(last) = last {
            self.source.accept_through(last).await?;
        }
        if hints > 0 {
            self.accepted.send_modify(|accepted| *accepted += hints);
        }
        Ok(())
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
    use super::*;

    /// Hands out numbers, starts anew once, and ends.
    struct Numbers {
        steps: VecDeque<Option<u64>>,
        accepted: watch::Sender<u64>,
    }

    #[async_trait]
    impl Source for Numbers {
        async fn next(&mut self) -> Result<Received, EndError> {
            Ok(match self.steps.pop_front() {
                Some(Some(tag)) => Received::Delivery(Delivery {
                    tag,
                    redelivered: false,
                    message: Message::default(),
                    asked: None,
                }),
                Some(None) => Received::Restarted,
                None => Received::End,
            })
        }

        async fn accept_through(&mut self, tag: u64) -> Result<(), EndError> {
            self.accepted.send_replace(tag);
            Ok(())
        }

        async fn close(self: Box<Self>) {}
    }

    fn hint(id: &str) -> Message {
        Message {
            message_id: Some(id.to_owned()),
            ..Message::default()
        }
    }

    #[tokio::test]
    async fn hints_come_between_deliveries_and_again_until_they_are_accepted() {
        let (accepted, accepted_there) = watch::channel(0);
        let source = Numbers {
            steps: [Some(7), None, Some(8)].into(),
            accepted,
        };
        let (under_way, walks) = watch::channel(1);
        let mut walked = Walked::new(Box::new(source), walks, |mut asking| async move {
            for id in ["a", "b"] {
                assert!(asking.ask(hint(id), Asked { slave: None }).await);
            }
            assert!(asking.are_accepted().await);
            under_way.send_replace(0);
        });
        // Before the source starts anew, and after that: every hint comes again.
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut is_after = false;
        let mut last = 0;
        while after.len() < 3 {
            match walked.next().await.unwrap() {
                Received::Delivery(delivery) => {
                    assert!(delivery.tag > last);
                    last = delivery.tag;
                    let what = delivery
                        .message
                        .message_id
                        .unwrap_or_else(|| "source".to_owned());
                    if is_after { &mut after } else { &mut before }.push(what);
                }
                Received::Restarted => is_after = true,
                Received::End => panic!("{before:?} {after:?}: a walk is under way"),
            }
        }
        assert!(before.contains(&"source".to_owned()), "{before:?}");
        after.sort();
        assert_eq!(after, ["a", "b", "source"]);
        walked.accept_through(last).await.unwrap();
        assert_eq!(*accepted_there.borrow(), 8);
        assert!(matches!(walked.next().await.unwrap(), Received::End));
    }
}
