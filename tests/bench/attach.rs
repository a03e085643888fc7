//! Giving a pod a network, beside Debian's plugins `ptp` and `host-local`: ADD and DEL by the same caller.

use std::fmt::Write as _;
use std::process::Command;

use crate::compare;
use crate::installed::podnet;
use crate::measure::{Argv, argv, command};
use crate::support::namespace::Namespace;
use crate::support::netns::TestNetns;
use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::succeed;

const PLUGINS: &str = "/usr/lib/cni";

/// `$1` the plugin, `$2` its configuration, `$3` the host's netns, then the verbs; the pod is in the environment.
const CALL: &str = r#"
plugin=$1 conf=$2 host=$3; shift 3
for verb; do CNI_COMMAND=$verb nsenter --net="$host" "$plugin" <"$conf" || exit; done
"#;

/// One plugin on a host of its own.
struct Side {
    host: TestNetns,
    plugin: String,
    conf: String,
    scratch: Scratch,
}

impl Side {
    fn new(plugin: &str, conf: &str) -> Self {
        let (host, scratch) = (TestNetns::new(), Scratch::new());
        host.ip("link set lo up");
        let conf = conf.replace("DATA", &scratch.text("data"));
        let conf = scratch.write("conf", &conf).to_str().unwrap().to_owned();
        Self { host, plugin: plugin.to_owned(), conf, scratch }
    }

    fn call(&self, id: &str, pod: &Namespace, verbs: &[&str]) -> Argv {
        let environment = [
            format!("CNI_CONTAINERID={id}"),
            format!("CNI_NETNS={}", pod.path()),
            format!("PODNET_ROOT={}", self.scratch.text("data")),
            format!("PODNET_RUN={}", self.scratch.text("run")),
        ];
        let fixed = ["CNI_IFNAME=eth0", &format!("CNI_PATH={PLUGINS}")].map(str::to_owned);
        let script = argv(&["sh", "-c", CALL, "sh", &self.plugin, &self.conf, &self.host.path()]);
        [&fixed[..], &environment[..], &script[..], &argv(verbs)[..]].concat()
    }

    /// Pods that stay.
    fn crowd(&self, count: usize) -> Vec<Namespace> {
        let pods: Vec<Namespace> = (0..count).map(|_| Namespace::new()).collect();
        for (nth, pod) in pods.iter().enumerate() {
            let call = self.call(&format!("crowd{nth}"), pod, &["ADD"]);
            succeed(&mut command(&call));
        }
        pods
    }
}

/// ADD and DEL of one pod with `existing` others there.
pub fn beside_ptp(existing: usize) {
    if !prerequisite::root_and(&["ip", "nsenter"]) {
        return;
    }
    let podnet =
        Side::new(podnet(), r#"{"cniVersion":"1.0.0","name":"bench","type":"podnet","ipMasq":false,"dataDir":"DATA"}"#);
    let ptp = r#"{"cniVersion":"1.0.0","name":"bench","type":"ptp","ipam":{"type":"host-local","subnet":"10.42.0.0/24","dataDir":"DATA"}}"#;
    let ptp = Side::new(&format!("{PLUGINS}/ptp"), ptp);
    let _crowds = (podnet.crowd(existing), ptp.crowd(existing));
    let pod = Namespace::new();
    let verbs = ["ADD", "DEL"];
    let name = format!("ADD + DEL beside {existing} pods");
    compare(&name, &podnet.call("one", &pod, &verbs), "ptp + host-local", &ptp.call("one", &pod, &verbs), 0.5);
}

/// Twenty at once: how much longer the slowest takes than the usual one.
pub fn at_once() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, scratch) = (TestNetns::new(), Scratch::new());
    let mut command = Command::new(podnet());
    command.args(["bench", "add", "-n", "200", "-j", "20", "-o", "json"]);
    command.env("PODNET_ROOT", scratch.join("root")).env("PODNET_RUN", scratch.join("run"));
    let output = host.handle().run(|| succeed(&mut command)).unwrap();
    let bench: serde_json::Value = serde_json::from_str(&output).unwrap();
    let time = |verb: &str, rank: &str| bench[verb][rank].as_f64().unwrap();
    let mut line = String::new();
    for verb in ["create", "delete"] {
        let (p50, p99) = (time(verb, "p50Ms"), time(verb, "p99Ms"));
        write!(line, "{verb} p50 {p50:.1} ms, p99 {p99:.1} ms: {:.1} ×   ", p99 / p50).unwrap();
    }
    println!("{:<34} {line} ≤ 3 ×", "20 at once");
}
