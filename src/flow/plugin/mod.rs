//! podnet as a CNI plugin: one call of a runtime, answered by the same engine that `podnet create` uses.

mod add;
mod check;
mod del;
mod gc;
mod log;
mod refuse;
mod status;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use super::agent::{Agent, Pod, SOCKET};
use super::delegate::Delegate;
use super::engine::Engine;
use crate::cni::error::{Code, Refusal};
use crate::cni::invocation::{self, Invocation, Verb};
use crate::cni::netconf::{Ipam, PodnetConf};
use crate::cni::version::{SpecVersion, Versions};
use crate::ipam::Store;
use log::Log;

/// Far more than any netconf.
const LONGEST_INPUT: u64 = 4 << 20;

/// Where podnet keeps what it knows, unless the netconf says otherwise.
#[derive(Clone, Debug)]
pub struct Places {
    pub run: PathBuf,
    pub root: PathBuf,
}

/// Whether a runtime calls: it gives no arguments. With some, a person does, whose environment just has the variable.
pub fn is_called(arguments: usize) -> bool {
    arguments <= 1 && std::env::var_os(invocation::COMMAND).is_some()
}

/// Answers one call on standard output, in the way of the spec; whether it succeeded.
pub fn answer(
    places: &Places,
    get: impl Fn(&str) -> Option<OsString>,
    input: &mut dyn Read,
    output: &mut dyn Write,
) -> bool {
    let mut version = SpecVersion::NEWEST.to_string();
    match respond(places, get, input, output, &mut version) {
        Ok(()) => true,
        Err(refusal) => {
            // Nobody may be there to read it; the status says as much.
            let _ = print(output, &refusal.document(&version));
            false
        }
    }
}

fn respond(
    places: &Places,
    get: impl Fn(&str) -> Option<OsString>,
    input: &mut dyn Read,
    output: &mut dyn Write,
    version: &mut String,
) -> Result<(), Refusal> {
    let invocation = Invocation::read(get)?;
    let bytes = read(input)?;
    if let Some(stated) = stated_version(&bytes) {
        *version = stated;
    }
    if invocation.verb == Verb::Version {
        return print(output, &versions(&bytes, version)?).map_err(|error| unwritable(&error));
    }
    let conf = PodnetConf::parse(&bytes)?;
    Session::new(places, invocation, conf).respond(output)
}

fn read(input: &mut dyn Read) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let read = input.take(LONGEST_INPUT).read_to_end(&mut bytes);
    read.map_err(|error| Refusal::new(Code::IO, format!("cannot read the configuration on standard input: {error}")))?;
    Ok(bytes)
}

/// An error is told in the version of whoever asked, also where the rest of the configuration is wrong.
fn stated_version(bytes: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let stated: SpecVersion = value.get("cniVersion")?.as_str()?.parse().ok()?;
    Some(stated.to_string())
}

/// In the version that it was asked in; without input, in podnet's own.
fn versions(bytes: &[u8], version: &str) -> Result<Value, Refusal> {
    let undecodable =
        |error: serde_json::Error| Refusal::new(Code::DECODE, format!("standard input is no JSON: {error}"));
    let asked = match bytes.trim_ascii() {
        [] => version.to_owned(),
        bytes => {
            let value: Value = serde_json::from_slice(bytes).map_err(undecodable)?;
            value.get("cniVersion").and_then(Value::as_str).unwrap_or(version).to_owned()
        }
    };
    Ok(json!(Versions::of_podnet(&asked)))
}

fn print(output: &mut dyn Write, document: &Value) -> io::Result<()> {
    writeln!(output, "{document:#}")?;
    output.flush()
}

fn unwritable(error: &io::Error) -> Refusal {
    Refusal::new(Code::IO, format!("cannot write the result to standard output: {error}"))
}

/// One call.
struct Session {
    conf: PodnetConf,
    invocation: Invocation,
    engine: Engine,
    /// Root of the embedded store.
    root: PathBuf,
    log: Log,
}

impl Session {
    fn new(places: &Places, invocation: Invocation, conf: PodnetConf) -> Self {
        let root = conf.data_dir.clone().unwrap_or_else(|| places.root.clone());
        Self { conf, invocation, engine: Engine::new(&places.run), root, log: Log::default() }
    }

    fn respond(mut self, output: &mut dyn Write) -> Result<(), Refusal> {
        let begin = Instant::now();
        let result = self.dispatch(output);
        self.log.write(&self.conf, &self.invocation, begin.elapsed(), result.as_ref().err());
        result
    }

    fn dispatch(&mut self, output: &mut dyn Write) -> Result<(), Refusal> {
        self.require_version()?;
        match self.invocation.verb {
            Verb::Add => self.add(output),
            Verb::Del => self.del(),
            Verb::Check => self.check(),
            Verb::Gc => self.gc(),
            Verb::Status => self.status(),
            Verb::Version => Ok(()),
        }
    }

    fn require_version(&self) -> Result<(), Refusal> {
        let (verb, version) = (self.invocation.verb, self.conf.version);
        let has = match verb {
            Verb::Check => version.has_check(),
            Verb::Gc | Verb::Status => version.has_gc(),
            _ => true,
        };
        if has {
            return Ok(());
        }
        Err(Refusal::new(Code::INCOMPATIBLE_VERSION, format!("version {version} of the configuration has no {verb}")))
    }

    fn store(&self) -> Store {
        Store::open(&self.root)
    }

    /// The agent that the netconf names. A runtime is patient: an agent that starts is worth waiting for.
    fn agent(&self) -> Option<Agent> {
        const PATIENCE_MS: u64 = 30_000;
        self.conf.agent.as_ref()?;
        let args = &self.invocation.args;
        let pod = args.pod_namespace.clone().zip(args.pod_name.clone());
        Some(Agent {
            socket: std::env::var_os("CILIUM_SOCK").map_or_else(|| SOCKET.into(), PathBuf::from),
            patience_ms: PATIENCE_MS,
            pod: pod.map(|(namespace, name)| Pod { namespace, name, uid: args.pod_uid.clone() }),
            pool: args.pool.clone().or_else(|| self.conf.pool.clone()),
        })
    }

    /// Who else gives the addresses.
    fn delegate(&self) -> Option<Delegate> {
        let Ipam::Delegated(kind) = &self.conf.ipam else { return None };
        Some(Delegate {
            kind: kind.clone(),
            path: self.invocation.path.clone(),
            args: self.invocation.raw_args.clone(),
            version: self.conf.version,
            request: self.conf.object.clone(),
        })
    }

    /// Tells the address plugin the same verb.
    fn tell_delegate(&self) -> Result<(), Refusal> {
        let Some(delegate) = self.delegate() else { return Ok(()) };
        let netns = self.invocation.netns.clone().unwrap_or_default();
        delegate
            .tell(self.invocation.verb, self.invocation.owner.as_ref(), &netns)
            .map_err(|error| refuse::exec(&error))
    }
}
