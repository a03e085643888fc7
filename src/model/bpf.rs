//! A BPF program attached to an interface.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    pub hook: Hook,
    /// The name in the filter or in `bpf_prog_info`, whichever is longer (the kernel cuts its own at 15).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub id: u32,
    /// `bpf_prog_info.tag`, 16 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// tc only: the filter's preference (`prio`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<u16>,
}

/// Where on the device. Direction is the device's own: what enters the host end of a veth left the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    Xdp,
    TcIngress,
    TcEgress,
    TcxIngress,
    TcxEgress,
    NetkitPrimary,
    NetkitPeer,
}

impl fmt::Display for Hook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Hook::Xdp => "xdp",
            Hook::TcIngress => "tc ingress",
            Hook::TcEgress => "tc egress",
            Hook::TcxIngress => "tcx ingress",
            Hook::TcxEgress => "tcx egress",
            Hook::NetkitPrimary => "netkit primary",
            Hook::NetkitPeer => "netkit peer",
        })
    }
}
