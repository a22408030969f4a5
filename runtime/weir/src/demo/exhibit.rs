//! Shows a run at a glance: what came in, what became of it on its way to each slave.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use weir_event::{Event, Object};
use weir_pipeline::observe::{Observation, Observer};
use weir_pipeline::plan::{PipelineId, Plan};

/// The widest that a column of the table gets, in characters.
const MAX_WIDTH: usize = 70;

pub(crate) struct Exhibit {
    plan: Plan,
    /// How many messages the masters will read.
    messages: usize,
    seen: Mutex<Seen>,
    progress: Notify,
}

#[derive(Default)]
struct Seen {
    rows: Vec<Row>,
    /// Deliveries that masters are done with.
    read: usize,
    /// By slave: deliveries that must come, and those that it is done with.
    expected: BTreeMap<String, usize>,
    done: BTreeMap<String, usize>,
    /// By stage: what it did, and how often.
    deeds: BTreeMap<String, Deeds>,
}

#[derive(Default)]
struct Deeds {
    passed: usize,
    changed: usize,
    dropped: usize,
}

/// One message that came in.
struct Row {
    event: Option<String>,
    what: String,
    /// By slave: what became of it there.
    slaves: BTreeMap<String, String>,
}

impl Exhibit {
    pub(crate) fn new(plan: Plan, messages: usize) -> Self {
        Self {
            plan,
            messages,
            seen: Mutex::default(),
            progress: Notify::new(),
        }
    }

    pub(crate) fn observer(self: &Arc<Self>, id: &PipelineId) -> Arc<dyn Observer> {
        Arc::new(View {
            exhibit: Arc::clone(self),
            id: id.clone(),
        })
    }

