//! What Weir keeps on disk by itself, and must find again after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Puts a file in place of another one, whole: it is on disk when this returns.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&new, path)?;
    // The new name is on disk when its directory is.
    sync_directory(directory(path))
}

/// Opens a file to append to it, and makes it where it is missing, with its directories. What is
/// synced to the file is found again after a crash: so is the file itself.
pub fn append_to(path: &Path) -> io::Result<File> {
    let new: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(directory(path))?;
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    for made in new {
        sync_directory(directory(made))?;
    }
    Ok(file)
}

fn directory(path: &Path) -> &Path {
    let parent = path.parent().unwrap_or(path);
    if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appending_makes_what_is_missing_and_keeps_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/file");
        for _ in 0..2 {
            append_to(&path).unwrap().write_all(b"line\n").unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"line\nline\n");
        replace_file(&path, b"other\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"other\n");
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(directory(Path::new("file")), Path::new("."));
        assert_eq!(directory(Path::new("/")), Path::new("/"));
    }
}
