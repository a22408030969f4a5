//! What a GeoServer answered, from the fixtures.

use std::collections::HashMap;

use crate::server::{Reply, Request, answer};

/// By method and target.
pub(crate) struct Recordings(HashMap<String, Recorded>);

struct Recorded {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Recordings {
    pub(crate) fn read() -> Self {
        let text = include_str!("../fixtures/reads.md");
        let sections = text.split("\n## ").skip(1).map(|section| {
            let (title, rest) = section.split_once('\n').unwrap();
            let call = title.split("  — ").next().unwrap().trim().to_owned();
            let rest = rest.trim_start().strip_prefix("→ **").unwrap();
            let (status, rest) = rest.split_once("**").unwrap();
            let (head, rest) = rest.split_once('\n').unwrap();
            let headers = head.trim().trim_matches('`').split("; ");
            let headers = headers.filter_map(|header| header.split_once(": "));
            // The body comes with its length.
            let headers = headers
                .filter(|(name, _)| !matches!(*name, "Transfer-Encoding" | "Content-Length"));
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let body = rest
                .trim_matches('\n')
                .strip_prefix("```")
                .map_or("", |fenced| {
                    let (_, body) = fenced.split_once('\n').unwrap();
                    body.rsplit_once("\n```").unwrap().0
                });
            let status = status.parse().unwrap();
            let recorded = Recorded {
                status,
                headers: headers.collect(),
                body: body.to_owned(),
            };
            (call, recorded)
        });
        Self(sections.collect())
    }

    /// What GeoServer answered; 599 to what it was not asked.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        match self
            .0
            .get(&format!("{} {}", request.method, request.target))
        {
            Some(recorded) => Reply::Answer {
                status: recorded.status,
                headers: recorded.headers.clone(),
                body: recorded.body.clone().into_bytes(),
            },
            None => answer(599, "text/plain", "this was not recorded"),
        }
    }
}
