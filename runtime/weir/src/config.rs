//! The configuration file, and the surroundings that it may name.

use std::path::{Path, PathBuf};

use thiserror::Error;
use weir_pipeline::file::Surroundings;
use weir_pipeline::plan::Plan;

use crate::ends::wrong_urls;

/// What was looked at is not fit for use; the reasons are told already, or in the text.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Unfit(pub(crate) String);

/// A configuration file and what was last read from it.
pub(crate) struct Config {
    path: PathBuf,
    text: String,
}

impl Config {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            text: read(path)?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn plan(&self) -> anyhow::Result<Plan> {
        plan(&self.path, &self.text)
    }

    /// Reads the file again; gives its plan if the text is another one than that of the last plan,
    /// or if `force` says so.
    pub(crate) fn changed(&mut self, force: bool) -> anyhow::Result<Option<Plan>> {
        let text = read(&self.path)?;
        if text == self.text && !force {
            return Ok(None);
        }
        let plan = plan(&self.path, &text)?;
        self.text = text;
        Ok(Some(plan))
    }
}

fn plan(path: &Path, text: &str) -> anyhow::Result<Plan> {
    let plan = Plan::read(path, text, &Process)?;
    plan.fit(wrong_urls(&plan))?;
    Ok(plan)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Unfit(format!("cannot read {}: {error}", path.display())).into())
}

/// The environment and the files of this process.
struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}
