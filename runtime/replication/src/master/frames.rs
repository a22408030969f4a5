//! Frames of what was read.

use sha2::{Digest as _, Sha256};
use weir_event::{Action, Event, Kind, MAX_ID, RestContent, RestFrame, RestPlace};

use super::about::About;

/// What one object is now.
pub(super) struct State {
    pub(super) kind: Kind,
    /// What the master calls it now.
    pub(super) place: RestPlace,
    pub(super) previous: Option<RestPlace>,
    /// `None` if it is not there.
    pub(super) content: Option<RestContent>,
}

/// The frames of what a hint came to.
pub(super) fn frames(hint: &Event, source: &str, states: Vec<State>) -> Vec<RestFrame> {
    let author = hint
        .attribute("authid")
        .filter(|author| !author.is_empty() && hint.attribute("authtype") == Some("user"));
    let count = states.len();
    let frame = |(index, state): (usize, State)| RestFrame {
        action: match (&state.content, &state.previous, &hint.action) {
            // What was renamed and is not there under its new name either: what became of it, a
            // later hint says, by that name.
            (None, Some(_), action) if *action != Action::Removed => Action::Modified,
            (None, ..) => Action::Removed,
            (Some(_), _, Action::Added) => Action::Added,
            // What was removed and is there was made anew.
            (Some(_), ..) => Action::Modified,
        },
        kind: state.kind,
        master: state.place.clone(),
        source: Some(source.to_owned()),
        place: state.place,
        // What is gone is gone by its last name.
        previous: state
            .previous
            .filter(|_| state.content.is_some() || hint.action != Action::Removed),
        id: id(&hint.id, (count > 1).then_some(index + 1)),
        time: hint.time.clone(),
        sequence: hint.sequence,
        author: author.map(str::to_owned),
        content: state.content,
    };
    states.into_iter().enumerate().map(frame).collect()
}

/// A frame that says of an object only that it is asked for.
pub(super) fn hint(hint: &Event, about: About) -> RestFrame {
    RestFrame {
        action: hint.action.clone(),
        kind: about.kind,
        master: about.place.clone(),
        source: None,
        place: about.place,
        previous: None,
        id: hint.id.clone(),
        time: hint.time.clone(),
        sequence: hint.sequence,
        author: None,
        content: None,
    }
}

/// The id of one of several frames of a hint: that of the hint and a number, or a digest of it where
/// that would be too long.
fn id(hint: &str, number: Option<usize>) -> String {
    let number = number.map_or_else(String::new, |number| format!("#{number}"));
    if hint.is_empty() || hint.len() + number.len() > MAX_ID {
        format!("{:x}{number}", Sha256::digest(hint))
    } else {
        format!("{hint}{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_room_for_a_number_and_stay_apart() {
        assert_eq!(id("a", None), "a");
        assert_eq!(id("a", Some(2)), "a#2");
        let long = "x".repeat(MAX_ID);
        assert_eq!(id(&long, None), long);
        let numbered = id(&long, Some(12));
        assert_eq!(numbered.len(), 64 + 3);
        assert_eq!(numbered, id(&long, Some(12)));
        assert_ne!(numbered, id(&"y".repeat(MAX_ID), Some(12)));
    }
}
