//! Messages that end the process, so that one of them does not end it for ever.
//!
//! A bus hands out again what was not accepted, and cannot know why it was not: a stop, a connection
//! that was cut and a hold for long are no fault of the message. So Weir counts by itself. While a
//! message that was handed out before is worked, there is a file for it; a file that is found at the
//! start is of a process that did not live to remove it.
//!
//! The files are not synced: what a process has written survives its end, and when the machine ends,
//! that is not the doing of a message.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::warn;
use weir_event::{Message, Reason};
use weir_wasm::Digest;

use crate::line::Rejection;

/// How often a message may end the process, after the first time, which is not counted: supervisors
/// of services give up after five ends in short time.
const MOST: u64 = 3;

/// The count of all pipelines of a process. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Crashes {
    /// Where the files are; nothing is counted without.
    directory: Option<PathBuf>,
    /// Whoever was in hand when a process ended is worked while no other one is that was: so it shows
    /// which of them it was.
    alone: Arc<Mutex<()>>,
}

/// A message that is worked. To drop it says that the message did no harm, but in a panic.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    path: Option<PathBuf>,
    alone: Option<OwnedMutexGuard<()>>,
}

/// A message that was in hand when a process ended. It is in hand again once it is its turn.
pub(crate) struct Suspect(PathBuf);

/// How a message may be worked.
pub(crate) enum Verdict {
    /// As any other.
    Free(InHand),
    /// Once [`Crashes::alone`] gives it.
    Alone(Suspect),
    /// Not at all.
    Reject(Rejection),
}

impl Crashes {
    /// Counts in the files of this directory, which need not be there.
    pub fn open(directory: &Path) -> Self {
        Self {
            directory: Some(directory.to_owned()),
            alone: Arc::default(),
        }
    }

    /// A message that was handed out before is about to be worked by this pipeline.
    pub(crate) fn take_up(&self, pipeline: &str, message: &Message) -> Verdict {
        let Some(directory) = &self.directory else {
            return Verdict::Free(InHand::default());
        };
        let path = directory.join(name(pipeline, message));
        let crashes = fs::metadata(&path).map_or(0, |file| file.len());
        if crashes >= MOST {
            // Whoever changes something and has it worked again counts anew.
            remove(&path);
            let ends = crashes + 1;
            let text = format_args!(
                "Weir ended {ends} times while it worked on this message: it was killed, or ran out of memory"
            );
            return Verdict::Reject(Reason::new(text).into());
        }
        if crashes == 0 {
            Verdict::Free(InHand::new(path, None))
        } else {
            Verdict::Alone(Suspect(path))
        }
    }

    /// Waits until no other message is in hand that was when a process ended.
    pub(crate) async fn alone(&self, Suspect(path): Suspect) -> InHand {
        let alone = Arc::clone(&self.alone).lock_owned().await;
        InHand::new(path, Some(alone))
    }
}

impl InHand {
    fn new(path: PathBuf, alone: Option<OwnedMutexGuard<()>>) -> Self {
        if let Err(error) = add_one(&path) {
            let path = path.display();
            warn!(%error, "cannot write {path}: if this message ends Weir, that is not counted");
        }
        Self {
            path: Some(path),
            alone,
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && !std::thread::panicking()
        {
            remove(path);
        }
        // Only now may the next one begin.
        drop(self.alone.take());
    }
}

fn name(pipeline: &str, message: &Message) -> String {
    let mut text = format!("{pipeline}\n{}\n", message.routing_key).into_bytes();
    text.extend_from_slice(&message.payload);
    Digest::of(&text).to_string()
}

/// The length of the file is the count.
fn add_one(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(b"1")
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        let path = path.display();
        warn!(%error, "cannot remove {path}: its message is taken for one that ended Weir");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &'static str) -> Message {
        Message {
            payload: payload.into(),
            ..Message::default()
        }
    }

    /// A process that ends removes nothing.
    fn end(in_hand: InHand) {
        std::mem::forget(in_hand);
    }

    fn free(verdict: Verdict) -> InHand {
        match verdict {
            Verdict::Free(in_hand) => in_hand,
            Verdict::Alone(_) => panic!("a suspect"),
            Verdict::Reject(rejection) => panic!("rejected: {rejection:?}"),
        }
    }

    fn suspect(verdict: Verdict) -> Suspect {
        match verdict {
            Verdict::Alone(suspect) => suspect,
            Verdict::Free(_) => panic!("no suspect"),
            Verdict::Reject(rejection) => panic!("rejected: {rejection:?}"),
        }
    }

    #[tokio::test]
    async fn what_ends_the_process_again_and_again_is_rejected_and_counted_anew() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("crashes");
        let deadly = message("deadly");
        for _ in 0..2 {
            end(free(Crashes::open(&directory).take_up("slave eu", &deadly)));
            for _ in 1..MOST {
                // Each process has a count of its own.
                let crashes = Crashes::open(&directory);
                let suspect = suspect(crashes.take_up("slave eu", &deadly));
                end(crashes.alone(suspect).await);
            }
            let crashes = Crashes::open(&directory);
            let Verdict::Reject(rejection) = crashes.take_up("slave eu", &deadly) else {
                panic!("it may go on");
            };
            assert!(rejection.reason.starts_with("Weir ended 4 times"));
        }
    }

    #[test]
    fn what_is_worked_to_its_end_is_no_suspect() {
        let directory = tempfile::tempdir().unwrap();
        let crashes = Crashes::open(directory.path());
        let in_hand = free(crashes.take_up("slave eu", &message("slow")));
        // Of another pipeline, and another message.
        for (pipeline, payload) in [("slave us", "slow"), ("slave eu", "other")] {
            drop(free(crashes.take_up(pipeline, &message(payload))));
        }
        drop(in_hand);
        drop(free(crashes.take_up("slave eu", &message("slow"))));
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_panic_counts() {
        let directory = tempfile::tempdir().unwrap();
        let crashes = Crashes::open(directory.path());
        let worked = crashes.clone();
        let panicked = std::thread::spawn(move || {
            let _in_hand = free(worked.take_up("slave eu", &message("deadly")));
            panic!("over this message");
        });
        assert!(panicked.join().is_err());
        suspect(crashes.take_up("slave eu", &message("deadly")));
    }

    #[tokio::test(start_paused = true)]
    async fn one_suspect_is_in_hand_at_one_time_and_who_waits_is_not_blamed() {
        let directory = tempfile::tempdir().unwrap();
        for payload in ["deadly", "innocent"] {
            let crashes = Crashes::open(directory.path());
            end(free(crashes.take_up("slave eu", &message(payload))));
        }
        for _ in 1..MOST {
            let crashes = Crashes::open(directory.path());
            let deadly = suspect(crashes.take_up("slave eu", &message("deadly")));
            let deadly = crashes.alone(deadly).await;
            let innocent = suspect(crashes.take_up("slave eu", &message("innocent")));
            let waits = crashes.alone(innocent);
            let waited = tokio::time::timeout(std::time::Duration::from_secs(1), waits).await;
            assert!(waited.is_err());
            end(deadly);
        }
        let crashes = Crashes::open(directory.path());
        let verdict = crashes.take_up("slave eu", &message("deadly"));
        assert!(matches!(verdict, Verdict::Reject(_)));
        let innocent = suspect(crashes.take_up("slave eu", &message("innocent")));
        drop(crashes.alone(innocent).await);
        drop(free(crashes.take_up("slave eu", &message("innocent"))));
    }
}
