//! Secrets within texts: URLs, connection strings of databases, headers.

use std::ops::Range;

/// A secret in a text.
struct Secret {
    /// What stands for it, and can be replaced.
    value: Range<usize>,
    /// What goes with it, if it is removed: its name, a separator.
    whole: Range<usize>,
}

/// `text` without the secrets that it carries, each removed or replaced; `None` if it has none.
///
/// These are secrets: what stands before the `@` of a URL (`https://user:password@host`) or of an
/// Oracle connection (`jdbc:oracle:thin:user/password@host`), and the value of a name that
/// `is_secret`, in whatever way the two are written: `?name=value&`, `;name=value;`,
/// `(name=value)`, `name=value`, `"name": "value"`, `Name: value`.
pub(crate) fn redact(
    text: &str,
    is_secret: impl Fn(&str) -> bool,
    with: Option<&str>,
) -> Option<String> {
    let mut secrets = users(text);
    secrets.extend(pairs(text, is_secret));
    secrets.retain(|secret| with != Some(&text[secret.value.clone()]));
    if secrets.is_empty() {
        return None;
    }
    let of = |secret: Secret| {
        if with.is_some() {
            secret.value
        } else {
            secret.whole
        }
    };
    let mut ranges: Vec<Range<usize>> = secrets.into_iter().map(of).collect();
    ranges.sort_by_key(|range| range.start);
    let mut redacted = String::with_capacity(text.len());
    let mut copied = 0;
    for range in ranges {
        // One may lie within another: a password that looks like a connection string.
        if range.start >= copied {
            redacted.push_str(&text[copied..range.start]);
            redacted.push_str(with.unwrap_or_default());
        }
        copied = copied.max(range.end);
    }
    redacted.push_str(&text[copied..]);
    if redacted.ends_with('?') && !text.ends_with('?') {
        redacted.pop();
    }
    (redacted != text).then_some(redacted)
}

/// Users and passwords before an `@`.
fn users(text: &str) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for (at, separator) in text.match_indices("://") {
        let start = at + separator.len();
        let rest = &text[start..];
        let authority = &rest[..rest.find(['/', '?', '#', ';', ' ']).unwrap_or(rest.len())];
        // A password may hold an `@`, a host may not: the last one ends the user info.
        let length = authority.rfind('@').or_else(|| {
            // A password may hold a `/` as well: what stands behind the `:` is no port then.
            let (_, port) = authority.split_once(':')?;
            let is_port = port.chars().all(|c| c.is_ascii_digit()) || authority.starts_with('[');
            let whole = &rest[..rest.find(['?', '#', ' ']).unwrap_or(rest.len())];
            whole.rfind('@').filter(|_| !is_port)
        });
        if let Some(length) = length {
            secrets.push(Secret {
                value: start..start + length,
                whole: start..start + length + 1,
            });
        }
    }
    if let Some((start, length)) = oracle_user(text) {
        // The `@` stays: a connection without a user begins with it.
        secrets.push(Secret {
            value: start..start + length,
            whole: start..start + length,
        });
    }
    secrets
}

/// Where `user/password` stands in `jdbc:oracle:thin:user/password@host`, and how long it is.
fn oracle_user(text: &str) -> Option<(usize, usize)> {
    const ORACLE: &str = "jdbc:oracle:";
    let begin = text.to_ascii_lowercase().find(ORACLE)? + ORACLE.len();
    let start = begin + text[begin..].find(':')? + 1;
    let length = text[start..].rfind('@')?;
    text[start..start + length]
        .contains('/')
        .then_some((start, length))
}

/// The values of names that are secret.
fn pairs(text: &str, is_secret: impl Fn(&str) -> bool) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for (at, sign) in text.match_indices(['=', ':']) {
        let after = &text[at + 1..];
        // `host:port` and `http://` are no pairs.
        if sign == ":" && !after.starts_with([' ', '"']) {
            continue;
        }
        let name_end = text[..at].strip_suffix('"').map_or(at, str::len);
        let name_start = text[..name_end]
            .rfind(|c: char| !(c.is_alphanumeric() || "_-.%".contains(c)))
            .map_or(0, |before| {
                before + text[before..].chars().next().map_or(0, char::len_utf8)
            });
        let name = &text[name_start..name_end];
        if name.is_empty() || !is_secret(name) {
            continue;
        }
        let spaces = after.len() - after.trim_start_matches(' ').len();
        let before = text[..name_start].chars().next_back();
        if let Some(value) = value(text, at + 1 + spaces, sign, before) {
            let whole = if sign == ":" {
                value.clone()
            } else {
                whole(text, name_start, before, &value)
            };
            secrets.push(Secret { value, whole });
        }
    }
    secrets
}

/// The value that begins here, without its quotes; `before` is what stands before its name.
fn value(text: &str, start: usize, sign: &str, before: Option<char>) -> Option<Range<usize>> {
    let rest = &text[start..];
    let (open, length) = match (rest.chars().next()?, before) {
        ('"', _) => (1, rest[1..].find('"')),
        ('{', _) => (1, rest[1..].find('}')),
        (_, _) if sign == ":" => (0, rest.find(['\n', '\r'])),
        (_, Some('?' | '&')) => (0, rest.find(['&', '#'])),
        (_, Some(';' | ':')) => (0, rest.find(';')),
        (_, Some('(' | ',')) => (0, rest.find([',', ')'])),
        _ => (0, rest.find([';', '&', ' ', '\t', '\n', '\r'])),
    };
    let start = start + open;
    let length = length.unwrap_or(rest.len() - open);
    (length > 0).then_some(start..start + length)
}

