//! Calls over HTTP: so many at a time, for so long, with so many bytes.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect, retry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use weir_event::Reason;

use crate::answer::Said;
use crate::encoding::sayable;
use crate::error::Failure;
use crate::{Login, NodeUrl, Settings, SettingsError, tls};

/// How large a document may be. The list of 100,000 layers has 15 MB; a hundred thousand objects in
/// one document is nothing that GeoServer makes elsewhere.
const DOCUMENT_BYTES: u64 = 64 << 20;

/// How much of a complaint is read: the page of a proxy or a stack trace, to find some words in it.
const COMPLAINT_BYTES: u64 = 64 << 10;

/// How long a connection is kept that nobody uses: less than the 20 s that Tomcat keeps it, so that
/// no call is sent on one that is just being closed.
const IDLE: Duration = Duration::from_secs(15);

/// What is asked, and how.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// After the base of the node.
    pub(crate) path: String,
    pub(crate) accept: Option<&'static str>,
    pub(crate) body: Option<(&'static str, Bytes)>,
}

impl Call {
    pub(crate) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            accept: None,
            body: None,
        }
    }

    pub(crate) fn put(path: String, body: (&'static str, Bytes)) -> Self {
        Self {
            method: Method::PUT,
            body: Some(body),
            ..Self::get(path)
        }
    }

    pub(crate) fn post(path: String, body: Option<(&'static str, Bytes)>) -> Self {
        Self {
            method: Method::POST,
            body,
            ..Self::get(path)
        }
    }
}

/// An answer, with as much of its body as may be held.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The way to a node.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client,
    url: NodeUrl,
    login: Login,
    answer_timeout: Duration,
    pub(crate) silence_timeout: Duration,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, SettingsError> {
        let tls = tls::configuration(settings.url.is_encrypted(), &settings.authorities)?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            // Followed, one would carry the login elsewhere, and turn a PUT into a GET.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(Settings::MAX_READERS + 1)
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SettingsError::Client(chain(&error)))?;
        let readers = settings.readers.clamp(1, Settings::MAX_READERS);
        Ok(Self {
            client,
            url: settings.url,
            login: settings.login,
            answer_timeout: settings.answer_timeout,
            silence_timeout: settings.silence_timeout,
            reads: Arc::new(Semaphore::new(readers)),
            writes: Arc::new(Semaphore::new(1)),
        })
    }

    pub(crate) fn url(&self) -> &NodeUrl {
        &self.url
    }

    /// Makes a call and reads the whole answer, whatever it says.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        sayable(&call.path)?;
        let _turn = self.turn(&call.method).await?;
        let answer = async {
            let mut request = self.request(call.method.clone(), &call.path);
            if let Some(accept) = call.accept {
                request = request.header(ACCEPT, accept);
            }
            if let Some((media_type, body)) = &call.body {
                request = request.header(CONTENT_TYPE, *media_type).body(body.clone());
            }
            read(request.send().await.map_err(|error| failed(&error))?).await
        };
        timeout(self.answer_timeout, answer)
            .await
            .unwrap_or(Err(Failure::Hung(self.answer_timeout)))
    }

    /// Waits until there may be one more call of this kind.
    pub(crate) async fn turn(&self, method: &Method) -> Result<OwnedSemaphorePermit, Failure> {
        let reading = matches!(*method, Method::GET | Method::HEAD);
        let turns = if reading { &self.reads } else { &self.writes };
        let turn = Arc::clone(turns).acquire_owned().await;
        turn.map_err(|closed| Failure::Transient(Reason::new(closed)))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some((name, value)) = self.login.credentials() {
            request = request.header(name, value.clone());
        }
        request
    }

    pub(crate) fn said(&self, answer: &Answer) -> Said {
        Said::new(&answer.headers, &answer.body, self.login.secret())
    }
}

/// The whole answer, or the beginning of a complaint.
pub(crate) async fn read(mut response: Response) -> Result<Answer, Failure> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let body = if status.is_success() {
        let length = response.content_length().unwrap_or(0);
        if length > DOCUMENT_BYTES {
            return Err(Failure::TooLarge {
                limit: DOCUMENT_BYTES,
            });
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if (body.len() + chunk.len()) as u64 > DOCUMENT_BYTES {
                return Err(Failure::TooLarge {
                    limit: DOCUMENT_BYTES,
                });
            }
            body.extend_from_slice(&chunk);
        }
        body
    } else {
        let mut body = BytesMut::new();
        // A complaint that is cut off is a complaint as well.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > COMPLAINT_BYTES {
                break;
            }
        }
        body
    };
    Ok(Answer {
        status,
        headers,
        body: body.freeze(),
    })
}

/// What a failure of the client means: the node is not there, or its connection broke.
pub(crate) fn failed(error: &reqwest::Error) -> Failure {
    Failure::Transient(Reason::new(chain(error)))
}

/// An error with its causes, and without the URL, which the caller says.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() {
        // Only here the client says it by itself.
        causes.push(if error.is_timeout() {
            "the connection took too long".to_owned()
        } else {
            "the request failed".to_owned()
        });
    }
    causes.join(": ")
}
