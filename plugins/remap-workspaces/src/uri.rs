//! Names of workspaces within URIs.

/// `text` with `replacement` wherever `word` stands as a whole word, that is where neither a
/// letter, a digit, `_` nor `-` touches it: `topp` in `http://example.org/topp#1`, and not in
/// `http://example.org/topp_eu`.
pub(crate) fn replace_word(text: &str, word: &str, replacement: &str) -> String {
    let mut replaced = String::with_capacity(text.len() + replacement.len());
    let mut before = None;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match rest.strip_prefix(word) {
            Some(after) if !word.is_empty() && is_edge(before) && is_edge(after.chars().next()) => {
                replaced.push_str(replacement);
                before = word.chars().next_back();
                rest = after;
            }
            _ => {
                replaced.push(next);
                before = Some(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    replaced
}

/// True where a word may begin or end.
fn is_edge(neighbour: Option<char>) -> bool {
    neighbour.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '-'))
}

#[cfg(test)]
mod tests {
    use super::replace_word;

    #[test]
    fn only_whole_words_are_replaced() {
        let check = |text, expected| assert_eq!(replace_word(text, "topp", "eu"), expected);
        check("topp", "eu");
        check("http://example.org/topp", "http://example.org/eu");
        check(
            "http://topp.example.org/topp#topp",
            "http://eu.example.org/eu#eu",
        );
        check("urn:topp:toppings", "urn:eu:toppings");
        check(
            "urn:topp_eu:my-topp:xtopp:topp2",
            "urn:topp_eu:my-topp:xtopp:topp2",
        );
        check("urn:øtopp", "urn:øtopp");
        check("", "");
    }

    #[test]
    fn a_word_is_found_behind_an_overlapping_part_of_a_word() {
        assert_eq!(replace_word("xa.a.a", "a.a", "b"), "xa.b");
        assert_eq!(replace_word("a.a.a", "a.a", "b"), "b.a");
    }
}
