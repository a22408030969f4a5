//! What an answer does not tell by itself, and another question does.

use std::future::{Ready, ready};

use reqwest::Method;
use serde_json::Value;
use weir_event::Reason;

use crate::address::{Address, Asked as _};
use crate::answer::{Verdict, judge};
use crate::error::{CallError, Failure};
use crate::transport::{Answer, Call};
use crate::{Name, Node, Object, Scope, Version, Workspace};

/// Where a GeoServer says which one it is.
pub(crate) const VERSION: &str = "/rest/about/version.json";

/// Where nobody can look whether something is there.
pub(crate) fn not_known() -> Ready<Result<bool, Failure>> {
    ready(Ok(false))
}

impl Node {
    /// Nothing, if an answer is a success; else what it means. `missing` finds out whether what it is
    /// about is there, where the answer leaves that open.
    pub(crate) async fn accept(
        &self,
        method: &Method,
        answer: &Answer,
        missing: impl Future<Output = Result<bool, Failure>> + Send,
    ) -> Result<(), Failure> {
        if answer.status.is_success() {
            return Ok(());
        }
        let said = self.0.transport.said(answer);
        Err(match judge(method, answer.status, &answer.headers, &said) {
            Verdict::Sure(failure) => failure,
            Verdict::NotThere(words) => match self.ask_version().await {
                Ok(_) => Failure::Missing(words),
                Err(failure) => failure,
            },
            Verdict::Denied(words) => match self.ask_version().await {
                Ok(_) => Failure::Referenced(words),
                Err(failure) => failure,
            },
            Verdict::Stumbled { status, words } => {
                if missing.await? {
                    Failure::Missing(words)
                } else {
                    Failure::Refused { status, words }
                }
            }
        })
    }

    /// Reads what is at an address. What GeoServer only stumbles over is missing with what it is in.
    pub(crate) async fn look<A: Address>(
        &self,
        address: &A,
        path: &str,
    ) -> Result<A::Document, Failure> {
        match Box::pin(self.read(address, path)).await {
            Ok(document) => Ok(document),
            Err(failure) => Err(self.sure(failure, address.within()).await),
        }
    }

    /// A failure to read, made sure of: missing is what is in something that is not there.
    pub(crate) async fn sure(&self, failure: Failure, within: Option<Object>) -> Failure {
        let (Failure::Refused { status: 500, words }, Some(within)) = (&failure, within) else {
            return failure;
        };
        match Box::pin(self.read(&within, &within.read())).await {
            Err(Failure::Missing(_)) => Failure::Missing(words.clone()),
            Err(other) if other.is_transient() => other,
            Ok(_) | Err(_) => failure,
        }
    }

    /// Makes sure that what a call needs is there: without it, the call would do another thing.
    pub(crate) async fn require(
        &self,
        call: &Call,
        needed: Option<Object>,
    ) -> Result<(), CallError> {
        let Some(needed) = needed else { return Ok(()) };
        match Box::pin(self.read(&needed, &needed.read())).await {
            Err(failure) if failure.is_transient() || matches!(failure, Failure::Missing(_)) => {
                Err(self.error(&call.method, &call.path, failure))
            }
            // What cannot be read is there: a group that is broken can still be repaired.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// True if what is at an address is not there.
    pub(crate) async fn is_missing<A: Address>(&self, address: &A) -> Result<bool, Failure> {
        match self.look(address, &address.read()).await {
            Err(Failure::Missing(_)) => Ok(true),
            Err(failure) if failure.is_transient() => Err(failure),
            // Its firewall: it answers nothing to the call itself, and says why to a read.
            Err(Failure::Refused { status, words })
                if words.contains("RequestRejectedException") =>
            {
                Err(Failure::Refused { status, words })
            }
            // What cannot be read is there.
            Ok(_) | Err(_) => Ok(false),
        }
    }

    /// Asks which GeoServer this is; whoever does not say is none.
    pub(crate) async fn ask_version(&self) -> Result<Version, Failure> {
        let call = Call {
            accept: Some("application/json"),
            ..Call::get(VERSION.to_owned())
        };
        let answer = self.0.transport.call(&call).await?;
        if answer.status.is_success() {
            let document: Option<Value> = serde_json::from_slice(&answer.body).ok();
            return document.as_ref().and_then(Version::of).ok_or_else(|| {
                Failure::Absent(Reason::new("it does not say which version it is"))
            });
        }
        let said = self.0.transport.said(&answer);
        Err(
            match judge(&Method::GET, answer.status, &answer.headers, &said) {
                Verdict::Sure(failure) => failure,
                _ => Failure::Absent(said.reason()),
            },
        )
    }

    /// The default workspace, if it has a style of this name.
    pub(crate) async fn default_workspace_with_style(
        &self,
        name: &Name,
    ) -> Result<Option<String>, CallError> {
        let default = match self.get(&Object::DefaultWorkspace).await {
            Ok(default) => default,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let default = default.pointer("/workspace/name").and_then(Value::as_str);
        let Some(Ok(workspace)) = default.map(Workspace::new) else {
            return Ok(None);
        };
        let style = Object::Style {
            scope: Scope::Workspace(workspace.clone()),
            name: name.clone(),
        };
        match self.get(&style).await {
            Ok(_) => Ok(Some(workspace.to_string())),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
