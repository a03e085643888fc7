//! `logFile` of the netconf: a line of JSON for each call, with the time of each step.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cni::error::Refusal;
use crate::cni::invocation::Invocation;
use crate::cni::netconf::PodnetConf;
use crate::flow::engine::{Outcome, Status, Watch};

/// A file that grows beyond it is set aside, in the place of the one before.
const LARGEST: u64 = 16 << 20;

/// What the engine tells of one call.
#[derive(Default)]
pub(super) struct Log {
    steps: Vec<Value>,
    pub(super) notes: Vec<String>,
}

impl Watch for Log {
    fn after(&mut self, outcome: &Outcome) {
        let status = match outcome.status {
            Status::Done => "done",
            Status::Failed => "failed",
            Status::Undone => "undone",
            Status::Left => "left",
        };
        let mut step = json!({"step": outcome.step, "status": status, "elapsedMs": rounded(outcome.elapsed_ms)});
        if let Some(error) = &outcome.error {
            step["error"] = error.as_str().into();
        }
        self.steps.push(step);
    }
}

impl Log {
    /// A log that cannot be written is no reason to fail a pod.
    pub(super) fn write(&self, conf: &PodnetConf, invocation: &Invocation, elapsed: Duration, error: Option<&Refusal>) {
        let Some(path) = &conf.log_file else { return };
        let mut line = self.line(conf, invocation, elapsed, error).to_string();
        line.push('\n');
        let _ = append(path, line.as_bytes());
    }

    fn line(&self, conf: &PodnetConf, invocation: &Invocation, elapsed: Duration, error: Option<&Refusal>) -> Value {
        let (owner, args) = (invocation.owner.as_ref(), &invocation.args);
        let fields = [
            ("time", json!(Timestamp::now())),
            ("command", json!(invocation.verb)),
            ("network", json!(conf.name)),
            ("cniVersion", json!(conf.version)),
            ("containerId", json!(owner.map(|owner| owner.container_id()))),
            ("ifname", json!(owner.map(|owner| owner.ifname()))),
            ("netns", json!(invocation.netns)),
            ("podNamespace", json!(args.pod_namespace)),
            ("podName", json!(args.pod_name)),
            ("podUid", json!(args.pod_uid)),
            ("elapsedMs", json!(rounded(elapsed.as_secs_f64() * 1000.0))),
            ("steps", json!(self.steps)),
            ("notes", json!(self.notes)),
            ("error", error.map_or(Value::Null, |error| error.document(conf.version.as_str()))),
        ];
        let told = fields.into_iter().filter(|(_, value)| !value.is_null() && *value != json!([]));
        Value::Object(told.map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// To microseconds.
fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1000.0).round() / 1000.0
}

/// In one write, so that lines of several processes do not mix.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > LARGEST) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".1");
        fs::rename(path, aside)?;
    }
    let flags = nix::libc::O_NONBLOCK;
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    file.write_all(line)
}
