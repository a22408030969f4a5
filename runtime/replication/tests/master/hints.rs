//! Hints of every kind, and what they come to.

use serde_json::json;
use weir_event::{Action, Kind, Pair, Reference, RestContent};
use weir_replication::{HydrateError, Nothing};

use crate::world::World;
use crate::{briefly, golden, hint, master, modified, object, told};

const SLD: &str = r#"<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld" xmlns:xlink="http://www.w3.org/1999/xlink">
<ExternalGraphic><OnlineResource xlink:type="simple" xlink:href="icons/pin.svg"/></ExternalGraphic>
<ExternalGraphic><OnlineResource xlink:href="resource:/icons/dot.png"/></ExternalGraphic>
<ExternalGraphic><OnlineResource xlink:href="icons/pin.svg?fill=red"/></ExternalGraphic>
<ExternalGraphic><OnlineResource xlink:href="missing.png"/></ExternalGraphic>
<ExternalGraphic><OnlineResource xlink:href="../../../security/masterpw.digest"/></ExternalGraphic>
<ExternalGraphic><OnlineResource xlink:href="https://example.org/x.png"/></ExternalGraphic>
</StyledLayerDescriptor>"#;

fn world() -> World {
    World::recorded()
        .json(
            "/rest/layers/north:wells_b.json",
            json!({"layer": {"name": "wells_b"}}),
        )
        .json(
            "/rest/workspaces/south/wmslayers/far_rivers.json",
            json!({"wmsLayer": {"name": "far_rivers", "store": {"name": "south:casc"}}}),
        )
        .json(
            "/rest/namespaces/north.json",
            json!({"namespace": {"prefix": "north", "uri": "http://north.lab.test/ns"}}),
        )
        .json(
            "/rest/security/acl/layers.json",
            json!({"north.*.r": "ROLE_A"}),
        )
        .file("workspaces/north/styles/w_icon.sld", SLD)
        .file("workspaces/north/styles/icons/pin.svg", "<svg/>")
        .file("icons/dot.png", [0x89, b'P', b'N', b'G', 0, 255])
        .file("styles/grpstyle.sld", "<StyledLayerDescriptor/>")
        .file("workspaces/north/props/rivers/content.ftl", "ft ${x}")
}

#[tokio::test]
async fn hints_of_every_kind() {
    let (server, _) = world().serve().await;
    let master = master(&server.url);
    let of = |kind, workspace, name| hint(Action::Modified, object(kind, workspace, name));
    let mut stored = modified(Kind::FeatureType, "north", "wells_b");
    stored.references = vec![Reference {
        role: "store".to_owned(),
        target: object(Kind::DataStore, Some("north"), Some("props")),
    }];
    let mut default = of(Kind::Catalog, None, None);
    default.references = vec![Reference {
        role: "default-workspace".to_owned(),
        target: object(Kind::Workspace, Some("north"), None),
    }];
    let mut by_somebody = of(Kind::Workspace, Some("north"), None);
    by_somebody.attributes = vec![Pair::new("authtype", "user"), Pair::new("authid", "nora")];
    let mut lines = Vec::new();
    for hint in [
        by_somebody,
        of(Kind::Namespace, Some("south"), None),
        hint(
            Action::Added,
            object(Kind::DataStore, Some("north"), Some("with sp")),
        ),
        of(Kind::CoverageStore, Some("north"), Some("heights")),
        of(Kind::WmsStore, Some("south"), Some("casc")),
        of(Kind::WmtsStore, Some("south"), Some("tcasc")),
        of(Kind::Store, Some("north"), Some("heights")),
        stored,
        of(Kind::WmsLayer, Some("south"), Some("far_rivers")),
        of(Kind::Layer, Some("north"), Some("rivers")),
        of(Kind::LayerGroup, None, Some("g_single")),
        of(Kind::LayerGroup, Some("north"), Some("g_ws")),
        of(Kind::Style, Some("north"), Some("w_icon")),
        // Its legend is a graphic, too.
        of(Kind::Style, None, Some("grpstyle")),
        of(Kind::Settings, Some("north"), None),
        of(Kind::Settings, None, None),
        of(Kind::Global, None, Some("geoserver")),
        of(Kind::Service, None, Some("WFS")),
        of(Kind::Service, Some("north"), Some("WMS")),
        of(Kind::Logging, None, Some("logging")),
        of(
            Kind::Resource,
            Some("north"),
            Some("props/rivers/content.ftl"),
        ),
        of(Kind::TileLayer, Some("north"), Some("rivers")),
        of(Kind::GridSet, None, Some("LabGrid")),
        of(Kind::BlobStore, None, Some("labblobs")),
        of(Kind::GwcGlobal, None, None),
        of(Kind::DiskQuota, None, None),
        of(Kind::AccessRules, None, None),
        of(Kind::Security, None, None),
        of(Kind::Catalog, None, Some("default-namespace")),
        default,
    ] {
        let frames = master.hydrate(&hint).await.unwrap();
        for frame in frames {
            lines.push(String::from_utf8(frame.to_payload().to_vec()).unwrap());
        }
    }
    golden("frames.jsonl", &lines);
}

