//! The command line: one file a subcommand, its arguments and the wiring of collect → view → show.

mod attachment;
mod bench;
mod chain;
mod check;
mod cni;
mod complete;
mod completions;
mod conf;
mod create;
mod delete;
mod demo;
mod endpoint;
mod error;
mod exec;
mod exec_many;
mod exec_place;
mod face;
mod from;
mod gc;
mod help;
mod inspect;
mod install_cni;
mod ipam;
mod ipam_check;
mod ipam_in_use;
mod ipam_release;
mod key;
mod list;
mod log;
mod new_file;
mod node;
mod schema;
mod signals;
mod slip;
mod snapshot;
mod status;
mod terminal;
mod unheard;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use error::Error;

use crate::collect::options::{Kube, Options, Runtimes};
use crate::descriptors;
use crate::show::{self, Format, Show};
use terminal::Colour;

/// Shows, checks, enters and sets up the network of a pod, from its node
#[derive(Debug, Parser)]
#[command(name = "podnet", version, max_term_width = 80, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::Status),
    List(list::List),
    Inspect(inspect::Inspect),
    Exec(exec::Exec),
    Endpoint(endpoint::Endpoint),
    Create(create::Create),
    Delete(delete::Delete),
    Gc(gc::Gc),
    Check(check::Check),
    Explain(check::Explain),
    Snapshot(snapshot::SnapshotCommand),
    Bench(bench::Bench),
    Demo(demo::Demo),
    Ipam(ipam::Ipam),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Cni(cni::Cni),
    InstallCni(install_cni::InstallCni),
    UninstallCni(install_cni::UninstallCni),
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Common {
    /// How to print: table, wide, json, yaml, name (what podnet takes as a target) or jsonpath=EXPRESSION
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Ask only these runtimes (docker, containerd, cri-o, podman), or none
    #[arg(long, global = true, value_name = "NAME", value_delimiter = ',')]
    runtime: Vec<String>,
    /// CRI socket to ask instead of the usual ones
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "SOCKET",
        env = "CONTAINER_RUNTIME_ENDPOINT",
        hide_env_values = true
    )]
    runtime_endpoint: Vec<String>,
    /// Where the Cilium agent listens; else /var/run/cilium/cilium.sock
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "SOCKET",
        env = "CILIUM_SOCK",
        hide_env_values = true
    )]
    agent_socket: Option<PathBuf>,
    /// Seconds to wait for each source
    #[arg(long, global = true, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    timeout: Duration,
    /// Ask the Kubernetes API server, and wait for it as for any other source
    #[arg(long, global = true, hide_short_help = true, overrides_with = "no_kube")]
    kube: bool,
    /// Don't ask it, even where it is at hand
    #[arg(long, global = true, hide_short_help = true, overrides_with = "kube")]
    no_kube: bool,
    /// The kubeconfig's context to ask it by
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    context: Option<String>,
    /// When to use colour: auto, always or never; NO_COLOR is heeded
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: Colour,
    #[command(flatten)]
    log: log::Log,
}

/// A deadline of zero could never be met, and one of days is a typing error.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let sane = (0.01..=600.0).contains(&seconds);
    if sane { Ok(Duration::from_secs_f64(seconds)) } else { Err("must be between 0.01 and 600".to_owned()) }
}

impl Common {
    fn options(&self) -> Result<Options, Error> {
        let known = ["docker", "containerd", "cri-o", "podman"];
        let runtimes = match self.runtime.as_slice() {
            [] => Runtimes::All,
            names if names.iter().all(|name| name == "none") => Runtimes::None,
            names if names.iter().any(|name| name == "none") => return Err(Error::NoneBesideRuntime),
            names => match names.iter().find(|name| !known.contains(&name.as_str())) {
                Some(name) => return Err(Error::UnknownRuntime { name: name.clone() }),
                None => Runtimes::Only(names.to_vec()),
            },
        };
        Ok(Options {
            runtimes,
            endpoints: self.runtime_endpoint.clone(),
            agent_socket: self.agent_socket.clone(),
            timeout: self.timeout,
            kube: if self.kube || (self.context.is_some() && !self.no_kube) { Kube::Asked } else { Kube::Never },
            kube_context: self.context.clone(),
            ..Options::default()
        })
    }

