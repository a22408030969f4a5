//! What Weir keeps on disk by itself, and must find again after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

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

/// A file of lines to which more are added, and which is read only once, when it is opened.
///
/// A crash may tear the last line: what was to be in it was not promised to anybody yet, so its
/// reader leaves out what it cannot read.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
    /// True if a torn line may stand before what is written next.
    may_be_torn: bool,
}

impl Journal {
    /// Opens a file, which is made if it is not there, and gives each line that is in it.
    pub fn open(path: &Path, mut line: impl FnMut(&str)) -> io::Result<Self> {
        let mut lines = 0;
        match File::open(path) {
            Ok(file) => {
                for text in BufReader::new(file).split(b'\n') {
                    lines += 1;
                    if let Ok(text) = std::str::from_utf8(&text?) {
                        line(text);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            path: path.to_owned(),
            file: append_to(path)?,
            lines,
            may_be_torn: true,
        })
    }

    /// Writes the file anew if it has more than twice the `lines` that say the same.
    pub fn compact(&mut self, lines: impl Iterator<Item = String>) -> io::Result<()> {
        let (mut text, mut count) = (String::new(), 0);
        for line in lines {
            text.push_str(&line);
            text.push('\n');
            count += 1;
        }
        if self.lines > 2 * count {
            replace_file(&self.path, text.as_bytes())?;
            self.file = append_to(&self.path)?;
            self.lines = count;
            self.may_be_torn = false;
        }
        Ok(())
    }

    /// Adds lines, each with its end; they are on disk when this returns. After an error they may be
    /// there in part, and can be added again.
    pub fn append(&mut self, lines: &str) -> io::Result<()> {
        let told = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        };
        if self.may_be_torn {
            self.file.write_all(b"\n").map_err(told)?;
        }
        self.may_be_torn = true;
        self.file.write_all(lines.as_bytes()).map_err(told)?;
        self.file.sync_data().map_err(told)?;
        self.may_be_torn = false;
        Ok(())
    }
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
    fn a_journal_ends_a_torn_line_and_is_written_anew_when_it_repeats_itself() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/journal");
        let read = || {
            let mut lines = Vec::new();
            let journal = Journal::open(&path, |line| lines.push(line.to_owned())).unwrap();
            (journal, lines)
        };
        let (mut journal, lines) = read();
        assert!(lines.is_empty());
        journal.append("one\ntwo\n").unwrap();
        journal.append("two\n").unwrap();
        append_to(&path).unwrap().write_all(b"tor").unwrap();
        let (mut journal, lines) = read();
        assert_eq!(lines, ["", "one", "two", "two", "tor"]);
        journal.append("three\n").unwrap();
        let (mut journal, lines) = read();
        assert_eq!(lines[4..], ["tor", "three"]);
        let kept = || ["one", "two", "three"].map(str::to_owned).into_iter();
        journal.compact(kept()).unwrap();
        assert_eq!(read().1, lines, "six lines are not more than twice three");
        journal.compact(kept().take(2)).unwrap();
        journal.append("four\n").unwrap();
        assert_eq!(read().1, ["one", "two", "four"]);
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(directory(Path::new("file")), Path::new("."));
        assert_eq!(directory(Path::new("/")), Path::new("/"));
    }
}
