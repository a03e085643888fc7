//! What standard output is.

use std::io::{IsTerminal, stdout};
use std::os::fd::AsRawFd;

use crate::show::Page;

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
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => terminal && !plain,
    };
    Page { width: width(terminal), colour, wide }
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
