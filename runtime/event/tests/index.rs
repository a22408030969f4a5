//! The index of names: what it learns, and what it forgets.

use proptest::prelude::*;
use weir_event::index::Entry;
use weir_event::{Action, Event, Index, Kind, Object, Reference};

fn object(kind: Kind, id: &str, workspace: Option<&str>, name: Option<&str>) -> Object {
    Object {
        kind,
        workspace: workspace.map(str::to_owned),
        name: name.map(str::to_owned),
        id: Some(id.to_owned()),
    }
}

fn event(subject: Object, references: Vec<Object>) -> Event {
    Event {
        id: "1".to_owned(),
        source: "/test".to_owned(),
        time: "2026-01-01T00:00:00.000Z".to_owned(),
        sequence: None,
        action: Action::Added,
        subject,
        previous: None,
        references: references
            .into_iter()
            .map(|target| Reference {
                role: "any".to_owned(),
                target,
            })
            .collect(),
        properties: Vec::new(),
        attributes: Vec::new(),
        body: None,
    }
}

fn layer(id: &str) -> Object {
    object(Kind::Layer, id, Some("topp"), Some("states"))
}

/// What the index makes of an id.
fn name(index: &mut Index, id: &str) -> Option<String> {
    let mut event = event(object(Kind::Layer, id, None, None), Vec::new());
    index.resolve(&mut event);
    event.subject.name.or(event.subject.workspace)
}

#[test]
fn names_are_filled_in_where_there_is_only_an_id() {
    let mut index = Index::default();
    index.learn(&event(layer("l1"), Vec::new()));
    let half = Object {
        name: Some("known".to_owned()),
        ..layer("l1")
    };
    let mut group = event(
        object(Kind::LayerGroup, "g", None, Some("g")),
        vec![
            object(Kind::Published, "l1", None, None),
            half.clone(),
            layer("l2"),
        ],
    );
    index.resolve(&mut group);
    let targets: Vec<_> = group
        .references
        .iter()
        .map(|r| r.target.to_string())
        .collect();
    assert_eq!(
        targets,
        [
            "published topp:states",
            "layer topp:known",
            "layer topp:states"
        ]
    );
    assert_eq!(group.references[1].target, half);
}

#[test]
fn what_changed_is_told_once() {
    let mut index = Index::default();
    let learnt = index.learn(&event(
        layer("l1"),
        vec![object(Kind::Workspace, "w", Some("topp"), None)],
    ));
    let ids: Vec<_> = learnt.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["w", "l1"]);
    assert_eq!(index.learn(&event(layer("l1"), Vec::new())), []);
    let renamed = Object {
        name: Some("usa".to_owned()),
        ..layer("l1")
    };
    assert_eq!(index.learn(&event(renamed, Vec::new())).len(), 1);
    assert_eq!(name(&mut index, "l1").as_deref(), Some("usa"));
}

#[test]
fn singletons_and_things_without_a_name_are_not_learnt() {
    let mut index = Index::default();
    for subject in [
        object(Kind::Catalog, "catalog", None, Some("catalog")),
        object(Kind::Global, "geoserver", None, Some("geoserver")),
        object(Kind::Logging, "logging", None, Some("logging")),
        object(Kind::Layer, "l1", Some("topp"), None),
        object(Kind::Layer, "l2", None, None),
    ] {
        assert_eq!(index.learn(&event(subject, Vec::new())), []);
    }
}

#[test]
fn a_removed_object_stays_known() {
    let mut index = Index::default();
    index.learn(&event(layer("l1"), Vec::new()));
    index.learn(&Event {
        action: Action::Removed,
        ..event(layer("l1"), Vec::new())
    });
    assert_eq!(name(&mut index, "l1").as_deref(), Some("states"));
}

#[test]
fn a_workspace_takes_its_content_along() {
    let mut index = Index::default();
    index.learn(&event(layer("l1"), Vec::new()));
    index.learn(&event(
        Object {
            workspace: Some("other".to_owned()),
            ..layer("l2")
        },
        Vec::new(),
    ));
    let mut rename = event(object(Kind::Workspace, "w", Some("usa"), None), Vec::new());
    rename.previous = Some(object(Kind::Workspace, "w", Some("topp"), None));
    assert_eq!(
        index.learn(&rename).len(),
        2,
        "the layer, and the workspace itself"
    );
    let workspaces: Vec<_> = index
        .entries()
        .map(|entry| (entry.id, entry.workspace.unwrap()))
        .collect();
    let expected = [("l1", "usa"), ("l2", "other"), ("w", "usa")];
    assert_eq!(
        workspaces,
        expected.map(|(id, workspace)| (id.to_owned(), workspace.to_owned()))
    );
}

