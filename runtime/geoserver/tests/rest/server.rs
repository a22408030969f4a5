//! A small HTTP server that says what a test wants, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// As it came, with the query.
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn is(&self, method: &str, target: &str) -> bool {
        self.method == method && self.target == target
    }
}

pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// After some time.
    Later(Duration, Box<Reply>),
    /// Pieces with pauses before each, and an end.
    Pieces(Duration, Vec<Vec<u8>>),
    /// A length, some of the body, and the connection is gone.
    Cut { length: u64, body: Vec<u8> },
    /// So many bytes, said before or not.
    Long { length: u64, said: bool },
    /// Some of a body, and then nothing for ever.
    Stall,
    /// Nothing for ever.
    Hang,
    /// The connection is gone without an answer.
    Close,
}

pub(crate) fn answer(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Reply {
    let headers = match media_type {
        "" => Vec::new(),
        media_type => vec![("Content-Type".to_owned(), media_type.to_owned())],
    };
    Reply::Answer {
        status,
        headers,
        body: body.into(),
    }
}

pub(crate) fn json(body: &str) -> Reply {
    answer(200, "application/json", body)
}

pub(crate) const VERSION: &str = "/geoserver/rest/about/version.json";

pub(crate) fn version() -> Reply {
    json(r#"{"about":{"resource":[{"@name":"GeoServer","Version":"2.21.2"}]}}"#)
}

pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    /// The most that were answered at one time: reads, writes.
    pub(crate) most: Arc<[AtomicUsize; 2]>,
}

type Says = dyn Fn(&Request) -> Reply + Send + Sync;

struct Shared {
    says: Box<Says>,
    seen: Arc<Mutex<Vec<Request>>>,
    now: [AtomicUsize; 2],
    most: Arc<[AtomicUsize; 2]>,
}

impl Server {
    pub(crate) async fn start(says: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/geoserver", listener.local_addr().unwrap());
        let seen = Arc::default();
        let most = Arc::default();
        let shared = Arc::new(Shared {
            says: Box::new(says),
            seen: Arc::clone(&seen),
            now: Default::default(),
            most: Arc::clone(&most),
        });
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&shared)));
            }
        });
        Self { url, seen, most }
    }

    /// What was asked since this was called before.
    pub(crate) fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn serve(connection: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut stream = BufStream::new(connection);
    while let Some(request) = request(&mut stream).await? {
        let kind = usize::from(!matches!(request.method.as_str(), "GET" | "HEAD"));
        let now = shared.now[kind].fetch_add(1, Ordering::SeqCst) + 1;
        shared.most[kind].fetch_max(now, Ordering::SeqCst);
        let reply = (shared.says)(&request);
        shared.seen.lock().unwrap().push(request);
        let goes_on = send(&mut stream, reply, &shared.now[kind]).await;
        if !goes_on? {
            break;
        }
    }
    Ok(())
}

async fn request(stream: &mut BufStream<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await?;
    } else if headers.contains_key("transfer-encoding") {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            let start = body.len();
            body.resize(start + length, 0);
            stream.read_exact(&mut body[start..]).await?;
            stream.read_line(&mut line).await?;
            if length == 0 {
                break;
            }
        }
    }
    Ok(Some(Request {
        method,
        target,
        headers,
        body,
    }))
}

/// False where the connection ends with this reply.
async fn send(
    stream: &mut BufStream<TcpStream>,
    mut reply: Reply,
    now: &AtomicUsize,
) -> std::io::Result<bool> {
    while let Reply::Later(pause, then) = reply {
        sleep(pause).await;
        reply = *then;
    }
    now.fetch_sub(1, Ordering::SeqCst);
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    match reply {
        Reply::Answer {
            status,
            headers,
            body,
        } => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} It\r\nContent-Length: {length}\r\n");
            stream.write_all(head.as_bytes()).await?;
            for (name, value) in headers {
                let header = format!("{name}: {value}\r\n");
                stream.write_all(header.as_bytes()).await?;
            }
            stream.write_all(b"\r\n").await?;
            stream.write_all(&body).await?;
            stream.flush().await?;
            Ok(true)
        }
        Reply::Later(..) => unreachable!(),
        Reply::Pieces(pause, pieces) => {
            stream.write_all(chunked).await?;
            for piece in pieces.into_iter().chain([Vec::new()]) {
                stream.flush().await?;
                sleep(pause).await;
                stream
                    .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                    .await?;
                stream.write_all(&piece).await?;
                stream.write_all(b"\r\n").await?;
            }
            stream.flush().await?;
            Ok(true)
        }
        Reply::Cut { length, body } => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.flush().await?;
            Ok(false)
        }
        Reply::Long { length, said } => {
            if said {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
            } else {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                    .await?;
            }
            let piece = vec![b'x'; 1 << 16];
            let mut left = length;
            while left > 0 {
                let now = left.min(piece.len() as u64);
                stream
                    .write_all(&piece[..usize::try_from(now).unwrap()])
                    .await?;
                left -= now;
            }
            stream.flush().await?;
            Ok(said)
        }
        Reply::Stall => {
            stream.write_all(chunked).await?;
            stream.write_all(b"2\r\n{}\r\n").await?;
            stream.flush().await?;
            std::future::pending().await
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close => Ok(false),
    }
}
