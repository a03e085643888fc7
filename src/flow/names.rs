//! How podnet calls what it makes.

use sha2::{Digest, Sha256};

use crate::ipam::Owner;

/// How the host's end of every pair begins.
pub const HOST_PREFIX: &str = "lxc";
/// How an alias begins that says whose an interface is; `ip link` shows it.
pub const ALIAS_PREFIX: &str = "podnet ";

/// The host's end, as Cilium names it: `lxc` and 12 hexadecimal digits of SHA-256 over `CONTAINER:IFNAME`.
pub fn host_interface(owner: &Owner) -> String {
    let digest = Sha256::digest(format!("{}:{}", owner.container_id(), owner.ifname()));
    let digits: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{HOST_PREFIX}{digits}")
}

/// What the pod's end is called before it is moved, as Cilium calls it: `tmp` and the begin of the container's ID.
pub fn temporary(owner: &Owner) -> String {
    let begin: String = owner.container_id().chars().take(5).collect();
    format!("tmp{begin}")
}

/// Of the host's end: what makes it podnet's own, also where its journal was lost.
pub fn alias(owner: &Owner) -> String {
    format!("{ALIAS_PREFIX}{}@{}", owner.container_id(), owner.ifname())
}

/// Whose interface an alias says it is; `None` when it is not podnet's.
pub fn owner_of_alias(alias: &str) -> Option<Owner> {
    let (container, ifname) = alias.strip_prefix(ALIAS_PREFIX)?.rsplit_once('@')?;
    Owner::new(container, ifname).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_interface_is_called_as_cilium_calls_it() {
        assert_eq!(host_interface(&Owner::new("abc", "eth0").unwrap()), "lxcb133159de544");
    }

    #[test]
    fn an_alias_leads_back_to_its_owner() {
        let owner = Owner::new("3f2a.91-c0", "eth0").unwrap();
        assert_eq!(owner_of_alias(&alias(&owner)), Some(owner));
        for other in ["", "podnet", "podnet x", "podnet ../x@eth0", "uplink"] {
            assert_eq!(owner_of_alias(other), None, "{other}");
        }
    }
}
