//! What Weir keeps on disk by itself, and must find again after a crash.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Puts a file in place of another one, whole: it is on disk when this returns.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_data()?;
    std::fs::rename(&new, path)?;
    // The new name is on disk when its directory is.
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}
