//! Patterns of names.

use std::fmt;

use serde::Deserialize;

/// A pattern of names in settings: `*` stands for any characters or none, `?` for exactly one, and
/// everything else for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(String);

impl Pattern {
    /// True if the pattern stands for the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        // After a mismatch, the last `*` takes one character more and the rest is tried again.
        // Earlier ones need no second look, so the steps are at most pattern × name.
        let (mut pattern, mut name) = (self.0.as_str(), name);
        let mut star: Option<(&str, &str)> = None;
        loop {
            let mut rest = pattern.chars();
            match (rest.next(), name.chars().next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    pattern = rest.as_str();
                    star = Some((pattern, name));
                }
                (Some(expected), Some(found)) if expected == '?' || expected == found => {
                    pattern = rest.as_str();
                    name = &name[found.len_utf8()..];
                }
                _ => {
                    let Some((after, taken)) = star else {
                        return false;
                    };
                    let mut left = taken.chars();
                    if left.next().is_none() {
                        return false;
                    }
                    pattern = after;
                    name = left.as_str();
                    star = Some((after, name));
                }
            }
        }
    }

    /// How many characters the pattern gives literally: of two patterns that match a name, the one
    /// with more says it more closely.
    pub fn literals(&self) -> usize {
        self.0.chars().filter(|c| !matches!(c, '*' | '?')).count()
    }

    /// True if the pattern stands for one name only.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }
}

impl TryFrom<String> for Pattern {
    type Error = &'static str;

    fn try_from(pattern: String) -> Result<Self, Self::Error> {
        if pattern.is_empty() {
            return Err("an empty pattern matches no name: write one such as `topp` or `eu_*`");
        }
        Ok(Self(pattern))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::try_from(text.to_owned()).unwrap()
    }

    /// The definition of a pattern, in its simplest and slowest form.
    fn defined(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=name.len()).any(|n| defined(rest, &name[n..])),
            (Some((p, rest)), Some((n, left))) => (*p == '?' || p == n) && defined(rest, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matches_as_defined(text in "[ab*?ø]{1,7}", name in "[abø]{0,7}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                pattern(&text).matches(&name),
                defined(&chars(&text), &chars(&name))
            );
        }
    }

    #[test]
    fn a_hostile_pattern_stays_cheap() {
        assert!(!pattern(&format!("{}b", "*a".repeat(200))).matches(&"a".repeat(2_000)));
    }

    #[test]
    fn an_empty_pattern_is_refused() {
        let error = serde_json::from_str::<Pattern>("\"\"").unwrap_err();
        assert!(error.to_string().contains("an empty pattern"), "{error}");
    }
}
