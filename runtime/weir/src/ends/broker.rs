//! Sources and sinks on the bus and on foreign exchanges.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};
use weir_bus::{BusError, Consumer, PublishError, Publisher};
use weir_event::{Message, Reason};
use weir_pipeline::ends::{Confirmation, Delivery, EndError, Received, Sink, SinkFailure, Source};

/// The pause after an error that somebody has to mend, such as an exchange that is not there yet.
const PAUSE: Duration = Duration::from_secs(1);

/// A queue. What goes wrong with it is told once and tried again until it works.
pub(crate) struct BusSource {
    consumer: Consumer,
    /// What is wrong at present, and when to try again.
    trouble: Option<(String, Instant)>,
}

impl BusSource {
    pub(crate) fn new(consumer: Consumer) -> Self {
        Self {
            consumer,
            trouble: None,
        }
    }

    fn trouble(&mut self, error: &BusError) {
        let told = error.to_string();
        if self
            .trouble
            .as_ref()
            .is_none_or(|(known, _)| *known != told)
        {
            warn!(error = told, "cannot consume, will keep trying");
        }
        self.trouble = Some((told, Instant::now() + PAUSE));
    }
}

#[async_trait]
impl Source for BusSource {
    async fn next(&mut self) -> Result<Received, EndError> {
        loop {
            if let Some((_, then)) = &self.trouble {
                sleep_until(*then).await;
            }
            match self.consumer.next().await {
                Ok(received) => {
                    if self.trouble.take().is_some() {
                        info!("consuming again");
                    }
                    return Ok(match received {
                        weir_bus::Received::Delivery {
                            tag,
                            redelivered,
                            message,
                            // It says nothing of the message: what does is counted in the pipeline.
                            delivery_count: _,
                        } => Received::Delivery(Delivery {
                            tag,
                            redelivered,
                            message,
                            asked: None,
                        }),
                        weir_bus::Received::Restarted => Received::Restarted,
                    });
                }
                Err(error) => self.trouble(&error),
            }
        }
    }

    async fn accept_through(&mut self, tag: u64) -> Result<(), EndError> {
        if let Err(error) = self.consumer.accept_through(tag).await {
            // The consumer says so when it is connected.
            let error = error.to_string();
            warn!(error, "cannot accept, deliveries will come again");
        }
        Ok(())
    }

    async fn lost(&mut self) {
        self.consumer.lost().await;
    }

    async fn close(self: Box<Self>) {
        self.consumer.close().await;
    }
}

pub(crate) struct BusSink(pub(crate) Publisher);

#[async_trait]
impl Sink for BusSink {
    async fn publish(&mut self, message: Message) -> u64 {
        self.0.publish(message).await
    }

    async fn confirmed(&mut self) -> Confirmation {
        let confirmation = self.0.confirmed().await;
        let result = confirmation.result.map_err(|error| match error {
            PublishError::TooLarge(_) => SinkFailure::Permanent(Reason::new(error)),
            PublishError::Unavailable(_)
            | PublishError::Unroutable(_)
            | PublishError::Refused(_) => SinkFailure::Transient(Reason::new(error)),
        });
        Confirmation {
            ticket: confirmation.ticket,
            result,
        }
    }
}
