//! What lies in the store, and the changes that are made to it.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use weir_event::{Message, Subscription};

use super::{DEAD, record};
use crate::BusError;

/// The messages of each queue by sequence, which is common to all queues and only grows.
const QUEUES: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("queues");

/// Per queue: up to which sequence it was handed to a consumer; the head at which its consumer was
/// opened last; how often in a row that was the same one and had been handed out before.
const CONSUMED: TableDefinition<&str, (u64, u64, u32)> = TableDefinition::new("consumed");

/// Which queue takes what.
const BINDINGS: TableDefinition<(&str, &str), ()> = TableDefinition::new("bindings");

/// Every event, by sequence, as far back as fits.
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");

const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const SEQUENCE: &str = "sequence";
const LOG_SIZE: &str = "log-size";
const FORMAT: &str = "format";

/// The meaning of the tables above. A store of another format is left alone.
const FORMAT_VERSION: u64 = 1;

/// The error of whatever redb reports; all of it means that the disk or the file is not well.
pub(super) fn failed(error: impl Into<redb::Error>) -> BusError {
    BusError::Store(error.into().to_string())
}

fn damaged(queue: &str, sequence: u64) -> BusError {
    BusError::Store(format!("record {sequence} of {queue} is damaged"))
}

/// Makes the tables where they are missing.
pub(super) fn prepare(database: &Database) -> Result<(), BusError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut numbers = transaction.open_table(NUMBERS).map_err(failed)?;
        let known = numbers
            .get(FORMAT)
            .map_err(failed)?
            .map(|format| format.value());
        match known {
            Some(FORMAT_VERSION) => {}
            Some(other) => {
                return Err(BusError::Store(format!(
                    "it has format {other}, and this version of Weir knows format {FORMAT_VERSION}; use another directory"
                )));
            }
            None => {
                numbers.insert(FORMAT, FORMAT_VERSION).map_err(failed)?;
            }
        }
        transaction.open_table(QUEUES).map_err(failed)?;
        transaction.open_table(BINDINGS).map_err(failed)?;
        transaction.open_table(LOG).map_err(failed)?;
        let mut consumed = transaction.open_table(CONSUMED).map_err(failed)?;
        if consumed.get(DEAD).map_err(failed)?.is_none() {
            consumed.insert(DEAD, (0, 0, 0)).map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)
}

/// The messages of a queue behind `after`: up to `limit` of them, and no more once their payloads
/// have that many bytes, or some MiB.
pub(super) fn read(
    database: &Database,
    queue: &str,
    after: u64,
    limit: usize,
    limit_bytes: usize,
) -> Result<Vec<(u64, Message)>, BusError> {
    const ENOUGH_BYTES: usize = 4 << 20;
    let transaction = database.begin_read().map_err(failed)?;
    let queues = transaction.open_table(QUEUES).map_err(failed)?;
    let mut messages = Vec::new();
    let mut bytes = 0;
    let first = after.saturating_add(1);
    for entry in queues
        .range((queue, first)..=(queue, u64::MAX))
        .map_err(failed)?
    {
        let (key, value) = entry.map_err(failed)?;
        let (_, sequence) = key.value();
        let message = record::decode(value.value()).map_err(|_| damaged(queue, sequence))?;
        bytes += message.payload.len();
        messages.push((sequence, message));
        if messages.len() >= limit || bytes >= limit_bytes.min(ENOUGH_BYTES) {
            break;
        }
    }
    Ok(messages)
}

/// The whole log.
#[cfg(test)]
pub(super) fn read_log(database: &Database) -> Result<Vec<(u64, Message)>, BusError> {
    let transaction = database.begin_read().map_err(failed)?;
    let log = transaction.open_table(LOG).map_err(failed)?;
    log.iter()
        .map_err(failed)?
        .map(|entry| {
            let (sequence, value) = entry.map_err(failed)?;
            let sequence = sequence.value();
            let message =
                record::decode(value.value()).map_err(|_| damaged("the log", sequence))?;
            Ok((sequence, message))
        })
        .collect()
}

/// What is known of a queue when it is opened for a consumer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opened {
    /// Up to where it was handed out before.
    pub(super) before: u64,
    /// The message at its head, and how often that was handed out before and the consumer not closed
    /// in peace.
    pub(super) head: u64,
    pub(super) times: u32,
}

/// One transaction, in which many changes are made.
pub(super) struct Change<'a> {
    transaction: &'a WriteTransaction,
    bindings: Vec<(String, Subscription)>,
    sequence: u64,
}

impl<'a> Change<'a> {
    pub(super) fn begin(transaction: &'a WriteTransaction) -> Result<Self, BusError> {
        let numbers = transaction.open_table(NUMBERS).map_err(failed)?;
        let sequence = numbers
            .get(SEQUENCE)
            .map_err(failed)?
            .map_or(0, |number| number.value());
        let mut change = Self {
            transaction,
            bindings: Vec::new(),
            sequence,
        };
        change.read_bindings()?;
        Ok(change)
    }

    /// Writes what the change kept in memory.
    pub(super) fn finish(self) -> Result<(), BusError> {
        let mut numbers = self.transaction.open_table(NUMBERS).map_err(failed)?;
        numbers.insert(SEQUENCE, self.sequence).map_err(failed)?;
        Ok(())
    }

    fn read_bindings(&mut self) -> Result<(), BusError> {
        let table = self.transaction.open_table(BINDINGS).map_err(failed)?;
        self.bindings.clear();
        for entry in table.iter().map_err(failed)? {
            let (key, _) = entry.map_err(failed)?;
            let (queue, pattern) = key.value();
            let pattern = pattern
                .parse()
                .map_err(|error| BusError::Store(format!("a binding is damaged: {error}")))?;
            self.bindings.push((queue.to_owned(), pattern));
        }
        Ok(())
    }

