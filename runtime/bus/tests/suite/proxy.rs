//! A way to the broker that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use weir_bus::Bus;

use crate::support::vhost;

/// A way to the broker that can be cut.
pub(crate) struct Proxy {
    pub(crate) url: String,
    pub(crate) vhost: String,
    /// Changes to cut every connection.
    cut: watch::Sender<()>,
    /// While set, connections are taken and dropped at once.
    closed: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) async fn new() -> Option<Self> {
        let (direct, vhost) = vhost()?;
        let (credentials, rest) = direct.split_once('@').unwrap();
        let (broker, path) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{credentials}@{}/{path}", listener.local_addr().unwrap());
        let (cut, cuts) = watch::channel(());
        let closed = Arc::new(AtomicBool::new(false));
        tokio::spawn(serve(
            listener,
            broker.to_owned(),
            cuts,
            Arc::clone(&closed),
        ));
        Some(Self {
            url,
            vhost,
            cut,
            closed,
        })
    }

    pub(crate) async fn bus(&self) -> Bus {
        Bus::open(&self.url.parse().unwrap()).await.unwrap()
    }

    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }
}

async fn serve(
    listener: TcpListener,
    broker: String,
    cuts: watch::Receiver<()>,
    closed: Arc<AtomicBool>,
) {
    while let Ok((mut near, _)) = listener.accept().await {
        if closed.load(Ordering::SeqCst) {
            continue;
        }
        let (broker, mut cuts) = (broker.clone(), cuts.clone());
        cuts.mark_unchanged();
        tokio::spawn(async move {
            let mut far = TcpStream::connect(broker).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}
