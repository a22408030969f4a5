//! The settings as they are written, and what makes sense of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use crate::RemapWorkspaces;
use crate::table::Table;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(default)]
    workspaces: BTreeMap<String, String>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    suffix: String,
    #[serde(default)]
    namespaces: BTreeMap<String, String>,
    #[serde(default)]
    merge: bool,
    mint_ids: Option<String>,
}

impl TryFrom<Settings> for RemapWorkspaces {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        let Settings {
            workspaces,
            prefix,
            suffix,
            namespaces,
            merge,
            mint_ids,
        } = settings;
        if workspaces.is_empty() && prefix.is_empty() && suffix.is_empty() && namespaces.is_empty()
        {
            return Err(
                "nothing to map: give `workspaces`, such as { topp = \"topp_eu\" }, \
                        `prefix`, `suffix` or `namespaces`"
                    .to_owned(),
            );
        }
        for (source, target) in &workspaces {
            check_name(target).map_err(|why| format!("workspace `{source}`: {why}"))?;
        }
        if !prefix.is_empty() {
            check_name(&prefix).map_err(|why| format!("`prefix`: {why}"))?;
        }
        // Any name may stand before a suffix.
        check_name(&format!("a{suffix}")).map_err(|why| format!("`suffix`: {why}"))?;
        for (old, new) in &namespaces {
            if new.is_empty() || new.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(format!(
                    "namespace `{old}`: `{new}` is no URI, such as `http://example.org/topp_eu`"
                ));
            }
        }
        if !merge {
            check_distinct("workspaces", &workspaces)?;
            check_distinct("namespaces", &namespaces)?;
        }
        if mint_ids.as_ref().is_some_and(String::is_empty) {
            return Err("`mint_ids` is empty: give a name that is this slave's alone".to_owned());
        }
        Ok(Self {
            workspaces: Table::new(workspaces),
            prefix,
            suffix,
            namespaces: Table::new(namespaces),
            merge,
            minting: mint_ids.map(|name| Uuid::new_v5(&MINTED, name.as_bytes())),
        })
    }
}

/// The name space of the names that go into minted ids. A change of it changes every minted id.
const MINTED: Uuid = Uuid::from_u128(0x5f0e_2d6c_93a7_4b1f_8c64_d1b9_0a37_e452);

/// Refuses names that GeoServer refuses, or takes and then trips over: a workspace's name becomes
/// an XML prefix.
fn check_name(name: &str) -> Result<(), String> {
    let mut characters = name.chars();
    let starts = characters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_');
    if !starts || !characters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return Err(format!(
            "`{name}` is no name for a workspace: start with a letter or `_`, \
             and go on with letters, digits, `_`, `-` and `.`"
        ));
    }
    check_reserved(name)
}

/// Refuses the one well-formed name that GeoServer keeps to itself.
pub(crate) fn check_reserved(name: &str) -> Result<(), String> {
    if name == "default" {
        return Err("GeoServer reserves the name `default`: choose another one".to_owned());
    }
    Ok(())
}

fn check_distinct(table: &str, targets: &BTreeMap<String, String>) -> Result<(), String> {
    let mut sources = BTreeMap::new();
    for (source, target) in targets {
        if let Some(other) = sources.insert(target, source) {
            return Err(format!(
                "`{table}` maps both `{other}` and `{source}` to `{target}`: \
                 give them targets of their own, or set `merge = true`"
            ));
        }
    }
    Ok(())
}
