//! Dead letters: the message as it came, with headers that say what became of it.
//!
//! A letter must be one that the bus takes, whatever the message was: otherwise the message would
//! hold its pipeline for ever. So all of it that could be too much is bounded, and what is left out
//! is named in a header.

use std::collections::BTreeMap;

use weir_event::{HeaderValue, Message, Properties, Reason};

use crate::line::Rejection;

/// The most bytes of headers that a letter has, those of ours included. Headers travel in one
/// frame: RabbitMQ's are 128 KiB unless somebody changed that.
pub const MAX_HEADERS: usize = 96 << 10;

/// What a letter says in headers, and an earlier one may have said.
const OURS: [&str; 6] = [
    "weir-pipeline",
    "weir-reason",
    "weir-stage",
    "weir-plugin-sha256",
    "weir-original-size",
    "weir-cut",
];

/// What is left of a payload that the bus did not take whole, in bytes.
pub const MAX_CUT_PAYLOAD: usize = 64 << 10;

/// The longest routing key, id or name of a header: AMQP's short strings.
const MAX_SHORT: usize = 255;

/// How deep lists and tables may lie in each other; deeper ones are refused by the embedded bus.
const MAX_DEPTH: usize = 16;

/// The letter about a message. `cut` says that the bus refused the whole one: the letter then has
/// the beginning of the payload and no property or header of the message, so that it fits into the smallest
/// frame that AMQP brokers take (8 KiB). Headers from an earlier death give way to the new ones.
pub(crate) fn dead_letter(
    message: &Message,
    rejection: &Rejection,
    cut: bool,
    pipeline: &str,
) -> Message {
    let mut letter = message.clone();
    letter
        .headers
        .retain(|name, _| !OURS.contains(&name.as_str()));
    let mut missing = Vec::new();
    let mut ours = ours(rejection, pipeline);
    if cut && letter.payload.len() > MAX_CUT_PAYLOAD {
        letter.payload.truncate(MAX_CUT_PAYLOAD);
        missing.push("the end of the payload".to_owned());
        let size = HeaderValue::Text(message.payload.len().to_string());
        ours.insert("weir-original-size".to_owned(), size);
    }
    cut_texts(&mut letter, &mut missing);
    let long = |(_, text): &(_, Option<&str>)| text.is_some_and(|text| text.len() > MAX_SHORT);
    let properties = std::mem::take(&mut letter.properties);
    if properties.texts().iter().any(long) || cut && properties != Properties::default() {
        missing.push("the properties".to_owned());
    } else {
        letter.properties = properties;
    }
    // The text that says what is missing is a reason, as well.
    let taken = ours.values().map(HeaderValue::size).sum::<usize>() + 2 * Reason::MAX_BYTES;
    let room = if cut {
        0
    } else {
        MAX_HEADERS.saturating_sub(taken)
    };
    let headers = cut_headers(&mut letter, room);
    if !headers.is_empty() {
        missing.push(format!("headers {}", headers.join(", ")));
    }
    letter.headers.append(&mut ours);
    if !missing.is_empty() {
        let missing = Reason::new(missing.join("; "));
        letter
            .headers
            .insert("weir-cut".to_owned(), String::from(missing).into());
    }
    letter
}

/// What a letter tells.
fn ours(rejection: &Rejection, pipeline: &str) -> BTreeMap<String, HeaderValue> {
    let mut headers = BTreeMap::new();
    let mut header = |name: &str, value: &str| {
        headers.insert(name.to_owned(), HeaderValue::from(value));
    };
    header("weir-pipeline", pipeline);
    header("weir-reason", &rejection.reason);
    if let Some((stage, digest)) = &rejection.stage {
        header("weir-stage", stage);
        header("weir-plugin-sha256", digest);
    }
    headers
}

fn cut_texts(letter: &mut Message, missing: &mut Vec<String>) {
    let texts = [
        ("routing key", Some(&mut letter.routing_key)),
        ("id", letter.message_id.as_mut()),
        ("content type", letter.content_type.as_mut()),
    ];
    for (what, text) in texts {
        if let Some(text) = text.filter(|text| text.len() > MAX_SHORT) {
            text.truncate(text.floor_char_boundary(MAX_SHORT));
            missing.push(format!("the end of the {what}"));
        }
    }
}

