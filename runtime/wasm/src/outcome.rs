//! What a plugin may return: checked before anything else sees it.

use std::collections::HashSet;

use weir_event::{Event, MAX_ID, Object, Reason};

use crate::fault::Cause;
use crate::limits::Limits;

/// The outcomes that a transform made of `was`: not too many, none too large, each with an id and
/// kinds and the references that it had, no two with the same id (so that at most one keeps the id of
/// the event that they are made of).
pub(crate) fn check_events(events: &[Event], was: &Event, limits: &Limits) -> Result<(), Cause> {
    if events.len() > limits.outcomes {
        return Err(Cause::TooManyOutcomes {
            count: events.len(),
            limit: limits.outcomes,
        });
    }
    let mut ids = HashSet::with_capacity(events.len());
    for event in events {
        let bytes = event.size();
        if bytes > limits.outcome_bytes {
            return Err(Cause::OutcomeTooLarge {
                bytes,
                limit: limits.outcome_bytes,
            });
        }
        if event.id.is_empty() {
            return Err(Cause::BadOutcome(Reason::new("it has no id")));
        }
        if event.id.len() > MAX_ID {
            return Err(Cause::BadOutcome(Reason::new(format_args!(
                "its id has {} bytes, more than the {MAX_ID} that an id may have",
                event.id.len()
            ))));
        }
        if !ids.insert(event.id.as_str()) {
            return Err(Cause::BadOutcome(Reason::new(format_args!(
                "another one has the id `{}` as well; make ids from the id of the event",
                event.id
            ))));
        }
        if let Some(problem) = event.breaks_references_of(was) {
            return Err(Cause::BadOutcome(Reason::new(format_args!(
                "{problem}; a plugin may change the target of a reference, but not add, remove or reorder references, nor change their roles"
            ))));
        }
        if objects(event).any(|object| object.kind.as_str().is_empty()) {
            return Err(Cause::BadOutcome(Reason::new(format_args!(
                "`{}` names an object without a kind",
                event.id
            ))));
        }
    }
    Ok(())
}

/// The slaves that were chosen, each once, in the order in which they were offered.
pub(crate) fn chosen(choice: &[String], slaves: &[String]) -> Result<Vec<String>, Cause> {
    let mut wanted: HashSet<&str> = choice.iter().map(String::as_str).collect();
    let chosen = slaves
        .iter()
        .filter(|slave| wanted.remove(slave.as_str()))
        .cloned()
        .collect();
    // Of several that are wrong, the one that was named first.
    match choice.iter().find(|slave| wanted.contains(slave.as_str())) {
        None => Ok(chosen),
        Some(stranger) => Err(Cause::UnknownSlave(Reason::new(stranger))),
    }
}

fn objects(event: &Event) -> impl Iterator<Item = &Object> {
    let targets = event.references.iter().map(|reference| &reference.target);
    [&event.subject]
        .into_iter()
        .chain(&event.previous)
        .chain(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_event::{Action, Body, Kind};

    fn event(id: &str, body: usize) -> Event {
        Event {
            id: id.to_owned(),
            source: String::new(),
            time: String::new(),
            sequence: None,
            action: Action::Added,
            subject: Object::of(Kind::Layer),
            previous: None,
            references: Vec::new(),
            properties: Vec::new(),
            attributes: Vec::new(),
            body: Some(Body {
                content_type: String::new(),
                data: vec![0; body].into(),
            }),
        }
    }

    proptest! {
        #[test]
        fn outcomes_that_pass_keep_every_rule(
            made in prop::collection::vec(("[ab]{0,2}", 0_usize..40, any::<bool>()), 0..8),
            outcomes in 0_usize..8,
            outcome_bytes in 0_usize..40,
        ) {
            let limits = Limits { outcomes, outcome_bytes, ..Limits::default() };
            let events: Vec<Event> = made
                .iter()
                .map(|(id, body, has_kind)| {
                    let mut event = event(id, *body);
                    if !has_kind {
                        event.subject.kind = Kind::Other(String::new());
                    }
                    event
                })
                .collect();
            let ids: HashSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
            let keeps = [
                events.len() <= outcomes,
                events.iter().all(|event| event.size() <= outcome_bytes),
                !ids.contains(""),
                ids.len() == events.len(),
                made.iter().all(|(_, _, has_kind)| *has_kind),
            ];
            let passed = check_events(&events, &event("was", 0), &limits).is_ok();
            prop_assert_eq!(passed, keeps.into_iter().all(|kept| kept), "{:?}", keeps);
        }

        #[test]
        fn a_choice_is_a_part_of_the_slaves_in_their_order(
            slaves in prop::collection::hash_set("[a-f]", 0..6),
            choice in prop::collection::vec("[a-f]", 0..8),
        ) {
            let slaves: Vec<String> = slaves.into_iter().collect();
            match chosen(&choice, &slaves) {
                Ok(chosen) => {
                    let expected: Vec<String> =
                        slaves.iter().filter(|slave| choice.contains(slave)).cloned().collect();
                    prop_assert_eq!(chosen, expected);
                }
                Err(Cause::UnknownSlave(stranger)) => {
                    let stranger = String::from(stranger);
                    prop_assert!(!slaves.contains(&stranger));
                    prop_assert!(choice.contains(&stranger));
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
