//! Which attachments of a network are alive: what GC is told, and must be told in full, since a plugin removes all
//! that is not in the list.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::cache::{Cached, Entry};
use super::netconf::GcAttachment;
use crate::netns;

/// The interface that runtimes make first.
const USUAL_IFNAME: &str = "eth0";

/// The attachments of one network, each known to be alive or to be gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub alive: BTreeSet<GcAttachment>,
    /// In the cache, but their netns and their container are gone.
    pub gone: BTreeSet<GcAttachment>,
}

/// Why that cannot be told.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsure {
    #[error("{path} of libcni's cache is damaged and may be of the network {network}")]
    Damaged { path: PathBuf, network: String },
    #[error("{} is in libcni's cache without a netns, and no runtime told whether it runs", show(.attachment))]
    NotAsked { attachment: GcAttachment },
    #[error("no attachment of the network {network} is known and no runtime told what runs here")]
    NothingKnown { network: String },
}

fn show(attachment: &GcAttachment) -> String {
    format!("container {} interface {}", attachment.container_id, attachment.ifname)
}

/// Judges the attachments of `network`. `running` are the IDs of the containers and sandboxes that the runtimes know;
/// `None` when one of them did not answer. What is doubtful is alive.
pub fn judge(
    network: &str,
    entries: &[Entry],
    running: Option<&BTreeSet<String>>,
    is_netns: impl Fn(&Path) -> bool,
) -> Result<Standing, Unsure> {
    let mut standing = Standing::default();
    for entry in entries {
        let Ok(cached) = &entry.cached else {
            if may_be_of(&entry.path, network) {
                return Err(Unsure::Damaged { path: entry.path.clone(), network: network.to_owned() });
            }
            continue;
        };
        // The name of an old file can be split in more than one way.
        if cached.network != network && !(cached.is_bare && may_be_of(&entry.path, network)) {
            continue;
        }
        let attachment = GcAttachment { container_id: cached.container_id.clone(), ifname: cached.ifname.clone() };
        if is_alive(cached, &attachment, running, &is_netns)? {
            standing.alive.insert(attachment);
        } else {
            standing.gone.insert(attachment);
        }
    }
    match running {
        // A container that runs may be attached although the cache has lost it.
        Some(running) => standing.alive.extend(
            running.iter().map(|id| GcAttachment { container_id: id.clone(), ifname: USUAL_IFNAME.to_owned() }),
        ),
        None if standing == Standing::default() => {
            return Err(Unsure::NothingKnown { network: network.to_owned() });
        }
        None => {}
    }
    Ok(standing)
}

fn is_alive(
    cached: &Cached,
    attachment: &GcAttachment,
    running: Option<&BTreeSet<String>>,
    is_netns: &impl Fn(&Path) -> bool,
) -> Result<bool, Unsure> {
    if running.is_some_and(|running| running.contains(&cached.container_id)) {
        return Ok(true);
    }
    match (&cached.netns, running) {
        (Some(netns), _) => Ok(is_netns(Path::new(netns))),
        (None, Some(_)) => Ok(false),
        (None, None) => Err(Unsure::NotAsked { attachment: attachment.clone() }),
    }
}

fn may_be_of(path: &Path, network: &str) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.strip_prefix(network).is_some_and(|rest| rest.starts_with('-'))
}

/// Whether a netns is there, or might be.
pub fn is_netns(path: &Path) -> bool {
    match netns::Handle::open(path) {
        Ok(_) => true,
        Err(netns::Error::NotANetns { .. }) => false,
        Err(netns::Error::Open { source, .. }) => {
            !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cni::cache::Unclear;

    fn cached(network: &str, id: &str, netns: Option<&str>) -> Entry {
        let cached = Cached {
            network: network.into(),
            container_id: id.into(),
            ifname: "eth0".into(),
            netns: netns.map(str::to_owned),
            ..Cached::default()
        };
        Entry { path: format!("/c/results/{network}-{id}-eth0").into(), since: None, cached: Ok(cached) }
    }

    fn ids(attachments: &BTreeSet<GcAttachment>) -> Vec<&str> {
        attachments.iter().map(|attachment| attachment.container_id.as_str()).collect()
    }

    #[test]
    fn gone_is_what_neither_a_netns_nor_a_runtime_has() {
        let entries = [
            cached("n", "netns", Some("/there")),
            cached("n", "runs", Some("/gone")),
            cached("n", "dead", Some("/gone")),
            cached("n", "old", None),
            cached("m", "other", Some("/gone")),
        ];
        let running = BTreeSet::from(["runs".to_owned(), "uncached".to_owned()]);
        let standing = judge("n", &entries, Some(&running), |path| path == Path::new("/there")).unwrap();
        assert_eq!(ids(&standing.alive), ["netns", "runs", "uncached"]);
        assert_eq!(ids(&standing.gone), ["dead", "old"]);
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let nothing = BTreeSet::new();
        let damaged = Entry { cached: Err(Unclear::Neither), ..cached("n", "x", None) };
        let of_other = Entry { cached: Err(Unclear::Neither), ..cached("m", "x", None) };
        assert!(matches!(judge("n", &[damaged], Some(&nothing), |_| true), Err(Unsure::Damaged { .. })));
        assert_eq!(judge("n", &[of_other], Some(&nothing), |_| true), Ok(Standing::default()));
        let without_netns = [cached("n", "x", None)];
        assert!(matches!(judge("n", &without_netns, None, |_| true), Err(Unsure::NotAsked { .. })));
        assert!(matches!(judge("n", &[], None, |_| true), Err(Unsure::NothingKnown { .. })));
        let standing = judge("n", &[cached("n", "x", Some("/gone"))], None, |_| false).unwrap();
        assert_eq!(ids(&standing.gone), ["x"]);
    }

    #[test]
    fn an_old_file_whose_name_is_ambiguous_counts_for_each_network() {
        let mut entry = cached("pod-net", "x", None);
        if let Ok(cached) = &mut entry.cached {
            cached.is_bare = true;
        }
        let running = BTreeSet::new();
        for network in ["pod-net", "pod"] {
            let standing = judge(network, std::slice::from_ref(&entry), Some(&running), |_| true).unwrap();
            assert_eq!(ids(&standing.gone), ["x"], "{network}");
        }
    }

    #[test]
    fn a_netns_is_known_by_what_it_is() {
        assert!(is_netns(Path::new("/proc/self/ns/net")));
        for path in ["/nowhere/at/all", "/etc/passwd", "/proc/self/ns/mnt"] {
            assert!(!is_netns(Path::new(path)), "{path}");
        }
    }
}
