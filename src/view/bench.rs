//! `podnet bench`: how long it takes to give a pod a network on this node, and where the time goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::flow::Outcome;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bench {
    pub api_version: String,
    pub kind: String,
    pub pods: usize,
    /// How many were worked on at once.
    pub jobs: usize,
    pub create: Times,
    pub delete: Times,
    /// Of the creation, in order.
    pub steps: Vec<StepTimes>,
    /// Pods that could not be created, and the first reason.
    pub failed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// In milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepTimes {
    pub step: String,
    #[serde(flatten)]
    pub times: Times,
    /// Of the whole, from 0 to 1.
    pub share: f64,
}

/// One pod: how long the steps of its creation and its deletion took, or why there were none.
pub type Run = Result<(Vec<Outcome>, f64), String>;

pub fn bench(jobs: usize, runs: &[Run]) -> Bench {
    let done: Vec<_> = runs.iter().flatten().collect();
    let creations = done.iter().map(|(outcomes, _)| outcomes.iter().map(|outcome| outcome.elapsed_ms).sum()).collect();
    let total: f64 = done.iter().flat_map(|(outcomes, _)| outcomes).map(|outcome| outcome.elapsed_ms).sum();
    let names = done.first().map(|(outcomes, _)| outcomes.as_slice()).unwrap_or_default();
    let step = |name: &'static str| {
        let of_step = |outcome: &&Outcome| outcome.step == name;
        let elapsed: Vec<f64> = done
            .iter()
            .filter_map(|(outcomes, _)| outcomes.iter().find(of_step))
            .map(|outcome| outcome.elapsed_ms)
            .collect();
        let share = if total > 0.0 { elapsed.iter().sum::<f64>() / total } else { 0.0 };
        StepTimes { step: name.to_owned(), times: times(elapsed), share }
    };
    Bench {
        api_version: API_VERSION.to_owned(),
        kind: "Bench".to_owned(),
        pods: runs.len(),
        jobs,
        create: times(creations),
        delete: times(done.iter().map(|(_, deletion)| *deletion).collect()),
        steps: names.iter().map(|outcome| step(outcome.step)).collect(),
        failed: runs.len() - done.len(),
        error: runs.iter().find_map(|run| run.as_ref().err().cloned()),
    }
}

/// By the nearest rank.
fn times(mut elapsed: Vec<f64>) -> Times {
    elapsed.sort_by(f64::total_cmp);
    let rank = |share: f64| {
        let nth = (share * elapsed.len() as f64).ceil() as usize;
        elapsed.get(nth.saturating_sub(1)).copied().unwrap_or_default()
    };
    Times { p50_ms: rank(0.5), p99_ms: rank(0.99), max_ms: rank(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let found = times((1..=100).rev().map(f64::from).collect());
        assert_eq!((found.p50_ms, found.p99_ms, found.max_ms), (50.0, 99.0, 100.0));
        assert_eq!(times(vec![7.0]), Times { p50_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 });
        assert_eq!(times(Vec::new()), Times::default());
    }
}
