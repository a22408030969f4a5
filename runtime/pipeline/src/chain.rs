//! The way of one event: decode, stages, route, encode.
//!
//! A chain is made from a plan before it is put to work, and never changes; a new configuration or
//! a new plugin makes a new chain. So an event is handled wholly by one of them.

use std::fmt;

use bytes::Bytes;
use weir_event::{
    CloudVersion, Decoded, Dialect, Document, Event, HeaderValue, Message, Reason, RestFrame,
    Subscription,
};
use weir_wasm::{Fault, Filter, Judgement, Outcome, Router, Transform};

use crate::ends::{Asked, Delivery};
use crate::hydrate::Hydration;
use crate::line::{Processed, Rejection};
use crate::names::Names;
use crate::observe::{Observation, Observer};

/// The header in which a master names the slaves that its router chose, with commas between them.
/// Without it an event is for every slave that subscribes.
pub const SLAVES_HEADER: &str = "weir-slaves";

/// The most events that the stages of one pipeline may make of one: each stage has its own limit,
/// but those multiply.
const MAX_OUTCOMES: usize = 10_000;

/// What a pipeline does with an event.
pub struct Chain {
    pub side: Side,
    pub stages: Vec<Work>,
    /// The largest payload that is decoded, in bytes.
    pub max_message: usize,
    /// The most that the outcomes of one event may take, in bytes.
    pub max_outcome_bytes: usize,
}

/// An event that its chain has taken in: the stages come next.
pub struct Taken {
    event: Event,
    document: Document,
    /// Of the message that it came in: an outcome may share its payload.
    payload: Bytes,
    asked: Option<Asked>,
}

/// A stage that handles events on their way; a router comes after all of them.
pub enum Work {
    Filter(Filter),
    Transform(Transform),
}

/// Which way the pipeline runs.
pub enum Side {
    /// From a foreign source onto the bus.
    Master {
        dialect: Dialect,
        /// The CloudEvents source of its events: `/masters/cloud`.
        source: String,
        route: Option<Router>,
    },
    /// From a slave's queue to its sink.
    Slave {
        name: String,
        /// A binding that was taken away may have left messages in the queue.
        subscribe: Vec<Subscription>,
        dialect: Dialect,
        /// Which nodes of GeoServer Cloud its frames are for.
        version: Option<CloudVersion>,
    },
}

/// Why an event stops on its way.
enum Stop {
    /// Nobody wants it.
    Dropped,
    Retry(Reason),
    Reject(Rejection),
}

impl Stop {
    fn into_processed(self) -> Processed<Message> {
        match self {
            Self::Dropped => Processed::Outcomes {
                messages: Vec::new(),
                bytes: 0,
            },
            Self::Retry(reason) => Processed::Retry(reason),
            Self::Reject(rejection) => Processed::Reject(rejection),
        }
    }

    fn reject(error: impl fmt::Display) -> Self {
        Self::Reject(Reason::new(error).into())
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        let reason = Reason::new(&fault);
        if fault.is_worth_a_retry() {
            return Self::Retry(reason);
        }
        let stage = Some((fault.stage().to_owned(), fault.digest().to_string()));
        Self::Reject(Rejection { reason, stage })
    }
}

impl Taken {
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }
}

impl Chain {
    /// Takes in a message: decodes it, and gives it the names that are known. To be called in the
    /// order of the messages, since they teach names. If there is no event for the stages, gives
    /// what it comes to.
    pub fn take(
        &self,
        delivery: &Delivery,
        names: &mut Names,
        observer: &dyn Observer,
    ) -> Result<Taken, Processed<Message>> {
        let message = &delivery.message;
        self.admit(message, observer)
            .and_then(|()| self.decode(delivery, names, observer))
            .map(|(event, document)| Taken {
                event,
                document,
                payload: message.payload.clone(),
                asked: delivery.asked.clone(),
            })
            .map_err(Stop::into_processed)
    }

