//! Calls as they were recorded, byte by byte.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

use crate::recording::Exchange;

pub(crate) struct Wire(BufStream<TcpStream>);

pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    pub(crate) async fn to(url: &str) -> Self {
        let host = url
            .strip_prefix("http://")
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        Self(BufStream::new(TcpStream::connect(host).await.unwrap()))
    }

    /// A call after `/geoserver`, with JSON or nothing.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let media_type = if body.starts_with('<') {
            "application/xml"
        } else {
            "application/json"
        };
        let call = Exchange {
            method: method.to_owned(),
            target: format!("/geoserver{path}"),
            media_type: media_type.to_owned(),
            body: body.to_owned(),
            ..Exchange::default()
        };
        let answer = self.send(&call).await;
        (answer.status, answer.text())
    }

    /// The document at a path after `/geoserver/rest/`.
    pub(crate) async fn get(&mut self, path: &str) -> Value {
        let (status, text) = self.call("GET", &format!("/rest/{path}.json"), "").await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Makes a call that succeeds.
    pub(crate) async fn does(&mut self, method: &str, path: &str, body: &Value) {
        let body = body.to_string();
        let (status, text) = self.call(method, &format!("/rest/{path}"), &body).await;
        assert!(status < 300, "{method} {path}: {status} {text}");
    }

    pub(crate) async fn send(&mut self, call: &Exchange) -> Answer {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: double\r\nAuthorization: Basic YWRtaW46Z2Vvc2VydmVy\r\n",
            call.method, call.target
        );
        for (name, value) in [("Accept", &call.accept), ("Content-Type", &call.media_type)] {
            if !value.is_empty() {
                head.extend([name, ": ", value, "\r\n"]);
            }
        }
        let length = call.body.len().to_string();
        head.extend(["Content-Length: ", &length, "\r\n\r\n", &call.body]);
        self.0.write_all(head.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let has_body = call.method != "HEAD" && status != 304;
        let mut body = vec![0; if has_body { length } else { 0 }];
        self.0.read_exact(&mut body).await.unwrap();
        Answer { status, body }
    }
}
