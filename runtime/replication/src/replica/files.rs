//! Files of the data directory: graphics, templates, palettes.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use weir_event::RestContent;
use weir_geoserver::{CallError, DataFile};

use super::{ApplyError, Look, Replica};

impl Replica {
    pub(super) async fn look_at_file(
        &mut self,
        file: &DataFile,
        content: &RestContent,
    ) -> Result<Look, ApplyError> {
        let have = match self.node.get(file).await {
            Ok(have) => have,
            Err(error) if error.is_missing() => return Ok(Look::Missing),
            Err(error) => return Err(error.into()),
        };
        let same = match content {
            RestContent::Text { text, .. } => have == text.as_bytes(),
            RestContent::Bytes { data, .. } => have == *data,
            RestContent::Reference { sha256, .. } => {
                let digest = Sha256::digest(&have);
                format!("{digest:x}") == *sha256
            }
            RestContent::Json(_) => return Err(super::unusual()),
        };
        Ok(if same {
            Look::Same
        } else {
            Look::Differs(vec!["content".to_owned()])
        })
    }

    pub(super) async fn converge_file(
        &mut self,
        file: &DataFile,
        content: &RestContent,
    ) -> Result<bool, ApplyError> {
        if let Look::Same = self.look_at_file(file, content).await? {
            return Ok(false);
        }
        let data = match content {
            RestContent::Text { text, .. } => Bytes::copy_from_slice(text.as_bytes()),
            RestContent::Bytes { data, .. } => data.clone(),
            RestContent::Json(_) | RestContent::Reference { .. } => {
                return Err(ApplyError::refused(
                    "the file is too large to come along, and only its digest did: copy it to the \
                     slave, or raise the limit of the master",
                ));
            }
        };
        // GeoServer makes the directories, and overwrites.
        self.node.create(file, &data).await?;
        Ok(true)
    }

    pub(super) async fn file_is_there(&self, file: &DataFile) -> Result<(), CallError> {
        match file {
            DataFile::Resource(path) => self.node.metadata(path).await.map(drop),
            DataFile::Template { .. } => self.node.get(file).await.map(drop),
        }
    }
}
