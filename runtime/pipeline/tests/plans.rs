//! What configurations give: a plan, or every problem with its place. Golden files lie beside the
//! configurations in `plans/`; `UPDATE_GOLDEN=1` rewrites them.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, whatever cannot be is a failure"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use weir_pipeline::file::{Problems, Surroundings};
use weir_pipeline::plan::{Plan, SCHEMA};

struct Fixed;

impl Surroundings for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "SECRET").then(|| "hunter2".to_owned())
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        if path == Path::new("secret.txt") {
            return Ok("from a file\n".to_owned());
        }
        Err("no such file".to_owned())
    }
}

fn read(text: &str) -> Result<Plan, Problems> {
    Plan::read(Path::new("weir.toml"), text, &Fixed)
}

fn configurations(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plans")
        .join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn check(path: &Path, extension: &str, found: &str) -> Option<String> {
    let golden = path.with_extension(extension);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, found).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    (expected != found).then(|| format!("{}:\n{found}", path.display()))
}

#[test]
fn invalid_configurations_tell_every_problem() {
    let mut wrong = Vec::new();
    for path in configurations("invalid") {
        let text = fs::read_to_string(&path).unwrap();
        let problems = match read(&text) {
            Ok(plan) => panic!("{} is valid: {plan:?}", path.display()),
            Err(problems) => problems.to_string(),
        };
        wrong.extend(check(&path, "err", &problems));
    }
    assert!(
        wrong.is_empty(),
        "not as in the golden files:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn valid_configurations_give_plans_without_secrets_in_sight() {
    let mut wrong = Vec::new();
    for path in configurations("valid") {
        let text = fs::read_to_string(&path).unwrap();
        let plan = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let shown = format!("{plan:#?}\n");
        assert!(
            !shown.contains("hunter2"),
            "{} shows a secret",
            path.display()
        );
        wrong.extend(check(&path, "plan", &shown));
    }
    assert!(
        wrong.is_empty(),
        "not as in the golden files:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn settings_name_their_surroundings() {
    let whole = configurations("valid")
        .into_iter()
        .find(|path| path.ends_with("whole.toml"));
    let text = fs::read_to_string(whole.unwrap()).unwrap();
    let plan = read(&text).unwrap();
    let settings = plan.masters[0].stages[0].settings.reveal();
    assert_eq!(
        settings,
        r#"{"a":[1,2.5,true],"b":"${x} hunter2 from a file"}"#
    );
}

/// The schema names exactly the keys that the reader knows: each key of the schema is known to the
/// reader, and each key that the reader offers is in the schema.
#[test]
fn the_schema_has_the_keys_of_the_reader() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let definition = |name: &str| schema["$defs"][name].clone();
    let end = |table: &str, end: &str, kind: &str| {
        let ends = definition(table)["properties"][end]["oneOf"].clone();
        let ends = ends.as_array().unwrap().clone();
        ends.into_iter()
            .find(|end| end["properties"]["type"]["const"] == kind)
            .unwrap()
    };
    let tables = [
        (schema.clone(), "KEY = 1\n".to_owned()),
        (
            schema["properties"]["bus"].clone(),
            "[bus]\nKEY = 1\n".to_owned(),
        ),
        (
            schema["properties"]["bus"]["properties"]["log"].clone(),
            "[bus]\nlog = { KEY = 1 }\n".to_owned(),
        ),
        (
            schema["properties"]["limits"].clone(),
            "[limits]\nKEY = 1\n".to_owned(),
        ),
        (definition("plugin"), "[[plugin]]\nKEY = 1\n".to_owned()),
        (
            definition("plugin")["properties"]["limits"].clone(),
            "[[plugin]]\n[plugin.limits]\nKEY = 1\n".to_owned(),
        ),
        (definition("master"), "[[master]]\nKEY = 1\n".to_owned()),
        (definition("slave"), "[[slave]]\nKEY = 1\n".to_owned()),
        (
            definition("stage"),
            "[[slave]]\nstages = [{ KEY = 1 }]\n".to_owned(),
        ),
        (
            definition("on_failure"),
            "[[slave]]\non_failure = { KEY = 1 }\n".to_owned(),
        ),
    ];
    let sources = ["amqp", "file", "stdin"].map(|kind| {
        let text = format!("[[master]]\nsource = {{ type = \"{kind}\", KEY = 1 }}\n");
        (end("master", "source", kind), text)
    });
    let sinks = ["amqp", "file", "stdout"].map(|kind| {
        let text = format!("[[slave]]\nsink = {{ type = \"{kind}\", KEY = 1 }}\n");
        (end("slave", "sink", kind), text)
    });
    for (table, text) in tables.into_iter().chain(sources).chain(sinks) {
        let keys: BTreeSet<String> = table["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        // A key that nobody has makes the reader list those that it knows.
        let problems = read(&text.replace("KEY", "zzzzzzzzzzzz")).unwrap_err();
        let unknown = problems
            .problems
            .iter()
            .find(|p| p.message.contains("zzzzzzzzzzzz"));
        let hint = unknown
            .unwrap_or_else(|| panic!("{text}: {problems}"))
            .hint
            .clone()
            .unwrap();
        let known: BTreeSet<String> = hint
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert_eq!(keys, known, "{text}");
    }
}

/// What TOML is made of, and what it does not take.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\r\n",
    "\r",
    "\\",
    "ü",
    "\u{0}",
    "\u{feff}",
    "\u{2028}",
    "a",
    "-",
    "_",
    "0x",
    "1e9",
    "inf",
    "true",
    "1979-05-27",
    "${",
    "$${",
    "}",
    "://",
    "@",
    " ",
    "\t",
    "[bus]",
    "[[slave]]",
    "[bus",
    "[[slave]",
    "name",
    "password = ",
    "slave.",
];

/// Everything that one can type or break: a configuration with parts of it cut out, put elsewhere,
/// or replaced by what TOML is made of.
fn mutated() -> impl Strategy<Value = String> {
    let texts: Vec<String> = ["valid", "invalid"]
        .into_iter()
        .flat_map(configurations)
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let cut = (any::<Index>(), any::<Index>(), 0..40usize, select(PIECES));
    (select(texts), vec(cut, 1..8)).prop_map(|(text, cuts)| {
        let mut text: Vec<char> = text.chars().collect();
        for (from, to, length, piece) in cuts {
            let start = from.index(text.len() + 1);
            let end = (start + length).min(text.len());
            let taken: Vec<char> = text.drain(start..end).collect();
            let at = to.index(text.len() + 1);
            let put = if length % 2 == 0 { Vec::new() } else { taken };
            text.splice(at..at, piece.chars().chain(put));
        }
        text.into_iter().collect()
    })
}

/// Whatever the text is: the reader answers, and what it answers can be shown.
fn answers(text: &str) {
    match read(text) {
        Ok(plan) => drop(format!("{plan:?}")),
        Err(problems) => {
            assert!(!problems.problems.is_empty(), "refused without a reason");
            let lines = text.matches('\n').count() + 1;
            for problem in &problems.problems {
                assert!((1..=lines).contains(&problem.place.line), "{problem:?}");
            }
            drop(problems.to_string());
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics_the_reader(text in any::<String>()) {
        answers(&text);
    }

    #[test]
    fn no_mistake_panics_the_reader(text in mutated()) {
        answers(&text);
    }

    /// The secret stands where the key says so: whatever is wrong around it, it is not shown.
    #[test]
    fn no_mistake_shows_a_secret(line in "[ a-z=\\[\\]{},.'\"#]{0,12}", quote in select(&["\"", "'", ""][..]), key in select(&["password", "passphrase", "pwd", "private_key", "api-key", "token"][..])) {
        let text = format!("{line}\n{key} = {quote}hunter2{quote} x\n[[slave]]\n");
        if let Err(problems) = read(&text) {
            prop_assert!(!problems.to_string().contains("hunter2"), "{problems}");
        }
    }
}

/// However nested, and however many mistakes: an answer, soon.
#[test]
fn what_is_deep_or_long_is_answered() {
    for piece in [
        "[",
        "{",
        "a.",
        "a = [",
        "a = {",
        "[a]\n",
        "[[a]\n",
        "a\n",
        "a = \"\"\"\n[b]\n",
    ] {
        answers(&piece.repeat(5_000));
        answers(&format!("a = {}", piece.repeat(5_000)));
    }
}
