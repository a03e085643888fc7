//! What `ip` and `/proc` say, to compare podnet with.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use super::shell::json;

/// One end of a veth pair and the other.
#[derive(Debug, PartialEq)]
pub struct Veth {
    pub name: String,
    pub ifindex: u64,
    pub mac: String,
    pub address: String,
    pub peer_name: String,
    pub peer_ifindex: u64,
    pub peer_mac: String,
}

/// The netns of a process, by inode.
pub fn netns(pid: u32) -> u64 {
    inode(format!("/proc/{pid}/ns/net"))
}

pub fn inode(path: impl AsRef<Path>) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

/// `interface` of the process's netns, whose peer is in the test's own.
pub fn veth(pid: u32, interface: &str) -> Veth {
    let pid = pid.to_string();
    let inside = only(json("nsenter", &["-t", &pid, "-n", "ip", "-j", "addr", "show", "dev", interface]));
    let link = only(json("nsenter", &["-t", &pid, "-n", "ip", "-j", "link", "show", "dev", interface]));
    let (ifindex, peer_ifindex) = (number(&inside["ifindex"]), number(&link["link_index"]));
    let outside = json("ip", &["-j", "link"]);
    let mut peers = outside.as_array().unwrap().iter().filter(|link| link["ifindex"] == peer_ifindex);
    let peer = peers.next().expect("the peer's ifindex in the host's netns");
    assert_eq!(number(&peer["link_index"]), ifindex, "the peer names it back");
    let global = inside["addr_info"].as_array().unwrap().iter().find(|address| address["family"] == "inet").unwrap();
    Veth {
        name: interface.to_owned(),
        ifindex,
        mac: text(&inside["address"]),
        address: text(&global["local"]),
        peer_name: text(&peer["ifname"]),
        peer_ifindex,
        peer_mac: text(&peer["address"]),
    }
}

fn only(list: Value) -> Value {
    // Some versions of ip print an empty object for each link that a filter leaves out.
    list.as_array().unwrap().iter().find(|entry| entry.get("ifindex").is_some()).unwrap().clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number, not {value}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("text, not {value}")).to_owned()
}
