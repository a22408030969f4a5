//! The double as a program of its own.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use weir_geoserver::{Login, Node, Settings};
use weir_test_geoserver::GeoServer;

#[tokio::test]
async fn it_says_where_it_is() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_geoserver-double"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    let login = Login::basic(GeoServer::USER, GeoServer::PASSWORD).unwrap();
    let node = Node::new(Settings::new(url.parse().unwrap(), login)).unwrap();
    assert_eq!(node.version().await.unwrap().to_string(), "2.21.2");
}

#[tokio::test]
async fn it_refuses_what_it_does_not_know() {
    let program = Command::new(env!("CARGO_BIN_EXE_geoserver-double"))
        .arg("--prot")
        .output();
    let output = program.await.unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("--port PORT"), "{words}");
}
