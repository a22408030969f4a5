//! What of a plugin's words is logged.

use std::sync::{Arc, Mutex};

use weir_wasm::{Instances, Limits};

use crate::guests::{WARM, event, misbehaving, transformed};

#[tokio::test]
async fn what_a_plugin_says_is_logged_up_to_the_limit() {
    let log = Log::default();
    let subscriber = log.clone();
    let _guard = tracing::subscriber::set_default(subscriber);

    let stage = misbehaving(r#""print""#, Limits::default(), Instances::Fresh).await;
    transformed(&stage, &event("one")).await.unwrap();
    assert_eq!(
        log.take(),
        [
            "INFO test misbehave one: to the standard output",
            "WARN test misbehave one: to the standard error"
        ]
    );

    let stage = misbehaving(r#"{"chatter": 10000}"#, Limits::default(), WARM).await;
    for _ in 0..2 {
        transformed(&stage, &event("two")).await.unwrap();
        let lines = log.take();
        let bytes: usize = lines.iter().map(|line| line.matches('x').count()).sum();
        assert_eq!(bytes, Limits::default().log_bytes);
        let cut = "WARN test misbehave two: (cut off: the limit is 4096 bytes about one event)";
        assert_eq!(lines.iter().filter(|line| *line == cut).count(), 1);
    }
}

/// What plugins said, a line for each record.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "weir::plugin"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields(fields) = fields;
        let of = |name| {
            fields
                .iter()
                .find(|(known, _)| *known == name)
                .map_or("", |(_, value)| value.as_str())
        };
        self.0.lock().unwrap().push(format!(
            "{} {} {} {}: {}",
            event.metadata().level(),
            of("stage"),
            of("plugin"),
            of("event"),
            of("message")
        ));
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }
}
