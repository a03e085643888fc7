//! What the kernel itself knows: netlink, `/proc/sys/net`, BPF. One file a table.

mod address;
mod bpf;
pub mod bpf_map;
pub mod bytes;
mod devconf;
mod encap;
mod explain;
mod expression;
mod firewall;
mod frame;
mod link;
mod link_parameters;
mod message_name;
mod neighbour;
pub mod netlink;
mod nexthop;
mod nsid;
mod outside;
pub mod problem;
mod program;
mod read;
pub mod route;
mod route_metric;
mod rule;
mod socket;
mod sysctl;

pub use explain::{Looked, explain, not_explained};
pub use outside::{Outside, Told};
pub use read::{
    Programs, Sockets, Visit, Want, enter_and_look, enter_and_read_programs, read, read_beside, read_programs,
};
