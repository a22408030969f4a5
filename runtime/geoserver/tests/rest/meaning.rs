//! What GeoServer's irregular answers mean. The answers are recorded; the calls are those that they
//! were given to.

use bytes::Bytes;
use serde_json::json;
use weir_geoserver::{
    Action, CallError, Failure, Login, Node, Object, Removal, Scope, Settings, StoreKind,
    StyleFormat,
};

use crate::server::{Reply, Server, VERSION, answer, json as json_reply, version};
use crate::{
    PASSWORD, file, golden, group, layer, name, node, resource, settings, store, style, tiles,
    within, workspace,
};
use weir_geoserver::Scope::Global;

/// A page as Jetty makes it.
fn jetty(status: u16, message: &str) -> String {
    format!(
        "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=ISO-8859-1\"/>\n<title>Error {status} {message}</title>\n</head>\n<body><h2>HTTP ERROR {status} {message}</h2>\n<table>\n<tr><th>URI:</th><td>/geoserver/rest</td></tr>\n</table>\n</body>\n</html>"
    )
}

enum Ask {
    Get(Object),
    Create(Object),
    Change(Object),
    Remove(Object),
    Body(Scope, &'static str),
    Tiles(&'static str),
    NoTiles(&'static str),
    File(&'static str),
    NoFile(&'static str),
    Truncate(&'static str),
}

async fn ask(node: &Node, what: &Ask) -> Result<(), CallError> {
    let document = json!({});
    match what {
        Ask::Get(object) => node.get(object).await.map(|_| ()),
        Ask::Create(object) => node.create(object, &document).await,
        Ask::Change(object) => node.change(object, &document).await,
        Ask::Remove(object) => node.remove(object, Removal::ALONE).await,
        Ask::Body(scope, style) => {
            let body = Bytes::from_static(b"<broken");
            node.change_style_body(scope, &name(style), StyleFormat::Sld10, body)
                .await
        }
        Ask::Tiles(layer) => {
            node.change(&tiles(layer), &"<GeoServerLayer/>".to_owned())
                .await
        }
        Ask::NoTiles(layer) => node.remove(&tiles(layer), Removal::ALONE).await,
        Ask::File(path) => node.change(&file(path), &Bytes::new()).await,
        Ask::NoFile(path) => node.remove(&file(path), Removal::RECURSIVE).await,
        Ask::Truncate(layer) => node.perform(&Action::Truncate(name(layer))).await,
    }
}

/// What the node makes of an answer. `there`: whether what it is about can be read.
async fn meaning(
    what: &Ask,
    status: u16,
    media: &'static str,
    body: String,
    there: bool,
) -> String {
    let asked = match what {
        Ask::Get(_) => "GET",
        Ask::Create(_) | Ask::Truncate(_) => "POST",
        Ask::Change(_) | Ask::Body(..) | Ask::Tiles(_) | Ask::File(_) => "PUT",
        Ask::Remove(_) | Ask::NoTiles(_) | Ask::NoFile(_) => "DELETE",
    };
    let server = Server::start(move |request| {
        if request.target == VERSION {
            version()
        } else if request.method == asked {
            answer(status, media, body.clone())
        } else if request.target.ends_with("/default.json") {
            json_reply(r#"{"workspace":{"name":"neutral"}}"#)
        } else if there && !request.target.contains("/neutral/") {
            json_reply("{}")
        } else {
            answer(404, "text/plain", "No such thing")
        }
    })
    .await;
    let failure = ask(&node(&server.url), what).await.unwrap_err();
    let kind = format!("{:?}", failure.failure);
    let kind = kind.split(['(', ' ']).next().unwrap().to_owned();
    format!("{kind}: {}", failure.to_string().replace(&server.url, "…"))
}

#[tokio::test]
async fn every_recorded_refusal() {
    let text = "text/plain";
    let html = "text/html;charset=iso-8859-1";
    let props = || store(StoreKind::Data, "topp", "props");
    let roads = || resource(StoreKind::Data, "topp", "props", "roads");
    let cases: Vec<(Ask, u16, &'static str, String, bool)> = vec![
        // What exists.
        (Ask::Create(Object::Workspace(workspace("topp"))), 409, html, jetty(409, "Workspace &apos;topp&apos; already exists"), true),
        (Ask::Create(Object::Namespace(workspace("topp"))), 500, text, "Namespace with prefix 'topp' already exists.".into(), true),
        (Ask::Create(props()), 500, text, "Store 'props' already exists in workspace 'topp'".into(), true),
        (Ask::Create(roads()), 500, text, "Resource named 'roads' already exists in store: 'props'".into(), true),
        (Ask::Create(style(within("topp"), "wsroads")), 403, html, jetty(403, "Style wsroads already exists."), true),
        (Ask::Create(style(within("topp"), "wsroads")), 500, text, "Style named 'wsroads' already exists in workspace topp".into(), true),
        (Ask::Create(group(Global, "glob")), 500, text, "Layer group named 'glob' already exists".into(), true),
        (Ask::Create(Object::Settings(within("topp"))), 500, text, "Settings already exist for workspace 'topp'".into(), true),
        (Ask::Change(Object::Namespace(workspace("quiet"))), 500, text, "Namespace with URI 'urn:lab:south' already exists.".into(), true),
        // What is missing.
        (Ask::Get(Object::Workspace(workspace("nope"))), 404, text, "No such workspace: 'nope' found".into(), false),
        (Ask::Get(Object::Workspace(workspace("nope"))), 404, text, String::new(), false),
        (Ask::Change(store(StoreKind::Data, "topp", "none")), 404, text, "No such datastore: topp,none".into(), false),
        (Ask::Change(Object::AccessRules), 409, "", String::new(), true),
        (Ask::Change(layer("topp", "nope")), 500, text, "Cannot invoke \"org.geoserver.catalog.LayerInfo.getResource()\" because \"original\" is null".into(), false),
        (Ask::Change(group(Global, "none")), 500, text, "java.lang.NullPointerException: Cannot invoke \"Object.getClass()\" because \"obj\" is null".into(), false),
        (Ask::Remove(group(Global, "none")), 500, text, String::new(), false),
        (Ask::Body(Global, "none"), 400, "", String::new(), false),
        (Ask::Remove(Object::Workspace(workspace("nope"))), 404, "", String::new(), false),
        (Ask::Remove(style(within("nope"), "x")), 404, text, "Workspace nope not found".into(), false),
        (Ask::Tiles("topp:none"), 404, text, "GeoServer Layer or LayerGroup 'topp:none' not found".into(), false),
        (Ask::NoTiles("north:poles"), 404, text, "Unknown layer: north:poles".into(), false),
        (Ask::NoFile("data/none.txt"), 404, text, "Resource 'data/none.txt' not found".into(), false),
        (Ask::Truncate("topp:none"), 400, "text/plain;charset=iso-8859-1", "org.geowebcache.rest.exception.RestException 400 BAD_REQUEST: Could not find layer topp:none".into(), false),
        // Removed, though it is said to have failed.
        (Ask::Remove(store(StoreKind::Coverage, "topp", "dem")), 500, text, "Failed to create reader from file:data/dem.tif and hints Hints:\n  REPOSITORY       = org.geoserver.catalog.CatalogRepository@355e2e36".into(), false),
        // What is in use.
        (Ask::Remove(Object::Workspace(workspace("topp"))), 403, "", String::new(), true),
        (Ask::Remove(Object::Namespace(workspace("topp"))), 401, "", String::new(), true),
        (Ask::Remove(props()), 403, "", String::new(), true),
        (Ask::Remove(store(StoreKind::Coverage, "north", "heights")), 401, "", String::new(), true),
        (Ask::Remove(roads()), 403, "", String::new(), true),
        (Ask::Remove(layer("north", "rivers")), 500, text, "Unable to delete layer referenced by layer group 'g_ws'".into(), true),
        (Ask::Remove(group(Global, "g_single")), 500, text, "Unable to delete layer group referenced by layer group 'g_named'".into(), true),
        (Ask::Remove(style(Global, "raster")), 500, text, "Unable to delete a default style".into(), true),
        (Ask::Remove(style(Global, "line")), 403, "", String::new(), true),
        // What is refused.
        (Ask::Create(roads()), 400, html, jetty(400, "Trying to create new feature type inside the store, but no attributes were specified"), false),
        (Ask::Create(roads()), 500, text, "Failed to access data source to check attribute customization".into(), false),
        (Ask::Create(roads()), 500, text, String::new(), false),
        (Ask::Create(store(StoreKind::Coverage, "north", "x")), 500, text, "Store must be part of a workspace".into(), false),
        (Ask::Create(store(StoreKind::Data, "alpha", "x")), 403, html, jetty(403, "Expected workspace alpha but client specified north"), false),
        (Ask::Create(group(within("north"), "g")), 500, text, "Layer group within a workspace (north) can not contain resources from other workspace: south".into(), false),
        (Ask::Create(Object::Workspace(workspace("høst felt"))), 500, text, "Invalid URI syntax for 'http://høst felt' in namespace 'høst felt'".into(), true),
        (Ask::Create(style(Global, "cssone")), 500, text, "No such style handler: format = application/vnd.geoserver.geocss+css".into(), false),
        (Ask::Change(group(Global, "glob")), 403, "", String::new(), true),
        (Ask::Change(store(StoreKind::Wms, "topp", "casc")), 403, "", String::new(), true),
        (Ask::Change(Object::Settings(Global)), 500, "", String::new(), true),
        (Ask::Body(Global, "roads"), 400, "", String::new(), true),
        (Ask::Create(Object::Workspace(workspace("x"))), 415, "", String::new(), false),
        (Ask::File("data/props"), 405, "", String::new(), true),
        (Ask::Tiles("north:rivers"), 400, text, "There is a mismatch between the name of the layer in the submission and the URL you specified.".into(), true),
        (Ask::Get(group(Global, "broken")), 500, text, "Unable to marshal reference with no id or name".into(), true),
        // What goes away by itself.
        (Ask::Get(layer("a", "b")), 503, html, jetty(503, "Service Unavailable"), true),
        (Ask::Get(layer("a", "b")), 502, "text/html", "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>".into(), true),
        (Ask::Change(layer("a", "b")), 504, "", String::new(), true),
        (Ask::Change(layer("a", "b")), 429, text, "slow down".into(), true),
        // What is none of it.
        (Ask::Get(layer("a", "b")), 418, text, "a teapot".into(), true),
        (Ask::Get(layer("a", "b")), 507, text, "full".into(), true),
    ];
    let mut lines = Vec::new();
    for (what, status, media, body, there) in cases {
        let said: String = body
            .split('\n')
            .find(|line| line.contains("itle>") || !line.starts_with('<'))
            .unwrap_or(&body)
            .chars()
            .take(60)
            .collect();
        let means = meaning(&what, status, media, body, there).await;
        lines.push(format!("{status} {said:?}\n    {means}"));
    }
    golden("meanings.txt", &lines);
}

#[tokio::test]
async fn a_404_of_somebody_else_is_nobody_missing() {
    let nginx = "<html><head><title>404 Not Found</title></head><body>nginx</body></html>";
    for (media, body) in [
        ("text/html", nginx.to_owned()),
        ("text/plain", "404 page not found".to_owned()),
        ("text/html;charset=iso-8859-1", jetty(404, "Not Found")),
        ("", String::new()),
    ] {
        let away = body.clone();
        let server = Server::start(move |_| answer(404, media, away.clone())).await;
        let rivers = layer("north", "rivers");
        let node = node(&server.url);
        for error in [
            node.get(&rivers).await.unwrap_err(),
            node.remove(&rivers, Removal::RECURSIVE).await.unwrap_err(),
            node.version().await.unwrap_err(),
            node.download(&file("a"), 10).await.unwrap_err(),
        ] {
            assert!(matches!(error.failure, Failure::Absent(_)), "{error}");
            assert!(error.is_transient());
        }
        let there = Server::start(move |request| match request.target.as_str() {
            VERSION => version(),
            _ => answer(404, media, body.clone()),
        })
        .await;
        let error = crate::node(&there.url).get(&rivers).await.unwrap_err();
        assert!(error.is_missing(), "{error}");
    }
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_something_in_use() {
    let page = jetty(401, "Unauthorized");
    let server = Server::start(move |request| {
        let given = request.headers.get("authorization").map(String::as_str);
        match given {
            // admin:geoserver
            Some("Basic YWRtaW46Z2Vvc2VydmVy" | "Bearer t0ken-of-weir") => version(),
            _ => answer(401, "text/html;charset=iso-8859-1", page.clone()),
        }
    })
    .await;
    let with = |login| {
        Node::new(Settings {
            login,
            ..settings(&server.url)
        })
        .unwrap()
    };
    for good in [
        Login::basic("admin", "geoserver").unwrap(),
        Login::header("Authorization", "Bearer t0ken-of-weir").unwrap(),
    ] {
        with(good).version().await.unwrap();
    }
    for bad in [Login::basic("admin", PASSWORD).unwrap(), Login::NONE] {
        let node = with(bad);
        let north = Object::Workspace(workspace("north"));
        for error in [
            node.get(&north).await.unwrap_err(),
            node.remove(&north, Removal::ALONE).await.unwrap_err(),
            node.version().await.unwrap_err(),
        ] {
            assert!(
                matches!(error.failure, Failure::Unauthorized { status: 401, .. }),
                "{error}"
            );
            let shown = format!("{error} {error:?} {node:?}");
            assert!(!shown.contains(PASSWORD), "{shown}");
            assert!(!shown.contains("YWRtaW"), "{shown}");
        }
    }
    // A proxy that takes the page away leaves an empty answer, as for what is in use.
    let server = Server::start(|_| answer(403, "", "")).await;
    let north = Object::Workspace(workspace("north"));
    let error = node(&server.url).remove(&north, Removal::ALONE).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error.failure, Failure::Unauthorized { status: 403, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_geoserver_repeats_of_the_password_is_not_shown() {
    let server = Server::start(|_| answer(500, "text/plain", format!("bad: {PASSWORD}"))).await;
    let error = node(&server.url)
        .create(&group(Global, "g"), &json!({}))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("GeoServer refuses (status 500): bad: …"),
        "{error}"
    );
}

#[tokio::test]
async fn redirections_are_told_and_not_followed() {
    let server = Server::start(|_| Reply::Answer {
        status: 302,
        headers: vec![(
            "Location".to_owned(),
            "https://login.test/sso?ticket=secret-ticket".to_owned(),
        )],
        body: Vec::new(),
    })
    .await;
    let error = node(&server.url).get(&layer("a", "b")).await.unwrap_err();
    assert!(
        matches!(error.failure, Failure::Unexpected { status: 302, .. }),
        "{error}"
    );
    let shown = error.to_string();
    assert!(shown.contains("https://login.test/sso,"), "{shown}");
    assert!(!shown.contains("secret-ticket"), "{shown}");
    assert_eq!(server.seen().len(), 1);
}
