//! PN-LINK: what an interface takes in one piece (GSO, GRO).

use super::hit::Hit;
use super::link::{far_named, shown};
use super::pod::{End, Pod};
use super::rule::{Rule, Run, Severity};
use crate::model::link::Link;

pub static SEGMENTS_TOO_LARGE: Rule = Rule {
    code: "PN-LINK-016",
    severity: Severity::Warning,
    sentence: "The two ends of the pod's interface take segments of different greatest size.",
    meaning: "With BIG TCP one end builds segments beyond 64 KiB that the other was not told of. They are cut up in \
              software at best; programs that read whole packets see lengths they do not expect.",
    origin: "BIG TCP was switched on or off after the pod was made, and only one end followed",
    confirm: "ip -d link show DEV on both ends: gso_max_size",
    fix: "make the pod anew, or set gso_max_size and gro_max_size of both ends alike",
    needs: &[],
    follows: &[],
    run: Run::Pod(segments_too_large),
};

/// Without BIG TCP nothing is larger (`GSO_LEGACY_MAX_SIZE`).
const LEGACY_SEGMENT: u32 = 65536;

fn segments_too_large(pod: &Pod<'_>) -> Vec<Hit> {
    let size = |link: &Link| link.offload.as_ref().and_then(|offload| offload.gso_max_size);
    let hit = |end: &End<'_>| {
        let far = end.pair()?;
        let (own, other) = (size(end.link)?, size(far.link)?);
        (own != other && own.max(other) > LEGACY_SEGMENT).then(|| {
            shown(pod, end.link).saw("gso_max_size in the pod", own.to_string(), "kernel").saw(
                format!("gso_max_size of {}", far_named(far)),
                other.to_string(),
                "kernel",
            )
        })
    };
    pod.ends.iter().filter_map(hit).collect()
}
