//! Running the host's own commands, and waiting for what they show.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The standard output of `program args…`; panics with its words when it fails.
pub fn run(program: &str, args: &[&str]) -> String {
    succeed(Command::new(program).args(args))
}

/// As [`run`], for a command that needs more than arguments.
pub fn succeed(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The JSON that a command prints.
pub fn json(program: &str, args: &[&str]) -> serde_json::Value {
    let text = run(program, args);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{program} {args:?}: {error}\n{text}"))
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Asks until there is an answer; panics when the deadline passes without one.
pub fn wait_for<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
