//! How a step fails.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use super::wish;
use crate::cni::exec;
use crate::collect::cilium;
use crate::collect::kernel::netlink;
use crate::model::netns::Inode;
use crate::{ipam, netns};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("what is asked for cannot be")]
    Invalid(#[from] wish::Invalid),
    #[error(transparent)]
    Ipam(#[from] ipam::Error),
    #[error("no address from another plugin")]
    Delegate(#[from] exec::Error),
    #[error("the address plugin {kind} gave no address that is wanted")]
    NoAddress { kind: String },
    #[error(transparent)]
    Netns(#[from] netns::Error),
    #[error("{path} is the host's own netns: an interface for a pod has no place there")]
    HostNetns { path: PathBuf },
    #[error("there is a netns {path} already (podnet create {path} gives it a network)")]
    NetnsExists { path: PathBuf },
    #[error("{path} is another netns by now: {now} instead of {then}")]
    NetnsChanged { path: PathBuf, then: Inode, now: Inode },
    #[error("cannot make the netns {path}")]
    MakeNetns { path: PathBuf, source: io::Error },
    #[error("cannot read the processes, one of which may live in what is left over")]
    Processes { source: io::Error },
    #[error("cannot remove the netns {path}")]
    RemoveNetns { path: PathBuf, source: io::Error },
    #[error("there is an interface {name} in the netns {netns} already (ip -n or podnet inspect shows it)")]
    InterfaceExists { name: String, netns: Inode },
    #[error("there is an interface {name} on the host already, and it is not of this pod (ip link show {name})")]
    NotOurs { name: String },
    #[error("cannot {what}")]
    Kernel { what: String, source: netlink::Error },
    #[error("cannot set {path}")]
    Sysctl { path: String, source: io::Error },
    #[error("cannot get random numbers")]
    Random { source: io::Error },
    #[error("the kernel has no IPv6, and nothing else was asked for")]
    NoFamily,
    #[error(
        "the pool overlaps a route of the host (podnet ipam pool add default CIDR… replaces it; ip route shows the route)"
    )]
    Overlap { source: ipam::pool::Invalid },
    #[error("{} and what was asked for differ: {}", .path.display(), .differences.join("; "))]
    Differs { path: PathBuf, differences: Vec<String> },
    #[error(transparent)]
    Agent(#[from] cilium::Error),
    #[error("no agent was named")]
    NoAgent,
    #[error("the agent tells no MTU of its devices: no Cilium agent, or it is only starting")]
    NoDeviceMtu,
    #[error("the agent's {what} mode is {mode}, for which podnet cannot make an interface (Cilium's own plugin can)")]
    AgentMode { what: &'static str, mode: String },
    #[error(
        "the agent leaves addresses to another plugin (delegated-plugin): a configuration must name it (--conf FILE, with ipam.type)"
    )]
    NoDelegate,
    #[error(
        "the agent gave an address that needs rules by the interface of its gateway {gateway}, which podnet does not make (Cilium's own plugin does)"
    )]
    CloudIpam { gateway: String },
    #[error("the agent gave no address of a family that it routes on this node")]
    NoAgentAddress,
    #[error(
        "the agent wants netkit devices, and the kernel has none (Linux 6.7 with CONFIG_NETKIT; or datapath mode veth)"
    )]
    NoNetkit,
    #[error("cannot start the async runtime")]
    Runtime { source: io::Error },
    #[error("cannot write what the agent is to be told")]
    Unwritable { source: serde_json::Error },
    #[error("the agent is down, and its deletion queue {path} cannot be written")]
    Queue { path: PathBuf, source: io::Error },
    #[error(
        "the agent is down, and its deletion queue {path} has more than {most} entries: see why it does not come back"
    )]
    QueueFull { path: PathBuf, most: usize },
    #[error("this was asked for by --fail-at")]
    Drill,
    #[error("it was asked to end, by key or by signal")]
    Interrupted,
    #[error("cannot keep the journal {path}")]
    Journal { path: PathBuf, source: io::Error },
    #[error(
        "container {container} has an interface {ifname} of podnet already{} (podnet delete {container} --ifname {ifname}, \
         or DEL, comes first)",
        list(addresses)
    )]
    Exists { container: String, ifname: String, addresses: Vec<IpAddr> },
    #[error("another podnet works on container {container} interface {ifname}")]
    Busy { container: String, ifname: String },
}

impl Error {
    /// Whether a step that fails so has done nothing, and what its undo would find is somebody else's.
    pub fn left_nothing(&self) -> bool {
        matches!(
            self,
            Error::NetnsExists { .. }
                | Error::InterfaceExists { .. }
                | Error::NotOurs { .. }
                // Nothing ran.
                | Error::Delegate(exec::Error::NotFound { .. } | exec::Error::Start { .. })
                | Error::Ipam(ipam::Error::AlreadyReserved { .. })
        )
    }
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    format!(", {}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
