//! A machine of the test's own: processes, mounts and network of its own, on which podnet runs as on a node.
//!
//! What is done to it (sysctls, routes, firewalls, stores below /var/lib and /etc) is done to nobody else, and ends with it.
//! It has an uplink with a gateway, and no pods yet.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::podnet::Ran;
use super::scratch::Scratch;
use super::shell::wait_for;

/// `$1` is the scratch directory. /etc, /var and /opt can be written; what the real machine keeps there of networks is
/// hidden, and the namespaces that it has mounted are unmounted.
const BOOT: &str = r#"
set -e
scratch=$1
while mountpoint -q /run; do umount --recursive --lazy /run; done
sed -n 's/^[0-9]* [0-9]* [^ ]* net:[^ ]* \([^ ]*\) .* - nsfs .*/\1/p' /proc/self/mountinfo | while read -r place; do
  umount -l "$(printf %b "$place")" 2>/dev/null || true
done
for place in etc var opt; do
  mkdir -p "$scratch/$place/upper" "$scratch/$place/work"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$scratch/$place/upper,workdir=$scratch/$place/work" "/$place"
done
for place in /run /var/lib/cni /var/lib/podnet /var/lib/containers /etc/cni /etc/containerd /etc/crio /etc/sysctl.d /etc/podnet /opt/cni; do
  mkdir -p "$place"; mount -t tmpfs tmpfs "$place"
done
rm -f /etc/sysctl.conf /etc/resolv.conf; touch /etc/resolv.conf
for place in /usr/lib/sysctl.d /usr/local/lib/sysctl.d /lib/sysctl.d; do
  if [ -d "$place" ]; then mount -t tmpfs tmpfs "$place"; fi
done
mkdir -p /run/netns /var/lib/cni/results
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
ip link set lo up
ip netns add world
ip link add eth0 type veth peer name eth0 netns world
ip addr add 198.51.100.2/24 dev eth0
ip addr add 2001:db8:51::2/64 dev eth0 nodad
ip link set eth0 up
ip -n world addr add 198.51.100.1/24 dev eth0
ip -n world addr add 2001:db8:51::1/64 dev eth0 nodad
ip -n world link set eth0 up
ip route add default via 198.51.100.1
ip route add default via 2001:db8:51::1
touch "$scratch/booted"
exec sleep infinity
"#;

const BINARY: &str = env!("CARGO_BIN_EXE_podnet");

pub struct Machine {
    unshare: Child,
    init: u32,
    scratch: Scratch,
}

impl Machine {
    pub fn boot() -> Self {
        let scratch = Scratch::new();
        let folder = scratch.path().to_str().unwrap().to_owned();
        // It ends with the thread that made it, whatever becomes of that.
        let guard = ["--pdeathsig", "KILL", "unshare"];
        let words = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--propagation", "private"];
        let unshare = Command::new("setpriv")
            .args(guard)
            .args(words)
            .args(["sh", "-c", BOOT, "sh", &folder])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = unshare.id();
        let mut machine = Self { unshare, init: 0, scratch };
        machine.init = wait_for("the machine to boot", Duration::from_secs(20), || {
            assert!(machine.unshare.try_wait().unwrap().is_none(), "it ended while it booted");
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            let booted = machine.scratch.join("booted").exists();
            children.split_whitespace().next().filter(|_| booted)?.parse().ok()
        });
        machine
    }

    /// A directory that it and the test both see.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// A path of its, as it is reached from outside.
    pub fn root(&self, path: &str) -> std::path::PathBuf {
        std::path::PathBuf::from(format!("/proc/{}/root/{path}", self.init))
    }

    /// Its netns, as `ip … netns` takes it from outside.
    pub fn netns(&self) -> String {
        format!("/proc/{}/ns/net", self.init)
    }

    /// A command that runs on the machine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "--mount", "--net", "--pid", "--", program]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs shell commands on it; panics with their words when one of them fails, or waits for what never comes.
    pub fn run(&self, script: &str) -> String {
        // No pipes: what a script leaves behind may hold them open, and reading them would not end.
        let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let mut command = self.command("timeout");
        command.args(["60", "sh", "-ec", script]);
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        let status = command.status().unwrap();
        let said = text(&mut stdout);
        assert!(status.success(), "{command:?}: {status}\n{said}{}", text(&mut stderr));
        said.trim_end().to_owned()
    }

    /// Runs shell commands on it that leave processes behind; their number is that of the last one.
    pub fn leave(&self, script: &str) -> u32 {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        assert!(null.as_raw_fd() > 2);
        let file = self.scratch.text("pid");
        let script = format!("{script} </dev/null >/dev/null 2>&1 & echo $! > {file}");
        self.run(&script);
        std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }

    /// podnet, as somebody types it there. Variables of the test's own environment lead it nowhere.
    pub fn podnet(&self, args: &[&str]) -> Ran {
        let begin = std::time::Instant::now();
        let mut command = self.command("timeout");
        command.args(["120", "env"]);
        let variables = ["DOCKER_HOST", "CONTAINER_HOST", "CONTAINER_RUNTIME_ENDPOINT", "PODNET_TARGET", "COLUMNS"];
        for variable in variables.into_iter().chain(["KUBECONFIG", "CILIUM_SOCK"]) {
            command.args(["-u", variable]);
        }
        // As the recorded one is called in its cluster.
        command.args(["NODE_NAME=vm", "HOME=/nowhere"]);
        let output = command.arg(BINARY).args(args).output().unwrap();
        Ran::new(output, begin.elapsed())
    }
}

/// All that was written to it.
fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        // Its mounts lie on the scratch directory until its last process is gone.
        let init = std::path::PathBuf::from(format!("/proc/{}", self.init));
        let gone = || (!init.exists()).then_some(());
        super::scratch::clean_up(|| wait_for("the machine to end", Duration::from_secs(20), gone));
    }
}
