//! What the operating system tells a running Weir.

use anyhow::Context as _;
use tokio::signal::unix::{self, SignalKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM, or SIGINT: finish what is in flight and end.
    Stop,
    /// SIGHUP: read the configuration and the plugins again.
    Reload,
}

pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    /// A SIGHUP that came while only a stop was waited for.
    reload: bool,
}

impl Signals {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let listen = |kind| unix::signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            reload: false,
        })
    }

    /// Cancel-safe.
    pub(crate) async fn next(&mut self) -> Signal {
        if std::mem::take(&mut self.reload) {
            return Signal::Reload;
        }
        self.receive().await
    }

    /// Waits for a signal to stop; one to reload is kept for later. Cancel-safe.
    pub(crate) async fn stop(&mut self) {
        while self.receive().await == Signal::Reload {
            self.reload = true;
        }
    }

    async fn receive(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