    /// Takes an event through the stages, to the messages for the sink; after it what the object is
    /// now, where that is read. Several events may be on their way at one time.
    pub(crate) async fn finish(
        &self,
        taken: Taken,
        hydration: Option<Hydration>,
        observer: &dyn Observer,
    ) -> Processed<Message> {
        match self.outcomes(taken, hydration, observer).await {
            Ok(processed) => processed,
            Err(stop) => stop.into_processed(),
        }
    }

    /// Takes a message all the way: both steps, one after the other, as `make bench` measures them.
    pub async fn process(
        &self,
        delivery: &Delivery,
        names: &mut Names,
        observer: &dyn Observer,
    ) -> Processed<Message> {
        match self.take(delivery, names, observer) {
            Ok(taken) => self.finish(taken, None, observer).await,
            Err(processed) => processed,
        }
    }

    /// Takes what was read at the master, and that nobody announced, through the stages, to the
    /// messages for the bus.
    pub async fn tell(
        &self,
        frames: Vec<RestFrame>,
        observer: &dyn Observer,
    ) -> Processed<Message> {
        let told = match self.states(frames, observer) {
            Ok(states) => self.send(states.into_iter(), None, observer).await,
            Err(stop) => Err(stop),
        };
        told.unwrap_or_else(Stop::into_processed)
    }

    async fn outcomes(
        &self,
        taken: Taken,
        hydration: Option<Hydration>,
        observer: &dyn Observer,
    ) -> Result<Processed<Message>, Stop> {
        let states = match hydration {
            Some(hydration) => {
                let states = hydration.states(&taken.event, observer).await;
                self.states(states.map_err(Stop::reject)?, observer)?
            }
            None => Vec::new(),
        };
        let asked = taken.asked.clone();
        // A hint that nobody sent is no news.
        let sent = asked.is_none().then_some(taken).into_iter();
        let only = asked.as_ref().and_then(|asked| asked.slave.as_deref());
        self.send(sent.chain(states), only, observer).await
    }

    /// Takes events through the stages, to the messages for the sink; for one slave `only`, if it is
    /// named.
    async fn send(
        &self,
        events: impl Iterator<Item = Taken>,
        only: Option<&str>,
        observer: &dyn Observer,
    ) -> Result<Processed<Message>, Stop> {
        let mut messages = Vec::new();
        let mut bytes = 0;
        for Taken {
            event,
            document,
            payload,
            ..
        } in events
        {
            let events = self.run_stages(event, observer).await?;
            let documents = std::iter::repeat_n(document, events.len());
            for (event, document) in events.into_iter().zip(documents) {
                let chosen = self.route(&event, observer).await?;
                let slaves = match (chosen, only) {
                    (Some(chosen), Some(only)) if !chosen.iter().any(|slave| slave == only) => {
                        continue;
                    }
                    (_, Some(only)) => Some(only.to_owned()),
                    (chosen, None) => chosen.map(|chosen| chosen.join(",")),
                };
                let message = self.encode(event, document, slaves)?;
                // What left as it came is held once.
                let shared = message.payload.as_ptr() == payload.as_ptr();
                bytes += message.size() - if shared { message.payload.len() } else { 0 };
                messages.push(message);
                // One outcome is no larger than its message and its stages may make it.
                if messages.len() > 1 {
                    self.check_bytes(bytes)?;
                }
            }
        }
        Ok(Processed::Outcomes { messages, bytes })
    }

