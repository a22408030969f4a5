//! Passwords: plain within, and in cipher text that only the node itself can read where they are
//! shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::http::Reply;
use crate::json::Map;

const MARK: &str = "crypt1:";

/// Which entries of connection parameters are secret.
const PARAMETERS: [&str; 3] = ["passwd", "password", "pwd"];

/// The key of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(u32);

impl Key {
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }

    /// Other text each time.
    fn encrypt(self, plain: &str) -> String {
        let salt: u32 = rand::random();
        let mut bytes = salt.to_be_bytes().to_vec();
        bytes.extend((self.0 ^ salt).to_be_bytes());
        let salted = plain.bytes().zip(salt.to_be_bytes().into_iter().cycle());
        bytes.extend(salted.map(|(byte, salt)| byte ^ salt));
        format!("{MARK}{}", STANDARD.encode(bytes))
    }

    /// What is no cipher text is plain already; that of another node cannot be read.
    fn decrypt(self, text: &str) -> Result<String, Reply> {
        let Some(cipher) = text.strip_prefix(MARK) else {
            return Ok(text.to_owned());
        };
        let bytes = STANDARD.decode(cipher).unwrap_or_default();
        let own = bytes.split_at_checked(8).and_then(|(head, text)| {
            let salt = u32::from_be_bytes(head[..4].try_into().ok()?);
            let key = u32::from_be_bytes(head[4..].try_into().ok()?);
            let salts = salt.to_be_bytes().into_iter().cycle();
            let plain = text.iter().zip(salts).map(|(byte, salt)| byte ^ salt);
            (key ^ salt == self.0).then(|| plain.collect())
        });
        own.and_then(|plain| String::from_utf8(plain).ok())
            .ok_or_else(unreadable)
    }

    pub(crate) fn hide(self, store: &mut Map) {
        each(store, |text| Ok(self.encrypt(text))).unwrap_or_default();
    }

    pub(crate) fn reveal(self, store: &mut Map) -> Result<(), Reply> {
        each(store, |text| self.decrypt(text))
    }
}

fn unreadable() -> Reply {
    Reply::text(
        500,
        "\n---- Debugging information ----\ncause-exception     : org.jasypt.exceptions.EncryptionOperationNotPossibleException\ncause-message       : null\n",
    )
}

fn each(store: &mut Map, change: impl Fn(&str) -> Result<String, Reply>) -> Result<(), Reply> {
    if let Some(Value::String(password)) = store.get_mut("password") {
        *password = change(password)?;
    }
    let entries = store
        .get_mut("connectionParameters")
        .and_then(|it| it.get_mut("entry"));
    let entries = match entries {
        Some(Value::Array(entries)) => entries.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => &mut [],
    };
    for entry in entries {
        let key = entry.get("@key").and_then(Value::as_str);
        if key.is_some_and(|key| PARAMETERS.contains(&key))
            && let Some(Value::String(value)) = entry.get_mut("$")
        {
            *value = change(value)?;
        }
    }
    Ok(())
}
