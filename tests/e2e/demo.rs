//! `weir demo` shows the main job.

use crate::harness::{Site, guest};

#[test]
fn the_demo_shows_what_each_slave_got_and_again() {
    let site = Site::new("");
    let plugins = guest("drop-kinds").parent().unwrap().to_owned();
    for _ in 0..2 {
        let output = site.call(&["demo", "--plugins", plugins.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        for expected in [
            "topp_eu:states",
            "us_topp:states",
            "lab:states",
            "eu/remap-workspaces",
        ] {
            assert!(told.contains(expected), "{expected} in:\n{told}");
        }
        assert_eq!(site.lines("weir-demo/us.jsonl").len(), 17);
        let eu = std::fs::read_to_string(site.path("weir-demo/eu.jsonl")).unwrap();
        assert!(
            eu.contains("db.eu.example.org") && !eu.contains("not-a-real-secret"),
            "{eu}"
        );
    }
}

#[test]
fn the_demo_overwrites_nobodys_files() {
    let site = Site::new("# mine");
    let plugins = guest("drop-kinds").parent().unwrap().to_owned();
    let plugins = plugins.to_str().unwrap();
    let output = site.call(&["demo", "--plugins", plugins, "--directory", "."]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && errors.contains("is not the demo's"),
        "{errors}"
    );
    assert_eq!(
        std::fs::read_to_string(site.path("weir.toml")).unwrap(),
        "# mine"
    );
}