    /// Frames that were read at the master, as events.
    fn states(&self, frames: Vec<RestFrame>, observer: &dyn Observer) -> Result<Vec<Taken>, Stop> {
        let Side::Master { source, .. } = &self.side else {
            return Ok(Vec::new());
        };
        let mut states = Vec::with_capacity(frames.len());
        for frame in frames {
            let message = Message {
                payload: frame.to_payload(),
                content_type: Some("application/json".to_owned()),
                ..Message::default()
            };
            let decoded = Dialect::GeoServerRest.decode(&message, source);
            if let Decoded::Event(event, document) = decoded.map_err(Stop::reject)? {
                observer.observe(&Observation::Hydrated { event: &event });
                states.push(Taken {
                    event: *event,
                    document,
                    payload: message.payload,
                    asked: None,
                });
            }
        }
        Ok(states)
    }

    fn check_bytes(&self, bytes: usize) -> Result<(), Stop> {
        let most = self.max_outcome_bytes;
        if bytes <= most {
            return Ok(());
        }
        Err(Stop::reject(format_args!(
            "what the stages made of the event takes {bytes} bytes or more, and {most} is the most \
             that the outcomes of one event may take; let them make fewer or smaller ones"
        )))
    }

    fn admit(&self, message: &Message, observer: &dyn Observer) -> Result<(), Stop> {
        if message.payload.len() > self.max_message {
            let size = message.payload.len();
            let most = self.max_message;
            return Err(Stop::reject(format_args!(
                "the message has {size} bytes, more than the {most} of limits.message"
            )));
        }
        let Side::Slave {
            name, subscribe, ..
        } = &self.side
        else {
            return Ok(());
        };
        let chosen = message.header(SLAVES_HEADER);
        let subscribed = message
            .routing_keys()
            .any(|key| subscribe.iter().any(|pattern| pattern.matches(key)));
        let reason = if !subscribed {
            "the slave does not subscribe to it any more"
        } else if chosen.is_some_and(|chosen| !chosen.split(',').any(|slave| slave == name)) {
            "it is addressed to other slaves"
        } else {
            return Ok(());
        };
        observer.observe(&Observation::Dropped {
            event: None,
            by: "subscription",
            reason: &Reason::new(reason),
        });
        Err(Stop::Dropped)
    }

    fn decode(
        &self,
        delivery: &Delivery,
        names: &mut Names,
        observer: &dyn Observer,
    ) -> Result<(Event, Document), Stop> {
        let Delivery {
            message,
            redelivered,
            asked,
            ..
        } = delivery;
        let decoded = match &self.side {
            Side::Master { source, .. } if asked.is_some() => {
                Dialect::GeoServerRest.decode(message, source)
            }
            Side::Master {
                dialect, source, ..
            } => dialect.decode(message, source),
            Side::Slave { .. } => Dialect::CloudEvents.decode(message, ""),
        };
        match decoded.map_err(Stop::reject)? {
            Decoded::Event(mut event, document) => {
                if let Side::Master { .. } = self.side {
                    names.apply(&mut event);
                }
                observer.observe(&Observation::Decoded {
                    event: &event,
                    redelivered: *redelivered,
                });
                if let Some(reason) = self.is_for_others(&document) {
                    observer.observe(&Observation::Dropped {
                        event: Some(&event),
                        by: "dialect",
                        reason: &Reason::new(reason),
                    });
                    return Err(Stop::Dropped);
                }
                Ok((*event, document))
            }
            Decoded::NotCatalog(reason) => {
                let reason = &Reason::new(reason);
                observer.observe(&Observation::Dropped {
                    event: None,
                    by: "decode",
                    reason,
                });
                Err(Stop::Dropped)
            }
        }
    }

