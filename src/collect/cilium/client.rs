//! Questions to the agent: HTTP/1.1 over its unix socket.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::Instant;

/// 5,000 endpoints come to some 16 MiB, ten times that with large policies would be no node's.
const LARGEST_ANSWER: usize = 64 << 20;
/// Error bodies are a sentence; what is longer is not shown.
const LONGEST_MESSAGE: usize = 500;
/// Where the agent does not say how long it wants us to wait.
const FIRST_WAIT: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect to {}", .socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    #[error("the answer to {question} broke off")]
    Broken { question: String, source: hyper::Error },
    #[error("the answer to {question} is larger than {} MiB, which no agent's is", LARGEST_ANSWER >> 20)]
    TooLarge { question: String },
    #[error("the answer to {question} {}", if *.cut { "ends in the middle of its JSON" } else { "is not the JSON of a Cilium agent" })]
    Garbage { question: String, cut: bool, source: serde_json::Error },
    #[error("no answer from {} to {question} within {} s", .socket.display(), .timeout.as_secs_f32())]
    Timeout { socket: PathBuf, question: String, timeout: Duration },
    /// 429, and waiting as long as it asks would pass the deadline.
    #[error("the agent limits the rate of {question}{}", told(.message))]
    Busy { question: String, message: Option<String> },
    /// 404 or 405 by the router, not by the operation.
    #[error("this agent has no {question} ({status}): another version of Cilium, or no Cilium at all")]
    NoSuchOperation { question: String, status: u16 },
    #[error("the agent knows no such thing: {question} (404{})", told(.message))]
    NotFound { question: String, message: Option<String> },
    #[error("the agent does not let podnet ask {question} (403): see its option enable-cilium-api-server-access")]
    Forbidden { question: String },
    /// 501: the feature is off.
    #[error("{question} is switched off in this agent (501{})", told(.message))]
    SwitchedOff { question: String, message: Option<String> },
    /// 503: restoring its endpoints after a start.
    #[error("the agent is starting and does not yet answer {question} (503{})", told(.message))]
    Starting { question: String, message: Option<String> },
    #[error("the agent answers {question} with {status}{}", told(.message))]
    Refused { question: String, status: u16, message: Option<String> },
}

fn told(message: &Option<String>) -> String {
    message.as_ref().map(|message| format!(": {message}")).unwrap_or_default()
}

/// A question to the agent. Collectors ask by [`Client::get`] alone; what changes something is the flow's to ask.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: Method,
    /// Below `/v1`.
    pub path: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Option<Vec<u8>>,
}

impl Question {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: None }
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl fmt::Display for Question {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} /v1{}", self.method, self.path)
    }
}

/// One agent, and how long to wait for each of its answers.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    pub fn new(socket: &Path, timeout: Duration) -> Self {
        Self { socket: socket.to_owned(), timeout }
    }

    /// Asks for `path`, below `/v1`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.get_and(path, |body| serde_json::from_slice(body)).await
    }

    /// … and reads the answer where it lies, as large ones are.
    pub async fn get_and<T>(&self, path: &str, read: impl FnOnce(&[u8]) -> serde_json::Result<T>) -> Result<T, Error> {
        let question = Question::new(Method::GET, path);
        let body = self.ask(&question).await?;
        read(&body).map_err(|source| garbage(&question, source))
    }

    /// The body of the answer. Until the deadline, which also ends the waiting that a rate limit asks for.
    pub async fn ask(&self, question: &Question) -> Result<Vec<u8>, Error> {
        let deadline = Instant::now() + self.timeout;
        let mut wait = FIRST_WAIT;
        loop {
            let late = || Error::Timeout {
                socket: self.socket.clone(),
                question: question.to_string(),
                timeout: self.timeout,
            };
            let answer = tokio::time::timeout_at(deadline, self.once(question)).await.map_err(|_| late())?;
            let Err(Error::Busy { message, .. }) = &answer else { return answer };
            let asked = message.as_deref().and_then(wait_of);
            let next = Instant::now() + asked.unwrap_or(wait);
            if next >= deadline {
                return answer;
            }
            tokio::time::sleep_until(next).await;
            wait = wait.saturating_mul(2);
        }
    }

    async fn once(&self, question: &Question) -> Result<Vec<u8>, Error> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|source| Error::Connect { socket: self.socket.clone(), source })?;
        let broken = |source| Error::Broken { question: question.to_string(), source };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut request = Request::builder()
            .method(&question.method)
            .uri(format!("/v1{}", question.path))
            .header("Host", "localhost")
            .header("Accept", "application/json");
        for (name, value) in &question.headers {
            request = request.header(*name, *value);
        }
        if question.body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let body = Full::new(Bytes::from(question.body.clone().unwrap_or_default()));
        // Paths are podnet's own words, numbers and what it has percent-encoded.
        let request =
            request.body(body).map_err(|_| Error::NoSuchOperation { question: question.to_string(), status: 400 })?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status();
            let body = whole(response, question).await?;
            if status.is_success() { Ok(body) } else { Err(refusal(status, &body, question)) }
        };
        // The connection ends when the exchange is done with it; its own failure is the exchange's, too.
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }
}

