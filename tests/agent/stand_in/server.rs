//! The process itself: a thread a connection, one state for all.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::http;
use super::state::{Answer, State};
use super::{Fault, Setup};

struct Shared {
    state: State,
    log: File,
}

/// Serves until it is killed.
pub fn serve(folder: &Path) {
    let setup: Setup = serde_json::from_slice(&std::fs::read(folder.join("setup.json")).unwrap()).unwrap();
    let log = OpenOptions::new().create(true).append(true).open(folder.join("requests")).unwrap();
    let state = State::new(setup, folder);
    let shared = Arc::new(Mutex::new(Shared { state, log }));
    // Bound under another name first: who sees the socket can connect.
    let (early, socket) = (folder.join("early.sock"), folder.join("cilium.sock"));
    let _ = std::fs::remove_file(&early);
    let listener = UnixListener::bind(&early).unwrap();
    std::fs::rename(early, socket).unwrap();
    for stream in listener.incoming() {
        let shared = shared.clone();
        std::thread::spawn(move || {
            // A client that goes away is a client's right.
            let _ = converse(stream.unwrap(), &shared);
        });
    }
}

fn converse(stream: UnixStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::read(&mut reader)? {
        let (fault, Answer { status, body }) = {
            let mut shared = shared.lock().unwrap();
            writeln!(shared.log, "{}", serde_json::to_string(&request)?)?;
            let fault = shared.state.fault(&request);
            // What is refused is not done; what breaks off on its way back is.
            let refused = matches!(fault, Some(Fault::Silent | Fault::Status(..) | Fault::Limited { .. }));
            let answer = if refused { Answer::empty(200) } else { shared.state.answer(&request) };
            (fault, answer)
        };
        match fault {
            None if body.len() > 2048 => http::chunked(&mut writer, body.chunks(2048).map(<[u8]>::to_vec))?,
            None => http::answer(&mut writer, status, body.len(), &body)?,
            Some(Fault::Silent) => loop {
                std::thread::park();
            },
            Some(Fault::Status(status, text)) => http::answer(&mut writer, status, text.len(), text.as_bytes())?,
            Some(Fault::BrokenOff) => {
                return http::answer(&mut writer, status, body.len().max(2), &body[..body.len() / 2]);
            }
            Some(Fault::CutJson) => http::answer(&mut writer, status, body.len() / 2, &body[..body.len() / 2])?,
            Some(Fault::Huge(size)) => {
                let chunks = std::iter::once(b"[".to_vec()).chain((0..size >> 16).map(|_| vec![b' '; 1 << 16]));
                http::chunked(&mut writer, chunks.chain([b"]".to_vec()]))?;
            }
            Some(Fault::Limited { wait, .. }) => {
                let text = format!("request would have to wait {wait} to be served (maximum wait duration: 1s)");
                let body = serde_json::json!(text).to_string();
                http::answer(&mut writer, 429, body.len(), body.as_bytes())?;
            }
        }
    }
    Ok(())
}
