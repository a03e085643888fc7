//! `podnet cni`, and podnet as a runtime calls it: a CNI plugin.

use std::io::{self, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::terminal::say;
use crate::flow::journal::DEFAULT_RUN;
use crate::flow::plugin::{self, Places};
use crate::ipam::DEFAULT_ROOT;

const EXAMPLES: &str = r#"Example:
  podnet cni <conf     with CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_IFNAME=eth0
                       CNI_NETNS=/run/netns/demo in the environment; conf is
                       {"cniVersion": "1.1.0", "name": "n", "type": "podnet"}

CNI_COMMAND is ADD, DEL, CHECK, GC, STATUS or VERSION (spec 0.3.0 to 1.1.0).
Keys of the configuration, all optional:
  pool     pool to take addresses from [default]
  mtu      of the pair [that of the host's uplink]
  ipMasq   let private addresses out under the host's [true]
  ipv6     false: IPv4 alone
  ipam     {"type": "host-local", …}: addresses from another plugin
  logFile  a line of JSON for each call, with the time of each step
  dataDir  where the addresses are kept [/var/lib/podnet]
CNI_ARGS: IP, MAC, POOL, K8S_POD_*, IgnoreUnknown. runtimeConfig: ips, mac."#;

/// Answer one call of a container runtime, as its CNI plugin
///
/// Runtimes call the program by its name, with CNI_COMMAND set and no arguments; this is the same by hand.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Cni {}

impl Cni {
    pub(super) fn run(&self) -> u8 {
        if std::env::var_os("CNI_COMMAND").is_none() {
            say(
                "hint: container runtimes run this, with CNI_COMMAND and other variables; podnet cni --help has an example",
            );
        }
        u8::from(!answer())
    }
}

/// The status of a call, when a runtime calls.
pub(super) fn called(arguments: usize) -> Option<ExitCode> {
    plugin::is_called(arguments).then(|| ExitCode::from(u8::from(!answer())))
}

fn answer() -> bool {
    let place = |variable: &str, usual: &str| std::env::var_os(variable).map_or_else(|| usual.into(), PathBuf::from);
    let places = Places { run: place("PODNET_RUN", DEFAULT_RUN), root: place("PODNET_ROOT", DEFAULT_ROOT) };
    let mut output = io::BufWriter::new(stdout().lock());
    plugin::answer(&places, |name| std::env::var_os(name), &mut stdin().lock(), &mut output)
}
