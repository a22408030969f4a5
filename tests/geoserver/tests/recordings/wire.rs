//! Calls as they were recorded, byte by byte.

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

    pub(crate) async fn send(&mut self, call: &Exchange) -> Answer {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: double\r\nAuthorization: Basic YWRtaW46Z2Vvc2VydmVy\r\n",
            call.method, call.target
        );
        for (name, value) in [("Accept", &call.accept), ("Content-Type", &call.media_type)] {
            if !value.is_empty() {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str(&format!(
            "Content-Length: {}\r\n\r\n{}",
            call.body.len(),
            call.body
        ));
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