#[test]
fn a_passing_mention_without_workspace_does_not_unlearn_it() {
    let mut index = Index::default();
    index.learn(&event(layer("l1"), Vec::new()));
    let mention = object(Kind::Published, "l1", None, Some("states"));
    index.learn(&event(
        object(Kind::LayerGroup, "g", None, Some("g")),
        vec![mention],
    ));
    let entry = index.entries().find(|entry| entry.id == "l1").unwrap();
    assert_eq!(entry.workspace.as_deref(), Some("topp"));
}

#[test]
fn a_layer_is_called_what_its_resource_is_called() {
    let mut index = Index::default();
    let resource = object(Kind::FeatureType, "f1", Some("topp"), Some("states"));
    index.learn(&event(resource.clone(), Vec::new()));
    let mut added = event(layer("l1"), vec![resource.clone()]);
    added.references[0].role = "resource".to_owned();
    index.learn(&added);
    index.learn(&event(layer("l2"), Vec::new()));
    let renamed = Object {
        workspace: Some("eu".to_owned()),
        name: Some("usa".to_owned()),
        ..resource
    };
    let learnt = index.learn(&event(renamed, Vec::new()));
    let ids: Vec<_> = learnt.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["f1", "l1"]);
    assert_eq!(name(&mut index, "l1").as_deref(), Some("usa"));
    assert_eq!(name(&mut index, "l2").as_deref(), Some("states"));
    let entries: Vec<_> = index.entries().collect();
    let lines = entries.iter().map(Entry::to_json_line);
    let read: Vec<_> = lines
        .map(|line| Entry::from_json_line(&line).unwrap())
        .collect();
    assert_eq!(read, entries);
}

#[test]
fn a_namespace_takes_the_content_of_its_workspace_along() {
    let mut index = Index::default();
    index.learn(&event(layer("l1"), Vec::new()));
    let mut rename = event(object(Kind::Namespace, "n", Some("usa"), None), Vec::new());
    rename.previous = Some(object(Kind::Namespace, "n", Some("topp"), None));
    index.learn(&rename);
    let entry = index.entries().find(|entry| entry.id == "l1").unwrap();
    assert_eq!(entry.workspace.as_deref(), Some("usa"));
}

#[test]
fn a_vague_mention_does_not_make_a_kind_vague() {
    let mut index = Index::default();
    index.learn(&event(layer("l1"), Vec::new()));
    let mention = Object {
        kind: Kind::Published,
        ..layer("l1")
    };
    let group = object(Kind::Catalog, "catalog", None, None);
    assert_eq!(index.learn(&event(group, vec![mention])), []);
}

#[test]
fn the_least_used_is_forgotten_first() {
    let mut index = Index::new(2);
    index.learn(&event(layer("l1"), Vec::new()));
    index.learn(&event(layer("l2"), Vec::new()));
    assert!(name(&mut index, "l1").is_some());
    index.learn(&event(layer("l3"), Vec::new()));
    assert_eq!(name(&mut index, "l2"), None);
    assert!(name(&mut index, "l1").is_some() && name(&mut index, "l3").is_some());
}

#[test]
fn a_line_that_is_no_entry_says_why() {
    let error = |line| Entry::from_json_line(line).unwrap_err().to_string();
    assert!(error("{").starts_with("an entry of the index is one line of JSON: "));
    assert_eq!(
        error(r#"{"id":"x"}"#),
        "an entry of the index has texts `id` and `kind`; this line lacks `kind`"
    );
}

proptest! {
    #[test]
    fn an_index_is_bounded_and_survives_a_restart(
        uses in prop::collection::vec((any::<bool>(), 0..30_u8), 0..200),
        capacity in 0..20_usize,
    ) {
        let mut index = Index::new(capacity);
        let mut model: Vec<String> = Vec::new();
        for (learns, id) in uses {
            let id = id.to_string();
            let known = model.contains(&id);
            if learns {
                index.learn(&event(layer(&id), Vec::new()));
            } else {
                prop_assert_eq!(name(&mut index, &id).is_some(), known);
            }
            if learns || known {
                model.retain(|known| *known != id);
                model.push(id);
                model.drain(..model.len().saturating_sub(capacity));
            }
        }
        let entries: Vec<_> = index.entries().collect();
        prop_assert_eq!(entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>(), model);
        let mut restored = Index::new(capacity);
        for entry in &entries {
            restored.restore(Entry::from_json_line(&entry.to_json_line()).unwrap());
        }
        prop_assert_eq!(restored.entries().collect::<Vec<_>>(), entries);
    }
}