    /// Waits until every slave is done with everything that it gets.
    pub(crate) async fn complete(&self) {
        loop {
            let progress = self.progress.notified();
            if self.is_complete() {
                return;
            }
            progress.await;
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        let seen = self.seen();
        seen.read == self.messages && seen.expected == seen.done
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one pipeline tells.
struct View {
    exhibit: Arc<Exhibit>,
    id: PipelineId,
}

impl Observer for View {
    fn observe(&self, observation: &Observation<'_>) {
        let mut seen = self.exhibit.seen();
        seen.count_deeds(observation);
        match &self.id {
            PipelineId::Master(_) => seen.observe_master(observation, &self.exhibit.plan),
            PipelineId::Slave(name) => seen.observe_slave(observation, name),
        }
        drop(seen);
        self.exhibit.progress.notify_waiters();
    }
}

impl Seen {
    fn count_deeds(&mut self, observation: &Observation<'_>) {
        match observation {
            Observation::Kept { stage, .. } => {
                self.deeds.entry((*stage).to_owned()).or_default().passed += 1;
            }
            Observation::Transformed { stage, from, into } => {
                let deeds = self.deeds.entry((*stage).to_owned()).or_default();
                deeds.passed += 1;
                deeds.changed += usize::from(!matches!(into, [same] if same == *from));
            }
            Observation::Dropped {
                event: Some(_), by, ..
            } => {
                self.deeds.entry((*by).to_owned()).or_default().dropped += 1;
            }
            _ => {}
        }
    }

    fn observe_master(&mut self, observation: &Observation<'_>, plan: &Plan) {
        match observation {
            Observation::Decoded { event, .. } => self.rows.push(Row::of(event)),
            Observation::Dropped {
                event: None,
                reason,
                ..
            } => {
                let what = format!("({reason})");
                self.rows.push(Row {
                    event: None,
                    what,
                    slaves: BTreeMap::new(),
                });
            }
            Observation::Dropped {
                event: Some(event),
                by,
                ..
            } => {
                if let Some(row) = self.row(event) {
                    row.what = format!("{} (dropped by {by})", row.what);
                }
            }
            Observation::Sent { message } => {
                for slave in &plan.slaves {
                    let key = &message.routing_key;
                    if slave.subscribe.iter().any(|pattern| pattern.matches(key)) {
                        *self.expected.entry(slave.name.clone()).or_default() += 1;
                    }
                }
            }
            Observation::Accepted { deliveries, .. } => self.read += deliveries,
            _ => {}
        }
    }

    fn observe_slave(&mut self, observation: &Observation<'_>, slave: &str) {
        let slave = slave.to_owned();
        match observation {
            Observation::Decoded { event, .. } => self.tell(event, slave, object(&event.subject)),
            Observation::Transformed { from, into, .. } => {
                let names: Vec<String> = into.iter().map(|event| object(&event.subject)).collect();
                self.tell(from, slave, names.join(", "));
            }
            Observation::Dropped {
                event: Some(event),
                reason,
                ..
            } => {
                self.tell(event, slave, format!("dropped: {reason}"));
            }
            Observation::Accepted { deliveries, .. } => {
                *self.done.entry(slave).or_default() += deliveries;
            }
            _ => {}
        }
    }

    fn row(&mut self, event: &Event) -> Option<&mut Row> {
        self.rows
            .iter_mut()
            .find(|row| row.event.as_ref() == Some(&event.id))
    }

    fn tell(&mut self, event: &Event, slave: String, what: String) {
        if let Some(row) = self.row(event) {
            row.slaves.insert(slave, what);
        }
    }
}

impl Row {
    fn of(event: &Event) -> Self {
        let what = format!("{} {}", event.subject, event.action);
        Self {
            event: Some(event.id.clone()),
            what,
            slaves: BTreeMap::new(),
        }
    }
}

/// An object without its kind: `topp:states`.
fn object(object: &Object) -> String {
    let named = object.to_string();
    named
        .split_once(' ')
        .map_or(named.clone(), |(_, name)| name.to_owned())
}

impl fmt::Display for Exhibit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen();
        let slaves: Vec<&str> = self
            .plan
            .slaves
            .iter()
            .map(|slave| slave.name.as_str())
            .collect();
        let mut table = vec![vec![String::new(), "what came in".to_owned()]];
        table[0].extend(slaves.iter().map(|slave| format!("slave {slave} got")));
        for (nth, row) in seen.rows.iter().enumerate() {
            let mut line = vec![(nth + 1).to_string(), row.what.clone()];
            for slave in &slaves {
                line.push(
                    row.slaves
                        .get(*slave)
                        .cloned()
                        .unwrap_or_else(|| "·".to_owned()),
                );
            }
            table.push(line);
        }
        write_table(f, &table)?;
        writeln!(f, "\n· not subscribed, or dropped before\n")?;
        let mut deeds = vec![vec![
            "pipeline/plugin".to_owned(),
            "events".to_owned(),
            "changed".to_owned(),
            "dropped".to_owned(),
        ]];
        for (
            stage,
            Deeds {
                passed,
                changed,
                dropped,
            },
        ) in &seen.deeds
        {
            let events = passed + dropped;
            deeds.push(vec![
                stage.clone(),
                events.to_string(),
                changed.to_string(),
                dropped.to_string(),
            ]);
        }
        write_table(f, &deeds)
    }
}

fn write_table(f: &mut fmt::Formatter<'_>, table: &[Vec<String>]) -> fmt::Result {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = table.iter().filter_map(|line| line.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                .min(MAX_WIDTH)
        })
        .collect();
    for (nth, line) in table.iter().enumerate() {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let mut cell = if cell.chars().count() > *width {
                cell.chars().take(width - 1).chain(['…']).collect()
            } else {
                cell.clone()
            };
            let missing = width - cell.chars().count();
            cell.extend(std::iter::repeat_n(' ', missing));
            text.push_str(&cell);
            text.push_str("  ");
        }
        writeln!(f, "{}", text.trim_end())?;
        if nth == 0 {
            writeln!(
                f,
                "{}",
                "─".repeat(widths.iter().map(|width| width + 2).sum::<usize>() - 2)
            )?;
        }
    }
    Ok(())
}
