//! `-v`, `-vv`: what podnet does, as it does it, on standard error.

use std::io::{self, Write};

use clap::{ArgAction, Args, ValueEnum};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::uptime;
use tracing_subscriber::prelude::*;

use crate::show::harmless_json;

#[derive(Args, Debug)]
pub struct Log {
    /// Tell each source that is asked and what it answers; -vv: what the kernel is asked, too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// How to tell it: text or json
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Log {
    /// Without `-v` nothing listens, and what would be told is not even put together.
    pub fn start(&self) {
        let level = match self.verbose {
            0 => return,
            1 => Level::INFO,
            _ => Level::DEBUG,
        };
        let layer = tracing_subscriber::fmt::layer().with_writer(|| Harmless).log_internal_errors(false);
        let own = Targets::new().with_target(env!("CARGO_PKG_NAME"), level);
        let registry = tracing_subscriber::registry();
        // It fails only where somebody listens already.
        let _ = match self.log_format {
            LogFormat::Text => registry.with(layer.with_target(false).with_timer(uptime()).with_filter(own)).try_init(),
            LogFormat::Json => registry.with(layer.json().flatten_event(true).with_filter(own)).try_init(),
        };
    }
}

/// Standard error. What others named stands escaped in text already, and here in JSON too.
struct Harmless;

impl Write for Harmless {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(harmless_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