    /// For the commands that have use for what Kubernetes knows, and so ask it unless told not to.
    fn options_with_kube(&self) -> Result<Options, Error> {
        let mut options = self.options()?;
        if options.kube == Kube::Never && !self.no_kube {
            options.kube = Kube::IfReachable;
        }
        Ok(options)
    }

    fn print(&self, document: &impl Show) -> Result<(), Error> {
        let page = terminal::page(self.color, self.output == Format::Wide);
        let mut text = Vec::new();
        let written = show::write(document, &self.output, &page, &mut text).and_then(|()| match self.output {
            Format::Table | Format::Wide => {
                let text = String::from_utf8_lossy(&text);
                if document.has_header() { terminal::print_rows(&text) } else { terminal::print(&text) }
            }
            _ => terminal::write_out(&text),
        });
        written.map_err(|source| Error::Write { source })
    }
}

/// The async runtime, on this thread, for the commands that ask daemons.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Error> {
    descriptors::make_room();
    room_for_runtime().map_err(|source| Error::Start { source })?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|source| Error::Start { source })?;
    let result = runtime.block_on(work);
    // A daemon that never answered must not keep us.
    runtime.shutdown_background();
    Ok(result)
}

/// Whether as many descriptors can be opened as the async runtime needs to start: it panics when it has not got them. What
/// is read ahead may take as many meanwhile.
fn room_for_runtime() -> std::io::Result<()> {
    const NEEDED: usize = 32;
    let first = std::fs::File::open("/dev/null")?;
    let opened: rustix::io::Result<Vec<_>> = (1..NEEDED).map(|_| rustix::io::fcntl_dupfd_cloexec(&first, 0)).collect();
    Ok(opened.map(drop)?)
}

/// Every command with its arguments, as clap knows them.
pub fn command() -> clap::Command {
    help::grouped(Cli::command())
}

/// Parses the arguments, runs the command and tells how it went.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    if let Some(status) = cni::called(arguments.len()) {
        return status;
    }
    if let Some(answered) = complete::answer(&arguments) {
        return answered;
    }
    let cli = match parse_alone(&arguments).map_or_else(|| parse(&arguments), Ok) {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    cli.common.log.start();
    let result = match &cli.command {
        Command::Status(status) => status.run(&cli.common),
        Command::List(list) => list.run(&cli.common),
        Command::Inspect(inspect) => inspect.run(&cli.common),
        Command::Exec(exec) => exec.run(&cli.common),
        Command::Endpoint(endpoint) => endpoint.run(&cli.common),
        Command::Create(create) => create.run(&cli.common),
        Command::Delete(delete) => delete.run(&cli.common),
        Command::Gc(gc) => gc.run(&cli.common),
        Command::Check(check) => check.run(&cli.common),
        Command::Explain(explain) => explain.run(&cli.common),
        Command::Snapshot(snapshot) => snapshot.run(&cli.common),
        Command::Bench(bench) => bench.run(&cli.common),
        Command::Demo(demo) => demo.run(&cli.common),
        Command::Ipam(ipam) => ipam.run(&cli.common),
        Command::Schema(schema) => schema.run(&cli.common),
        Command::Completions(completions) => completions.run(),
        Command::Cni(cni) => cni.run(&cli.common),
        Command::InstallCni(install) => install.run(&cli.common),
        Command::UninstallCni(uninstall) => uninstall.run(&cli.common),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => error.report(&cli.common.output),
    }
}

