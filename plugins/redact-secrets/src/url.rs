//! Secrets within URLs.

/// `text` without the secrets that it carries as a URL: the user info (`user:password@`), and the
/// values of those query parameters whose names are secret. Each is removed, or replaced if
/// `with` is given. A text that is no URL comes back as it is.
pub(crate) fn redact(text: &str, is_secret: impl Fn(&str) -> bool, with: Option<&str>) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let mut redacted = format!("{scheme}://");
    // A password may hold an `@`, a host may not: the last one ends the user info.
    match (authority.rsplit_once('@'), with) {
        (None, _) => redacted.push_str(authority),
        (Some((_, host)), None) => redacted.push_str(host),
        (Some((_, host)), Some(with)) => redacted.extend([with, "@", host]),
    }
    let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    match rest.split_once('?') {
        None => redacted.push_str(rest),
        Some((path, query)) => {
            redacted.push_str(path);
            let mut separator = '?';
            for parameter in query.split('&') {
                let secret = parameter
                    .split_once('=')
                    .filter(|(name, _)| is_secret(name));
                match (secret, with) {
                    (Some(_), None) => continue,
                    (Some((name, _)), Some(with)) => {
                        redacted.push(separator);
                        redacted.extend([name, "=", with]);
                    }
                    (None, _) => {
                        redacted.push(separator);
                        redacted.push_str(parameter);
                    }
                }
                separator = '&';
            }
        }
    }
    redacted.push_str(fragment);
    redacted
}

#[cfg(test)]
mod tests {
    use super::redact;

    fn check(text: &str, removed: &str, replaced: &str) {
        let is_secret = |name: &str| name == "token";
        assert_eq!(redact(text, is_secret, None), removed);
        assert_eq!(redact(text, is_secret, Some("X")), replaced);
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
        check(
            "jdbc:postgresql://u:p@host/db",
            "jdbc:postgresql://host/db",
            "jdbc:postgresql://X@host/db",
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
    }

    #[test]
    fn the_rest_stays() {
        for text in [
            "",
            "token=t",
            "mail@example.org",
            "http://h/me@home?x=a@b#c@d",
            "http://h?",
            "http://h?token&a=&",
            "file:data/a.tif",
        ] {
            check(text, text, text);
        }
    }
}
