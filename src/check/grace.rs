//! A pod that is just being made is not judged: half of it is missing, and that is as it should be.

use jiff::{SignedDuration, Timestamp};

use super::pod::Pod;
use crate::model::workload::State;

/// Why a pod is too young to be judged, if it is.
pub fn too_young(pod: &Pod<'_>, now: Timestamp, grace: SignedDuration) -> Option<String> {
    if pod.workloads.iter().any(|workload| workload.state == State::Created) && pod.has_no_process() {
        return Some("it is being created".to_owned());
    }
    let started = pod.workloads.iter().filter_map(|workload| workload.started_at);
    let born = started.chain(pod.state.netns.since).min()?;
    let age = now.duration_since(born);
    (age < grace).then(|| {
        format!("it is {} s old, and may still be being set up until it is {} s", age.as_secs().max(0), grace.as_secs())
    })
}
