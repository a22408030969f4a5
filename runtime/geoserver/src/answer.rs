//! What GeoServer means by an answer.
//!
//! Its status codes follow no rule: what exists already is 409, 403 or 500, what is in use is 403,
//! 401 or 500, and what is missing is 404, 400 or 500, by the kind of object. Its words are better,
//! where there are any. What neither says is left to somebody who can ask again ([`Verdict`]).

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use weir_event::Reason;

use crate::error::Failure;

/// What an answer that is no success means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sure(Failure),
    /// Missing, if this is a GeoServer: a proxy says the same while GeoServer is away.
    NotThere(Reason),
    /// Missing, if it is not there: GeoServer stumbles over what it does not find. Else, refused.
    Stumbled {
        status: u16,
        words: Reason,
    },
    /// In use, if the login is good for anything else.
    Denied(Reason),
}

/// How the words begin that only a GeoServer has for what it has not.
const OWN_WORDS: [&str; 2] = ["No such ", "Unknown layer: "];

pub(crate) fn judge(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    said: &Said,
) -> Verdict {
    let words = said.reason();
    let lower = said.text.to_lowercase();
    let says = |what: &[&str]| what.iter().any(|text| lower.contains(text));
    let number = status.as_u16();
    let refused = || Failure::Refused {
        status: number,
        words: words.clone(),
    };
    let unauthorized = || Failure::Unauthorized {
        status: number,
        words: words.clone(),
    };
    let is_removal = method == Method::DELETE;
    let may_stumble = is_removal || method == Method::PUT;
    Verdict::Sure(match number {
        404 | 410 if OWN_WORDS.iter().any(|own| said.text.starts_with(own)) => {
            Failure::Missing(words)
        }
        404 | 410 => return Verdict::NotThere(words),
        // Of access rules, which are the only thing that can be changed with this answer.
        409 if method == Method::PUT => Failure::Missing(words),
        409 => Failure::Exists(words),
        400..=599 if says(&["already exist"]) => Failure::Exists(words),
        500 if says(&["referenced by", "unable to delete a default style"]) => {
            Failure::Referenced(words)
        }
        400 if says(&["could not find layer"]) => Failure::Missing(words),
        // A login that is refused is asked for a better one; GeoServer's own 401 is an empty answer.
        401 if is_removal && said.is_nothing() && !headers.contains_key(WWW_AUTHENTICATE) => {
            return Verdict::Denied(words);
        }
        401 | 407 => unauthorized(),
        403 if is_removal && said.is_nothing() => {
            return Verdict::Denied(words);
        }
        403 if says(&["access is denied", "access denied"]) || lower == "forbidden" => {
            unauthorized()
        }
        403 if method == Method::GET => unauthorized(),
        400 if may_stumble && said.is_nothing() => {
            return Verdict::Stumbled {
                status: number,
                words,
            };
        }
        500 if may_stumble => {
            return Verdict::Stumbled {
                status: number,
                words,
            };
        }
        408 | 425 | 429 | 502..=504 => {
            Failure::Transient(Reason::new(format_args!("status {number}: {words}")))
        }
        400..=500 => refused(),
        300..=399 => Failure::Unexpected {
            status: number,
            words: redirection(headers),
        },
        _ => Failure::Unexpected {
            status: number,
            words,
        },
    })
}

/// Redirections are not followed: they lead to pages for people to log in, or to `https`.
fn redirection(headers: &HeaderMap) -> Reason {
    let to = headers.get(LOCATION).and_then(|to| to.to_str().ok());
    match to.and_then(|to| to.split(['?', '#']).next()) {
        // What follows may be a ticket.
        Some(to) => Reason::new(format_args!(
            "it sends to {to}, where Weir does not follow; give the node the URL that GeoServer answers at"
        )),
        None => Reason::new("it sends elsewhere and does not say where"),
    }
}

/// What an answer says in words.
#[derive(Debug)]
pub(crate) struct Said {
    text: String,
}

