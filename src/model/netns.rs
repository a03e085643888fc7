//! A network namespace: what it is, who holds it, and what was read inside.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::firewall::Firewall;
use super::link::Link;
use super::neighbour::Neighbour;
use super::route::{Nexthop, Route};
use super::rule::Rule;
use super::socket::Sockets;
use super::sysctl::Sysctls;

/// The inode number of a netns on nsfs, as `readlink /proc/PID/ns/net` shows it. All namespaces
/// live on one nsfs mount, so the number alone tells them apart as long as something holds them.
pub type Inode = u64;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Netns {
    pub inode: Inode,
    /// Where it is bind-mounted in podnet's own mount namespace.
    pub paths: Vec<String>,
    pub holders: Vec<Holder>,
    /// The netns of PID 1 as podnet sees it: the node's own.
    pub is_host: bool,
    /// Its id as seen from the host's netns (`RTM_GETNSID`), where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsid: Option<i32>,
    /// The earliest sign of it: its first process's start, or when it was mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Inode of the user namespace that owns it (`NS_GET_USERNS`), where that isn't podnet's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_user_ns: Option<u64>,
}

/// What keeps a netns alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    pub kind: HolderKind,
    /// The process that is in it, has it open, or lives in the mount namespace that mounts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its name (`/proc/PID/comm`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The container that the process belongs to, by its cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Mount point, `/proc/PID/fd/N` or `/proc/PID/task/TID/ns/net`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HolderKind {
    /// A process that is in it.
    Process,
    /// A mount in podnet's own mount namespace.
    Mount,
    /// A mount in another mount namespace, that of `pid`.
    ForeignMount,
    /// An open file descriptor of a process that is elsewhere.
    Fd,
    /// A thread of a process that is elsewhere.
    Thread,
}

/// What one namespace holds, read in one visit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetnsState {
    pub netns: Netns,
    /// Present unless the namespace could not be entered or read; then `problem` says why.
    pub links: Vec<Link>,
    /// Where they were asked for without the links, which have them otherwise.
    #[serde(skip)]
    pub addresses: Option<Vec<Address>>,
    pub nsids: Vec<Nsid>,
    /// Of the host's own: ids of its table that no namespace which was found explains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unexplained_nsids: Vec<i32>,
    pub routes: Vec<Route>,
    pub nexthops: Vec<Nexthop>,
    pub rules: Vec<Rule>,
    pub neighbours: Vec<Neighbour>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<Sysctls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sockets: Option<Sockets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Firewall>,
    /// What could not be read, each with why: a missing answer is never shown as an empty one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl NetnsState {
    /// Whether the kernel told of it: no namespace is without a link.
    pub fn was_read(&self) -> bool {
        !self.links.is_empty() || self.addresses.is_some()
    }

    pub fn link(&self, ifindex: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.ifindex == ifindex)
    }

    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The namespace that an id means here (netnsid), as far as it is known.
    pub fn netns_of_id(&self, nsid: i32) -> Option<Inode> {
        self.nsids.iter().find(|known| known.nsid == nsid).map(|known| known.inode)
    }

    /// The other ends of its links, by the namespaces that they are in.
    pub fn other_ends(&self) -> BTreeMap<Inode, Vec<u32>> {
        let mut ends: BTreeMap<Inode, Vec<u32>> = BTreeMap::new();
        for link in &self.links {
            let other = link.link_netnsid.and_then(|nsid| self.netns_of_id(nsid));
            if let Some((other, ifindex)) = other.zip(link.link) {
                ends.entry(other).or_default().push(ifindex);
            }
        }
        ends
    }

    /// Its links whose other ends are in `other`.
    pub fn ends_in(&self, other: Inode) -> Vec<u32> {
        let is_there = |link: &&Link| link.link_netnsid.and_then(|nsid| self.netns_of_id(nsid)) == Some(other);
        self.links.iter().filter(is_there).map(|link| link.ifindex).collect()
    }

    /// Why it could not be read; every namespace that was read has its loopback at least.
    pub fn unread(&self) -> Option<&str> {
        let why = self.problems.first().map_or("it was not read", String::as_str);
        self.links.is_empty().then_some(why)
    }

    /// Why one of its tables was not read, or not whole. Problems begin with the table's name.
    pub fn unread_table(&self, table: &str) -> Option<&str> {
        let of_table = |problem: &&String| problem.strip_prefix(table).is_some_and(|rest| rest.starts_with(':'));
        self.problems.iter().find(of_table).map(String::as_str).or_else(|| self.unread())
    }
}

/// One line of a namespace's own table of others: `nsid` here means that inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nsid {
    pub nsid: i32,
    pub inode: Inode,
}