    pub(super) fn attach(
        &mut self,
        queue: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), BusError> {
        {
            let mut consumed = self.transaction.open_table(CONSUMED).map_err(failed)?;
            if consumed.get(queue).map_err(failed)?.is_none() {
                consumed.insert(queue, (0, 0, 0)).map_err(failed)?;
            }
            let mut bindings = self.transaction.open_table(BINDINGS).map_err(failed)?;
            for subscription in subscriptions {
                bindings
                    .insert((queue, subscription.as_str()), ())
                    .map_err(failed)?;
            }
        }
        self.read_bindings()
    }

    pub(super) fn detach(
        &mut self,
        queue: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), BusError> {
        {
            let mut bindings = self.transaction.open_table(BINDINGS).map_err(failed)?;
            for subscription in subscriptions {
                bindings
                    .remove((queue, subscription.as_str()))
                    .map_err(failed)?;
            }
        }
        self.read_bindings()
    }

    /// Adds an event to every queue that subscribes to it, and to the log.
    pub(super) fn publish(&mut self, message: &Message, log_bytes: u64) -> Result<(), BusError> {
        self.sequence += 1;
        let record = record::encode(message);
        let mut queues = self.transaction.open_table(QUEUES).map_err(failed)?;
        for (queue, subscription) in &self.bindings {
            // Two patterns of one queue that match write the same record to the same place.
            if message.routing_keys().any(|key| subscription.matches(key)) {
                let key = (queue.as_str(), self.sequence);
                queues.insert(key, record.as_slice()).map_err(failed)?;
            }
        }
        self.log(&record, log_bytes)
    }

    fn log(&self, record: &[u8], log_bytes: u64) -> Result<(), BusError> {
        let mut log = self.transaction.open_table(LOG).map_err(failed)?;
        let mut numbers = self.transaction.open_table(NUMBERS).map_err(failed)?;
        let before = numbers
            .get(LOG_SIZE)
            .map_err(failed)?
            .map_or(0, |number| number.value());
        log.insert(self.sequence, record).map_err(failed)?;
        let mut size = before + record.len() as u64;
        while size > log_bytes {
            let Some((_, oldest)) = log.pop_first().map_err(failed)? else {
                break;
            };
            size -= oldest.value().len() as u64;
        }
        numbers.insert(LOG_SIZE, size).map_err(failed)?;
        Ok(())
    }

    /// Adds a dead letter.
    pub(super) fn bury(&mut self, message: &Message) -> Result<(), BusError> {
        self.sequence += 1;
        let mut queues = self.transaction.open_table(QUEUES).map_err(failed)?;
        let record = record::encode(message);
        queues
            .insert((DEAD, self.sequence), record.as_slice())
            .map_err(failed)?;
        Ok(())
    }

    /// Removes the messages of a queue up to and including `through`.
    pub(super) fn accept(&mut self, queue: &str, through: u64) -> Result<(), BusError> {
        let mut queues = self.transaction.open_table(QUEUES).map_err(failed)?;
        queues
            .retain_in((queue, 0)..=(queue, through), |_, _| false)
            .map_err(failed)
    }

    /// Notes up to where a queue was handed to its consumer.
    pub(super) fn delivered(&mut self, queue: &str, through: u64) -> Result<(), BusError> {
        self.consumed(queue, |(delivered, head, opened)| {
            (delivered.max(through), head, opened)
        })
        .map(drop)
    }

    /// Opens a queue for a consumer.
    pub(super) fn open(&mut self, queue: &str) -> Result<Opened, BusError> {
        let Some(head) = self.head(queue)? else {
            let (before, ..) = self.consumed(queue, |same| same)?;
            return Ok(Opened {
                before,
                ..Opened::default()
            });
        };
        // Openings of the head count from the first one at which it was handed out, this one included.
        let (before, _, opened) = self.consumed(queue, |(delivered, known, opened)| {
            let again = delivered >= head;
            let earlier = if again && known == head {
                opened
            } else {
                u32::from(again)
            };
            (delivered, head, earlier.saturating_add(1))
        })?;
        Ok(Opened {
            before,
            head,
            times: opened - 1,
        })
    }

    /// Notes that a consumer was closed in peace: this opening says nothing against the head.
    pub(super) fn close(&mut self, queue: &str) -> Result<(), BusError> {
        self.consumed(queue, |(delivered, head, opened)| {
            (delivered, head, opened.saturating_sub(1))
        })
        .map(drop)
    }

    /// The sequence of the first message of a queue.
    fn head(&self, queue: &str) -> Result<Option<u64>, BusError> {
        let queues = self.transaction.open_table(QUEUES).map_err(failed)?;
        let mut range = queues
            .range((queue, 0)..=(queue, u64::MAX))
            .map_err(failed)?;
        let Some(entry) = range.next() else {
            return Ok(None);
        };
        let (key, _) = entry.map_err(failed)?;
        let (_, sequence) = key.value();
        Ok(Some(sequence))
    }

    fn consumed(
        &self,
        queue: &str,
        change: impl FnOnce((u64, u64, u32)) -> (u64, u64, u32),
    ) -> Result<(u64, u64, u32), BusError> {
        let mut consumed = self.transaction.open_table(CONSUMED).map_err(failed)?;
        let before = consumed
            .get(queue)
            .map_err(failed)?
            .ok_or_else(|| {
                BusError::Missing(format!("the queue {queue} does not exist; attach it"))
            })?
            .value();
        let after = change(before);
        if after != before {
            consumed.insert(queue, after).map_err(failed)?;
        }
        Ok(after)
    }
}
