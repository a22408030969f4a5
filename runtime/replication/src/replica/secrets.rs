//! Secrets of stores: GeoServer shows cipher text, which only the node that has made it can read.

use serde_json::{Map, Value};
use weir_geoserver::{StoreKind, shape};

use super::ApplyError;
use crate::document::{CIPHER, root};

/// Puts the slave's own cipher text where the master's is, or where nothing is said: only who has
/// made it can read it.
pub(super) fn supply_secrets(
    kind: StoreKind,
    store: &mut Map<String, Value>,
    have: Option<&Value>,
) -> Result<(), ApplyError> {
    let have = have.and_then(root).map(|(_, have)| have);
    if let Some(parameters) = store.get_mut("connectionParameters") {
        let own = have.and_then(|have| have.get("connectionParameters"));
        let own: Vec<(&str, &Value)> = own.into_iter().flat_map(shape::entries).collect();
        let cipher = |entry: &Value| entry.get("$").is_some_and(is_cipher);
        let entries = shape::items_mut(parameters, "entry");
        let entries = entries.ok_or_else(|| ApplyError::refused("its parameters are no map"))?;
        for entry in entries.iter_mut().filter(|entry| cipher(entry)) {
            let key = entry
                .get("@key")
                .and_then(Value::as_str)
                .unwrap_or_default();
            match own
                .iter()
                .find(|(other, entry)| *other == key && cipher(entry))
            {
                Some((_, own)) => *entry = (*own).clone(),
                None => return Err(foreign_secret(key)),
            }
        }
        for (key, own) in own.iter().filter(|(_, entry)| cipher(entry)) {
            let is_said = |entry: &Value| entry.get("@key").and_then(Value::as_str) == Some(*key);
            if !entries.iter().any(is_said) {
                entries.push((*own).clone());
            }
        }
    }
    if matches!(kind, StoreKind::Wms | StoreKind::Wmts) {
        let own = have.and_then(|have| have.get("password"));
        match (store.get("password"), own) {
            (Some(password), own) if is_cipher(password) => match own {
                Some(own) if is_cipher(own) => {
                    store.insert("password".to_owned(), own.clone());
                }
                _ => return Err(foreign_secret("password")),
            },
            (None, Some(own)) => drop(store.insert("password".to_owned(), own.clone())),
            _ => {}
        }
    }
    Ok(())
}

fn is_cipher(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(CIPHER))
}

fn foreign_secret(key: &str) -> ApplyError {
    ApplyError::refused(format_args!(
        "the `{key}` of the store is cipher text that only the master can read: have a stage of the \
         slave set it, or set it at the slave once"
    ))
}
