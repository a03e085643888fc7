//! A pod that is just being made is not judged: half of it is missing, and that is as it should be.

use jiff::{SignedDuration, Timestamp};

use super::pod::Pod;
use crate::model::workload::State;

/// A pod that is too young to be judged.
pub struct Young {
    pub why: String,
    /// Seconds until it is old enough, where that is known.
    pub again_in_seconds: Option<u64>,
}

/// Whether a pod is too young to be judged.
pub fn too_young(pod: &Pod<'_>, now: Timestamp, grace: SignedDuration) -> Option<Young> {
    if pod.workloads.iter().any(|workload| workload.state == State::Created) && pod.has_no_process() {
        return Some(Young { why: "it is being created".to_owned(), again_in_seconds: None });
    }
    let started = pod.workloads.iter().filter_map(|workload| workload.started_at);
    let born = started.chain(pod.state.netns.since).min()?;
    let age = now.duration_since(born);
    (age < grace).then(|| Young {
        why: format!(
            "it is {} s old, and may still be being set up until it is {} s",
            age.as_secs().max(0),
            grace.as_secs()
        ),
        // To the next whole second, so that it is old enough then.
        again_in_seconds: u64::try_from(grace.saturating_sub(age).as_secs()).ok().map(|seconds| seconds + 1),
    })
}
