//! Walks through real GeoServers, where there are any: `WEIR_TEST_GEOSERVER_URLS` holds their URLs
//! with commas between them, each as `http://USER:PASSWORD@HOST:PORT/geoserver`. Nothing is changed.

use weir_event::{Action, Decoded, Dialect, Message, RestFrame};
use weir_geoserver::{Login, Node, Settings};
use weir_replication::{HydrateError, Master, MasterSettings};

fn masters() -> Option<Vec<Master>> {
    let urls = std::env::var("WEIR_TEST_GEOSERVER_URLS").ok()?;
    let urls = urls.split(',').filter(|url| !url.trim().is_empty());
    let master = |url: &str| {
        let (scheme, rest) = url.trim().split_once("://").unwrap();
        let (login, rest) = rest.rsplit_once('@').unwrap_or(("admin:geoserver", rest));
        let (user, password) = login.split_once(':').unwrap();
        let url = format!("{scheme}://{rest}").parse().unwrap();
        let login = Login::basic(user, password).unwrap();
        let node = Node::new(Settings::new(url, login)).unwrap();
        Master::new(node, MasterSettings::new("/masters/real"))
    };
    Some(urls.map(master).collect())
}

#[tokio::test]
async fn everything_of_a_real_one_is_told() {
    let Some(masters) = masters() else {
        eprintln!("skipped: WEIR_TEST_GEOSERVER_URLS is not set");
        return;
    };
    for master in masters {
        let mut walk = master.walk();
        let mut count = 0;
        while let Some(mut hint) = walk.next().await.unwrap() {
            let frames = match master.hydrate(&hint).await {
                Ok(frames) => frames,
                // GeoServer itself cannot tell a feature type whose table is gone.
                Err(HydrateError::Permanent(reason)) if reason.contains("(status 500)") => {
                    eprintln!("{}: {reason}", hint.subject);
                    continue;
                }
                Err(error) => panic!("{}: {error}", hint.subject),
            };
            for frame in &frames {
                assert_ne!(frame.action, Action::Removed, "{frame:?}");
                is_readable(frame);
            }
            if !hint.references.is_empty() {
                // An event tells no store.
                hint.references.clear();
                assert_eq!(master.hydrate(&hint).await.unwrap(), frames);
            }
            count += frames.len();
        }
        eprintln!("{} hints, {count} frames", walk.told());
    }
}

fn is_readable(frame: &RestFrame) {
    let message = Message {
        payload: frame.to_payload(),
        ..Message::default()
    };
    let decoded = Dialect::GeoServerRest.decode(&message, "/masters/real");
    assert!(
        matches!(decoded, Ok(Decoded::Event(..))),
        "{frame:?}: {decoded:?}"
    );
}
