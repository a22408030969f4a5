//! Files that come along, and those of which only the digest does.

use serde_json::json;
use weir_event::{Action, Kind, RestContent};
use weir_replication::HydrateError;

use crate::world::World;
use crate::{hint, master, object, told};

#[tokio::test]
async fn a_large_file_goes_by_its_digest_and_a_larger_one_not_at_all() {
    let world = World::empty()
        .file("data/just.bin", vec![0; 1000])
        .file("data/large.svg", "abc".repeat(1000))
        .file("data/huge.tif", vec![1; 5001]);
    let (server, _) = world.serve().await;
    let master = master(&server.url);
    let file = |path| hint(Action::Modified, object(Kind::Resource, None, Some(path)));
    let frames = master.hydrate(&file("data/just.bin")).await.unwrap();
    let is_whole =
        matches!(&frames[0].content, Some(RestContent::Bytes { data, .. }) if data.len() == 1000);
    assert!(is_whole);
    let frames = master.hydrate(&file("data/large.svg")).await.unwrap();
    let reference = RestContent::Reference {
        content_type: "image/svg+xml".to_owned(),
        sha256: "328de8f1895f8bb09f6e6b4c2012ef2b2a6f067cd002794b750aa040a6f6d8bd".to_owned(),
        size: 3000,
    };
    assert!(
        frames[0].content == Some(reference),
        "{}",
        String::from_utf8_lossy(&frames[0].to_payload())
    );
    let answer = master.hydrate(&file("data/huge.tif")).await;
    assert_eq!(
        told(answer, &server.url),
        [r#"Permanent(Reason("GET …/rest/resource/data/huge.tif: it is larger than 5000 bytes"))"#]
    );
}

#[tokio::test]
async fn a_directory_is_no_file_and_is_not_removed() {
    let world = World::empty().directory("workspaces/north/props", &["content.ftl"]);
    let (server, _) = world.serve().await;
    let directory = object(Kind::Resource, Some("north"), Some("props"));
    let answer = master(&server.url)
        .hydrate(&hint(Action::Removed, directory))
        .await;
    assert_eq!(told(answer, &server.url), ["Nothing(Directory)"]);
}

#[tokio::test]
async fn a_path_that_leads_out_is_not_asked_for() {
    let (server, _) = World::empty().serve().await;
    let master = master(&server.url);
    for path in ["../security/users.xml", "a/../../b", "a//b", r"a\..\b", ""] {
        let subject = object(Kind::Resource, Some("north"), Some(path));
        let answer = master.hydrate(&hint(Action::Modified, subject)).await;
        assert!(
            matches!(answer, Err(HydrateError::Permanent(_))),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(server.seen(), []);
}

#[tokio::test]
async fn the_body_of_a_style_comes_along_or_the_style_does_not() {
    let style = |format: &str| json!({"style": {"name": "s", "format": format, "filename": "s.sld", "languageVersion": {"version": "1.1.0"}}});
    let hinted = hint(Action::Modified, object(Kind::Style, None, Some("s")));
    for (world, is) in [
        (
            World::empty()
                .json("/rest/styles/s.json", style("sld"))
                .file("styles/s.sld", "x".repeat(1001)),
            r#"Permanent(Reason("the body of the style, `styles/s.sld`, has 1001 bytes, more than come along"))"#,
        ),
        // Neither of these can be told, and the rest is.
        (
            World::empty().json("/rest/styles/s.json", style("sld")),
            "modified style s",
        ),
        (
            World::empty()
                .json("/rest/styles/s.json", style("zip"))
                .file("styles/s.sld", "x"),
            "modified style s",
        ),
    ] {
        let (server, _) = world.serve().await;
        let answer = master(&server.url).hydrate(&hinted).await;
        assert_eq!(told(answer, &server.url), [is]);
    }
}
