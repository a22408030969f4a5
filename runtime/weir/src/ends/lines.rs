//! JSON lines: one message a line, from a file or standard input, to a file or standard output.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use weir_event::{Dialect, Message, Reason};
use weir_pipeline::disk::append_to;
use weir_pipeline::ends::{Confirmation, Delivery, EndError, Received, Sink, SinkFailure, Source};

/// Lines that are read ahead of the pipeline, and the bytes that they may have; one is always read.
const READ_AHEAD: usize = 64;
const READ_AHEAD_BYTES: usize = 4 << 20;

/// Reads a file from its beginning, or standard input. Empty lines do not count.
pub(crate) struct LineSource {
    lines: mpsc::Receiver<io::Result<Ahead>>,
    content_type: &'static str,
    next_tag: u64,
}

/// A line that was read ahead, and the room that it takes until the pipeline has it.
struct Ahead {
    line: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl LineSource {
    pub(crate) async fn open(
        path: &Path,
        dialect: Dialect,
        max_message: usize,
    ) -> io::Result<Self> {
        let file = tokio::fs::File::open(path).await?;
        Ok(Self::read(file, dialect, max_message))
    }

    pub(crate) fn stdin(dialect: Dialect, max_message: usize) -> Self {
        Self::read(tokio::io::stdin(), dialect, max_message)
    }

    /// Reading goes on in a task of its own, since half a line must not be lost when a pipeline
    /// turns to something else meanwhile. The task ends with the input or with the source.
    fn read(
        input: impl AsyncRead + Send + Unpin + 'static,
        dialect: Dialect,
        max_message: usize,
    ) -> Self {
        let (sender, lines) = mpsc::channel(READ_AHEAD);
        let room = Arc::new(Semaphore::new(READ_AHEAD_BYTES));
        tokio::spawn(async move {
            let mut input = BufReader::new(input);
            loop {
                let line = read_line(&mut input, max_message).await;
                let last = !matches!(line, Ok(Some(_)));
                let bytes = line.as_ref().map_or(0, |line| {
                    line.as_ref().map_or(0, Vec::len).min(READ_AHEAD_BYTES)
                });
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let room = tokio::select! {
                    room = Arc::clone(&room).acquire_many_owned(bytes) => room.ok(),
                    () = sender.closed() => return,
                };
                let ahead = line
                    .transpose()
                    .map(|line| line.map(|line| Ahead { line, _room: room }));
                if let Some(ahead) = ahead
                    && sender.send(ahead).await.is_err()
                {
                    return;
                }
                if last {
                    return;
                }
            }
        });
        let content_type = match dialect {
            Dialect::CloudEvents => "application/cloudevents+json",
            Dialect::GeoServerCloud | Dialect::GeoNode | Dialect::GeoServerRest => {
                "application/json"
            }
        };
        Self {
            lines,
            content_type,
            next_tag: 1,
        }
    }
}

/// A line without its end; none at the end of the input. Of a line that is longer than a message
/// may be, one byte more than that is kept: enough to be refused for its size.
async fn read_line(
    input: &mut BufReader<impl AsyncRead + Unpin>,
    max_message: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut any = false;
    loop {
        let buffer = input.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(any.then_some(line));
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = (max_message + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

#[async_trait]
impl Source for LineSource {
    async fn next(&mut self) -> Result<Received, EndError> {
        loop {
            match self.lines.recv().await {
                Some(Ok(Ahead { line, .. })) if line.trim_ascii().is_empty() => {}
                Some(Ok(Ahead { line, .. })) => {
                    let tag = self.next_tag;
                    self.next_tag += 1;
                    let message = Message {
                        content_type: Some(self.content_type.to_owned()),
                        payload: line.into(),
                        ..Message::default()
                    };
                    return Ok(Received::Delivery(Delivery {
                        tag,
                        redelivered: false,
                        message,
                        asked: None,
                    }));
                }
                Some(Err(error)) => return Err(EndError(Reason::new(error))),
                None => return Ok(Received::End),
            }
        }
    }

    async fn accept_through(&mut self, _tag: u64) -> Result<(), EndError> {
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

/// Appends to a file, or writes to standard output. A line is confirmed when it is on the disk, or
/// has left the process.
pub(crate) struct LineSink {
    output: Output,
    /// Whole lines that are not written yet.
    buffer: Vec<u8>,
    /// The tickets of these lines.
    unwritten: Vec<u64>,
    confirmations: VecDeque<Confirmation>,
    tickets: u64,
}

enum Output {
    File(File),
    Stdout,
}

impl LineSink {
    pub(crate) fn append(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Output::File(append_to(path)?)))
    }

    /// Says what would keep `append` from its file, without touching anything.
    pub(crate) fn check(path: &Path) -> io::Result<()> {
        let existing = path.ancestors().find_map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((path, metadata.is_dir()))
        });
        match existing {
            Some((there, true)) if there == path => Err(io::ErrorKind::IsADirectory.into()),
            Some((there, false)) if there != path => Err(io::ErrorKind::NotADirectory.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn stdout() -> Self {
        Self::new(Output::Stdout)
    }

    fn new(output: Output) -> Self {
        Self {
            output,
            buffer: Vec::new(),
            unwritten: Vec::new(),
            confirmations: VecDeque::new(),
            tickets: 0,
        }
    }

    /// Writes what is buffered and confirms it. Nothing here waits for another task, so a caller
    /// that drops the future of [`Sink::confirmed`] interrupts nothing.
    fn write(&mut self) {
        let result = self.output.write(&self.buffer).map_err(|error| {
            SinkFailure::Transient(Reason::new(format_args!("cannot write: {error}")))
        });
        self.buffer.clear();
        for ticket in self.unwritten.drain(..) {
            self.confirmations.push_back(Confirmation {
                ticket,
                result: result.clone(),
            });
        }
    }
}

impl Output {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => {
                let before = file.metadata()?.len();
                let written = file.write_all(lines).and_then(|()| file.sync_data());
                if written.is_err() {
                    // Half a line would spoil the one that follows it.
                    file.set_len(before)?;
                }
                written
            }
            Self::Stdout => {
                let mut output = io::stdout().lock();
                output.write_all(lines)?;
                output.flush()
            }
        }
    }
}

#[async_trait]
impl Sink for LineSink {
    async fn publish(&mut self, message: Message) -> u64 {
        self.tickets += 1;
        if message.payload.contains(&b'\n') {
            // JSON over several lines, as it came: one line says the same.
            match serde_json::from_slice::<serde_json::Value>(&message.payload) {
                Ok(value) => self.buffer.extend_from_slice(value.to_string().as_bytes()),
                Err(error) => {
                    let reason = format!("not JSON, so it cannot be one line: {error}");
                    let result = Err(SinkFailure::Permanent(Reason::new(reason)));
                    let ticket = self.tickets;
                    self.confirmations
                        .push_back(Confirmation { ticket, result });
                    return ticket;
                }
            }
        } else {
            self.buffer.extend_from_slice(&message.payload);
        }
        self.buffer.push(b'\n');
        self.unwritten.push(self.tickets);
        self.tickets
    }

    async fn confirmed(&mut self) -> Confirmation {
        if self.confirmations.is_empty() && !self.unwritten.is_empty() {
            // Who only looks whether there is something goes on and publishes more; who waits has
            // it all written at once.
            tokio::task::yield_now().await;
            self.write();
        }
        match self.confirmations.pop_front() {
            Some(confirmation) => confirmation,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(received: Received) -> String {
        match received {
            Received::Delivery(delivery) => {
                String::from_utf8_lossy(&delivery.message.payload).into_owned()
            }
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn reads_lines_of_any_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in.jsonl");
        std::fs::write(&path, "{\"a\":1}\n\n  \n123456789\nlast").unwrap();
        let mut source = LineSource::open(&path, Dialect::GeoNode, 8).await.unwrap();
        let mut lines = Vec::new();
        for _ in 0..4 {
            lines.push(payload(source.next().await.unwrap()));
        }
        assert_eq!(
            lines,
            ["{\"a\":1}", "123456789", "last", "End"],
            "8 bytes and one more"
        );
    }

    #[tokio::test]
    async fn writes_one_line_a_message() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/out.jsonl");
        let mut sink = LineSink::append(&path).unwrap();
        for payload in ["{\"b\":2}", "{\n  \"b\": 1,\n  \"a\": 2\n}", "no\nJSON"] {
            let message = Message {
                payload: payload.into(),
                ..Message::default()
            };
            sink.publish(message).await;
        }
        let mut results = Vec::new();
        for _ in 0..3 {
            let confirmation = sink.confirmed().await;
            results.push((confirmation.ticket, confirmation.result.is_ok()));
        }
        assert_eq!(results, [(3, false), (1, true), (2, true)]);
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, "{\"b\":2}\n{\"b\":1,\"a\":2}\n");
    }
}
