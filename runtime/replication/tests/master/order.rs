//! A walk: everything, each after what it depends on.

use serde_json::json;
use weir_event::Event;
use weir_replication::{HydrateError, Walk};

use crate::world::World;
use crate::{golden, master};

fn world() -> World {
    let world = with_files(with_groups(World::empty()));
    world
        .json("/gwc/rest/gridsets.json", json!(["LabGrid"]))
        .json("/gwc/rest/blobstores.json", json!([]))
        .json(
            "/gwc/rest/layers.json",
            json!(["a:roads", "a:dem", "outer"]),
        )
        .list(
            "/rest/workspaces.json",
            "workspaces",
            "workspace",
            &["b", "a"],
        )
        .list("/rest/styles.json", "styles", "style", &["line"])
        .list(
            "/rest/workspaces/a/styles.json",
            "styles",
            "style",
            &["own"],
        )
        .list(
            "/rest/workspaces/a/datastores.json",
            "dataStores",
            "dataStore",
            &["pg", "empty"],
        )
        .list(
            "/rest/workspaces/a/coveragestores.json",
            "coverageStores",
            "coverageStore",
            &["tif"],
        )
        .list(
            "/rest/workspaces/a/datastores/pg/featuretypes.json",
            "featureTypes",
            "featureType",
            &["roads"],
        )
        .list(
            "/rest/workspaces/a/datastores/empty/featuretypes.json",
            "featureTypes",
            "featureType",
            &[],
        )
        .list(
            "/rest/workspaces/a/coveragestores/tif/coverages.json",
            "coverages",
            "coverage",
            &["dem"],
        )
        .json(
            "/rest/workspaces/a/settings.json",
            json!({"settings": {"workspace": {"name": "a"}}}),
        )
        // What GeoServer shows where there are none.
        .json(
            "/rest/workspaces/b/settings.json",
            json!({"settings": {"charset": "UTF-8"}}),
        )
        .json(
            "/rest/services/wms/workspaces/b/settings.json",
            json!({"wms": {}}),
        )
}

fn with_groups(world: World) -> World {
    let group = |held: &[&str]| {
        let held: Vec<_> = held
            .iter()
            .map(|name| json!({"@type": "layerGroup", "name": name}))
            .collect();
        json!({"layerGroup": {"publishables": {"published": held}}})
    };
    let in_ws = |mut group: serde_json::Value| {
        group["layerGroup"]["workspace"] = json!({"name": "a"});
        group
    };
    world
        .list(
            "/rest/layergroups.json",
            "layerGroups",
            "layerGroup",
            &["outer", "broken", "middle"],
        )
        .list(
            "/rest/workspaces/a/layergroups.json",
            "layerGroups",
            "layerGroup",
            &["inner"],
        )
        .json(
            "/rest/layergroups/outer.json",
            group(&["middle", "a:inner"]),
        )
        .json("/rest/layergroups/middle.json", group(&["a:inner"]))
        .json(
            "/rest/workspaces/a/layergroups/inner.json",
            in_ws(group(&[])),
        )
}

fn with_files(world: World) -> World {
    world
        .directory("palettes", &["rgb.pal"])
        .directory(
            "workspaces",
            &["header.ftl", "default.xml", "a/", "odd.json", "b.c/"],
        )
        .directory("workspaces/b.c", &[])
        .metadata("workspaces/odd.json", "resource")
        .directory("workspaces/a", &["styles/", "pg/", "workspace.xml"])
        .directory("workspaces/a/styles", &["own.sld"])
        .directory("workspaces/a/pg", &["roads/", "datastore.xml"])
        .directory("workspaces/a/pg/roads", &["content.ftl", "featuretype.xml"])
}

fn said(hint: &Event) -> String {
    let stores: Vec<String> = hint
        .references
        .iter()
        .map(|it| format!(", {} = {}", it.role, it.target))
        .collect();
    format!("{}{}", hint.subject, stores.concat())
}

async fn rest(walk: &mut Walk) -> Vec<Event> {
    let mut hints = Vec::new();
    while let Some(hint) = walk.next().await.unwrap() {
        hints.push(hint);
    }
    hints
}

#[tokio::test]
async fn everything_is_told_after_what_it_depends_on() {
    let (server, _) = world().serve().await;
    let mut walk = master(&server.url).walk();
    let hints = rest(&mut walk).await;
    assert_eq!((walk.told(), walk.to_come()), (hints.len() as u64, 0));
    let mut ids: Vec<&str> = hints.iter().map(|hint| hint.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), hints.len());
    let lines: Vec<String> = hints.iter().map(said).collect();
    golden("walk.txt", &lines);
}

#[tokio::test]
async fn a_walk_goes_on_where_a_master_was_away() {
    let (server, world) = world().serve().await;
    let master = master(&server.url);
    let mut whole = master.walk();
    let all: Vec<String> = rest(&mut whole).await.iter().map(said).collect();
    let calls = server.seen().len();
    for at in 0..calls {
        world.fail_after(at, 503);
        let mut walk = master.walk();
        let (mut hints, mut failures) = (Vec::new(), 0);
        loop {
            match walk.next().await {
                Ok(Some(hint)) => hints.push(said(&hint)),
                Ok(None) => break,
                Err(HydrateError::Transient(_)) => failures += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((failures, &hints), (1, &all), "call {at}");
    }
}

#[tokio::test]
async fn what_cannot_be_listed_is_told_once_and_left_out() {
    let world = world().json("/rest/layergroups.json", json!([]));
    let (server, _) = world.serve().await;
    let mut walk = master(&server.url).walk();
    let (mut hints, mut failures) = (Vec::new(), Vec::new());
    loop {
        match walk.next().await {
            Ok(Some(hint)) => hints.push(said(&hint)),
            Ok(None) => break,
            Err(error) => failures.push(error),
        }
    }
    assert!(
        matches!(failures.as_slice(), [HydrateError::Permanent(_)]),
        "{failures:?}"
    );
    assert!(hints.contains(&"featuretype a:roads, store = datastore a:pg".to_owned()));
}

#[tokio::test]
async fn what_is_to_come_is_about_what_comes() {
    let (server, _) = world().serve().await;
    let mut walk = master(&server.url).walk();
    assert_eq!(walk.told(), 0);
    walk.next().await.unwrap();
    // Three layers, as often as they are told, and some steps.
    assert!(walk.to_come() >= 6, "{}", walk.to_come());
    let mut least = u64::MAX;
    while walk.next().await.unwrap().is_some() {
        least = least.min(walk.told() + walk.to_come());
    }
    assert!(least >= 12, "{least}");
    assert_eq!(walk.to_come(), 0);
}
