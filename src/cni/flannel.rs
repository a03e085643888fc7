//! The addresses of a node's pods that flannel's plugin tells host-local: they are in no configuration of the network's.

use std::path::Path;

use super::file::read_at_most;

/// Where flanneld writes them, unless the network's `subnetFile` says otherwise.
const FILE: &str = "run/flannel/subnet.env";
const LONGEST: u64 = 4096;

/// The subnets of this node, as text.
pub fn subnets(root: &Path) -> Vec<String> {
    let text = read_at_most(&root.join(FILE), LONGEST).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let subnets = ["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"].into_iter().filter_map(value);
    // It names the bridge's own address with the length of the subnet.
    subnets.filter_map(|text| text.trim().parse::<ipnet::IpNet>().ok()).map(|net| net.trunc().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_both_families() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(subnets(root.path()), Vec::<String>::new());
        std::fs::create_dir_all(root.path().join("run/flannel")).unwrap();
        let text = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_IPV6_SUBNET=fd00:3::1/64\nFLANNEL_MTU=1450\n";
        std::fs::write(root.path().join(FILE), text).unwrap();
        assert_eq!(subnets(root.path()), ["10.244.3.0/24", "fd00:3::/64"]);
    }
}