/// What goes if a pair is removed: its name, its value with the quotes, and one separator.
fn whole(
    text: &str,
    name_start: usize,
    before: Option<char>,
    value: &Range<usize>,
) -> Range<usize> {
    let is_quoted = text[..value.start].ends_with(['"', '{']);
    let end = (value.end + usize::from(is_quoted)).min(text.len());
    let after = text[end..].chars().next();
    match (before, after) {
        (Some('?'), Some('&')) | (Some('('), Some(',')) | (Some(':') | None, Some(';' | '&')) => {
            name_start..end + 1
        }
        (Some('('), Some(')')) => name_start - 1..end + 1,
        (Some('?' | '&' | ';' | ','), _) => name_start - 1..end,
        _ => name_start..end,
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    fn check(text: &str, removed: &str, replaced: &str) {
        let is_secret =
            |name: &str| ["token", "password", "authorization"].contains(&&*name.to_lowercase());
        let redacted = |with| redact(text, is_secret, with).unwrap_or_else(|| text.to_owned());
        assert_eq!(redacted(None), removed);
        assert_eq!(redacted(Some("X")), replaced);
    }

    #[test]
    fn user_info_goes() {
        check(
            "https://u:p@host:1/p",
            "https://host:1/p",
            "https://X@host:1/p",
        );
        check("https://u@host", "https://host", "https://X@host");
        check(
            "https://u:p@ss@host?a",
            "https://host?a",
            "https://X@host?a",
        );
        check("s://u:p/w@host/d", "s://host/d", "s://X@host/d");
        check(
            "jdbc:postgresql://u:p@host/db",
            "jdbc:postgresql://host/db",
            "jdbc:postgresql://X@host/db",
        );
        check(
            "mongodb://u:p@a:1,b:2/db and http://u:p@h",
            "mongodb://a:1,b:2/db and http://h",
            "mongodb://X@a:1,b:2/db and http://X@h",
        );
    }

    #[test]
    fn secret_parameters_go() {
        check("http://h/w?token=t", "http://h/w", "http://h/w?token=X");
        check(
            "http://h/w?a=1&token=t&b=2#f",
            "http://h/w?a=1&b=2#f",
            "http://h/w?a=1&token=X&b=2#f",
        );
        check(
            "http://h?token=t&b=2",
            "http://h?b=2",
            "http://h?token=X&b=2",
        );
        check(
            "http://h?token=t;x&password=p",
            "http://h",
            "http://h?token=X&password=X",
        );
    }

    #[test]
    fn connection_strings_lose_their_passwords() {
        check(
            "jdbc:sqlserver://h:1433;databaseName=gis;user=sa;password=p&x;encrypt=true",
            "jdbc:sqlserver://h:1433;databaseName=gis;user=sa;encrypt=true",
            "jdbc:sqlserver://h:1433;databaseName=gis;user=sa;password=X;encrypt=true",
        );
        check(
            "jdbc:sqlserver://h;Password={p;q};user=sa",
            "jdbc:sqlserver://h;user=sa",
            "jdbc:sqlserver://h;Password={X};user=sa",
        );
        check(
            "jdbc:db2://h:50000/gis:password=p;user=u;",
            "jdbc:db2://h:50000/gis:user=u;",
            "jdbc:db2://h:50000/gis:password=X;user=u;",
        );
        check(
            "jdbc:oracle:thin:scott/ti@ger@//h:1521/gis",
            "jdbc:oracle:thin:@//h:1521/gis",
            "jdbc:oracle:thin:X@//h:1521/gis",
        );
        check(
            "JDBC:Oracle:oci:scott/tiger@tns",
            "JDBC:Oracle:oci:@tns",
            "JDBC:Oracle:oci:X@tns",
        );
        check(
            "jdbc:mysql://(host=h,password=p)/gis",
            "jdbc:mysql://(host=h)/gis",
            "jdbc:mysql://(host=h,password=X)/gis",
        );
        check(
            "(ADDRESS=(HOST=h))(PASSWORD=p)",
            "(ADDRESS=(HOST=h))",
            "(ADDRESS=(HOST=h))(PASSWORD=X)",
        );
        check(
            "host=h password=p user=u",
            "host=h  user=u",
            "host=h password=X user=u",
        );
        check("password=p;user=u", "user=u", "password=X;user=u");
    }

    #[test]
    fn headers_and_json_lose_their_values() {
        check(
            "Accept: a\nAuthorization: Bearer t.t\nHost: h",
            "Accept: a\nAuthorization: \nHost: h",
            "Accept: a\nAuthorization: X\nHost: h",
        );
        check(
            r#"{"user": "u", "password": "p,q"}"#,
            r#"{"user": "u", "password": ""}"#,
            r#"{"user": "u", "password": "X"}"#,
        );
    }

    #[test]
    fn the_rest_stays() {
        for text in [
            "",
            "mail@example.org",
            "http://h/me@home?x=a@b#c@d",
            "http://h:80/me@home",
            "http://[::1]:80/me@home",
            "http://h?",
            "http://h?token&a=&token=",
            "http://token:80/password:1",
            "file:data/a.tif",
            "jdbc:oracle:thin:@//h:1521/gis",
            "jdbc:sqlserver://h;user=sa",
        ] {
            check(text, text, text);
        }
    }
}
