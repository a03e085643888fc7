//! What reads the answer, and what it can show.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use nix::sys::stat::SFlag;

use super::error::USAGE;
use crate::show::{Page, ascii, brief, harmless, steady};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

nix::ioctl_read_bad!(window_size, nix::libc::TIOCGWINSZ, nix::libc::winsize);

/// The page that standard output is.
pub fn page(colour: Colour, wide: bool) -> Page {
    let terminal = stdout().is_terminal();
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => wants_colour(&stdout()),
    };
    Page { width: width(terminal), colour, wide }
}

fn wants_colour(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && draws(stream)
}

/// Whether it is a terminal whose cursor can be moved.
pub fn draws(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

fn width(terminal: bool) -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|columns| *columns >= 20);
    said.or_else(|| if terminal { measured() } else { None })
}

fn measured() -> Option<usize> {
    let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one struct winsize, which `size` is.
    #[expect(unsafe_code, reason = "ioctl_tty(2) has no safe wrapper")]
    let answer = unsafe { window_size(stdout().as_raw_fd(), &mut size) };
    answer.ok().map(|_| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Writes what a person reads on standard output, in letters that the locale has.
pub fn print(text: &str) -> io::Result<()> {
    write_out(fitted(text, stdout().is_terminal()).as_bytes())
}

/// As [`print`], for a header, rows, and perhaps remarks after an empty line. Who reads them from a pipe counts, sorts
/// and cuts rows; the rest is told beside.
pub fn print_rows(text: &str) -> io::Result<()> {
    if !is_pipe() {
        return print(text);
    }
    let (header, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (rows, remarks) = rest.split_once("\n\n").unwrap_or((rest.trim_end_matches('\n'), ""));
    say(header);
    let printed = print(&format!("{rows}\n"));
    if !remarks.is_empty() {
        say(remarks.trim_end_matches('\n'));
    }
    printed
}

fn is_pipe() -> bool {
    nix::sys::stat::fstat(stdout()).is_ok_and(|status| SFlag::S_IFMT.bits() & status.st_mode == SFlag::S_IFIFO.bits())
}

/// Writes what a program reads.
pub fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Says something to a person on standard error. That nobody reads it changes nothing.
pub fn say(text: impl Display) {
    let _ = writeln!(stderr(), "{}", fitted(&text.to_string(), stderr().is_terminal()));
}

/// Shows clap's help or refusal, in colour where that is wanted; a closed pipe is the reader's choice. clap itself would
/// colour a dumb terminal, too, where `CI` is set.
pub fn explain(usage: &clap::Error) -> ExitCode {
    let refused = usage.use_stderr();
    let wanted = if refused { wants_colour(&stderr()) } else { wants_colour(&stdout()) };
    let text = match (usage.render(), repeats_oddities(usage)) {
        (text, false) if wanted => text.ansi().to_string(),
        (text, false) => text.to_string(),
        (text, true) => {
            let lines: Vec<String> = text.to_string().lines().map(|line| brief(&harmless(line)).into_owned()).collect();
            lines.join("\n")
        }
    };
    if refused {
        say(text.trim_end());
    } else {
        let _ = print(&text);
    }
    ExitCode::from(if refused { USAGE } else { 0 })
}

/// Whether it says again what was typed, and that is nothing for a terminal.
fn repeats_oddities(usage: &clap::Error) -> bool {
    usage.context().any(|(_, value)| {
        let said = value.to_string();
        brief(&harmless(&said)) != said
    })
}

/// A pipe's reader turns nothing round.
fn fitted(text: &str, terminal: bool) -> Cow<'_, str> {
    match is_utf8() {
        true if terminal => steady(text),
        true => Cow::Borrowed(text),
        false => ascii(text),
    }
}

/// Of the locale, by the rules of locale(7); where nothing is said it is «C», which has ASCII only.
fn is_utf8() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    said.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
