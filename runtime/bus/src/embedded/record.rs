//! How a message lies in the store: fields with their lengths, so that what is cut off or damaged
//! is an error and never a wrong message.

use std::collections::BTreeMap;

use bytes::Bytes;
use thiserror::Error;
use weir_event::{HeaderValue, Message, Properties};

/// How deep lists and tables may lie in each other.
const MAX_DEPTH: usize = 32;

/// Said with the content type: there are further routing keys or properties. A record of a version of
/// Weir that did not know them has none.
const MORE: u8 = 2;

/// The bytes in the store are no message.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("a record is damaged")]
pub(super) struct Damaged;

pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.payload.len() + 256);
    bytes(&mut out, message.routing_key.as_bytes());
    optional(&mut out, message.message_id.as_deref());
    let more = !message.also_to.is_empty() || message.properties != Properties::default();
    let known = if more { MORE } else { 0 };
    out.push(known | u8::from(message.content_type.is_some()));
    if let Some(content_type) = &message.content_type {
        bytes(&mut out, content_type.as_bytes());
    }
    if more {
        rest(&mut out, message);
    }
    table(&mut out, &message.headers);
    out.extend_from_slice(&message.payload);
    out
}

pub(super) fn decode(record: &[u8]) -> Result<Message, Damaged> {
    let mut rest = record;
    let routing_key = take_text(&mut rest)?;
    let message_id = take_optional(&mut rest)?;
    let flags = take_byte(&mut rest)?;
    if flags & !(MORE | 1) != 0 {
        return Err(Damaged);
    }
    let content_type = if flags & 1 == 1 {
        Some(take_text(&mut rest)?)
    } else {
        None
    };
    let (also_to, properties) = if flags & MORE == MORE {
        take_rest(&mut rest)?
    } else {
        (Vec::new(), Properties::default())
    };
    Ok(Message {
        routing_key,
        also_to,
        message_id,
        content_type,
        properties,
        headers: take_table(&mut rest, 0)?,
        payload: Bytes::copy_from_slice(rest),
    })
}

/// Further routing keys and properties, which few messages have.
fn rest(out: &mut Vec<u8>, message: &Message) {
    length(out, message.also_to.len());
    for key in &message.also_to {
        bytes(out, key.as_bytes());
    }
    let Properties {
        content_encoding,
        priority,
        correlation_id,
        reply_to,
        expiration,
        timestamp,
        kind,
        user_id,
        app_id,
    } = &message.properties;
    for text in [
        content_encoding,
        correlation_id,
        reply_to,
        expiration,
        kind,
        user_id,
        app_id,
    ] {
        optional(out, text.as_deref());
    }
    for number in [priority.map(u64::from), *timestamp] {
        out.push(u8::from(number.is_some()));
        out.extend(number.unwrap_or_default().to_le_bytes());
    }
}

fn take_rest(rest: &mut &[u8]) -> Result<(Vec<String>, Properties), Damaged> {
    // The length is not believed: each turn takes bytes, and they end.
    let also_to = (0..take_length(rest)?)
        .map(|_| take_text(rest))
        .collect::<Result<_, _>>()?;
    let mut properties = Properties {
        content_encoding: take_optional(rest)?,
        correlation_id: take_optional(rest)?,
        reply_to: take_optional(rest)?,
        expiration: take_optional(rest)?,
        kind: take_optional(rest)?,
        user_id: take_optional(rest)?,
        app_id: take_optional(rest)?,
        ..Properties::default()
    };
    let mut number = || -> Result<Option<u64>, Damaged> {
        let there = take_bool(rest)?;
        let number = u64::from_le_bytes(take_8(rest)?);
        Ok(there.then_some(number))
    };
    if let Some(priority) = number()? {
        properties.priority = Some(u8::try_from(priority).map_err(|_| Damaged)?);
    }
    properties.timestamp = number()?;
    Ok((also_to, properties))
}

fn length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&(length as u64).to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        bytes(out, text.as_bytes());
    }
}

fn table(out: &mut Vec<u8>, headers: &BTreeMap<String, HeaderValue>) {
    length(out, headers.len());
    for (name, value) in headers {
        bytes(out, name.as_bytes());
        header(out, value);
    }
}

