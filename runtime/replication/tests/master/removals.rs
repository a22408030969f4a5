//! What is not there, and what GeoServer shows in its place.

use weir_event::{Action, Kind, Reference};

use crate::world::World;
use crate::{briefly, hint, master, modified, object, told};

#[tokio::test]
async fn what_is_not_there_is_removed_whatever_the_hint_says() {
    let (server, _) = World::recorded().serve().await;
    let master = master(&server.url);
    for action in [Action::Added, Action::Modified, Action::Removed] {
        for (subject, is) in [
            (
                object(Kind::Workspace, Some("nope"), None),
                "removed workspace nope",
            ),
            (
                object(Kind::Style, None, Some("nope")),
                "removed style nope",
            ),
            (
                object(Kind::Layer, Some("north"), Some("nope")),
                "removed layer north:nope",
            ),
            (
                object(Kind::TileLayer, Some("north"), Some("poles")),
                "removed tile-layer north:poles",
            ),
            (
                object(Kind::Resource, None, Some("none/x.txt")),
                "removed resource none/x.txt",
            ),
            // GeoServer shows what it goes by, with 200.
            (
                object(Kind::Settings, Some("south"), None),
                "removed settings south",
            ),
            (
                object(Kind::Service, Some("north"), Some("WCS")),
                "removed service north:wcs",
            ),
            // Nobody knows its store any more.
            (
                object(Kind::Coverage, Some("north"), Some("nope")),
                "removed coverage north:nope",
            ),
        ] {
            let frames = master
                .hydrate(&hint(action.clone(), subject))
                .await
                .unwrap();
            assert_eq!(briefly(&frames), [is]);
            assert!(frames[0].content.is_none());
            assert_eq!(frames[0].id, "hint");
        }
    }
    let mut stored = modified(Kind::FeatureType, "north", "nope");
    stored.references = vec![Reference {
        role: "store".to_owned(),
        target: object(Kind::DataStore, Some("north"), Some("props")),
    }];
    let frames = master.hydrate(&stored).await.unwrap();
    assert_eq!(briefly(&frames), ["removed featuretype north:props:nope"]);
    let frames = master
        .hydrate(&modified(Kind::Store, "north", "nope"))
        .await
        .unwrap();
    assert_eq!(
        briefly(&frames),
        [
            "removed datastore north:nope",
            "removed coveragestore north:nope",
            "removed wmsstore north:nope",
            "removed wmtsstore north:nope",
        ]
    );
}

#[tokio::test]
async fn what_is_there_is_not_removed_whatever_the_hint_says() {
    let (server, _) = World::recorded().serve().await;
    let removed = hint(
        Action::Removed,
        object(Kind::Layer, Some("north"), Some("rivers")),
    );
    let frames = master(&server.url).hydrate(&removed).await.unwrap();
    assert_eq!(briefly(&frames), ["modified layer north:rivers"]);
    assert!(frames[0].content.is_some());
}

#[tokio::test]
async fn what_every_geoserver_has_is_never_removed() {
    let world = World::recorded()
        .without("/rest/workspaces/default.json")
        .without("/rest/logging.json")
        .without("/rest/services/wms/settings.json");
    let (server, _) = world.serve().await;
    let master = master(&server.url);
    for subject in [
        object(Kind::Catalog, None, Some("default-workspace")),
        object(Kind::Logging, None, None),
        object(Kind::Service, None, Some("WMS")),
    ] {
        let answer = master.hydrate(&hint(Action::Modified, subject)).await;
        assert_eq!(told(answer, &server.url), ["Nothing(Absent)"]);
    }
}

#[tokio::test]
async fn a_workspace_without_a_namespace_is_told_all_the_same() {
    let world = World::recorded().without("/rest/namespaces/north.json");
    let (server, _) = world.serve().await;
    let workspace = hint(
        Action::Modified,
        object(Kind::Workspace, Some("north"), None),
    );
    let frames = master(&server.url).hydrate(&workspace).await.unwrap();
    assert_eq!(briefly(&frames), ["modified workspace north"]);
}