    /// Why a slave has no use for an event, as a phrase. A master whose objects are read announces
    /// each change twice: as it came, and as what the object is now; slaves want one of the two.
    fn is_for_others(&self, document: &Document) -> Option<&'static str> {
        let Side::Slave { dialect, .. } = &self.side else {
            return None;
        };
        let is_state = document.frame_dialect() == Some(Dialect::GeoServerRest);
        match dialect {
            Dialect::GeoServerRest if !is_state => {
                Some("it announces a change, and does not say what the object is now")
            }
            Dialect::GeoServerCloud | Dialect::GeoNode if is_state => {
                Some("it says what an object is now, and the slave takes announcements")
            }
            _ => None,
        }
    }

    /// Counted while they are made: a stage that multiplies what another one multiplied is stopped
    /// before the next call, and not when all is in memory.
    async fn run_stages(&self, event: Event, observer: &dyn Observer) -> Result<Vec<Event>, Stop> {
        let mut events = vec![event];
        for stage in &self.stages {
            // Of the first event of many everything else is still ahead.
            let mut ahead: usize = events.iter().map(Event::size).sum();
            let mut next = Vec::with_capacity(events.len());
            let mut made = 0;
            for event in events {
                ahead -= event.size();
                let before = next.len();
                run_stage(stage, event, &mut next, observer).await?;
                if next.len() > MAX_OUTCOMES {
                    return Err(Stop::reject(format_args!(
                        "the stages made more than {MAX_OUTCOMES} events of one"
                    )));
                }
                made += next[before..].iter().map(Event::size).sum::<usize>();
                if next.len() > 1 {
                    self.check_bytes(made + ahead)?;
                }
            }
            events = next;
        }
        Ok(events)
    }

    /// The slaves that the router chose, if there is a router.
    async fn route(
        &self,
        event: &Event,
        observer: &dyn Observer,
    ) -> Result<Option<Vec<String>>, Stop> {
        let Side::Master {
            route: Some(router),
            ..
        } = &self.side
        else {
            return Ok(None);
        };
        let chosen = router.route(event).await?;
        let stage = router.name();
        observer.observe(&Observation::Routed {
            stage,
            event,
            slaves: &chosen,
        });
        Ok(Some(chosen))
    }

    fn encode(
        &self,
        mut event: Event,
        document: Document,
        slaves: Option<String>,
    ) -> Result<Message, Stop> {
        let (dialect, version) = match &self.side {
            Side::Master { .. } => (Dialect::CloudEvents, None),
            Side::Slave {
                name,
                dialect,
                version,
                ..
            } => {
                if *dialect == Dialect::GeoServerCloud {
                    // A node ignores what seems to come from itself, and addresses repeat between
                    // clusters: what Weir sends comes from Weir.
                    event.set_attribute("originservice", format!("weir:{name}:0"));
                }
                (*dialect, *version)
            }
        };
        let message = match version {
            Some(version) => dialect.encode_for(version, &event, document),
            None => dialect.encode(&event, document),
        };
        let mut message = message.map_err(Stop::reject)?;
        // What Weir says to itself in headers is about one way over the bus.
        message.headers.retain(|name, _| !name.starts_with("weir-"));
        if let Some(slaves) = slaves {
            message
                .headers
                .insert(SLAVES_HEADER.to_owned(), HeaderValue::Text(slaves));
        }
        Ok(message)
    }
}

async fn run_stage(
    stage: &Work,
    event: Event,
    next: &mut Vec<Event>,
    observer: &dyn Observer,
) -> Result<(), Stop> {
    match stage {
        Work::Filter(filter) => match filter.filter(&event).await? {
            Judgement::Keep => {
                let stage = filter.name();
                observer.observe(&Observation::Kept {
                    stage,
                    event: &event,
                });
                next.push(event);
            }
            Judgement::Drop(reason) => observer.observe(&Observation::Dropped {
                event: Some(&event),
                by: filter.name(),
                reason: &reason,
            }),
        },
        Work::Transform(transform) => {
            let outcome = transform.transform(&event).await?;
            let into = match &outcome {
                Outcome::Unchanged => std::slice::from_ref(&event),
                Outcome::Replaced(events) => events,
            };
            observer.observe(&Observation::Transformed {
                stage: transform.name(),
                from: &event,
                into,
            });
            match outcome {
                Outcome::Unchanged => next.push(event),
                Outcome::Replaced(events) => next.extend(events),
            }
        }
    }
    Ok(())
}
