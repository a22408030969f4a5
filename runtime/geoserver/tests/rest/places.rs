//! Where everything is, as it arrives at a server.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::json;
use weir_geoserver::{
    Action, Address, Collection, FilePath, Name, Node, NodeUrl, Object, Purge, Removal, Service,
    StoreKind, StyleFormat, TemplatePlace, TileObject, Workspace,
};

use crate::server::{Server, answer};
use crate::{
    file, golden, group, layer, name, node, resource, store, style, template, tiles, within,
    workspace,
};
use weir_geoserver::Scope::Global;

/// What a node asks for when it does something, whatever comes of it.
async fn asked(server: &Server, what: &str, done: impl Future) -> Vec<String> {
    server.seen();
    let _ = done.await;
    let seen = server.seen().into_iter();
    seen.map(|request| {
        let target = request.target.strip_prefix("/geoserver").unwrap();
        let media_type = request.headers.get("content-type");
        let media_type = media_type.map_or(String::new(), |it| format!("  [{it}]"));
        format!("{what}: {} {target}{media_type}", request.method)
    })
    .collect()
}

async fn all<A: Address + std::fmt::Debug>(
    (server, node): (&Server, &Node),
    what: &A,
    document: &A::Document,
) -> Vec<String> {
    let all = Removal {
        recurse: true,
        purge: Purge::Everything,
    };
    let mut lines = vec![format!("{what:?}")];
    lines.extend(asked(server, "    get", node.get(what)).await);
    lines.extend(asked(server, "    create", node.create(what, document)).await);
    lines.extend(asked(server, "    change", node.change(what, document)).await);
    let removals = asked(server, "    remove", node.remove(what, Removal::ALONE)).await;
    let with_all = asked(server, "    remove all", node.remove(what, all)).await;
    // A global style is looked for in the default workspace first, and a file may be a directory.
    let removals = removals.into_iter().chain(with_all);
    lines.extend(removals.filter(|line| !line.contains("GET")));
    lines
}

#[tokio::test]
async fn every_address() {
    let server = Server::start(|request| {
        let is_metadata = request.target.contains("operation=metadata");
        let file = r#"{"ResourceMetadata":{"type":"resource"}}"#;
        answer(
            200,
            "application/json",
            if is_metadata { file } else { "{}" },
        )
    })
    .await;
    let node = node(&server.url);
    let at = (&server, &node);
    let mut lines = Vec::new();
    let services = [Service::Wms, Service::Wfs, Service::Wcs, Service::Wmts];
    let services = services.into_iter().map(|service| Object::Service {
        service,
        scope: Global,
    });
    let kinds = [
        StoreKind::Data,
        StoreKind::Coverage,
        StoreKind::Wms,
        StoreKind::Wmts,
    ];
    let stores = kinds
        .into_iter()
        .flat_map(|kind| [store(kind, "topp", "s"), resource(kind, "topp", "s", "r")]);
    let objects = [
        Object::Workspace(workspace("topp")),
        Object::DefaultWorkspace,
        Object::Namespace(workspace("topp")),
        Object::DefaultNamespace,
        layer("topp", "roads"),
        group(Global, "g"),
        group(within("topp"), "g"),
        style(Global, "s"),
        style(within("topp"), "s"),
        Object::Settings(Global),
        Object::Settings(within("topp")),
        Object::Contact,
        Object::Service {
            service: Service::Wms,
            scope: within("topp"),
        },
        Object::Logging,
        Object::AccessRules,
        Object::AccessRule(name("topp.roads.r")),
        // Names that mean something in URLs, or to GeoServer.
        Object::Workspace(workspace("høst felt")),
        Object::Workspace(workspace("v1.0")),
        store(StoreKind::Data, "v1.0", "with sp"),
        resource(StoreKind::Data, "a", "b.c", "d.json"),
        resource(StoreKind::Wms, "a", "b", "c.d"),
        layer("a", "b.c"),
        layer("a", "b:c"),
        style(Global, "my.sld"),
        style(Global, "50%/100% + ?"),
        group(within("日本"), "..."),
    ];
    for what in objects.into_iter().chain(services).chain(stores) {
        lines.extend(all(at, &what, &json!({"title": "æ"})).await);
    }
    for what in [
        tiles("topp:roads"),
        tiles("a:b.c d"),
        TileObject::GridSet(name("EPSG:4326")),
        TileObject::BlobStore(name("b")),
        TileObject::Settings,
        TileObject::DiskQuota,
    ] {
        lines.extend(all(at, &what, &"<a/>".to_owned()).await);
    }
    let of_store = TemplatePlace::Store {
        kind: StoreKind::Coverage,
        workspace: workspace("topp"),
        name: name("s"),
    };
    let of_resource = |kind| TemplatePlace::Resource {
        kind,
        workspace: workspace("topp"),
        store: name("s"),
        name: name("r.1"),
    };
    for what in [
        file("styles/icons/pin.svg"),
        file("data/tom mappe/æøå fil.txt"),
        file("a/100%.json"),
        template(TemplatePlace::Everything, "header.ftl"),
        template(TemplatePlace::Workspace(workspace("topp")), "header.ftl"),
        template(of_store, "content.ftl"),
        template(of_resource(StoreKind::Data), "content.ftl"),
    ] {
        lines.extend(all(at, &what, &Bytes::from_static(b"x")).await);
    }
    golden("addresses.txt", &lines);
}

