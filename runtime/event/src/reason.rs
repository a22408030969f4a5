//! Why something was not done, in words for people.

use std::fmt::{self, Write};
use std::ops::Deref;

/// Why something was not done: one text, never longer than [`Reason::MAX_BYTES`].
///
/// Reasons quote what came from outside: messages, plugins, brokers. They end up in headers, in logs
/// and as the keys of counts, and each of these needs a bound. So there is no other way to make one
/// than [`Reason::new`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(String);

impl Reason {
    /// Room for a sentence of ours around the longest text that is useful in a log line, and small
    /// beside the 8 KiB that the smallest frame of an AMQP broker takes.
    pub const MAX_BYTES: usize = 2 << 10;

    /// What stands at the end of a text that was cut.
    const MARK: &str = " … (cut)";

    /// The text, cut at the end of a character where it is too long. What is cut off is not even
    /// written: a quotation of 100 MB costs no more than one of 2 KiB.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "reasons are made of values that nobody needs any more"
    )]
    pub fn new(text: impl fmt::Display) -> Self {
        let mut bounded = Bounded(String::new());
        // It fails when there is no more room, which shows in the length.
        let whole = write!(bounded, "{text}").is_ok();
        let Bounded(mut text) = bounded;
        if !whole {
            text.truncate(text.floor_char_boundary(Self::MAX_BYTES - Self::MARK.len()));
            text.push_str(Self::MARK);
        }
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Takes as much as a reason may hold.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Reason::MAX_BYTES - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_fits_stays_and_a_longer_one_is_marked() {
        let longest = "x".repeat(Reason::MAX_BYTES);
        assert_eq!(Reason::new(&longest).as_str(), longest);
        let cut = Reason::new(format_args!("action `{}`", "ä".repeat(100_000)));
        assert!(cut.len() <= Reason::MAX_BYTES, "{}", cut.len());
        assert!(cut.starts_with("action `ää") && cut.ends_with("ä … (cut)"));
    }

    proptest! {
        #[test]
        fn a_reason_is_bounded_and_begins_as_the_text_does(
            parts in prop::collection::vec(".{0,400}", 0..12),
        ) {
            let text = parts.concat();
            let reason = Reason::new(&text);
            prop_assert!(reason.len() <= Reason::MAX_BYTES);
            match reason.strip_suffix(Reason::MARK) {
                Some(beginning) if text.len() > Reason::MAX_BYTES => {
                    prop_assert!(text.starts_with(beginning));
                }
                _ => prop_assert_eq!(reason.as_str(), text),
            }
        }
    }
}
