//! Names of workspaces within the URIs of their namespaces.

/// The URI of a namespace whose workspace is called `target` and no longer `source`.
///
/// The old name becomes the new one wherever it stands as a whole word, that is where neither a
/// letter, a digit, `_` nor `-` touches it: `topp` in `http://example.org/topp#1`, and not in
/// `http://example.org/topp_eu`. A name with percent-encoded characters is the same name. The scheme
/// and the host are no places for one, but for `http://topp`, which GeoServer makes of a workspace
/// that is given no URI. A URI without the name gets the new one appended: no two namespaces of a
/// GeoServer may have the same URI, and the source may be there as well.
pub(crate) fn follow(uri: &str, source: &str, target: &str) -> String {
    let (start, rest) = uri.split_at(path_start(uri));
    if rest.is_empty()
        && let Some((scheme, host)) = start.split_once("://")
        && let Some(escaped) = whole(host, source)
    {
        let mut followed = format!("{scheme}://");
        push(&mut followed, target, escaped);
        return followed;
    }
    if let Some(replaced) = replace_word(rest, source, target) {
        return [start, &replaced].concat();
    }
    let separator = match uri.chars().next_back() {
        Some('/' | '#' | ':' | '?' | '=') => "",
        _ if uri.contains("://") => "/",
        _ => ":",
    };
    [uri, separator, target].concat()
}

/// Where the scheme and the host of a URI end; 0 if it has neither.
fn path_start(uri: &str) -> usize {
    let Some(colon) = uri.find(':') else {
        return 0;
    };
    let mut scheme = uri[..colon].chars();
    let is_scheme = scheme.next().is_some_and(|c| c.is_ascii_alphabetic())
        && scheme.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !is_scheme {
        return 0;
    }
    let after = colon + 1;
    match uri[after..].strip_prefix("//") {
        None => after,
        Some(rest) => after + 2 + rest.find(['/', '?', '#']).unwrap_or(rest.len()),
    }
}

/// A character of a URI, and how it stands there.
#[derive(Clone, Copy)]
struct Letter {
    is: char,
    /// Where it begins, in bytes.
    at: usize,
    escaped: bool,
}

/// The characters of a text, those that are percent-encoded among them. What is no encoded
/// character stands for itself.
fn letters(text: &str) -> Vec<Letter> {
    let mut letters = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(plain) = text[at..].chars().next() {
        let (letter, length) = match escape(&text.as_bytes()[at..]) {
            Some((is, length)) => (is, length),
            None => (plain, plain.len_utf8()),
        };
        letters.push(Letter {
            is: letter,
            at,
            escaped: letter != plain || length != plain.len_utf8(),
        });
        at += length;
    }
    letters
}

/// The character that these bytes begin with in percent-encoding, and in how many of them.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let byte = |place: usize| {
        let [b'%', high, low] = bytes.get(3 * place..3 * place + 3)? else {
            return None;
        };
        let digit = |digit: &u8| char::from(*digit).to_digit(16);
        u8::try_from(digit(high)? << 4 | digit(low)?).ok()
    };
    let mut encoded = [0; 4];
    for place in 0..encoded.len() {
        encoded[place] = byte(place)?;
        if let Ok(text) = std::str::from_utf8(&encoded[..=place]) {
            return Some((text.chars().next()?, 3 * (place + 1)));
        }
    }
    None
}

/// True if `text` is the name and nothing more; says whether something of it is percent-encoded.
fn whole(text: &str, name: &str) -> Option<bool> {
    let letters = letters(text);
    let same = letters.iter().map(|letter| letter.is).eq(name.chars());
    same.then(|| letters.iter().any(|letter| letter.escaped))
}

/// `text` with `target` wherever `name` stands as a whole word; `None` if it stands nowhere.
fn replace_word(text: &str, name: &str, target: &str) -> Option<String> {
    let name: Vec<char> = name.chars().collect();
    let letters = letters(text);
    let mut replaced = String::new();
    let mut copied = 0;
    let mut place = 0;
    while !name.is_empty() && place + name.len() <= letters.len() {
        let end = place + name.len();
        let word = &letters[place..end];
        let before = place.checked_sub(1).map(|before| letters[before]);
        if word.iter().map(|letter| letter.is).eq(name.iter().copied())
            && is_edge(before)
            && is_edge(letters.get(end).copied())
        {
            replaced.push_str(&text[copied..word[0].at]);
            push(
                &mut replaced,
                target,
                word.iter().any(|letter| letter.escaped),
            );
            copied = letters.get(end).map_or(text.len(), |letter| letter.at);
            place = end;
        } else {
            place += 1;
        }
    }
    if copied == 0 {
        return None;
    }
    replaced.push_str(&text[copied..]);
    Some(replaced)
}