#[tokio::test]
async fn everything_else_that_is_asked() {
    let server = Server::start(|_| answer(200, "application/json", "{}")).await;
    let node = node(&server.url);
    let mut lines = Vec::new();
    let collections = [
        Collection::Workspaces,
        Collection::Stores {
            kind: StoreKind::Wmts,
            workspace: workspace("a.b"),
        },
        Collection::Unpublished {
            kind: StoreKind::Data,
            workspace: workspace("a"),
            store: name("b c"),
        },
        Collection::Layers(within("a")),
        Collection::Styles(Global),
    ];
    for what in collections {
        lines.extend(asked(&server, &format!("{what:?}"), node.list(&what)).await);
    }
    for what in [
        Action::Reset,
        Action::Reload,
        Action::ResetStore {
            kind: StoreKind::Data,
            workspace: workspace("a"),
            name: name("b.c"),
        },
        Action::Truncate(name("a:b<&>æ")),
    ] {
        server.seen();
        node.perform(&what).await.unwrap();
        for request in server.seen() {
            let body = String::from_utf8(request.body).unwrap();
            lines.push(format!(
                "{what:?}: {} {} {body}",
                request.method, request.target
            ));
        }
    }
    let formats = [
        StyleFormat::Sld10,
        StyleFormat::Sld11,
        StyleFormat::Css,
        StyleFormat::Ysld,
        StyleFormat::MapboxStyle,
    ];
    for format in formats {
        let style = name("a.b");
        let change = node.change_style_body(&Global, &style, format, Bytes::new());
        lines.extend(asked(&server, &format!("{format:?}"), change).await);
    }
    let from = FilePath::of_style(&within("a"), "æ.sld").unwrap();
    let to = FilePath::of_style(&Global, "b c.sld").unwrap();
    let rename = node.rename_file(&from, &to);
    lines.extend(asked(&server, "rename", rename).await);
    lines.extend(asked(&server, "root", node.directory(None)).await);
    golden("calls.txt", &lines);
}

#[tokio::test]
async fn below_whatever_path_a_proxy_has_for_it() {
    let server = Server::start(|_| answer(200, "application/json", "{}")).await;
    let host = server.url.strip_suffix("/geoserver").unwrap();
    for path in [
        "/some/path/geoserver",
        "/some/path/geoserver/",
        "/some/path/geoserver/rest/",
    ] {
        let node = crate::node(&format!("{host}{path}"));
        node.get(&layer("a", "b")).await.unwrap();
        node.create(&tiles("a:b"), &"<a/>".to_owned())
            .await
            .unwrap();
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 6);
    for pair in seen.chunks(2) {
        assert!(pair[0].is("GET", "/some/path/geoserver/rest/layers/a:b.json"));
        assert!(pair[1].is("PUT", "/some/path/geoserver/gwc/rest/layers/a:b.xml"));
    }
}

#[tokio::test]
async fn bodies_are_ascii_where_geoserver_may_misread_them() {
    let server = Server::start(|_| answer(201, "", "")).await;
    let document = json!({"style": {"name": "høst 🌲"}});
    let node = node(&server.url);
    node.create(&style(Global, "a"), &document).await.unwrap();
    let body = &server.seen()[0].body;
    assert!(body.is_ascii());
    let back: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!(back, document);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A name is one part of the path that arrives, and the name again when it is decoded as GeoServer
    /// does, whatever it consists of.
    #[test]
    fn every_name_arrives(names in prop::collection::vec(any::<String>(), 3)) {
        let names: Vec<Name> = names.into_iter().filter_map(|text| Name::new(text).ok()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result: Result<(), TestCaseError> = runtime.block_on(async {
            let server = Server::start(|_| answer(200, "", "")).await;
            let node = node(&server.url);
            for name in names {
                let Ok(workspace) = Workspace::new(name.as_str()) else { continue };
                let what = Object::Store { kind: StoreKind::Data, workspace, name: name.clone() };
                node.change(&what, &json!({})).await.unwrap();
                let target = server.seen().pop().unwrap().target;
                let parts: Vec<String> = target
                    .split('/')
                    .map(|part| percent_decode_str(&part.replace('+', " ")).decode_utf8().unwrap().into_owned())
                    .collect();
                let last = if name.as_str().contains('.') {
                    format!("{name}.json")
                } else {
                    name.to_string()
                };
                prop_assert_eq!(
                    parts,
                    ["", "geoserver", "rest", "workspaces", name.as_str(), "datastores", last.as_str()]
                );
            }
            Ok(())
        });
        result?;
    }

    /// Whatever the path of a node is, what is asked begins after it with one slash.
    #[test]
    fn urls_of_nodes_end_where_the_interface_begins(path in "[a-zA-Z0-9/._~-]{0,30}") {
        let url: NodeUrl = format!("https://host/{path}").parse().unwrap();
        prop_assert!(!url.as_str().ends_with('/'));
        prop_assert!(url.as_str().starts_with("https://host"));
    }
}
