//! One GeoServer.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::Stream;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use weir_event::Reason;

use crate::address::{Address, Found, Removal};
use crate::doubt::{VERSION, not_known};
use crate::encoding::sayable;
use crate::error::{CallError, Failure};
use crate::file::{self, Entry, Metadata, resource_path};
use crate::object::in_store;
use crate::stream::Progress;
use crate::transport::{Answer, Call, Transport, failed, read};
use crate::{
    Collection, DataFile, Download, FilePath, Name, NodeUrl, Object, Scope, Settings,
    SettingsError, StoreKind, StyleFormat, Version, Workspace,
};

/// A GeoServer. Cheap to clone; clones share its connections and take turns.
#[derive(Clone, Debug)]
pub struct Node(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) transport: Transport,
    version: OnceCell<Version>,
}

/// What a node can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// To forget what it has cached of stores.
    Reset,
    /// To read its whole configuration anew. Its `updateSequence` moves though nothing has changed.
    Reload,
    /// To forget what it has cached of one store, of features or coverages: for a cascading one
    /// there is [`Reset`](Self::Reset) only.
    ResetStore {
        kind: StoreKind,
        workspace: Workspace,
        name: Name,
    },
    /// To throw away the tiles of a layer, as GeoWebCache calls it: `ws:layer`.
    Truncate(Name),
}

