//! Paths of resources: files below the data directory. What is in `workspaces/topp/` is the
//! workspace's.

use super::shown;

/// The directory that has one of its own for each workspace.
const WORKSPACES: &str = "workspaces";

/// The longest path, in bytes; file systems take no longer ones.
const MAX_BYTES: usize = 4096;

/// The workspace that a path lies in, and the rest of it; the error says what is wrong with it.
pub(super) fn read(path: &str) -> Result<(Option<&str>, &str), String> {
    check(path)?;
    let below = path
        .strip_prefix(WORKSPACES)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.split_once('/'));
    Ok(match below {
        Some((workspace, rest)) => (Some(workspace), rest),
        None => (None, path),
    })
}

/// The path of a resource. The inverse of [`read`].
pub(super) fn join(workspace: Option<&str>, name: &str) -> Result<String, String> {
    let path = match workspace {
        Some(workspace) => [WORKSPACES, workspace, name].join("/"),
        None => name.to_owned(),
    };
    match read(&path)? {
        (read, rest) if read == workspace && rest == name => Ok(path),
        _ => Err(format!(
            "the path `{}` would be read as one in another workspace",
            shown(&path)
        )),
    }
}

/// Refuses a path that leads out of the data directory, or that no two systems read alike.
fn check(path: &str) -> Result<(), String> {
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    let is_odd = |c: char| c == '\\' || c.is_control();
    if path.len() <= MAX_BYTES && path.split('/').all(is_segment) && !path.contains(is_odd) {
        return Ok(());
    }
    Err(format!(
        "`{}` is no path of a resource: segments with `/` between them, none of them empty, `.` or `..`, no `\\`, at most {MAX_BYTES} bytes",
        shown(path)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_directory_of_a_workspace_is_the_workspaces() {
        for (path, workspace, name) in [
            ("styles/dot.png", None, "styles/dot.png"),
            (
                "workspaces/topp/styles/dot.png",
                Some("topp"),
                "styles/dot.png",
            ),
            // A template for every workspace.
            ("workspaces/header.ftl", None, "workspaces/header.ftl"),
            ("workspaces/å/a b.ftl", Some("å"), "a b.ftl"),
        ] {
            assert_eq!(read(path), Ok((workspace, name)));
            assert_eq!(join(workspace, name).as_deref(), Ok(path));
        }
    }

    #[test]
    fn a_path_stays_where_it_is() {
        for path in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\\..\\b",
            "a\0b",
        ] {
            let problem = read(path).unwrap_err();
            assert!(problem.contains("is no path of a resource"), "{problem}");
        }
        assert!(read(&"a".repeat(MAX_BYTES + 1)).unwrap_err().len() < 300);
        assert!(join(Some("a/b"), "c").is_err());
        assert!(join(Some(".."), "c").is_err());
        assert!(join(None, "workspaces/topp/c").is_err());
    }
}
