//! The process itself: a thread a connection, one state for all.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{self, Request};
use super::{Fault, Setup};

struct State {
    setup: Setup,
    log: File,
    asked: BTreeMap<String, usize>,
}

/// Serves until it is killed.
pub fn serve(folder: &Path) {
    let setup = serde_json::from_slice(&std::fs::read(folder.join("setup.json")).unwrap()).unwrap();
    let log = OpenOptions::new().create(true).append(true).open(folder.join("requests")).unwrap();
    let state = Arc::new(Mutex::new(State { setup, log, asked: BTreeMap::new() }));
    // Bound under another name first: who sees the socket can connect.
    let (early, socket) = (folder.join("early.sock"), folder.join("cilium.sock"));
    let listener = UnixListener::bind(&early).unwrap();
    std::fs::rename(early, socket).unwrap();
    for stream in listener.incoming() {
        let state = state.clone();
        std::thread::spawn(move || {
            // A client that goes away is a client's right.
            let _ = converse(stream.unwrap(), &state);
        });
    }
}

fn converse(stream: UnixStream, state: &Mutex<State>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::read(&mut reader)? {
        let (fault, status, body) = {
            let mut state = state.lock().unwrap();
            writeln!(state.log, "{}", serde_json::to_string(&request)?)?;
            let fault = state.fault(&request);
            let (status, body) = state.answer(&request);
            (fault, status, body)
        };
        match fault {
            None if body.len() > 2048 => http::chunked(&mut writer, body.chunks(2048).map(<[u8]>::to_vec))?,
            None => http::answer(&mut writer, status, body.len(), &body)?,
            Some(Fault::Silent) => loop {
                std::thread::park();
            },
            Some(Fault::Status(status, text)) => http::answer(&mut writer, status, text.len(), text.as_bytes())?,
            Some(Fault::BrokenOff) => return http::answer(&mut writer, status, body.len(), &body[..body.len() / 2]),
            Some(Fault::CutJson) => http::answer(&mut writer, status, body.len() / 2, &body[..body.len() / 2])?,
            Some(Fault::Huge(size)) => {
                let chunks = std::iter::once(b"[".to_vec()).chain((0..size >> 16).map(|_| vec![b' '; 1 << 16]));
                http::chunked(&mut writer, chunks.chain([b"]".to_vec()]))?;
            }
            Some(Fault::Limited { wait, .. }) => {
                let text = format!("request would have to wait {wait} to be served (maximum wait duration: 1s)");
                let body = json!(text).to_string();
                http::answer(&mut writer, 429, body.len(), body.as_bytes())?;
            }
        }
    }
    Ok(())
}

impl State {
    fn fault(&mut self, request: &Request) -> Option<Fault> {
        let path = path_of(request).to_owned();
        let fault = self.setup.faults.get(&path).or_else(|| self.setup.faults.get("*")).cloned();
        let asked = self.asked.entry(path).or_default();
        *asked += 1;
        match fault {
            Some(Fault::Limited { times, .. }) if *asked > times => None,
            other => other,
        }
    }

    fn answer(&self, request: &Request) -> (u16, Vec<u8>) {
        let path = path_of(request);
        let text = |value: &Value| value.to_string().into_bytes();
        if let Some(answer) = self.setup.answers.get(path) {
            return match request.method.as_str() {
                "GET" => (200, text(answer)),
                method => {
                    let message = format!("method {method} is not allowed, but [GET] are");
                    (405, text(&json!({"code": 405, "message": message})))
                }
            };
        }
        match path.strip_prefix("/endpoint/") {
            // No such endpoint: nothing at all.
            Some(_) => (404, Vec::new()),
            None => (404, text(&json!({"code": 404, "message": format!("path {} was not found", request.target)}))),
        }
    }
}

fn path_of(request: &Request) -> &str {
    let path = request.target.strip_prefix("/v1").unwrap_or(&request.target);
    path.split('?').next().unwrap_or(path)
}
