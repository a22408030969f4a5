//! What is between a master and a slave: frames that are read, mapped and applied.

use weir_event::{Decoded, Dialect, Message, Object, RestFrame};
use weir_geoserver::{Login, Node, Settings};
use weir_replication::{Applied, ApplyError, HydrateError, Master, MasterSettings, Replica};
use weir_test_geoserver::GeoServer;

/// The client of a double.
pub(crate) fn node(geoserver: &GeoServer) -> Node {
    let url = geoserver.url().parse().unwrap();
    let login = Login::basic(GeoServer::USER, GeoServer::PASSWORD).unwrap();
    Node::new(Settings::new(url, login)).unwrap()
}

pub(crate) fn master(node: Node) -> Master {
    Master::new(node, MasterSettings::new("/masters/test"))
}

/// Everything that a master has; and the names of what it has and cannot read itself, as that of a
/// layer whose table is gone.
pub(crate) async fn everything(master: &Master) -> (Vec<RestFrame>, Vec<String>) {
    let mut walk = master.walk();
    let (mut frames, mut broken) = (Vec::new(), Vec::new());
    while let Some(hint) = walk.next().await.unwrap() {
        match master.hydrate(&hint).await {
            Ok(more) => frames.extend(more),
            // There is no default workspace where there are no workspaces.
            Err(HydrateError::Nothing(_)) => {}
            Err(_) => {
                let object = &hint.subject;
                let parts = [&object.workspace, &object.name];
                let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
                broken.push(parts.join(":"));
            }
        }
    }
    (frames, broken)
}

/// A frame as a stage that gives each workspace a prefix leaves it.
pub(crate) fn remapped(frame: &RestFrame, prefix: &str) -> RestFrame {
    let message = Message {
        payload: frame.to_payload(),
        ..Message::default()
    };
    let decoded = Dialect::GeoServerRest.decode(&message, "/masters/test");
    let Ok(Decoded::Event(mut event, document)) = decoded else {
        panic!("{}: {decoded:?}", told(frame));
    };
    let rename = |object: &mut Object| {
        if let Some(workspace) = &mut object.workspace {
            workspace.insert_str(0, prefix);
        }
    };
    rename(&mut event.subject);
    event.previous.iter_mut().for_each(rename);
    for reference in &mut event.references {
        rename(&mut reference.target);
    }
    for property in &mut event.properties {
        // Two namespaces of a node have not one URI.
        if matches!(
            property.name.as_str(),
            "uri" | "connectionParameters.namespace"
        ) {
            property.value.push_str(prefix);
        }
    }
    let message = Dialect::GeoServerRest.encode(&event, document);
    RestFrame::read(&message.unwrap().payload).unwrap()
}

/// What a frame is about, for messages.
pub(crate) fn told(frame: &RestFrame) -> String {
    let place = &frame.place;
    let parts = [&place.workspace, &place.store, &place.name];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    format!("{} {}", frame.kind, parts.join(":"))
}

/// Applies frames in their order; gives what was written, and what was not applied.
pub(crate) async fn apply(
    replica: &mut Replica,
    frames: &[RestFrame],
) -> (Vec<String>, Vec<(String, ApplyError)>) {
    let (mut written, mut failed) = (Vec::new(), Vec::new());
    for frame in frames {
        match replica.apply(frame).await {
            Ok(Applied::Written) => written.push(told(frame)),
            Ok(Applied::Known | Applied::Same) => {}
            Err(error) => failed.push((told(frame), error)),
        }
    }
    (written, failed)
}
