//! Examples, and the laws that hold for every event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use weir_plugin::testing::{event, object, pair, reference, transformed};
use weir_plugin::{ACTIONS, Pair, from_settings};

use super::*;

fn plugin(settings: &str) -> RemapWorkspaces {
    from_settings(settings).unwrap()
}

fn remapped(plugin: &RemapWorkspaces, event: Event) -> Event {
    let mut events = transformed(plugin, &event).unwrap();
    assert_eq!(events.len(), 1);
    let remapped = events.remove(0);
    let same = remapped == event;
    let outcome = plugin.transform(event).unwrap();
    assert_eq!(matches!(outcome, Outcome::Unchanged), same, "{outcome:?}");
    remapped
}

fn rejected(settings: &str, event: Event) -> String {
    match plugin(settings).transform(event) {
        Err(Failure::Reject(reason)) => reason,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

fn refused(settings: &str) -> String {
    from_settings::<RemapWorkspaces>(settings).unwrap_err()
}

fn with_id(mut object: Object, id: &str) -> Object {
    object.id = Some(id.to_owned());
    object
}

fn group() -> Event {
    let subject = with_id(object("layergroup", "topp", "base"), "LayerGroupInfoImpl-1");
    let mut group = event("modified", subject);
    group.previous = Some(object("layergroup", "topp", "basemap"));
    group.references = vec![
        reference("workspace", object("workspace", "topp", "")),
        reference(
            "layer",
            with_id(object("layer", "sf", "roads"), "LayerInfoImpl-7"),
        ),
        reference(
            "style",
            with_id(object("style", "", "line"), "StyleInfoImpl-5"),
        ),
    ];
    group
}

fn namespace(workspace: &str, uri: &str) -> Event {
    let mut namespace = event("added", object("namespace", workspace, ""));
    namespace.properties = vec![pair("uri", uri)];
    namespace
}

#[test]
fn every_object_of_a_mapped_workspace_moves() {
    let plugin = plugin(r#"{"workspaces": {"topp": "topp_eu"}}"#);
    let event = remapped(&plugin, group());
    let workspaces: Vec<_> = event.objects().map(|o| o.workspace.as_deref()).collect();
    let expected = [
        Some("topp_eu"),
        Some("topp_eu"),
        Some("topp_eu"),
        Some("sf"),
        None,
    ];
    assert_eq!(workspaces, expected);
}

#[test]
fn the_rule_is_for_all_that_the_table_does_not_name() {
    let plugin = plugin(r#"{"workspaces": {"sf": "sf"}, "prefix": "eu_", "suffix": "_1"}"#);
    let event = remapped(&plugin, group());
    let workspaces: Vec<_> = event.objects().map(|o| o.workspace.as_deref()).collect();
    let expected = [
        Some("eu_topp_1"),
        Some("eu_topp_1"),
        Some("eu_topp_1"),
        Some("sf"),
        None,
    ];
    assert_eq!(workspaces, expected);
}

#[test]
fn the_uri_of_the_default_namespace_follows_as_its_own_does() {
    let plugin = plugin(r#"{"workspaces": {"topp": "topp_eu"}}"#);
    let own = remapped(&plugin, namespace("topp", "http://example.org/topp"));
    let mut event = event("modified", object("catalog", "", "default-namespace"));
    event.references = vec![reference(
        "default-namespace",
        object("namespace", "topp", ""),
    )];
    event.properties = vec![pair("uri", "http://example.org/topp")];
    let of_catalog = remapped(&plugin, event);
    assert_eq!(of_catalog.properties, own.properties);
    assert_eq!(of_catalog.properties[0].value, "http://example.org/topp_eu");
}

#[test]
fn uris_follow_unless_they_are_given() {
    let settings = r#"{
        "workspaces": {"topp": "topp_eu"},
        "namespaces": {"http://old": "http://new"}
    }"#;
    let uri = |workspace, uri| {
        let event = remapped(&plugin(settings), namespace(workspace, uri));
        event.property("uri").unwrap().to_owned()
    };
    assert_eq!(
        uri("topp", "http://example.org/topp"),
        "http://example.org/topp_eu"
    );
    assert_eq!(uri("topp", "http://old"), "http://new");
    assert_eq!(
        uri("sf", "http://example.org/topp"),
        "http://example.org/topp"
    );

    // What `http://example.org` is in the workspace that has it already, it cannot be in a copy.
    assert_eq!(
        uri("topp", "http://example.org"),
        "http://example.org/topp_eu"
    );
    assert_eq!(
        uri("topp", "http://topp.example.org/s"),
        "http://topp.example.org/s/topp_eu"
    );
    assert_eq!(
        uri("topp", "http://example.org/%74opp"),
        "http://example.org/topp_eu"
    );

    let mut store = event("added", object("datastore", "topp", "pg"));
    store.properties = vec![
        pair("connectionParameters.namespace", "urn:topp"),
        pair("connectionParameters.schema", "topp"),
    ];
    let store = remapped(&plugin(settings), store);
    assert_eq!(
        store.property("connectionParameters.namespace"),
        Some("urn:topp_eu")
    );
    assert_eq!(store.property("connectionParameters.schema"), Some("topp"));
}

#[test]
fn two_namespaces_do_not_become_one() {
    let settings = r#"{
        "workspaces": {"topp": "topp_eu"},
        "namespaces": {"http://a/b": "http://a/topp_eu", "http://kept": "http://kept"}
    }"#;
    for (workspace, uri) in [("topp", "http://a/topp"), ("sf", "http://a/topp_eu")] {
        assert_eq!(
            rejected(settings, namespace(workspace, uri)),
            format!(
                "the namespace URI `{uri}` would become `http://a/topp_eu`, as `http://a/b` does: \
                 give it a URI of its own in `namespaces`, or set `merge = true`"
            )
        );
    }
    let kept = remapped(&plugin(settings), namespace("topp", "http://kept"));
    assert_eq!(kept.property("uri"), Some("http://kept"));
    let merging = settings.replacen('{', r#"{"merge": true,"#, 1);
    let merged = remapped(&plugin(&merging), namespace("topp", "http://a/topp"));
    assert_eq!(merged.property("uri"), Some("http://a/topp_eu"));
}

#[test]
fn two_copies_in_one_geoserver_differ_in_every_namespace() {
    for uri in [
        "http://example.org/topp",
        "http://example.org",
        "http://topp",
        "urn:x",
    ] {
        let copies = ["topp_eu", "topp_us", "topp"].map(|target| {
            let settings = format!(r#"{{"workspaces": {{"topp": "{target}"}}}}"#);
            let copy = remapped(&plugin(&settings), namespace("topp", uri));
            copy.property("uri").unwrap().to_owned()
        });
        assert_eq!(copies[2], uri);
        assert_eq!(BTreeSet::from(copies).len(), 3, "{uri}");
    }
}

#[test]
fn a_long_table_costs_no_more_than_a_short_one() {
    let event = group();
    let per_event = |rows: usize| {
        let table = (0..rows)
            .map(|n| (format!("ws{n}"), format!("target{n}")))
            .collect();
        let plugin = RemapWorkspaces {
            prefix: "eu_".to_owned(),
            ..with_table(table)
        };
        // The fastest of several rounds: others use the processor as well.
        let round = || {
            let start = Instant::now();
            for _ in 0..20 {
                remapped(&plugin, event.clone());
            }
            start.elapsed()
        };
        (0..20).map(|_| round()).min().unwrap_or(Duration::MAX)
    };
    let (short, long) = (per_event(10), per_event(50_000));
    assert!(
        long < short * 20,
        "{long:?}, and {short:?} with a short table"
    );
}

#[test]
fn minted_ids_keep_their_prefix_and_stay_the_same_for_ever() {
    let settings = r#"{"workspaces": {"topp": "topp_eu"}, "mint_ids": "eu"}"#;
    let event = remapped(&plugin(settings), group());
    // If this changes, every slave that has minted ids gets all its objects a second time.
    assert_eq!(
        event.subject.id.as_deref(),
        Some("LayerGroupInfoImpl-9a75dafa-3c7b-5c0a-83af-424f88d55c28")
    );
    assert_eq!(
        event.references[1].target.id.as_deref(),
        Some("LayerInfoImpl-7")
    );
    assert_eq!(
        event.references[2].target.id.as_deref(),
        Some("StyleInfoImpl-5")
    );
}

#[test]
fn minting_rejects_what_is_known_by_id_only() {
    let settings = r#"{"prefix": "eu_", "mint_ids": "eu"}"#;
    let mut unknown = group();
    unknown.references[1].target = with_id(object("layer", "", ""), "LayerInfoImpl-7");
    assert_eq!(
        rejected(settings, unknown),
        "the layer `LayerInfoImpl-7` is known by its id only, so whether its workspace is mapped, \
         and its id with it, cannot be said: `mint_ids` needs events with names"
    );
    let mut style = event("modified", object("layer", "topp", "states"));
    let unknown = with_id(object("style", "", ""), "StyleInfoImpl-5");
    style.references = vec![reference("default-style", unknown)];
    assert!(
        rejected(settings, style).starts_with("the style `StyleInfoImpl-5` is known by its id")
    );
    let global = event(
        "modified",
        with_id(object("global", "", ""), "GeoServerInfoImpl-1"),
    );
    assert_eq!(remapped(&plugin(settings), global.clone()), global);
}

#[test]
fn minting_reaches_what_has_to_be_in_the_same_workspace() {
    let id = |object: &Object| object.id.clone();
    let of = |workspace: &str| {
        let mut layer = event("added", object("featuretype", workspace, "states"));
        layer.references = vec![
            reference(
                "namespace",
                with_id(object("namespace", "", ""), "NamespaceInfo-1"),
            ),
            reference(
                "store",
                with_id(object("datastore", "", ""), "DataStoreInfo-2"),
            ),
            reference(
                "store",
                with_id(object("datastore", workspace, "pg"), "DataStoreInfo-2"),
            ),
        ];
        layer
    };
    let plugin = plugin(r#"{"workspaces": {"topp": "topp_eu"}, "mint_ids": "eu"}"#);
    let mapped = remapped(&plugin, of("topp"));
    let [namespace, store, known] = mapped.references.as_slice() else {
        panic!("{mapped:?}");
    };
    assert_ne!(id(&namespace.target).as_deref(), Some("NamespaceInfo-1"));
    assert_eq!(id(&store.target), id(&known.target));
    assert_eq!(store.target.workspace, None, "nobody said that");
    assert_eq!(remapped(&plugin, of("sf")), of("sf"));

    // A change may be a move, and then these are where the object goes.
    let mut moved = of("topp");
    moved.action = "modified".to_owned();
    assert!(matches!(plugin.transform(moved), Err(Failure::Reject(_))));
}

#[test]
fn two_workspaces_become_one_only_when_told_so() {
    let table = r#""workspaces": {"sf": "eu_topp", "topp": "eu_topp"}"#;
    assert_eq!(
        refused(&format!("{{{table}}}")),
        "`workspaces` maps both `sf` and `topp` to `eu_topp`: \
         give them targets of their own, or set `merge = true`"
    );
    assert_eq!(
        rejected(r#"{"workspaces": {"sf": "topp"}}"#, group()),
        "workspace `topp` would become `topp`, as `sf` does: \
         give it a target of its own in `workspaces`, or set `merge = true`"
    );
    assert_eq!(
        rejected(
            r#"{"workspaces": {"sf": "eu_topp"}, "prefix": "eu_"}"#,
            group()
        ),
        "workspace `topp` would become `eu_topp`, as `sf` does: \
         give it a target of its own in `workspaces`, or set `merge = true`"
    );
    let merging = plugin(&format!(r#"{{{table}, "merge": true}}"#));
    let merged = remapped(&merging, group());
    assert_eq!(
        merged.references[1].target.workspace.as_deref(),
        Some("eu_topp")
    );
}

#[test]
fn a_rule_does_not_make_a_reserved_name() {
    let reason = rejected(
        r#"{"prefix": "de"}"#,
        event("added", object("layer", "fault", "states")),
    );
    assert_eq!(
        reason,
        "GeoServer reserves the name `default`: choose another one"
    );
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for target in ["", "a:b", "1st", "my ws", "default", "a/b"] {
        let error = refused(&format!(r#"{{"workspaces": {{"topp": "{target}"}}}}"#));
        assert!(error.starts_with("workspace `topp`: "), "{error}");
    }
    assert_eq!(
        refused(r#"{"prefix": "eu:"}"#),
        "`prefix`: `eu:` is no name for a workspace: start with a letter or `_`, \
         and go on with letters, digits, `_`, `-` and `.`"
    );
    assert!(refused(r#"{"suffix": " x"}"#).starts_with("`suffix`: "));
    assert!(refused(r#"{"namespaces": {"http://a": "no uri"}}"#).contains("is no URI"));
    assert!(refused(r#"{"prefix": "a", "mint_ids": ""}"#).starts_with("`mint_ids` is empty"));
    assert!(refused("{}").starts_with("nothing to map"));
    assert_eq!(
        refused(r#"{"workspace": {"topp": "eu"}}"#),
        "unknown field `workspace`, expected one of \
         `workspaces`, `prefix`, `suffix`, `namespaces`, `merge`, `mint_ids`"
    );
}

/// Names that are parts of each other, to trip up whoever looks for a part.
const NAMES: [&str; 7] = ["topp", "topp_eu", "top", "sf", "eu-sf", "eu", "søk"];

fn any_object() -> impl Strategy<Value = Object> {
    let kinds = ["workspace", "layer", "style", "datastore", "global"];
    let ids = [
        "LayerInfoImpl-7",
        "LayerInfoImpl-7-1",
        "StyleInfoImpl-7",
        "plain",
        "",
    ];
    let id = select(ids.to_vec());
    (
        select(kinds.to_vec()),
        option::of(select(NAMES.to_vec())),
        option::of(id),
    )
        .prop_map(|(kind, workspace, id)| Object {
            kind: kind.to_owned(),
            workspace: workspace.map(str::to_owned),
            name: Some("states".to_owned()),
            id: id.map(str::to_owned),
        })
}

fn any_uri() -> impl Strategy<Value = String> {
    let separators = ["/", ":", "_", "-", ".", "#", "", "é"];
    vec((select(NAMES.to_vec()), select(separators.to_vec())), 0..6).prop_map(|parts| {
        parts
            .into_iter()
            .flat_map(|(name, then)| [name, then])
            .collect()
    })
}

fn any_property() -> impl Strategy<Value = Pair> {
    let names = [
        "uri",
        "connectionParameters.namespace",
        "connectionParameters.host",
        "url",
    ];
    (select(names.to_vec()), any_uri()).prop_map(|(name, value)| pair(name, &value))
}

prop_compose! {
    fn any_event()(
        action in select(ACTIONS.to_vec()),
        subject in any_object(),
        previous in option::of(any_object()),
        targets in vec(any_object(), 0..5),
        properties in vec(any_property(), 0..4),
    ) -> Event {
        let mut event = event(action, subject);
        event.previous = previous;
        event.references = targets.into_iter().map(|t| reference("layer", t)).collect();
        event.properties = properties;
        event
    }
}

/// Tables that give every source a target of its own, none of which any event knows.
fn any_table() -> impl Strategy<Value = BTreeMap<String, String>> {
    let sources = proptest::sample::subsequence(NAMES.to_vec(), 1..4);
    let targets = Just(vec!["x", "y_1", "z-topp"]).prop_shuffle();
    (sources, targets).prop_map(|(sources, targets)| {
        let pairs = sources.into_iter().zip(targets);
        pairs.map(|(s, t)| (s.to_owned(), t.to_owned())).collect()
    })
}

fn with_table(workspaces: BTreeMap<String, String>) -> RemapWorkspaces {
    RemapWorkspaces {
        workspaces: Table::new(workspaces),
        ..plugin(r#"{"namespaces": {"unused": "unused"}}"#)
    }
}

fn minting(workspaces: BTreeMap<String, String>) -> RemapWorkspaces {
    RemapWorkspaces {
        minting: Some(Uuid::nil()),
        ..with_table(workspaces)
    }
}

/// True if `name` is one of the words of `text`, behind its scheme.
fn has_word(text: &str, name: &str) -> bool {
    let text = text.split_once(':').map_or(text, |(_, rest)| rest);
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .any(|word| word == name)
}

proptest! {
    #[test]
    fn the_identity_changes_nothing(event in any_event()) {
        let identity = NAMES.map(|name| (name.to_owned(), name.to_owned())).into();
        let plugin = minting(identity);
        prop_assert_eq!(remapped(&plugin, event.clone()), event);
    }

    #[test]
    fn nothing_of_a_mapped_name_stays(event in any_event(), table in any_table()) {
        let source = event.subject.workspace.clone();
        let event = remapped(&with_table(table.clone()), event);
        for object in event.objects() {
            prop_assert!(!object.workspace.as_ref().is_some_and(|w| table.contains_key(w)));
        }
        if let Some(source) = source.filter(|source| table.contains_key(source)) {
            for property in &event.properties {
                if URI_PROPERTIES.contains(&property.name.as_str()) {
                    prop_assert!(!has_word(&property.value, &source), "{}", property.value);
                }
            }
        }
    }

    #[test]
    fn the_inverse_gives_the_original_back(event in any_event(), table in any_table()) {
        let inverse = table.iter().map(|(s, t)| (t.clone(), s.clone())).collect();
        let source = event.subject.workspace.clone().unwrap_or_default();
        let there = remapped(&with_table(table), event.clone());
        let mut back = remapped(&with_table(inverse), there);
        for (back, was) in back.properties.iter_mut().zip(&event.properties) {
            // A URI without the name got one, and does not lose it.
            if URI_PROPERTIES.contains(&was.name.as_str()) && !has_word(&was.value, &source) {
                back.value.clone_from(&was.value);
            }
        }
        prop_assert_eq!(back, event);
    }

    #[test]
    fn copies_of_one_namespace_have_uris_of_their_own(
        uri in "(http://|urn:|)[a-z:/#%C3B8.]{0,12}(topp)?[a-z:/#%]{0,4}",
        source in select(NAMES.to_vec()),
    ) {
        let eu = uri::follow(&uri, source, "copy_eu");
        let us = uri::follow(&uri, source, "copy_us");
        prop_assert!(uri != eu && uri != us && eu != us, "{} {}", eu, us);
    }

    #[test]
    fn other_workspaces_are_untouched(event in any_event(), table in any_table()) {
        let after = remapped(&minting(table.clone()), event.clone());
        let mapped = |object: &Object| {
            object.workspace.as_ref().is_some_and(|w| table.contains_key(w))
        };
        for (before, after) in event.objects().zip(after.objects()) {
            prop_assert!(mapped(before) || before == after);
        }
        if !mapped(&event.subject) {
            prop_assert_eq!(&event.properties, &after.properties);
        }
    }

    #[test]
    fn only_workspaces_ids_and_uris_change(event in any_event(), table in any_table()) {
        let mut after = remapped(&minting(table), event.clone());
        let objects: Vec<Object> = event.objects().cloned().collect();
        for (after, before) in after.objects_mut().zip(objects) {
            after.workspace = before.workspace;
            after.id = before.id;
        }
        for (after, before) in after.properties.iter_mut().zip(&event.properties) {
            if URI_PROPERTIES.contains(&after.name.as_str()) {
                after.value.clone_from(&before.value);
            }
        }
        prop_assert_eq!(after, event);
    }

    #[test]
    fn ids_are_kept_unless_they_are_minted(event in any_event(), table in any_table()) {
        let after = remapped(&with_table(table), event.clone());
        let ids = |event: &Event| event.objects().map(|o| o.id.clone()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&after), ids(&event));
    }

    #[test]
    fn equal_events_give_equal_results(event in any_event(), table in any_table()) {
        let plugin = minting(table);
        prop_assert_eq!(remapped(&plugin, event.clone()), remapped(&plugin, event));
    }

    #[test]
    fn minting_tells_ids_and_slaves_apart(a in "[ab-]{0,5}", b in "[ab-]{0,5}") {
        let (eu, us) = (Uuid::new_v5(&Uuid::nil(), b"eu"), Uuid::new_v5(&Uuid::nil(), b"us"));
        prop_assert_eq!(a == b, mint(&eu, &a) == mint(&eu, &b));
        prop_assert_ne!(mint(&eu, &a), mint(&us, &a));
        prop_assert_ne!(mint(&eu, &a), a);
    }
}
