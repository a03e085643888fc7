//! What is wrong: rules, each a pure function over what was read, with a code that stays what it is.
//!
//! A rule says nothing about what it could not see: where its source is missing it is told among those that did not
//! run. What is normal somewhere (an internal network of Docker, a namespace that is meant to have no network) must be
//! known to it, as a false alarm costs more than a missed one: nobody believes the next.

mod catalogue;
pub mod choice;
mod engine;
mod facts;
mod finding;
mod grace;
mod hit;
mod paste;
mod pod;
pub mod rule;
pub mod watch;

mod address;
mod asymmetry;
mod bridge;
mod cilium;
mod cni;
mod declared;
mod default_route;
mod dns;
mod firewall;
mod flushed;
mod host_route;
pub mod ipam;
mod kube;
mod limit;
mod link;
mod loops;
mod mtu;
mod neighbour;
mod netns;
mod nsid;
mod offload;
mod overlap;
mod peer;
mod policy_rule;
mod route;
mod socket;
mod sysctl;
mod uplink;
mod verdict;

pub use catalogue::{RULES, rule_of};
pub use engine::check;
pub use facts::Facts;
pub use finding::{CheckReport, Evidence, Finding, Ignored, Skipped, Summary};
pub use pod::{Pod, pods};
pub use rule::{Rule, Severity};