/// Takes out the headers that cannot be sent, and of the others the largest until the rest has room;
/// gives their names.
fn cut_headers(letter: &mut Message, room: usize) -> Vec<String> {
    let mut missing = Vec::new();
    letter.headers.retain(|name, value| {
        let kept = name.len() <= MAX_SHORT && is_sound(value, 0);
        if !kept {
            missing.push(name.clone());
        }
        kept
    });
    let size = |(name, value): (&String, &HeaderValue)| 1 + name.len() + value.size();
    let mut total: usize = letter.headers.iter().map(size).sum();
    while total > room
        && let Some(largest) = letter.headers.iter().max_by_key(|header| size(*header))
    {
        total -= size(largest);
        let name = largest.0.clone();
        letter.headers.remove(&name);
        missing.push(name);
    }
    missing
}

/// True if the bus takes this in a header.
fn is_sound(value: &HeaderValue, depth: usize) -> bool {
    match value {
        HeaderValue::List(values) => {
            depth < MAX_DEPTH && values.iter().all(|value| is_sound(value, depth + 1))
        }
        HeaderValue::Table(headers) => {
            depth < MAX_DEPTH
                && headers
                    .iter()
                    .all(|(name, value)| name.len() <= MAX_SHORT && is_sound(value, depth + 1))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection() -> Rejection {
        Rejection {
            reason: Reason::new("x".repeat(1 << 20)),
            stage: Some(("eu/misbehave".to_owned(), "0".repeat(64))),
        }
    }

    fn with_headers(sizes: &[(&str, usize)]) -> Message {
        let header = |(name, size): &(&str, usize)| ((*name).to_owned(), "h".repeat(*size).into());
        Message {
            headers: sizes.iter().map(header).collect(),
            payload: vec![b'x'; 1 << 20].into(),
            ..Message::default()
        }
    }

    #[test]
    fn headers_that_fit_stay_and_the_largest_gives_way() {
        let message = with_headers(&[("a", 10), ("b", 100_000), ("c", 50_000), ("weir-reason", 3)]);
        let letter = dead_letter(&message, &rejection(), false, "slave eu");
        let names: Vec<&str> = letter.headers.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "a",
                "c",
                "weir-cut",
                "weir-pipeline",
                "weir-plugin-sha256",
                "weir-reason",
                "weir-stage"
            ]
        );
        assert_eq!(letter.header("weir-cut"), Some("headers b"));
        assert!(letter.headers_size() <= MAX_HEADERS);
        assert_eq!(letter.payload, message.payload);
    }

    #[test]
    fn what_is_cut_fits_into_the_smallest_frame() {
        let long = "n".repeat(300);
        let mut message = with_headers(&[("a", 10), (&long, 10)]);
        message.routing_key = "ä".repeat(200);
        message.message_id = Some("i".repeat(300));
        message.content_type = Some("t".repeat(300));
        message.properties.app_id = Some("geoserver".to_owned());
        let letter = dead_letter(&message, &rejection(), true, "slave eu");
        let properties = 3 * MAX_SHORT;
        assert!(letter.headers_size() + properties < 8 << 10, "{letter:?}");
        assert!(letter.routing_key.len() <= MAX_SHORT);
        assert_eq!(letter.payload.len(), MAX_CUT_PAYLOAD);
        assert_eq!(letter.header("weir-original-size"), Some("1048576"));
        let missing = "the end of the payload; the end of the routing key; the end of the id; \
                       the end of the content type; the properties; headers ";
        let named = letter.header("weir-cut").unwrap();
        assert!(
            named.starts_with(missing) && named.ends_with("n, a"),
            "{named}"
        );
    }

    #[test]
    fn what_the_bus_would_refuse_for_its_depth_is_cut() {
        let mut deep = HeaderValue::Null;
        for _ in 0..=MAX_DEPTH {
            deep = HeaderValue::List(vec![deep]);
        }
        let mut message = Message::default();
        message.headers.insert("deep".to_owned(), deep);
        let letter = dead_letter(&message, &rejection(), false, "slave eu");
        assert_eq!(letter.header("weir-cut"), Some("headers deep"));
    }
}