#[tokio::test]
async fn hints_of_nothing() {
    let (server, _) = world().serve().await;
    let master = master(&server.url);
    let of = |kind, workspace, name| hint(Action::Modified, object(kind, workspace, name));
    let mut bare = of(Kind::FeatureType, None, None);
    bare.subject.id = Some("FeatureTypeInfoImpl-f1".to_owned());
    for (hint, why) in [
        (bare, Nothing::OnlyId),
        (
            of(Kind::Catalog, None, Some("update-sequence")),
            Nothing::Elsewhere,
        ),
        (
            of(Kind::Catalog, None, Some("default-datastore")),
            Nothing::Elsewhere,
        ),
        (
            hint(Action::Reloaded, object(Kind::Catalog, None, None)),
            Nothing::Everything,
        ),
        (
            hint(Action::Reset, object(Kind::Catalog, None, None)),
            Nothing::Everything,
        ),
        (
            of(Kind::Security, None, Some("acl-rule")),
            Nothing::Elsewhere,
        ),
        (of(Kind::Service, None, Some("WPS")), Nothing::Elsewhere),
        (
            of(
                Kind::Other("data".to_owned()),
                Some("north"),
                Some("rivers"),
            ),
            Nothing::Elsewhere,
        ),
    ] {
        assert_eq!(
            master.hydrate(&hint).await,
            Err(HydrateError::Nothing(why)),
            "{hint:?}"
        );
    }
    assert_eq!(server.seen(), []);
    let nameless = master.hydrate(&of(Kind::Layer, Some("north"), None)).await;
    assert_eq!(
        told(nameless, &server.url),
        [r#"Permanent(Reason("a layer without a name is nowhere in the REST interface"))"#]
    );
}

#[tokio::test]
async fn what_was_renamed_is_told_with_what_follows_it() {
    let tiles = "<GeoServerLayer><name>north:wells_b</name></GeoServerLayer>";
    let world = world()
        .xml("/gwc/rest/layers/north:wells_b.xml", tiles)
        .json(
            "/rest/workspaces/north/featuretypes/wells_b.json",
            json!({"featureType": {"name": "wells_b", "store": {"name": "north:props"}}}),
        );
    let (server, _) = world.serve().await;
    let master = master(&server.url);
    let mut renamed = modified(Kind::FeatureType, "north", "wells_b");
    renamed.previous = Some(object(Kind::FeatureType, Some("north"), Some("wells")));
    let frames = master.hydrate(&renamed).await.unwrap();
    assert_eq!(
        briefly(&frames),
        [
            "modified featuretype north:props:wells_b",
            "modified layer north:wells_b",
            "modified tile-layer north:wells_b",
        ]
    );
    for frame in &frames {
        let previous = frame.previous.as_ref().unwrap();
        assert_eq!(previous.workspace.as_deref(), Some("north"));
        assert_eq!(previous.name.as_deref(), Some("wells"));
        assert_eq!(previous.store, frame.place.store);
        assert_eq!(frame.master, frame.place);
    }
    let mut renamed = hint(
        Action::Modified,
        object(Kind::Workspace, Some("north"), None),
    );
    renamed.previous = Some(object(Kind::Workspace, Some("old"), None));
    let frames = master.hydrate(&renamed).await.unwrap();
    assert_eq!(
        briefly(&frames),
        ["modified namespace north", "modified workspace north"]
    );
    for (frame, id) in frames.iter().zip(["hint#1", "hint#2"]) {
        let previous = frame.previous.as_ref().unwrap();
        assert_eq!(previous.workspace.as_deref(), Some("old"));
        assert_eq!(frame.id, id);
    }
}

#[tokio::test]
async fn passwords_that_the_hint_knows_take_the_place_of_cipher_text() {
    let store = json!({"dataStore": {"name": "pg", "connectionParameters": {"entry": [
        {"@key": "user", "$": "lab"},
        {"@key": "passwd", "$": "crypt1:AAAA"},
    ]}}});
    let world = World::recorded().json("/rest/workspaces/north/datastores/pg.json", store);
    let (server, _) = world.serve().await;
    let master = master(&server.url);
    let mut knows = modified(Kind::DataStore, "north", "pg");
    let says = |value: &str| {
        vec![
            Pair::new("connectionParameters.passwd", value),
            // What the interface does not hide is as it says.
            Pair::new("connectionParameters.user", "an older one"),
        ]
    };
    for (value, is) in [
        ("plain", "plain"),
        ("crypt1:another node's", "crypt1:AAAA"),
        ("", "crypt1:AAAA"),
    ] {
        knows.properties = says(value);
        let frames = master.hydrate(&knows).await.unwrap();
        let Some(RestContent::Json(body)) = &frames[0].content else {
            panic!("{frames:?}");
        };
        let entries = &body["dataStore"]["connectionParameters"]["entry"];
        assert_eq!(entries[0]["$"], "lab");
        assert_eq!(entries[1]["$"], is);
    }
    let mut knows = modified(Kind::WmsStore, "south", "casc");
    knows.properties = vec![Pair::new("password", "plain")];
    let frames = master.hydrate(&knows).await.unwrap();
    let Some(RestContent::Json(body)) = &frames[0].content else {
        panic!("{frames:?}");
    };
    assert_eq!(body["wmsStore"]["password"], "plain");
    assert_eq!(body["wmsStore"]["user"], "cuser");
}

#[tokio::test]
async fn what_has_its_name_for_good_was_never_called_otherwise() {
    let (server, _) = world().serve().await;
    let master = master(&server.url);
    for subject in [
        object(Kind::Service, None, Some("WMS")),
        object(Kind::Logging, None, None),
        object(Kind::Catalog, None, Some("default-workspace")),
    ] {
        let mut renamed = hint(Action::Modified, subject);
        renamed.previous = Some(object(renamed.subject.kind.clone(), None, Some("wms")));
        let frames = master.hydrate(&renamed).await.unwrap();
        assert_eq!(frames[0].previous, None);
    }
    let mut store = modified(Kind::DataStore, "north", "with sp");
    store.references = vec![Reference {
        role: "store".to_owned(),
        target: object(Kind::DataStore, None, Some("another")),
    }];
    let frames = master.hydrate(&store).await.unwrap();
    assert_eq!(briefly(&frames), ["modified datastore north:with sp"]);
}
