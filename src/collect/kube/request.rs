//! One question to the API server, and everything that may come instead of an answer.

use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::Client;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::client::Body;
use kube::core::Resource as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::chain;
use crate::model::kube::{Rule, Unread};

/// The pods of a full node with all their managed fields come to some 5 MiB.
const LARGEST_ANSWER: usize = 64 << 20;
/// Objects in one page of a list, as many as kubectl takes.
const PAGE: u32 = 500;
/// More of a body that is no Status than this is no help to anybody.
const LONGEST_EXCERPT: usize = 200;

/// A kind of object, by the path that it is served at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub group: &'static str,
    pub version: String,
    pub plural: &'static str,
}

impl Resource {
    pub fn core(plural: &'static str) -> Self {
        Self { group: "", version: "v1".to_owned(), plural }
    }

    fn path(&self, namespace: Option<&str>) -> String {
        let (group, version) = (self.group.to_owned(), self.version.clone());
        let api_version = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
        let resource = ApiResource { group, version, api_version, kind: String::new(), plural: self.plural.to_owned() };
        DynamicObject::url_path(&resource, namespace)
    }

    fn name(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The line under «not read».
    pub fn unread(&self, verb: &str, namespace: Option<&str>, failure: &Failure) -> Unread {
        let rule = failure.is_forbidden().then(|| Rule {
            api_groups: vec![self.group.to_owned()],
            resources: vec![self.plural.to_owned()],
            verbs: vec![verb.to_owned()],
        });
        Unread {
            verb: verb.to_owned(),
            resource: self.name(),
            namespace: namespace.map(str::to_owned),
            status: failure.status(),
            why: failure.to_string(),
            rule,
        }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    #[error("no answer within {} s", .0.as_secs_f32())]
    Deadline(Duration),
    /// The server's own words.
    #[error("{status}: {message}")]
    Status { status: StatusCode, message: String, retry_after: Option<Duration> },
    /// The connection, TLS, or the credentials' plugin.
    #[error("{0}")]
    Transport(String),
    #[error("the answer broke off: {0}")]
    BrokeOff(String),
    #[error("an answer of more than {} MiB", LARGEST_ANSWER >> 20)]
    TooLarge,
    #[error("not what the Kubernetes API answers: {0}")]
    Garbage(String),
    #[error("«{0}» is no name that an object can have")]
    Name(String),
}

impl Failure {
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    fn is(&self, code: StatusCode) -> bool {
        self.status() == Some(code.as_u16())
    }

    pub fn is_forbidden(&self) -> bool {
        self.is(StatusCode::FORBIDDEN)
    }

    /// How long the server asks to wait before the same question.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { status, retry_after, .. }
                if matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) =>
            {
                *retry_after
            }
            _ => None,
        }
    }
}

/// Asks until the deadline, and never after it.
#[derive(Clone)]
pub struct Asker {
    pub client: Client,
    pub deadline: Instant,
    pub timeout: Duration,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Asker {
    /// What a path outside of any resource tells; None where the server knows no such path.
    pub async fn path<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let request = Request::get(path).body(Vec::new()).map_err(|error| Failure::Name(error.to_string()))?;
        found(self.answer(request).await)
    }

    /// One object; None where there is none of that name.
    pub async fn get<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<T>, Failure> {
        namespace.into_iter().chain([name]).try_for_each(named)?;
        self.path(&format!("{}/{name}", resource.path(namespace))).await
    }

