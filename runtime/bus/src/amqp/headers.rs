//! Messages as AMQP has them: properties, and headers with their types.

use std::collections::BTreeMap;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use weir_event::{HeaderValue, Message, Properties};

/// The headers in which a quorum queue counts how often it had a message back: the broker's note, no
/// part of the message. RabbitMQ 4.3 leaves some returns out of the first one, hence the second.
const COUNTS: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// The headers that have the broker route a message by further keys. It lets the first one through
/// to whoever receives the message. With anything but a list of texts in them it takes no message.
const ALSO_TO: &str = "CC";
const ALSO_TO_UNSEEN: &str = "BCC";

/// Delivery mode 2: the message survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// All headers travel in one frame. RabbitMQ's frames are 128 KiB unless somebody changed that, and
/// a frame that is larger costs the connection.
const MAX_HEADER_BYTES: usize = 120 << 10;

/// A delivery's message, and how often it was given back before, as far as the broker tells.
pub(super) fn message(delivery: Delivery) -> (Message, u32) {
    let sent = &delivery.properties;
    let mut headers: BTreeMap<String, HeaderValue> =
        sent.headers().as_ref().map(table).unwrap_or_default();
    let counts = COUNTS.map(|name| match headers.remove(name) {
        Some(HeaderValue::Integer(count)) => u32::try_from(count).unwrap_or(u32::MAX),
        _ => 0,
    });
    let told = |text: &Option<ShortString>| text.as_ref().map(ToString::to_string);
    let properties = Properties {
        content_encoding: told(sent.content_encoding()),
        priority: *sent.priority(),
        correlation_id: told(sent.correlation_id()),
        reply_to: told(sent.reply_to()),
        expiration: told(sent.expiration()),
        timestamp: *sent.timestamp(),
        kind: told(sent.kind()),
        user_id: told(sent.user_id()),
        app_id: told(sent.app_id()),
    };
    let message = Message {
        routing_key: delivery.routing_key.into(),
        also_to: headers.remove(ALSO_TO).map(texts).unwrap_or_default(),
        message_id: told(sent.message_id()),
        content_type: told(sent.content_type()),
        properties,
        headers,
        payload: delivery.data.into(),
    };
    let at_least = u32::from(delivery.redelivered);
    (message, counts.into_iter().fold(at_least, u32::max))
}

fn texts(value: HeaderValue) -> Vec<String> {
    let HeaderValue::List(values) = value else {
        return Vec::new();
    };
    let text = |value| match value {
        HeaderValue::Text(text) => Some(text),
        _ => None,
    };
    values.into_iter().filter_map(text).collect()
}

/// The properties of a message, with its headers; the error says what AMQP cannot carry.
pub(super) fn properties(message: &Message) -> Result<BasicProperties, String> {
    let mut size = 0;
    let mut headers = fields(&message.headers, &mut size)?;
    // Whoever sent them before us meant another exchange.
    headers.retain(|name, _| ![ALSO_TO, ALSO_TO_UNSEEN].contains(&name.as_str()));
    if !message.also_to.is_empty() {
        for key in &message.also_to {
            short("a further routing key", key)?;
        }
        let keys = message.also_to.iter().cloned().map(HeaderValue::Text);
        let keys = field(&HeaderValue::List(keys.collect()), &mut size)?;
        headers.insert(ALSO_TO.into(), keys);
    }
    if size > MAX_HEADER_BYTES {
        return Err(format!(
            "its headers take {size} bytes, and {MAX_HEADER_BYTES} is the most"
        ));
    }
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers.into());
    if let Some(id) = &message.message_id {
        properties = properties.with_message_id(short("its id", id)?);
    }
    if let Some(content_type) = &message.content_type {
        properties = properties.with_content_type(short("its content type", content_type)?);
    }
    passed_on(properties, &message.properties)
}

/// All but the user: the broker closes the channel over one that is not ours.
fn passed_on(mut to: BasicProperties, from: &Properties) -> Result<BasicProperties, String> {
    if let Some(encoding) = &from.content_encoding {
        to = to.with_content_encoding(short("its content encoding", encoding)?);
    }
    if let Some(priority) = from.priority {
        to = to.with_priority(priority);
    }
    if let Some(id) = &from.correlation_id {
        to = to.with_correlation_id(short("its correlation id", id)?);
    }
    if let Some(reply_to) = &from.reply_to {
        to = to.with_reply_to(short("its address for replies", reply_to)?);
    }
    if let Some(expiration) = &from.expiration {
        to = to.with_expiration(short("its expiration", expiration)?);
    }
    if let Some(seconds) = from.timestamp {
        to = to.with_timestamp(seconds);
    }
    if let Some(kind) = &from.kind {
        to = to.with_type(short("its type", kind)?);
    }
    if let Some(id) = &from.app_id {
        to = to.with_app_id(short("its application id", id)?);
    }
    Ok(to)
}

