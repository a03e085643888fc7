//! One command in several namespaces, side by side: a podnet is started for each and becomes the command.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use unicode_width::UnicodeWidthStr;

use super::Error;
use super::exec_place::Place;
use crate::show::{Format, harmless, harmless_json};
use crate::view::exec::{Line, Stream};

/// More at once would only wait for each other.
const SIDE_BY_SIDE: usize = 32;
/// A line longer than this is cut into several.
const LONGEST_LINE: u64 = 64 * 1024;

/// Refuses what would be no form of a line.
pub(super) fn speaks(format: &Format) -> Result<(), Error> {
    match format {
        Format::Table | Format::Wide | Format::Json => Ok(()),
        _ => Err(Error::Slip {
            message: "-t and --all tell lines as they come, and know no such format".to_owned(),
            meant: "-o json makes each a document".to_owned(),
        }),
    }
}

/// Runs `command` in each place and gives the worst status. Every line is told with the name of the place; as
/// JSON lines where that is asked for.
pub(super) fn run(places: &[Place], flags: &[OsString], command: &[OsString], format: &Format) -> Result<u8, Error> {
    let width = places.iter().map(|place| harmless(&place.label).width()).max().unwrap_or(0);
    let lines = Lines { format, width, gate: Mutex::new(()) };
    let mut worst = 0;
    for group in places.chunks(SIDE_BY_SIDE) {
        let statuses = std::thread::scope(|scope| {
            let started: Vec<_> = group
                .iter()
                .map(|place| start(place, flags, command).map(|child| scope.spawn(|| lines.follow(place, child))))
                .collect();
            started
                .into_iter()
                .map(|running| running.map(|thread| thread.join().unwrap_or(1)))
                .collect::<Result<Vec<u8>, Error>>()
        })?;
        worst = statuses.into_iter().fold(worst, u8::max);
    }
    Ok(worst)
}

/// The place is named by our own open descriptor, so it can't come to mean another namespace meanwhile.
fn start(place: &Place, flags: &[OsString], command: &[OsString]) -> Result<Child, Error> {
    let path = format!("/proc/{}/fd/{}", std::process::id(), place.handle.as_fd().as_raw_fd());
    let mut podnet = Command::new("/proc/self/exe");
    podnet.arg("exec").args(flags).args(["--names-of", &place.names.to_string(), &path, "--"]).args(command);
    podnet.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    podnet.spawn().map_err(|source| Error::Spawn { source })
}

struct Lines<'a> {
    format: &'a Format,
    width: usize,
    gate: Mutex<()>,
}

impl Lines<'_> {
    fn follow(&self, place: &Place, mut child: Child) -> u8 {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            scope.spawn(|| stderr.map(|stderr| self.copy(place, Stream::Stderr, stderr, &mut std::io::stderr())));
            if let Some(stdout) = stdout {
                self.copy(place, Stream::Stdout, stdout, &mut std::io::stdout());
            }
        });
        child.wait().map_or(1, status_of)
    }

    fn copy(&self, place: &Place, stream: Stream, from: impl Read, to: &mut dyn Write) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
            line.clear();
            let _one_at_a_time = self.gate.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let written = if *self.format == Format::Json {
                let line = Line { target: place.target.clone(), stream, line: text };
                let json = serde_json::to_string(&line).unwrap_or_default();
                writeln!(to, "{}", harmless_json(&json))
            } else {
                let name = harmless(&place.label);
                let gap = self.width.saturating_sub(name.width()) + 2;
                writeln!(to, "{name}{:gap$}{text}", "")
            };
            if written.is_err() {
                return; // nobody reads; the command will notice at its own pipe
            }
        }
    }
}

/// As shells tell it: 128 and the signal's number of a command that one ended.
fn status_of(status: ExitStatus) -> u8 {
    let by_signal = || status.signal().map(|signal| 128 + signal);
    status.code().or_else(by_signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
