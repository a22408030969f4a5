//! A publisher on the embedded bus.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use tokio::sync::mpsc;
use weir_event::Message;

use super::Inner;
use super::writer::Command;
use crate::publisher::Target;
use crate::{Confirmation, PublishError, WINDOW, WINDOW_BYTES};

#[derive(Debug)]
pub(crate) struct Publisher {
    store: Arc<Inner>,
    target: Target,
    ticket: u64,
    /// How large the payloads are that the writer has not answered, oldest first, and all together.
    open: VecDeque<usize>,
    open_bytes: usize,
    reply: mpsc::Sender<Confirmation>,
    replies: mpsc::Receiver<Confirmation>,
    /// Confirmations that came while there was no room for more messages.
    early: VecDeque<Confirmation>,
}

impl Publisher {
    pub(super) fn new(store: Arc<Inner>, target: Target) -> Self {
        let (reply, replies) = mpsc::channel(WINDOW);
        Self {
            store,
            target,
            ticket: 0,
            open: VecDeque::new(),
            open_bytes: 0,
            reply,
            replies,
            early: VecDeque::new(),
        }
    }

    pub(crate) async fn publish(&mut self, message: Message) -> u64 {
        let size = message.payload.len();
        while self.is_full(size) {
            let confirmation = self.answer().await;
            self.early.push_back(confirmation);
        }
        self.ticket += 1;
        let ticket = self.ticket;
        let command = Command::Publish {
            target: self.target,
            ticket,
            message,
            reply: self.reply.clone(),
        };
        match self.store.send(command).await {
            Ok(()) => {
                self.open.push_back(size);
                self.open_bytes += size;
            }
            Err(error) => {
                let result = Err(PublishError::Unavailable(error.to_string()));
                self.early.push_back(Confirmation { ticket, result });
            }
        }
        ticket
    }

    pub(crate) async fn confirmed(&mut self) -> Confirmation {
        match self.early.pop_front() {
            Some(confirmation) => confirmation,
            None => self.answer().await,
        }
    }

    async fn answer(&mut self) -> Confirmation {
        // We hold a sender ourselves, so that the channel never ends.
        let Some(confirmation) = self.replies.recv().await else {
            return pending().await;
        };
        // The writer answers in the order in which it was asked.
        self.open_bytes -= self.open.pop_front().unwrap_or_default();
        confirmation
    }

    /// True if one more message of this size is too much. One may always go.
    fn is_full(&self, size: usize) -> bool {
        let full = self.open.len() >= WINDOW || self.open_bytes + size > WINDOW_BYTES;
        full && !self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::Store;

    #[tokio::test]
    async fn no_more_bytes_are_unconfirmed_than_may_be() {
        const LARGE: usize = 5 << 20;
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), None).unwrap();
        let mut publisher = store.publisher(Target::Events);
        // To publish the seventh is to wait for the first.
        for _ in 0..12 {
            let message = Message {
                payload: vec![b'x'; LARGE].into(),
                ..Message::default()
            };
            publisher.publish(message).await;
            assert!(publisher.open_bytes <= WINDOW_BYTES);
        }
        for ticket in 1..=12 {
            let confirmation = publisher.confirmed().await;
            assert_eq!((confirmation.ticket, confirmation.result), (ticket, Ok(())));
        }
        assert_eq!(publisher.open_bytes, 0);
    }
}