impl Said {
    /// The words in an answer: without markup, in one line, and without `secret`.
    pub(crate) fn new(headers: &HeaderMap, body: &[u8], secret: Option<&str>) -> Self {
        let media_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_lowercase();
        let text = match std::str::from_utf8(body) {
            Ok(text) if !media_type.contains("iso-8859-1") => text.to_owned(),
            // Each byte is the character of this number.
            _ => body.iter().copied().map(char::from).collect(),
        };
        let is_html = media_type.contains("html")
            || text.trim_start().get(..5).is_some_and(|start| {
                start.eq_ignore_ascii_case("<html") || start.eq_ignore_ascii_case("<!doc")
            });
        let mut text = if is_html {
            without_markup(&text)
        } else if media_type.contains("json") {
            message(&text).unwrap_or(text)
        } else {
            text
        };
        if let Some(secret) = secret {
            text = text.replace(secret, "…");
        }
        Self {
            text: one_line(&text),
        }
    }

    fn is_nothing(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn reason(&self) -> Reason {
        if self.is_nothing() {
            Reason::new("it gives no reason")
        } else {
            Reason::new(&self.text)
        }
    }
}

/// What an error says that Jetty has written as JSON, beside the servlet and all causes.
fn message(document: &str) -> Option<String> {
    let document: Value = serde_json::from_str(document).ok()?;
    let message = document.get("message")?.as_str()?;
    Some(unescaped(message))
}

/// What a page says. Jetty's titles are `Error 409 Workspace 'topp' already exists`, and the page
/// says the same three times over.
fn without_markup(page: &str) -> String {
    if let Some(title) = between(page, "<title>", "</title>") {
        let title = one_line(&unescaped(title));
        let message = title
            .strip_prefix("Error ")
            .and_then(|rest| rest.split_once(' '))
            .filter(|(number, _)| number.parse::<u16>().is_ok());
        if let Some((_, message)) = message {
            return message.to_owned();
        }
    }
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let hidden = ["style", "script"].into_iter().find(|name| {
            tag.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        });
        let after = match hidden {
            Some(name) => between_end(tag, &format!("</{name}")),
            None => Some(tag),
        };
        rest = after
            .and_then(|after| after.split_once('>'))
            .map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    unescaped(&text)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

fn between_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    text.split_once(end).map(|(_, rest)| rest)
}

fn unescaped(text: &str) -> String {
    [
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (escaped, character)| {
        text.replace(escaped, character)
    })
}

fn one_line(text: &str) -> String {
    let parts = text.split(|c: char| c.is_whitespace() || c.is_control());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn said(media_type: &'static str, body: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Said::new(&headers, body.as_bytes(), Some("hunter2")).text
    }

    #[test]
    fn words_are_without_markup_and_without_the_password() {
        let jetty = "<html>\n<head>\n<title>Error 409 Workspace &apos;topp&apos; already exists</title>\n</head><body><h2>HTTP ERROR 409</h2></body></html>";
        let tomcat = "<!doctype html><html><head><title>HTTP Status 409 – Conflict</title><style type=\"text/css\">h1 {color:white}</style></head><body><h1>HTTP Status 409</h1><p><b>Message</b> Workspace &#39;topp&#39; already exists</p></body></html>";
        assert_eq!(
            said("text/html;charset=iso-8859-1", jetty),
            "Workspace 'topp' already exists"
        );
        assert_eq!(
            said("text/html;charset=utf-8", tomcat),
            "HTTP Status 409 – Conflict HTTP Status 409 Message Workspace 'topp' already exists"
        );
        assert_eq!(
            said("text/plain", "No such\n  workspace: 'a\tb'\n"),
            "No such workspace: 'a b'"
        );
        let json = r#"{"servlet":"dispatcher","cause0":"x.Y: a &quot;%25&quot;","message":"a &quot;%25&quot;","url":"/a","status":"500"}"#;
        assert_eq!(said("application/json", json), "a \"%25\"");
        assert_eq!(said("application/json", "{broken"), "{broken");
        assert_eq!(
            said("text/plain", "user=weir passwd=hunter2"),
            "user=weir passwd=…"
        );
    }

    #[test]
    fn what_is_not_utf8_is_latin1() {
        let words = Said::new(&HeaderMap::new(), b"No such workspace: 'h\xf8st'", None);
        assert_eq!(words.text, "No such workspace: 'høst'");
    }

    proptest! {
        #[test]
        fn words_of_anything_are_bounded(body in prop::collection::vec(any::<u8>(), 0..3000), html in any::<bool>()) {
            let mut headers = HeaderMap::new();
            if html {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            }
            let reason = Said::new(&headers, &body, None).reason();
            prop_assert!(reason.len() <= Reason::MAX_BYTES);
            prop_assert!(!reason.contains('\n'));
        }
    }
}