    /// All objects of a namespace, or of all, that fit, page by page. Where the server has forgotten what the next page
    /// belongs to (410), once more from the first.
    pub async fn list<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        fields: &str,
    ) -> Result<Vec<T>, Failure> {
        namespace.into_iter().try_for_each(named)?;
        match self.pages(resource, namespace, fields).await {
            Err(failure) if failure.is(StatusCode::GONE) => self.pages(resource, namespace, fields).await,
            pages => pages,
        }
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        fields: &str,
    ) -> Result<Vec<T>, Failure> {
        let mut params = ListParams::default().limit(PAGE);
        if !fields.is_empty() {
            params = params.fields(fields);
        }
        let mut items = Vec::new();
        loop {
            let request = kube::core::Request::new(resource.path(namespace)).list(&params);
            let page: Page<T> = self.answer(request.map_err(|error| Failure::Name(error.to_string()))?).await?;
            items.extend(page.items);
            match page.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(items),
            }
        }
    }

    async fn answer<T: DeserializeOwned>(&self, request: Request<Vec<u8>>) -> Result<T, Failure> {
        let body = match timeout_at(self.deadline, self.insist(request)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(Failure::Deadline(self.timeout)),
        };
        serde_json::from_slice(&body).map_err(|error| Failure::Garbage(error.to_string()))
    }

    /// Asks again where the server says when, and that is before the deadline.
    async fn insist(&self, request: Request<Vec<u8>>) -> Result<Vec<u8>, Failure> {
        loop {
            let failure = match self.once(request.clone()).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            match failure.retry_after().filter(|wait| Instant::now() + *wait < self.deadline) {
                Some(wait) => sleep(wait.max(Duration::from_millis(50))).await,
                None => return Err(failure),
            }
        }
    }

    async fn once(&self, request: Request<Vec<u8>>) -> Result<Vec<u8>, Failure> {
        let sent = self.client.send(request.map(Body::from)).await;
        let response = sent.map_err(|error| Failure::Transport(chain(&error)))?;
        let (status, wait) = (response.status(), retry_after(&response));
        let body = match Limited::new(response.into_body(), LARGEST_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Failure::TooLarge),
            Err(error) => return Err(Failure::BrokeOff(chain(error.as_ref()))),
        };
        if status.is_success() {
            return Ok(body.into());
        }
        let told: Status = serde_json::from_slice(&body).unwrap_or_default();
        let retry_after = wait.or_else(|| told.details?.retry_after_seconds.map(Duration::from_secs));
        let message = told.message.filter(|text| !text.is_empty()).unwrap_or_else(|| excerpt(&body));
        Err(Failure::Status { status, message, retry_after })
    }
}

fn found<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Err(failure) if failure.is(StatusCode::NOT_FOUND) => Ok(None),
        answer => answer.map(Some),
    }
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What a proxy or a load balancer says in the server's place.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() {
        "no reason given".to_owned()
    } else {
        words.join(" ").chars().take(LONGEST_EXCERPT).collect()
    }
}

fn named(part: &str) -> Result<(), Failure> {
    if is_name(part) { Ok(()) } else { Err(Failure::Name(part.chars().take(64).collect())) }
}

/// A DNS subdomain (RFC 1123), so that a label which somebody made up cannot become another path.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(allowed) && !text.starts_with('.')
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// `meta/v1` Status.
#[derive(Default, Deserialize)]
struct Status {
    message: Option<String>,
    details: Option<StatusDetails>,
}

#[derive(Deserialize)]
struct StatusDetails {
    #[serde(rename = "retryAfterSeconds")]
    retry_after_seconds: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_cannot_become_another_path() {
        for name in ["", "..", "a/b", "a?b", "a%2fb", "A", "ä", "a b", ".a", &"a".repeat(254)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("web-0.sub"));
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let endpoints = Resource { group: "cilium.io", version: "v2".into(), plural: "ciliumendpoints" };
        assert_eq!(endpoints.path(Some("demo")), "/apis/cilium.io/v2/namespaces/demo/ciliumendpoints");
        assert_eq!(endpoints.name(), "ciliumendpoints.cilium.io");
        assert_eq!(Resource::core("pods").path(None), "/api/v1/pods");
    }

    #[test]
    fn a_proxys_page_is_told_in_short() {
        assert_eq!(excerpt(b"<html>\r\n  <b>Bad Gateway</b>\n"), "<html> <b>Bad Gateway</b>");
        assert_eq!(excerpt(b""), "no reason given");
        assert_eq!(excerpt(&[b'x'; 1000]).len(), LONGEST_EXCERPT);
    }
}
