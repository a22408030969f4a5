//! What a store publishes, by its name alone: within a workspace it has no other like it.

use reqwest::Method;
use serde_json::Value;
use weir_event::Reason;

use crate::encoding::part;
use crate::error::{CallError, Failure};
use crate::object::in_workspace;
use crate::{Name, Node, Object, StoreKind, Workspace};

impl Node {
    /// What is called `name` in a workspace, of the store's kind: where it is, and its document.
    ///
    /// An event often tells a feature type and not its store, by which alone it can be changed.
    pub async fn find(
        &self,
        kind: StoreKind,
        workspace: &Workspace,
        name: &Name,
    ) -> Result<(Object, Value), CallError> {
        let (directory, root) = match kind {
            StoreKind::Data => ("featuretypes", "featureType"),
            StoreKind::Coverage => ("coverages", "coverage"),
            StoreKind::Wms => ("wmslayers", "wmsLayer"),
            StoreKind::Wmts => ("wmtslayers", "wmtsLayer"),
        };
        let path = format!(
            "{}/{directory}/{}.json",
            in_workspace(workspace),
            part(name.as_str())
        );
        let document = self
            .document(path.clone(), |document| Ok(document.clone()))
            .await?;
        let store = document
            .get(root)
            .and_then(|it| it.pointer("/store/name"))
            .and_then(Value::as_str);
        // The prefix is the workspace, whose name has no colon.
        let store = store.map(|said| said.split_once(':').map_or(said, |(_, name)| name));
        let Some(Ok(store)) = store.map(Name::new) else {
            let words = Reason::new("it does not say which store it is of");
            let failure = Failure::Unexpected { status: 200, words };
            return Err(self.error(&Method::GET, &path, failure));
        };
        let object = Object::Resource {
            kind,
            workspace: workspace.clone(),
            store,
            name: name.clone(),
        };
        Ok((object, document))
    }
}
