//! Running commands for their time and memory.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

pub type Argv = Vec<String>;

const RUNS: usize = 30;
/// The first argument that makes the benchmark measure one command's memory instead.
const PROBE: &str = "--probe-memory";

pub fn argv(words: &[&str]) -> Argv {
    words.iter().map(|word| word.to_string()).collect()
}

/// The medians of both, run in turn so that what else the machine does meets both alike.
pub fn side_by_side(one: &Argv, other: &Argv) -> (Duration, Duration) {
    let runs = std::env::var("PODNET_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    // Once for the caches.
    time(one);
    time(other);
    let (ones, others) = (0..runs).map(|_| (time(one), time(other))).unzip();
    (median(ones), median(others))
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

pub fn time(argv: &Argv) -> Duration {
    let begin = Instant::now();
    let status = quiet(argv).status().unwrap();
    let elapsed = begin.elapsed();
    assert!(status.success(), "{argv:?}: {status}");
    elapsed
}

fn quiet(argv: &Argv) -> Command {
    let mut command = command(argv);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// As in a shell, NAME=VALUE before the command is of its environment: env(1) takes as long as podnet.
pub fn command(argv: &Argv) -> Command {
    let variables: Vec<(&str, &str)> = argv.iter().map_while(|word| word.split_once('=')).collect();
    let words = &argv[variables.len()..];
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(variables);
    command
}

/// The most memory that the command was resident in, in KiB. The kernel tells it of all children that
/// were waited for, so a process of its own runs the command.
pub fn peak_memory(argv: &Argv) -> i64 {
    let output = Command::new(std::env::current_exe().unwrap()).arg(PROBE).args(argv).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Whether this process is the one that [`peak_memory`] started; then it has printed the answer.
pub fn is_probe() -> bool {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(PROBE) {
        return false;
    }
    time(&arguments.collect());
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss());
    true
}
