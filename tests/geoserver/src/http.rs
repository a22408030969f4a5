//! HTTP/1.1 as far as a client of GeoServer speaks it.

use std::collections::HashMap;
use std::io;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// How long a line of a head may be: Jetty takes 8 KiB for all of it.
const LINE_BYTES: u64 = 64 << 10;
/// How many lines a head may have.
const HEADERS: usize = 64;
/// How large a body may be: the largest files that tests send.
const BODY_BYTES: u64 = 64 << 20;

pub(crate) struct Request {
    pub(crate) method: String,
    /// As it came, with the query.
    pub(crate) target: String,
    /// Decoded, after the name of the application.
    pub(crate) path: Vec<String>,
    query: HashMap<String, String>,
    headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(crate) fn asks_for(&self, flag: &str) -> bool {
        self.query(flag) == "true"
    }

    pub(crate) fn is_read(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }

    pub(crate) fn media_type(&self) -> &str {
        let whole = self.header("content-type");
        whole.split(';').next().unwrap_or_default().trim()
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn bytes(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut reply = Self::empty(status);
        reply.body = body.into();
        reply.with("Content-Type", media_type)
    }

    /// Words in plain text; none are an empty body, as GeoServer has for most refusals.
    pub(crate) fn text(status: u16, words: impl Into<String>) -> Self {
        Self::bytes(status, "text/plain", words.into())
    }

    /// The page that Jetty makes of a refusal.
    pub(crate) fn page(status: u16, words: &str) -> Self {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        let words = words.replace('\'', "&apos;");
        let page = format!(
            "<html>\n<head>\n<title>Error {status} {words}</title>\n</head>\n<body><h2>HTTP ERROR {status} {words}</h2></body>\n</html>\n"
        );
        Self::bytes(status, "text/html;charset=iso-8859-1", page)
    }

    pub(crate) fn json(document: &Value) -> Self {
        Self::bytes(200, "application/json", document.to_string())
    }

    pub(crate) fn xml(text: impl Into<String>) -> Self {
        Self::bytes(200, "application/xml", text.into())
    }

    /// What GeoServer says to something new: its name, in Latin-1.
    pub(crate) fn created(name: &str, location: String) -> Self {
        Self::bytes(201, "text/plain", latin1(name)).with("Location", location)
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What is no Latin-1 becomes a question mark.
pub(crate) fn latin1(text: &str) -> Vec<u8> {
    let bytes = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?'));
    bytes.collect()
}

/// The next request on a connection; none when the client has gone.
pub(crate) async fn read(stream: &mut BufStream<TcpStream>) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    loop {
        let mut line = Vec::new();
        (&mut *stream)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut line)
            .await?;
        if line.is_empty() {
            return Ok(None);
        }
        head.extend_from_slice(&line);
        if line == b"\r\n" {
            break;
        }
        if head.len() as u64 > LINE_BYTES {
            return Err(io::Error::other("the head of a request is too long"));
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(&head).map_err(io::Error::other)?;
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
        return Err(io::Error::other("a request is not whole"));
    };
    let headers = parsed.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_lowercase(), value)
    });
    let headers: HashMap<String, String> = headers.collect();
    let body = if headers.contains_key("transfer-encoding") {
        chunks(stream).await?
    } else {
        let length = headers.get("content-length").map_or(Ok(0), |it| it.parse());
        exactly(stream, length.map_err(io::Error::other)?).await?
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.split('/').filter(|part| !part.is_empty());
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Ok(Some(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        // The name of the application.
        path: path.skip(1).map(decoded).collect(),
        query: pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decoded(name), decoded(&value.replace('+', " ")))
            })
            .collect(),
        headers,
        body,
    }))
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

async fn exactly(stream: &mut BufStream<TcpStream>, length: u64) -> io::Result<Vec<u8>> {
    if length > BODY_BYTES {
        return Err(io::Error::other("a body is too long"));
    }
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

async fn chunks(stream: &mut BufStream<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        (&mut *stream).take(LINE_BYTES).read_line(&mut line).await?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        if body.len() as u64 + length > BODY_BYTES {
            return Err(io::Error::other("a body is too long"));
        }
        body.extend(exactly(stream, length).await?);
        exactly(stream, 2).await?;
        if length == 0 {
            return Ok(body);
        }
    }
}

pub(crate) async fn write(
    stream: &mut BufStream<TcpStream>,
    method: &str,
    reply: &Reply,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} \r\n", reply.status);
    for (name, value) in &reply.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let length = reply.body.len().to_string();
    head.extend(["Content-Length: ", &length, "\r\n\r\n"]);
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" && reply.status != 304 {
        stream.write_all(&reply.body).await?;
    }
    stream.flush().await
}