/// The commands that people wait for and scripts call in a loop: to build all the others takes half a millisecond, longer
/// than to enter a namespace. What is wrong with a command line, and its help, is told by [`parse`].
fn parse_alone(arguments: &[OsString]) -> Option<Cli> {
    fn parsed<T: Args>(arguments: &[OsString], command: fn(T) -> Command) -> Option<Cli> {
        let (common, own) = alone(arguments).ok()?;
        Some(Cli { common, command: command(own) })
    }
    let (_, arguments) = arguments.split_first()?;
    match arguments.first()?.to_str()? {
        "exec" => parsed(arguments, Command::Exec),
        "inspect" => parsed(arguments, Command::Inspect),
        "list" => parsed(arguments, Command::List),
        "check" => parsed(arguments, Command::Check),
        _ => None,
    }
}

/// As if the command were a program of its own, that the first of the arguments names: clap hands options that are every
/// command's from each to the ones below it, which takes it as long as the rest.
fn alone<T: Args>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<(Common, T), clap::Error> {
    let mut only = T::augment_args(Common::augment_args(clap::Command::new("podnet")));
    let matches = only.try_get_matches_from_mut(arguments)?;
    Ok((Common::from_arg_matches(&matches)?, T::from_arg_matches(&matches)?))
}

/// Tells what is wrong, or what was asked about podnet itself, and returns with which status to end.
fn parse(arguments: &[OsString]) -> Result<Cli, ExitCode> {
    let mut command = command().bin_name(called(arguments));
    let parsed = command.try_get_matches_from_mut(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|mut usage| {
        let meant = slip::meant(&usage, arguments);
        if usage.use_stderr() && wants_json(arguments) {
            return explained(&usage, meant).report(&Format::Json);
        }
        if let Some(line) = meant {
            slip::tell(&mut usage, &line);
        }
        if arguments.len() < 2 {
            terminal::say(help::start(&command));
            return ExitCode::from(error::USAGE);
        }
        terminal::explain(&usage)
    })
}

/// As which it was called: kubectl finds a plugin by its file's name.
fn called(arguments: &[OsString]) -> &'static str {
    let file = arguments.first().and_then(|path| Path::new(path).file_name());
    if file.is_some_and(|file| file == "kubectl-podnet") { "kubectl podnet" } else { "podnet" }
}

/// Whether a command line that could not be parsed asked for JSON all the same; what follows `--` is another
/// program's.
fn wants_json(arguments: &[OsString]) -> bool {
    let words: Vec<&str> = arguments.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str()).collect();
    let apart = words.windows(2).any(|pair| matches!(pair, ["-o" | "--output", "json"]));
    apart || words.iter().any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"))
}

/// clap's own words, without its marks for terminals.
fn explained(usage: &clap::Error, meant: Option<String>) -> Error {
    let text = usage.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.trim_start_matches("error:").split_whitespace().collect();
    let message = words.join(" ");
    match meant {
        Some(meant) => Error::Slip { message, meant },
        None => Error::Usage { message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_command_alone_means_what_it_means_among_the_others() {
        for line in [
            "podnet inspect web",
            "podnet inspect 3f2a -o json --runtime docker,none --timeout 0.5 --color never -vv",
            "podnet inspect --from node7.json default/web-0 --no-kube --kube",
            "podnet exec web -- ip -o json",
            "podnet exec --all --user nobody -- true",
            "podnet exec -t a -t b -o json -- id",
            "podnet exec",
            "podnet list",
            "podnet list --all -n default --context there",
            "podnet check",
            "podnet check web-0 default/web-1 --kube -o jsonpath={.findings}",
        ] {
            let arguments = words(line);
            let alone = parse_alone(&arguments).expect(line);
            let among = parse(&arguments).unwrap_or_else(|status| panic!("{line}: {status:?}"));
            assert_eq!(format!("{alone:?}"), format!("{among:?}"), "{line}");
        }
    }

    #[test]
    fn what_is_not_right_is_left_to_who_can_say_why() {
        for line in ["podnet", "podnet inspect", "podnet inspect a b", "podnet list --help", "podnet --timeout 5 list"]
        {
            assert!(parse_alone(&words(line)).is_none(), "{line}");
        }
    }
}
