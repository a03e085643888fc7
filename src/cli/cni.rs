//! `podnet cni`, and podnet as a runtime calls it: a CNI plugin.

use std::io::{self, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::attachment::State;
use super::chain::{self, Scene};
use super::conf::Told;
use super::create::manner;
use super::terminal::say;
use super::{Common, Error};
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
  agent    "cilium": register pods with its agent, which gives the addresses
  logFile  a line of JSON for each call, with the time of each step
  dataDir  where the addresses are kept [/var/lib/podnet]
CNI_ARGS: IP, MAC, POOL, K8S_POD_*, IgnoreUnknown. runtimeConfig: ips, mac."#;

/// Be a CNI plugin, or the runtime of a network of them
///
/// Runtimes call the program by its name, with CNI_COMMAND set and no arguments; without a command this is the same by
/// hand. The commands drive a network's plugins as a runtime would: podnet create --conf and delete --conf are ADD and DEL.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Cni {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// CHECK an attachment by each plugin of its network
    #[command(after_help = "Example:\n  podnet cni check demo --conf auto")]
    Check {
        /// The name given to `podnet create`, or any handle that `podnet inspect` takes
        #[arg(value_name = "NAME|TARGET")]
        name: String,
        /// The pod's interface
        #[arg(long, value_name = "NAME", default_value = "eth0")]
        ifname: String,
        #[command(flatten)]
        network: NetworkArgs,
        #[command(flatten)]
        state: State,
    },
    /// Ask each plugin of a network for its STATUS
    #[command(after_help = "Example:\n  podnet cni status")]
    Status {
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Find attachments that are gone; --apply: DEL for those, GC with what is alive
    ///
    /// Alive is what has its netns still, or what a runtime knows. Where that cannot be told, nothing is done. While it
    /// runs, no pod should come or go.
    #[command(after_help = "Examples:\n  podnet cni gc\n  podnet cni gc --conf /etc/cni/net.d/10-x.conflist --apply")]
    Gc {
        #[command(flatten)]
        network: NetworkArgs,
        /// Do it
        #[arg(long)]
        apply: bool,
    },
}

#[derive(Args, Debug)]
struct NetworkArgs {
    /// The network: a conflist, - for standard input, or auto for the one that the runtime here takes
    #[arg(long, value_name = "FILE|-|auto", default_value = "auto")]
    conf: String,
    #[command(flatten)]
    told: Told,
}

impl Cni {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        match &self.command {
            None => Ok(by_hand()),
            Some(Command::Check { name, ifname, network, state }) => {
                let manner = manner(common, false, true);
                Scene { common, state, name, ifname, manner }.check(&network.told, &network.conf)
            }
            Some(Command::Status { network }) => chain::status(common, &network.told, &network.conf),
            Some(Command::Gc { network, apply }) => chain::gc(common, &network.told, &network.conf, *apply),
        }
    }
}

fn by_hand() -> u8 {
    if std::env::var_os("CNI_COMMAND").is_none() {
        say("hint: runtimes run this, with CNI_COMMAND and other variables; podnet cni --help has an example");
    }
    u8::from(!answer())
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
