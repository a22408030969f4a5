//! Files on their way, of which only a piece is held at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use reqwest::{Body, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use weir_event::Reason;

use crate::error::{CallError, Failure};
use crate::transport::failed;

/// A file that is being read. It takes the place of a read at its node until it is dropped.
#[derive(Debug)]
pub struct Download {
    pub(crate) call: Reason,
    pub(crate) response: Response,
    pub(crate) limit: u64,
    pub(crate) read: u64,
    pub(crate) silence: Duration,
    pub(crate) _turn: OwnedSemaphorePermit,
}

impl Download {
    /// How long the file is, if GeoServer says so; mostly it does not.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece; `None` at the end. The end is one: a connection that breaks is a failure.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        self.piece().await.map_err(|failure| CallError {
            call: self.call.clone(),
            failure,
        })
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let piece = timeout(self.silence, self.response.chunk())
            .await
            .map_err(|_| Failure::Hung(self.silence))?
            .map_err(|error| failed(&error))?;
        self.read += piece.as_ref().map_or(0, Bytes::len) as u64;
        if self.read > self.limit {
            return Err(Failure::TooLarge { limit: self.limit });
        }
        Ok(piece)
    }

    /// The pieces as a stream, to be sent to another node as they come.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, CallError>> + Send + 'static {
        stream::try_unfold(self, |mut download| async move {
            let piece = download.next().await?;
            Ok(piece.map(|piece| (piece, download)))
        })
    }
}

/// What is known of a body while it is sent.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    sent: Arc<AtomicU64>,
    broke: Arc<OnceLock<Failure>>,
}

impl Progress {
    /// The pieces as a body, which breaks off where they are more than `limit` bytes, or break off.
    pub(crate) fn body<S, E>(&self, pieces: S, limit: u64) -> Body
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let progress = self.clone();
        let checked = pieces
            .map_err(|error| Failure::Source(Reason::new(error)))
            .map(move |piece| {
                let checked = piece.and_then(|piece| {
                    let length = piece.len() as u64;
                    let sent = progress.sent.fetch_add(length, Ordering::Relaxed) + length;
                    if sent > limit {
                        return Err(Failure::TooLarge { limit });
                    }
                    Ok(piece)
                });
                checked.inspect_err(|failure| {
                    // The first one is the cause of the others.
                    progress.broke.get_or_init(|| failure.clone());
                })
            });
        Body::wrap_stream(checked)
    }

    /// Waits for an answer as long as there is progress, or there was within `silence`.
    pub(crate) async fn wait(
        &self,
        answer: impl Future<Output = Result<Response, reqwest::Error>>,
        silence: Duration,
    ) -> Result<Response, Failure> {
        let mut answer = std::pin::pin!(answer);
        let mut before = None;
        loop {
            if let Ok(answer) = timeout(silence, &mut answer).await {
                // What broke here is why it broke there.
                return answer.map_err(|error| {
                    let broke = self.broke.get().cloned();
                    broke.unwrap_or_else(|| failed(&error))
                });
            }
            let sent = self.sent.load(Ordering::Relaxed);
            if before.replace(sent) == Some(sent) || sent == 0 {
                return Err(Failure::Hung(silence));
            }
        }
    }
}
