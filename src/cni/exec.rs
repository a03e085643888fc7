//! Running a plugin: finding it, its environment, its standard streams, a deadline, and what its answer means.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::error::Refusal;
use super::invocation::{self, Verb};
use super::netconf;
use super::result::{self, AddResult};
use super::streams::{self, End, Output};
use super::version::{SpecVersion, Versions};
use crate::descriptors;

/// How long a plugin that is being replaced on disk is waited for.
const PATIENCE_WITH_BUSY_FILE: Duration = Duration::from_secs(5);

/// One run of a plugin, as it is to be.
#[derive(Clone, Debug)]
pub struct Call {
    pub program: PathBuf,
    pub verb: Verb,
    /// The variables of the protocol, but for the verb. Others are those of podnet itself.
    pub variables: Vec<(&'static str, OsString)>,
    pub stdin: Vec<u8>,
    pub deadline: Duration,
}

/// A run that succeeded.
#[derive(Clone, Debug)]
pub struct Ran {
    pub stdout: Vec<u8>,
    /// What it logged.
    pub stderr: Vec<u8>,
    pub elapsed: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no plugin «{kind}» in {}", list(searched))]
    NotFound { kind: String, searched: Vec<PathBuf> },
    #[error("cannot run the plugin {program}")]
    Start { program: PathBuf, source: io::Error },
    #[error("the plugin {program} did not end {verb} within {seconds} s and was killed{said}")]
    Deadline { program: PathBuf, verb: Verb, seconds: u64, said: String },
    #[error("the plugin {program} refused {verb}: {refusal}")]
    Refused { program: PathBuf, verb: Verb, refusal: Refusal, stderr: Vec<u8> },
    #[error("the plugin {program} failed {verb} ({status}) without an error of the CNI spec{said}")]
    Died { program: PathBuf, verb: Verb, status: ExitStatus, said: String },
    #[error("the plugin {program} printed more than {limit} bytes for {verb}")]
    TooLong { program: PathBuf, verb: Verb, limit: usize },
    #[error("the plugin {program} succeeded in {verb}, but what it printed is no answer to it{said}")]
    NotAnAnswer { program: PathBuf, verb: Verb, said: String, source: result::Invalid },
}

impl Error {
    /// What the plugin refused with, where it did so in the way of the spec.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    match paths {
        [] => "CNI_PATH, which is empty".to_owned(),
        paths => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}

/// The program of a `type`: the first regular file of that name.
pub fn find(kind: &str, path: &[PathBuf]) -> Result<PathBuf, Error> {
    let not_found = || Error::NotFound { kind: kind.to_owned(), searched: path.to_vec() };
    if !netconf::is_program(kind) {
        return Err(not_found());
    }
    let candidates = path.iter().filter(|directory| !directory.as_os_str().is_empty()).map(|place| place.join(kind));
    candidates.into_iter().find(|file| file.is_file()).ok_or_else(not_found)
}

impl Call {
    /// Runs the plugin. It has failed unless it ends with 0.
    pub fn run(&self) -> Result<Ran, Error> {
        let begin = Instant::now();
        let mut command = self.command();
        let mut child = self.spawn(&mut command, begin)?;
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
        let failed = |source| Error::Start { program: self.program.clone(), source };
        let output = streams::serve(&mut child, &self.stdin, begin + self.deadline);
        if !output.as_ref().is_ok_and(|output| output.end == End::Exited) {
            // Its own children, an address plugin perhaps, belong to its group.
            let _ = killpg(group, Signal::SIGKILL);
        }
        let status = child.wait().map_err(failed)?;
        self.judge(output.map_err(failed)?, status, begin.elapsed())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for variable in invocation::VARIABLES {
            command.env_remove(variable);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env(invocation::COMMAND, self.verb.as_str());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C at a terminal is for podnet, which then undoes what the plugin did.
        command.process_group(0);
        command
    }

    fn spawn(&self, command: &mut Command, begin: Instant) -> Result<std::process::Child, Error> {
        // Who calls plugins has looked for whom, and needs no more files than the plugin.
        descriptors::restore_limit();
        let patience = self.deadline.min(PATIENCE_WITH_BUSY_FILE);
        loop {
            match command.spawn() {
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && begin.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                result => {
                    return result.map_err(|source| Error::Start { program: self.program.clone(), source });
                }
            }
        }
    }

    fn judge(&self, output: Output, status: ExitStatus, elapsed: Duration) -> Result<Ran, Error> {
        let (program, verb) = (self.program.clone(), self.verb);
        let Output { end, stdout, stderr } = output;
        match end {
            End::Deadline => {
                let (seconds, said) = (self.deadline.as_secs(), said(&stdout, &stderr));
                Err(Error::Deadline { program, verb, seconds, said })
            }
            End::TooLong => Err(Error::TooLong { program, verb, limit: streams::LONGEST }),
            End::Exited if status.success() => Ok(Ran { stdout, stderr, elapsed }),
            End::Exited => match serde_json::from_slice::<Refusal>(&stdout) {
                Ok(refusal) => Err(Error::Refused { program, verb, refusal, stderr }),
                Err(_) => Err(Error::Died { program, verb, status, said: said(&stdout, &stderr) }),
            },
        }
    }

    /// Runs ADD and reads its result, which is of version `asked` unless it says another.
    pub fn run_add(&self, asked: SpecVersion) -> Result<(AddResult, Ran), Error> {
        let ran = self.run()?;
        let decoded = serde_json::from_slice::<Value>(&ran.stdout).map_err(result::Invalid::Shape);
        match decoded.and_then(|value| AddResult::decode(value, asked)) {
            Ok(result) => Ok((result, ran)),
            Err(source) => {
                let said = said(&ran.stdout, &ran.stderr);
                Err(Error::NotAnAnswer { program: self.program.clone(), verb: self.verb, said, source })
            }
        }
    }
}

/// Asks a plugin which versions it supports.
pub fn versions(program: &Path, deadline: Duration) -> Result<Versions, Error> {
    let asked = json!({ "cniVersion": SpecVersion::NEWEST }).to_string();
    // The oldest plugins want them all before they look at the command.
    let dummies = [invocation::CONTAINER_ID, invocation::NETNS, invocation::IFNAME, invocation::PATH];
    let call = Call {
        program: program.to_owned(),
        verb: Verb::Version,
        variables: dummies.map(|name| (name, OsString::from("dummy"))).to_vec(),
        stdin: asked.into_bytes(),
        deadline,
    };
    match call.run() {
        Ok(ran) => serde_json::from_slice(&ran.stdout).map_err(|source| Error::NotAnAnswer {
            program: program.to_owned(),
            verb: Verb::Version,
            said: said(&ran.stdout, &ran.stderr),
            source: result::Invalid::Shape(source),
        }),
        Err(Error::Refused { refusal, .. }) if refusal.message.contains("unknown CNI_COMMAND") => {
            Ok(Versions::of_old_plugin())
        }
        Err(error) => Err(error),
    }
}

/// The end of what it printed, for an error's words.
fn said(stdout: &[u8], stderr: &[u8]) -> String {
    const MOST: usize = 600;
    let text = if stderr.trim_ascii().is_empty() { stdout } else { stderr };
    let text = String::from_utf8_lossy(text.trim_ascii());
    let skipped = text.chars().count().saturating_sub(MOST);
    let end: String = text.chars().skip(skipped).collect();
    match (end.is_empty(), skipped) {
        (true, _) => "; it said nothing".to_owned(),
        (_, 0) => format!("; it said: {end}"),
        _ => format!("; it said: …{end}"),
    }
}