fn header(out: &mut Vec<u8>, value: &HeaderValue) {
    match value {
        HeaderValue::Null => out.push(b'V'),
        HeaderValue::Bool(value) => out.extend([b't', u8::from(*value)]),
        HeaderValue::Integer(value) => {
            out.push(b'l');
            out.extend(value.to_le_bytes());
        }
        HeaderValue::Double(value) => {
            out.push(b'd');
            out.extend(value.to_le_bytes());
        }
        HeaderValue::Text(text) => {
            out.push(b'S');
            bytes(out, text.as_bytes());
        }
        HeaderValue::Bytes(value) => {
            out.push(b'x');
            bytes(out, value);
        }
        HeaderValue::Timestamp(seconds) => {
            out.push(b'T');
            out.extend(seconds.to_le_bytes());
        }
        HeaderValue::List(values) => {
            out.push(b'A');
            length(out, values.len());
            for value in values {
                header(out, value);
            }
        }
        HeaderValue::Table(headers) => {
            out.push(b'F');
            table(out, headers);
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Damaged> {
    let (taken, after) = rest.split_at_checked(length).ok_or(Damaged)?;
    *rest = after;
    Ok(taken)
}

fn take_8(rest: &mut &[u8]) -> Result<[u8; 8], Damaged> {
    take(rest, 8)?.try_into().map_err(|_| Damaged)
}

fn take_length(rest: &mut &[u8]) -> Result<usize, Damaged> {
    usize::try_from(u64::from_le_bytes(take_8(rest)?)).map_err(|_| Damaged)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Damaged> {
    let length = take_length(rest)?;
    take(rest, length)
}

fn take_text(rest: &mut &[u8]) -> Result<String, Damaged> {
    let text = std::str::from_utf8(take_bytes(rest)?).map_err(|_| Damaged)?;
    Ok(text.to_owned())
}

fn take_byte(rest: &mut &[u8]) -> Result<u8, Damaged> {
    Ok(take(rest, 1)?[0])
}

fn take_bool(rest: &mut &[u8]) -> Result<bool, Damaged> {
    match take_byte(rest)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Damaged),
    }
}

fn take_optional(rest: &mut &[u8]) -> Result<Option<String>, Damaged> {
    if take_bool(rest)? {
        take_text(rest).map(Some)
    } else {
        Ok(None)
    }
}

fn take_table(rest: &mut &[u8], depth: usize) -> Result<BTreeMap<String, HeaderValue>, Damaged> {
    // The length is not believed: each turn takes bytes, and they end.
    (0..take_length(rest)?)
        .map(|_| Ok((take_text(rest)?, take_header(rest, depth)?)))
        .collect()
}

fn take_header(rest: &mut &[u8], depth: usize) -> Result<HeaderValue, Damaged> {
    if depth > MAX_DEPTH {
        return Err(Damaged);
    }
    Ok(match take_byte(rest)? {
        b'V' => HeaderValue::Null,
        b't' => HeaderValue::Bool(take_bool(rest)?),
        b'l' => HeaderValue::Integer(i64::from_le_bytes(take_8(rest)?)),
        b'd' => HeaderValue::Double(f64::from_le_bytes(take_8(rest)?)),
        b'S' => HeaderValue::Text(take_text(rest)?),
        b'x' => HeaderValue::Bytes(Bytes::copy_from_slice(take_bytes(rest)?)),
        b'T' => HeaderValue::Timestamp(u64::from_le_bytes(take_8(rest)?)),
        b'A' => {
            let values = (0..take_length(rest)?).map(|_| take_header(rest, depth + 1));
            HeaderValue::List(values.collect::<Result<_, _>>()?)
        }
        b'F' => HeaderValue::Table(take_table(rest, depth + 1)?),
        _ => return Err(Damaged),
    })
}

/// True if [`decode`] would refuse the message for its depth.
pub(super) fn is_too_deep(message: &Message) -> bool {
    fn deep(value: &HeaderValue, depth: usize) -> bool {
        depth > MAX_DEPTH
            || match value {
                HeaderValue::List(values) => values.iter().any(|value| deep(value, depth + 1)),
                HeaderValue::Table(headers) => headers.values().any(|value| deep(value, depth + 1)),
                _ => false,
            }
    }
    message.headers.values().any(|value| deep(value, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header_value() -> impl Strategy<Value = HeaderValue> {
        let leaf = prop_oneof![
            Just(HeaderValue::Null),
            any::<bool>().prop_map(HeaderValue::Bool),
            any::<i64>().prop_map(HeaderValue::Integer),
            (-1e300..1e300).prop_map(HeaderValue::Double),
            ".*".prop_map(HeaderValue::Text),
            any::<Vec<u8>>().prop_map(|bytes| HeaderValue::Bytes(bytes.into())),
            any::<u64>().prop_map(HeaderValue::Timestamp),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(HeaderValue::List),
                prop::collection::btree_map(".*", inner, 0..6).prop_map(HeaderValue::Table),
            ]
        })
    }

    prop_compose! {
        fn properties()(
            content_encoding in prop::option::of(".*"),
            priority in any::<Option<u8>>(),
            reply_to in prop::option::of(".*"),
            expiration in prop::option::of(".*"),
            timestamp in any::<Option<u64>>(),
            user_id in prop::option::of(".*"),
        ) -> Properties {
            let app_id = content_encoding.clone();
            let correlation_id = reply_to.clone();
            let kind = user_id.clone();
            Properties {
                content_encoding, priority, correlation_id, reply_to, expiration, timestamp, kind,
                user_id, app_id,
            }
        }
    }

    prop_compose! {
        fn message()(
            routing_key in ".*",
            also_to in prop::collection::vec(".*", 0..3),
            message_id in prop::option::of(".*"),
            content_type in prop::option::of(".*"),
            properties in prop_oneof![Just(Properties::default()), properties()],
            headers in prop::collection::btree_map(".*", header_value(), 0..6),
            payload in any::<Vec<u8>>(),
        ) -> Message {
            Message {
                routing_key, also_to, message_id, content_type, properties, headers,
                payload: payload.into(),
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(message in message()) {
            prop_assert!(!is_too_deep(&message));
            prop_assert_eq!(decode(&encode(&message)), Ok(message));
        }

        #[test]
        fn damage_is_no_panic(mut record in message().prop_map(|message| encode(&message)),
                              at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let at = at.index(record.len());
            record[at] = byte;
            let _decoded = decode(&record);
            let _cut = decode(&record[..at]);
        }
    }

    #[test]
    fn depth_has_a_bound() {
        let mut value = HeaderValue::Null;
        for _ in 0..=MAX_DEPTH {
            value = HeaderValue::List(vec![value]);
        }
        let headers = BTreeMap::from([("deep".to_owned(), value)]);
        let message = Message {
            headers,
            ..Message::default()
        };
        assert!(is_too_deep(&message));
        assert_eq!(decode(&encode(&message)), Err(Damaged));
    }
}
