//! What a plugin says: its log calls, its standard output and its standard error, all of which go to
//! Weir's log, each line with the stage, the plugin and the event.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::bindings::host::Level;
use crate::fault::Place;
use crate::sandbox::Occasion;

/// How much a stream takes at once; a guest that writes more does so in pieces.
const PERMIT: usize = 4096;

/// How many lines about one event are logged: each costs more than its bytes.
const RECORDS: usize = 100;

/// How much of what a plugin wrote to its standard error is quoted when it crashes, in bytes.
const QUOTED: usize = 500;

/// The voice of one instance. Clones are the same voice: the streams that the guest holds open have
/// one each.
#[derive(Clone)]
pub(crate) struct Voice(Arc<Mutex<State>>);

struct State {
    at: Arc<Place>,
    occasion: Arc<Occasion>,
    /// Bytes that may be said about one event, how many of them are left, and how many records.
    limit: usize,
    left: usize,
    records: usize,
    /// Of each stream, what is not yet a whole line.
    out: Vec<u8>,
    error: Vec<u8>,
    /// What was written to the standard error during this event.
    said: Vec<u8>,
}

/// A standard stream.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Out,
    Error,
}

impl Voice {
    pub(crate) fn new(at: Arc<Place>, occasion: Arc<Occasion>, limit: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            at,
            occasion,
            limit,
            left: limit,
            records: RECORDS,
            out: Vec::new(),
            error: Vec::new(),
            said: Vec::new(),
        })))
    }

    /// From now on the plugin speaks about something else.
    pub(crate) fn begin(&self, occasion: Arc<Occasion>) {
        let mut state = self.state();
        state.occasion = occasion;
        state.left = state.limit;
        state.records = RECORDS;
        state.said.clear();
    }

    /// Says a whole message.
    pub(crate) fn say(&self, level: Level, message: &str) {
        let mut state = self.state();
        let message = state.allow(message.as_bytes()).to_vec();
        state.lines(level, &message);
    }

    /// Takes bytes of a stream; each line is said when it is whole.
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut state = self.state();
        let bytes = state.allow(bytes);
        if matches!(stream, Stream::Error) {
            state.said.extend_from_slice(bytes);
        }
        let mut pending = std::mem::take(state.pending(stream));
        pending.extend_from_slice(bytes);
        if let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') {
            state.lines(stream.level(), &pending[..end]);
            pending.drain(..=end);
        }
        *state.pending(stream) = pending;
    }

    /// Says what is left of lines that were never ended.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        for stream in [Stream::Out, Stream::Error] {
            let rest = std::mem::take(state.pending(stream));
            state.lines(stream.level(), &rest);
        }
    }

    /// The end of what was written to the standard error during this event, on one line.
    pub(crate) fn said(&self) -> String {
        let state = self.state();
        let start = state.said.len().saturating_sub(QUOTED);
        let text = String::from_utf8_lossy(&state.said[start..]);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here leaves the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pending(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Error => &mut self.error,
        }
    }

    /// As much of this as may still be said. Tells once when something is cut off.
    fn allow<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if bytes.len() <= self.left {
            self.left -= bytes.len();
            return bytes;
        }
        let allowed = &bytes[..self.left];
        if self.left > 0 {
            let cut = format!(
                "(cut off: the limit is {} bytes about one event)",
                self.limit
            );
            self.lines(Level::Warning, cut.as_bytes());
        }
        self.left = 0;
        allowed
    }

    /// Says each line that says something, as long as there are records left.
    fn lines(&mut self, level: Level, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match self.records {
                0 => return,
                1 => self.line(
                    Level::Warning,
                    &format!("(cut off: the limit is {RECORDS} records about one event)"),
                ),
                _ => self.line(level, line),
            }
            self.records -= 1;
        }
    }

    fn line(&self, level: Level, line: &str) {
        // A guest must not drive the terminal of whoever reads the log.
        let plain = |text: &str| text.replace(char::is_control, " ");
        let (event, line) = (plain(self.occasion.name()), plain(line));
        macro_rules! say {
            ($level:ident) => {
                tracing::event!(
                    target: "weir::plugin",
                    tracing::Level::$level,
                    stage = self.at.stage,
                    plugin = self.at.plugin,
                    digest = format_args!("{:.12}", self.at.digest),
                    event = event,
                    "{line}"
                )
            };
        }
        match level {
            Level::Trace => say!(TRACE),
            Level::Debug => say!(DEBUG),
            Level::Info => say!(INFO),
            Level::Warning => say!(WARN),
            Level::Severe => say!(ERROR),
        }
    }
}

impl Stream {
    fn level(self) -> Level {
        match self {
            Self::Out => Level::Info,
            Self::Error => Level::Warning,
        }
    }
}

/// A standard stream of a guest.
pub(crate) struct Mouth {
    pub(crate) voice: Voice,
    pub(crate) stream: Stream,
}

impl IsTerminal for Mouth {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Mouth {
    /// Used by WASI 0.3 only, which is not offered.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self {
            voice: self.voice.clone(),
            stream: self.stream,
        })
    }
}

#[async_trait]
impl Pollable for Mouth {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Mouth {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.voice.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configure::Settings;
    use crate::plugin::Digest;
    use proptest::prelude::*;

    fn voice(limit: usize) -> Voice {
        let at = Place {
            stage: "stage".to_owned(),
            plugin: "plugin".to_owned(),
            digest: Digest::of(b""),
        };
        let occasion = Occasion::configure(at.digest, &Settings::from("{}"));
        Voice::new(Arc::new(at), Arc::new(occasion), limit)
    }

    #[test]
    fn what_was_said_last_is_quoted_on_one_line() {
        let voice = voice(4096);
        voice.write(Stream::Out, b"not this");
        voice.write(Stream::Error, b"panicked at lib.rs:\n  bo");
        voice.write(Stream::Error, b"om\n");
        assert_eq!(voice.said(), "panicked at lib.rs: boom");
        voice.write(Stream::Error, &[b'x'; 1000]);
        assert_eq!(voice.said(), "x".repeat(QUOTED));
        let next = Occasion::configure(Digest::of(b""), &Settings::from("{}"));
        voice.begin(Arc::new(next));
        assert_eq!(voice.said(), "");
    }

    proptest! {
        /// However a guest speaks, no more than the limit is kept or said.
        #[test]
        fn the_limit_holds(
            limit in 0_usize..200,
            pieces in prop::collection::vec((0_u8..3, prop::collection::vec(any::<u8>(), 0..100)), 0..20),
        ) {
            let voice = voice(limit);
            let mut spoken = 0;
            for (how, bytes) in &pieces {
                match how {
                    0 => voice.write(Stream::Out, bytes),
                    1 => voice.write(Stream::Error, bytes),
                    _ => voice.say(Level::Info, &String::from_utf8_lossy(bytes)),
                }
                // Bytes that are no text become longer when they are replaced.
                spoken += if *how == 2 { String::from_utf8_lossy(bytes).len() } else { bytes.len() };
                let state = voice.state();
                prop_assert_eq!(state.left, limit.saturating_sub(spoken));
                prop_assert!(state.out.len() + state.error.len() <= limit);
                prop_assert!(state.said.len() <= limit);
            }
        }
    }
}
