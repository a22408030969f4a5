//! Names as parts of a URL.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::Failure;

/// Everything but what a URL never gives a meaning of its own (RFC 3986, unreserved), and the colon,
/// which GeoServer writes between a workspace and what is in it. GeoServer reads `+` as a space.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// A name as one part of a path.
pub(crate) fn part(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

/// The last part of a path that is written to or removed.
///
/// What follows the last dot is a format to GeoServer and no part of the name: `PUT /styles/a.b`
/// changes the style `a`. So a name with a dot gets a format of its own, and no other name does: that
/// is how GeoServer was measured.
pub(crate) fn last_part(name: &str) -> String {
    let mut part = part(name);
    if name.contains('.') {
        part.push_str(".json");
    }
    part
}

/// Whether GeoServer finds what a path says. It decodes the names of files and of tile layers twice,
/// so that a plus becomes a space and something else is meant; and a percent sign that would survive
/// that is refused by its firewall.
pub(crate) fn sayable(path: &str) -> Result<(), Failure> {
    let twice = ["/rest/resource/", "/gwc/rest/"];
    let place = path.split('?').next().unwrap_or(path);
    if twice.iter().any(|start| path.starts_with(start)) && place.contains("%2B") {
        return Err(Failure::Unsayable("+"));
    }
    Ok(())
}

/// JSON in ASCII. GeoServer reads a body in the character set of its JVM, which may not be UTF-8.
pub(crate) fn ascii_json(document: &serde_json::Value) -> String {
    let text = document.to_string();
    if text.is_ascii() {
        return text;
    }
    let mut ascii = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        // Outside strings there is only ASCII.
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            write!(ascii, "\\u{unit:04x}").unwrap_or_default();
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_in_urls() {
        for (name, encoded) in [
            ("rivers", "rivers"),
            ("with sp", "with%20sp"),
            ("a+b", "a%2Bb"),
            ("a/b", "a%2Fb"),
            ("100%", "100%25"),
            ("%2e%2e", "%252e%252e"),
            ("høst felt", "h%C3%B8st%20felt"),
            ("日本", "%E6%97%A5%E6%9C%AC"),
            ("a?b#c;d&e=f", "a%3Fb%23c%3Bd%26e%3Df"),
            (r#"<"'\>"#, "%3C%22%27%5C%3E"),
            ("v1.0", "v1.0"),
            ("a:b", "a:b"),
        ] {
            assert_eq!(part(name), encoded);
        }
        assert_eq!(last_part("rivers"), "rivers");
        assert_eq!(last_part("my.style"), "my.style.json");
        assert_eq!(last_part("a.sld"), "a.sld.json");
    }

    proptest! {
        #[test]
        fn a_name_comes_back_and_is_one_part(name in any::<String>()) {
            let part = part(&name);
            prop_assert!(part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:%".contains(&byte)));
            prop_assert_eq!(percent_decode_str(&part).decode_utf8().unwrap(), name);
        }

        #[test]
        fn ascii_json_says_the_same(text in any::<String>(), key in any::<String>()) {
            let document = serde_json::json!({ key: [text, 1.5] });
            let ascii = ascii_json(&document);
            prop_assert!(ascii.is_ascii());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&ascii).unwrap(), document);
        }
    }
}