impl Node {
    /// A node. Does not connect: whether there is one shows with the first call.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        Ok(Self(Arc::new(Inner {
            transport: Transport::new(settings)?,
            version: OnceCell::new(),
        })))
    }

    pub fn url(&self) -> &NodeUrl {
        self.0.transport.url()
    }

    /// Which GeoServer it is. Asked once: to know that it was upgraded takes another `Node`.
    pub async fn version(&self) -> Result<&Version, CallError> {
        let asked = self.0.version.get_or_try_init(|| self.ask_version());
        asked
            .await
            .map_err(|failure| self.error(&Method::GET, VERSION, failure))
    }

    /// The document of what is at an address.
    pub async fn get<A: Address>(&self, address: &A) -> Result<A::Document, CallError> {
        let path = address.read();
        self.look(address, &path)
            .await
            .map_err(|failure| self.error(&Method::GET, &path, failure))
    }

    /// The names of what there is.
    pub async fn list(&self, collection: &Collection) -> Result<Vec<String>, CallError> {
        let names = self.document(collection.read(), |document| {
            let names = collection.names(document);
            names.ok_or_else(|| Reason::new("this is no list of what was asked for"))
        });
        match names.await {
            Ok(names) => Ok(names),
            Err(CallError { call, failure }) => Err(CallError {
                call,
                failure: self.sure(failure, collection.within()).await,
            }),
        }
    }

    /// Makes what is not there. What is there already is [`Failure::Exists`], where GeoServer
    /// minds: a file or a tile layer is overwritten.
    ///
    /// Some properties are not taken over here, but only by a [`change`](Self::change) after it.
    pub async fn create<A: Address>(
        &self,
        address: &A,
        document: &A::Document,
    ) -> Result<(), CallError> {
        let Some((method, path)) = address.create() else {
            return Err(self.error(&Method::POST, &address.read(), Failure::NoSuchCall));
        };
        let call = Call {
            method,
            ..Call::put(path, address.encode(document))
        };
        self.require(&call, address.needs()).await?;
        self.write(&call, not_known()).await
    }

    /// Changes what is there. What the document leaves away mostly stays as it is.
    pub async fn change<A: Address>(
        &self,
        address: &A,
        document: &A::Document,
    ) -> Result<(), CallError> {
        let Some(path) = address.change() else {
            return Err(self.error(&Method::PUT, &address.read(), Failure::NoSuchCall));
        };
        let call = Call::put(path, address.encode(document));
        self.require(&call, address.stands()).await?;
        self.write(&call, self.is_missing(address)).await
    }

    /// Changes the body of a style that is there, byte by byte. GeoServer does not look whether it
    /// is a style at all.
    pub async fn change_style_body(
        &self,
        scope: &Scope,
        name: &Name,
        format: StyleFormat,
        body: Bytes,
    ) -> Result<(), CallError> {
        let style = Object::Style {
            scope: scope.clone(),
            name: name.clone(),
        };
        let path = format!("{}?raw=true", style.written());
        let call = Call::put(path, (format.media_type(), body));
        self.write(&call, self.is_missing(&style)).await
    }

    /// Removes what is there. What is not is [`Failure::Missing`], which mostly is no harm.
    pub async fn remove<A: Address>(&self, address: &A, removal: Removal) -> Result<(), CallError> {
        let Some(path) = address.remove(removal) else {
            return Err(self.error(&Method::DELETE, &address.read(), Failure::NoSuchCall));
        };
        if let Some(path) = address.maybe_directory()
            && !removal.recurse
            && self.metadata(path).await?.is_directory
        {
            let failure = Failure::Referenced(Reason::new("it is a directory"));
            return Err(self.error(&Method::DELETE, &address.read(), failure));
        }
        if let Some(name) = address.global_style() {
            let shadow = self.default_workspace_with_style(name).await?;
            if let Some(workspace) = shadow {
                return Err(self.error(&Method::DELETE, &path, Failure::Shadowed(workspace)));
            }
        }
        let call = Call {
            method: Method::DELETE,
            ..Call::get(path)
        };
        self.require(&call, address.stands()).await?;
        self.write(&call, self.is_missing(address)).await
    }

    /// Has the node do something.
    pub async fn perform(&self, action: &Action) -> Result<(), CallError> {
        let call = match action {
            Action::Reset => Call::post("/rest/reset".to_owned(), None),
            Action::Reload => Call::post("/rest/reload".to_owned(), None),
            Action::ResetStore {
                kind,
                workspace,
                name,
            } => {
                let path = format!("{}/reset", in_store(*kind, workspace, name));
                if matches!(kind, StoreKind::Wms | StoreKind::Wmts) {
                    return Err(self.error(&Method::POST, &path, Failure::NoSuchCall));
                }
                Call::post(path, None)
            }
            Action::Truncate(layer) => {
                let body = format!(
                    "<truncateLayer><layerName>{}</layerName></truncateLayer>",
                    references(layer.as_str())
                );
                let body = ("text/xml", body.into());
                Call::post("/gwc/rest/masstruncate".to_owned(), Some(body))
            }
        };
        self.write(&call, not_known()).await
    }

    /// What is in a directory of the data directory; `None` for that one itself.
    pub async fn directory(&self, path: Option<&FilePath>) -> Result<Vec<Entry>, CallError> {
        let path = format!("{}?format=json", resource_path(path));
        self.document(path, file::entries).await
    }

    /// What is known of a file without reading it.
    pub async fn metadata(&self, path: &FilePath) -> Result<Metadata, CallError> {
        let path = resource_path(Some(path));
        let path = format!("{path}?operation=metadata&format=json");
        let told = self.document(path.clone(), file::metadata).await?;
        told.ok_or_else(|| {
            let failure = Failure::Missing(Reason::new("there is no such file"));
            self.error(&Method::GET, &path, failure)
        })
    }

    /// Gives a file another path, in one step. What is there already is overwritten; its directory has
    /// to be there, or GeoServer may refuse it ("Rename operation failed.").
    pub async fn rename_file(&self, from: &FilePath, to: &FilePath) -> Result<(), CallError> {
        let path = format!("{}?operation=move", resource_path(Some(to)));
        let body = ("text/plain; charset=utf-8", format!("/{from}").into());
        self.write(&Call::put(path, body), not_known()).await
    }

    /// A file, piece by piece, of at most `limit` bytes.
    pub async fn download(&self, file: &DataFile, limit: u64) -> Result<Download, CallError> {
        let path = file.place();
        let started = self.start(&path, limit).await;
        started.map_err(|failure| self.error(&Method::GET, &path, failure))
    }

    /// Writes a file piece by piece, of at most `limit` bytes.
    ///
    /// When this fails, the file may be there in part, or as it was.
    pub async fn upload<S, E>(
        &self,
        file: &DataFile,
        limit: u64,
        pieces: S,
    ) -> Result<(), CallError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let path = file.place();
        let sent = async {
            sayable(&path)?;
            let _turn = self.0.transport.turn(&Method::PUT).await?;
            let progress = Progress::default();
            let request = self
                .0
                .transport
                .request(Method::PUT, &path)
                .header(CONTENT_TYPE, file.media_type())
                .body(progress.body(pieces, limit));
            let silence = self.0.transport.silence_timeout;
            let response = progress.wait(request.send(), silence).await?;
            let answer = timeout(silence, read(response)).await;
            self.accept(
                &Method::PUT,
                &answer.unwrap_or(Err(Failure::Hung(silence)))?,
                not_known(),
            )
            .await
        };
        sent.await
            .map_err(|failure| self.error(&Method::PUT, &path, failure))
    }

    async fn start(&self, path: &str, limit: u64) -> Result<Download, Failure> {
        sayable(path)?;
        let transport = &self.0.transport;
        let turn = transport.turn(&Method::GET).await?;
        let silence = transport.silence_timeout;
        let response = timeout(silence, transport.request(Method::GET, path).send())
            .await
            .map_err(|_| Failure::Hung(silence))?
            .map_err(|error| failed(&error))?;
        if !response.status().is_success() {
            let answer = timeout(silence, read(response)).await;
            let answer = answer.unwrap_or(Err(Failure::Hung(silence)))?;
            // Who asks again takes a turn.
            drop(turn);
            self.accept(&Method::GET, &answer, not_known()).await?;
            return Err(unexpected(&answer, Reason::new("this is no file")));
        }
        if file::is_directory(response.headers()) {
            let what = Reason::new("there is a directory of this name");
            return Err(Failure::Missing(what));
        }
        if response
            .content_length()
            .is_some_and(|length| length > limit)
        {
            return Err(Failure::TooLarge { limit });
        }
        Ok(Download {
            call: self.call(&Method::GET, path),
            response,
            limit,
            read: 0,
            silence,
            _turn: turn,
        })
    }

    pub(crate) async fn read<A: Address>(
        &self,
        address: &A,
        path: &str,
    ) -> Result<A::Document, Failure> {
        let call = Call {
            accept: address.accept(),
            ..Call::get(path.to_owned())
        };
        let answer = self.0.transport.call(&call).await?;
        self.accept(&Method::GET, &answer, not_known()).await?;
        match address.decode(&answer.headers, answer.body.clone()) {
            Found::It(document) => Ok(document),
            Found::NotIt(what) => Err(Failure::Missing(Reason::new(what))),
            Found::Unreadable(why) => Err(unexpected(&answer, why)),
        }
    }

    /// What `read` makes of a document that is no address's.
    pub(crate) async fn document<T>(
        &self,
        path: String,
        read: impl Fn(&Value) -> Result<T, Reason> + Send,
    ) -> Result<T, CallError> {
        let call = Call {
            accept: Some("application/json"),
            ..Call::get(path)
        };
        let asked = async {
            let answer = self.0.transport.call(&call).await?;
            self.accept(&Method::GET, &answer, not_known()).await?;
            let document: Value = serde_json::from_slice(&answer.body)
                .map_err(|error| unexpected(&answer, not_json(&error)))?;
            read(&document).map_err(|why| unexpected(&answer, why))
        };
        asked
            .await
            .map_err(|failure| self.error(&Method::GET, &call.path, failure))
    }

    /// Makes a call that changes something. `missing` tells what is missing from what is wrong.
    async fn write(
        &self,
        call: &Call,
        missing: impl Future<Output = Result<bool, Failure>> + Send,
    ) -> Result<(), CallError> {
        let written = async {
            let answer = self.0.transport.call(call).await?;
            self.accept(&call.method, &answer, missing).await
        };
        written
            .await
            .map_err(|failure| self.error(&call.method, &call.path, failure))
    }

    fn call(&self, method: &Method, path: &str) -> Reason {
        Reason::new(format_args!("{method} {}{path}", self.url()))
    }

    pub(crate) fn error(&self, method: &Method, path: &str, failure: Failure) -> CallError {
        CallError {
            call: self.call(method, path),
            failure,
        }
    }
}

fn unexpected(answer: &Answer, words: Reason) -> Failure {
    Failure::Unexpected {
        status: answer.status.as_u16(),
        words,
    }
}

fn not_json(error: &serde_json::Error) -> Reason {
    Reason::new(format_args!("this is no JSON: {error}"))
}

/// A text in XML, in ASCII.
fn references(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":-_. ".contains(c);
    let written = text.chars().map(|c| match c {
        c if plain(c) => c.to_string(),
        c => format!("&#{};", u32::from(c)),
    });
    written.collect()
}