/// Writes a name as the one before it stood there: percent-encoded or plain.
fn push(into: &mut String, name: &str, escaped: bool) {
    for c in name.chars() {
        if !escaped || c.is_ascii_alphanumeric() || "-._~".contains(c) {
            into.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            into.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or_default();
                into.push(digit.to_ascii_uppercase());
            }
        }
    }
}

/// True where a word may begin or end.
fn is_edge(neighbour: Option<Letter>) -> bool {
    neighbour
        .is_none_or(|letter| !(letter.is.is_alphanumeric() || letter.is == '_' || letter.is == '-'))
}

#[cfg(test)]
mod tests {
    use super::{follow, replace_word};

    #[test]
    fn whole_words_follow() {
        let check = |uri, expected| assert_eq!(follow(uri, "topp", "eu"), expected);
        check("topp", "eu");
        check("http://example.org/topp", "http://example.org/eu");
        check("http://example.org/topp#topp", "http://example.org/eu#eu");
        check("http://example.org?w=topp", "http://example.org?w=eu");
        check("urn:topp:toppings", "urn:eu:toppings");
        check("urn:x:øtopp:topp", "urn:x:øtopp:eu");
    }

    #[test]
    fn a_uri_without_the_name_gets_it_appended() {
        let check = |uri, expected| assert_eq!(follow(uri, "topp", "eu"), expected);
        check("http://example.org", "http://example.org/eu");
        check("http://example.org/", "http://example.org/eu");
        check("http://example.org/gml#", "http://example.org/gml#eu");
        check(
            "http://example.org/topp_eu/my-topp",
            "http://example.org/topp_eu/my-topp/eu",
        );
        check("urn:toppings", "urn:toppings:eu");
        check("urn:øtopp", "urn:øtopp:eu");
    }

    #[test]
    fn a_host_and_a_scheme_are_no_workspaces() {
        let check = |uri, expected| assert_eq!(follow(uri, "topp", "eu"), expected);
        check("http://topp.example.org/topp", "http://topp.example.org/eu");
        check("http://topp:8080/topp", "http://topp:8080/eu");
        check("http://u:topp@topp/a", "http://u:topp@topp/a/eu");
        check("topp:topp", "topp:eu");
        // What GeoServer makes of a workspace that is given no URI.
        check("http://topp", "http://eu");
        assert_eq!(follow("http://s%C3%B8k", "søk", "sø"), "http://s%C3%B8");
    }

    #[test]
    fn a_name_may_be_percent_encoded() {
        let check = |uri, name, expected| assert_eq!(follow(uri, name, "ø_eu"), expected);
        check("http://a/s%C3%B8k", "søk", "http://a/%C3%B8_eu");
        check("http://a/s%c3%b8k/søk", "søk", "http://a/%C3%B8_eu/ø_eu");
        check("http://a/my%20ws", "my ws", "http://a/%C3%B8_eu");
        check("http://a/%74opp", "topp", "http://a/%C3%B8_eu");
        // What touches the name may be encoded as well.
        check("http://a/x%20topp%2Fy", "topp", "http://a/x%20ø_eu%2Fy");
        check("http://a/%C3%B8topp", "topp", "http://a/%C3%B8topp/ø_eu");
        check("http://a/%5Ftopp", "topp", "http://a/%5Ftopp/ø_eu");
        // What is no encoding is left alone.
        check("http://a/%/topp/%f/%FF", "topp", "http://a/%/ø_eu/%f/%FF");
    }

    #[test]
    fn a_word_is_found_behind_an_overlapping_part_of_a_word() {
        let check = |text, expected: &str| {
            assert_eq!(replace_word(text, "a.a", "b").as_deref(), Some(expected));
        };
        check("xa.a.a", "xa.b");
        check("a.a.a", "b.a");
        assert_eq!(replace_word("a", "", "b"), None);
    }
}