/// An answer that is not what was asked for.
pub fn garbage(question: &Question, source: serde_json::Error) -> Error {
    Error::Garbage { question: question.to_string(), cut: source.is_eof(), source }
}

/// The body, unless it is too large to be one.
async fn whole(response: Response<Incoming>, question: &Question) -> Result<Vec<u8>, Error> {
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|source| Error::Broken { question: question.to_string(), source })?;
        let Ok(bytes) = frame.into_data() else { continue };
        if body.len() + bytes.len() > LARGEST_ANSWER {
            return Err(Error::TooLarge { question: question.to_string() });
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

/// What the agent means by a status: the same 404 says «no such endpoint» with an empty body or a sentence, and «no
/// such operation» with its router's own object.
fn refusal(status: StatusCode, body: &[u8], question: &Question) -> Error {
    let question = question.to_string();
    let (message, by_router) = message_of(body);
    match status.as_u16() {
        status @ 404 if by_router => Error::NoSuchOperation { question, status },
        status @ 405 => Error::NoSuchOperation { question, status },
        404 => Error::NotFound { question, message },
        403 => Error::Forbidden { question },
        429 => Error::Busy { question, message },
        501 => Error::SwitchedOff { question, message },
        503 => Error::Starting { question, message },
        status => Error::Refused { question, status, message },
    }
}

/// A JSON string, the router's object, plain text, or nothing; and whether it was the router's.
fn message_of(body: &[u8]) -> (Option<String>, bool) {
    let text = String::from_utf8_lossy(body);
    let short = |text: &str| text.trim().chars().take(LONGEST_MESSAGE).collect::<String>();
    let (message, by_router) = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(serde_json::Value::String(text)) => (short(&text), false),
        Ok(serde_json::Value::Object(fields)) => {
            (short(fields.get("message").and_then(|message| message.as_str()).unwrap_or_default()), true)
        }
        _ => (short(&text), false),
    };
    (Some(message).filter(|message| !message.is_empty()), by_router)
}

/// «request would have to wait 29.896056176s to be served (…)», a Go duration.
fn wait_of(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("have to wait ")?;
    duration(rest.split_whitespace().next()?)
}

/// A Go duration: `1m3.2s`, `250ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| character != '.' && !character.is_ascii_digit())?;
        let (number, unit_on) = rest.split_at(digits);
        let end = unit_on.find(|character: char| character.is_ascii_digit()).unwrap_or(unit_on.len());
        let (unit, after) = unit_on.split_at(end);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = after;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Error {
        refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes(), &Question::new(Method::GET, "/x"))
    }

    #[test]
    fn statuses_are_told_apart_by_their_bodies() {
        let object = r#"{"code":404,"message":"path /v1/nosuch was not found"}"#;
        assert!(matches!(of(404, object), Error::NoSuchOperation { status: 404, .. }));
        assert!(matches!(of(404, ""), Error::NotFound { message: None, .. }));
        assert!(
            matches!(of(404, "\"endpoint not found\""), Error::NotFound { message: Some(text), .. } if text == "endpoint not found")
        );
        assert!(matches!(of(405, object), Error::NoSuchOperation { status: 405, .. }));
        assert!(matches!(of(403, "Forbidden"), Error::Forbidden { .. }));
        assert!(matches!(of(501, "\"BGP Control Plane disabled\""), Error::SwitchedOff { .. }));
        assert!(matches!(of(503, ""), Error::Starting { message: None, .. }));
        assert!(matches!(of(429, "plain words"), Error::Busy { message: Some(text), .. } if text == "plain words"));
        assert_eq!(of(500, "\"range is full\"").to_string(), "the agent answers GET /v1/x with 500: range is full");
    }

    #[test]
    fn go_durations_are_read() {
        let recorded = "request would have to wait 29.896056176s to be served (maximum wait duration: 999.926298ms)";
        assert_eq!(wait_of(recorded), Some(Duration::from_nanos(29_896_056_176)));
        assert_eq!(duration("1m3.5s"), Some(Duration::from_millis(63_500)));
        for text in ["", "s", "5", "5 parsecs", "1e400h"] {
            assert_eq!(duration(text).filter(|found| !found.is_zero()), None, "{text}");
        }
    }
}
