//! The client against a server that answers what GeoServer was recorded to answer, or that fails as
//! servers and networks do.

#![expect(
    clippy::unwrap_used,
    reason = "functions that tests share may panic as tests do"
)]

mod faults;
mod files;
mod guards;
mod meaning;
mod places;
mod reading;
mod real;
mod recordings;
mod server;
mod tls;

use std::time::Duration;

use weir_geoserver::{
    DataFile, FilePath, Login, Name, Node, Object, Scope, Settings, StoreKind, TemplatePlace,
    TileObject, Workspace,
};

const PASSWORD: &str = "hunter2-and-more";

/// How a node is used that should not be waited for long.
fn settings(url: &str) -> Settings {
    Settings {
        answer_timeout: Duration::from_secs(20),
        silence_timeout: Duration::from_millis(300),
        ..Settings::new(
            url.parse().unwrap(),
            Login::basic("admin", PASSWORD).unwrap(),
        )
    }
}

fn node(url: &str) -> Node {
    Node::new(settings(url)).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn workspace(text: &str) -> Workspace {
    Workspace::new(text).unwrap()
}

fn within(text: &str) -> Scope {
    Scope::Workspace(workspace(text))
}

fn store(kind: StoreKind, within: &str, text: &str) -> Object {
    Object::Store {
        kind,
        workspace: workspace(within),
        name: name(text),
    }
}

fn resource(kind: StoreKind, within: &str, store: &str, text: &str) -> Object {
    Object::Resource {
        kind,
        workspace: workspace(within),
        store: name(store),
        name: name(text),
    }
}

fn layer(within: &str, text: &str) -> Object {
    Object::Layer {
        workspace: workspace(within),
        name: name(text),
    }
}

fn group(scope: Scope, text: &str) -> Object {
    Object::LayerGroup {
        scope,
        name: name(text),
    }
}

fn style(scope: Scope, text: &str) -> Object {
    Object::Style {
        scope,
        name: name(text),
    }
}

fn tiles(text: &str) -> TileObject {
    TileObject::Layer(name(text))
}

fn file(text: &str) -> DataFile {
    DataFile::Resource(FilePath::new(text).unwrap())
}

fn template(place: TemplatePlace, text: &str) -> DataFile {
    DataFile::Template {
        place,
        name: name(text),
    }
}

/// Compares lines with a file of this folder; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, lines: &[String]) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let is = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &is).unwrap();
    }
    let should = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        is == should,
        "{path} differs; look with UPDATE_GOLDEN=1 and git diff"
    );
}