pub(super) fn short(what: &str, text: &str) -> Result<ShortString, String> {
    ShortString::try_new(text)
        .map_err(|_| format!("{what} takes {} bytes, and 255 is the most", text.len()))
}

fn table(table: &FieldTable) -> BTreeMap<String, HeaderValue> {
    table
        .into_iter()
        .map(|(name, value)| (name.to_string(), header(value)))
        .collect()
}

/// A header that came. Kinds that Weir has no word for become the nearest that it has.
fn header(value: &AMQPValue) -> HeaderValue {
    match value {
        AMQPValue::Boolean(value) => HeaderValue::Bool(*value),
        AMQPValue::ShortShortInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::ShortShortUInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::ShortInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::ShortUInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::LongInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::LongUInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::LongLongInt(value) => HeaderValue::Integer(*value),
        AMQPValue::Float(value) => HeaderValue::Double((*value).into()),
        AMQPValue::Double(value) => HeaderValue::Double(*value),
        AMQPValue::DecimalValue(decimal) => {
            let digits = f64::from(decimal.value);
            HeaderValue::Double(digits / 10_f64.powi(decimal.scale.into()))
        }
        AMQPValue::ShortString(text) => HeaderValue::Text(text.to_string()),
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => HeaderValue::Text(text.to_owned()),
            Err(_) => HeaderValue::Bytes(Bytes::copy_from_slice(text.as_bytes())),
        },
        AMQPValue::FieldArray(values) => {
            HeaderValue::List(values.as_slice().iter().map(header).collect())
        }
        AMQPValue::Timestamp(seconds) => HeaderValue::Timestamp(*seconds),
        AMQPValue::FieldTable(fields) => HeaderValue::Table(table(fields)),
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(Bytes::copy_from_slice(bytes.as_slice())),
        AMQPValue::Void => HeaderValue::Null,
    }
}

/// Adds what the table takes in a frame to `size`.
fn fields(
    headers: &BTreeMap<String, HeaderValue>,
    size: &mut usize,
) -> Result<BTreeMap<ShortString, AMQPValue>, String> {
    let mut fields = BTreeMap::new();
    *size += 4;
    for (name, value) in headers {
        *size += 1 + name.len();
        let name = short("the name of a header", name)?;
        fields.insert(name, field(value, size)?);
    }
    Ok(fields)
}

fn field(value: &HeaderValue, size: &mut usize) -> Result<AMQPValue, String> {
    *size += 9;
    Ok(match value {
        HeaderValue::Null => AMQPValue::Void,
        HeaderValue::Bool(value) => AMQPValue::Boolean(*value),
        HeaderValue::Integer(value) => AMQPValue::LongLongInt(*value),
        HeaderValue::Double(value) => AMQPValue::Double(*value),
        HeaderValue::Text(text) => {
            *size += text.len();
            AMQPValue::LongString(LongString::from(text.as_str()))
        }
        HeaderValue::Bytes(bytes) => {
            *size += bytes.len();
            AMQPValue::ByteArray(bytes.to_vec().into())
        }
        HeaderValue::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        HeaderValue::List(values) => {
            let fields: Result<Vec<_>, _> = values.iter().map(|value| field(value, size)).collect();
            AMQPValue::FieldArray(fields?.into())
        }
        HeaderValue::Table(headers) => AMQPValue::FieldTable(fields(headers, size)?.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::types::DecimalValue;

    #[test]
    fn what_there_is_no_word_for_becomes_the_nearest() {
        let decimal = DecimalValue {
            scale: 2,
            value: 1250,
        };
        assert_eq!(
            header(&AMQPValue::DecimalValue(decimal)),
            HeaderValue::Double(12.5)
        );
        assert_eq!(
            header(&AMQPValue::ShortShortUInt(200)),
            HeaderValue::Integer(200)
        );
        let text = AMQPValue::LongString(LongString::from(vec![0xff, 0x00]));
        assert_eq!(
            header(&text),
            HeaderValue::Bytes(Bytes::from_static(&[0xff, 0x00]))
        );
    }

    #[test]
    fn what_amqp_cannot_carry_is_an_error() {
        let error = |message: Message| properties(&message).unwrap_err();
        let id = Message {
            message_id: Some("x".repeat(256)),
            ..Message::default()
        };
        assert_eq!(error(id), "its id takes 256 bytes, and 255 is the most");
        let mut message = Message::default();
        message
            .headers
            .insert("stack".to_owned(), "x".repeat(MAX_HEADER_BYTES).into());
        assert!(error(message).starts_with("its headers take "));
    }
}
