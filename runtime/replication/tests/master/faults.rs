//! A master that is away or busy.

use weir_event::{Action, Kind};
use weir_replication::HydrateError;

use crate::world::World;
use crate::{briefly, hint, master, object};

#[tokio::test]
async fn what_fails_for_now_works_later() {
    let (server, world) = World::recorded().serve().await;
    let master = master(&server.url);
    let workspace = hint(
        Action::Removed,
        object(Kind::Workspace, Some("north"), None),
    );
    for status in [503, 401] {
        world.fail_after(0, status);
        let answer = master.hydrate(&workspace).await;
        assert!(
            matches!(answer, Err(HydrateError::Transient(_))),
            "{answer:?}"
        );
    }
    let frames = master.hydrate(&workspace).await.unwrap();
    assert_eq!(briefly(&frames), ["modified workspace north"]);
}

#[tokio::test]
async fn a_proxy_that_says_404_removes_nothing() {
    let server =
        crate::server::Server::start(|_| crate::server::answer(404, "text/html", "gone")).await;
    let workspace = hint(
        Action::Modified,
        object(Kind::Workspace, Some("north"), None),
    );
    let answer = master(&server.url).hydrate(&workspace).await;
    assert!(
        matches!(answer, Err(HydrateError::Transient(_))),
        "{answer:?}"
    );
}
