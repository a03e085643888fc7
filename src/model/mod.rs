//! Plain data: what the collectors read and what the views judge. No I/O, no clock.
//!
//! Names in JSON are camelCase; a field that its source did not give is left out, never invented.

pub mod address;
pub mod address_store;
pub mod agent;
pub mod attachment;
pub mod bpf;
pub mod count;
pub mod datapath;
pub mod dns;
pub mod endpoint;
pub mod fib;
pub mod firewall;
pub mod host;
pub mod kernel;
pub mod kube;
pub mod link;
pub mod mac;
pub mod neighbour;
pub mod netns;
pub mod network;
pub mod node;
pub mod peer;
pub mod route;
pub mod rule;
pub mod snapshot;
pub mod socket;
pub mod source;
pub mod sysctl;
pub mod workload;
