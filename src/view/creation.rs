//! `podnet create` and `podnet delete`: the steps, and what came of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::cni::version::SpecVersion;
use crate::flow::step::{Change, Step};
use crate::flow::{Outcome, Record, Status};
use crate::model::netns::Inode;

/// What was created, or would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Creation {
    pub api_version: String,
    pub kind: String,
    /// What `podnet delete` takes.
    pub name: String,
    pub container_id: String,
    pub ifname: String,
    pub network: String,
    pub netns: Place,
    /// Nothing was changed: the steps are a plan.
    pub dry_run: bool,
    pub steps: Vec<StepReport>,
    pub elapsed_ms: f64,
    /// What the operator should know, though nothing failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The CNI result of ADD, of the newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<Inode>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its stable name, which `--fail-at` takes.
    pub step: String,
    pub purpose: String,
    pub status: StepStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The commands that would do the same by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    Planned,
    Done,
    Failed,
    Undone,
    /// Its undo failed: something is left.
    Left,
}

/// What was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub interfaces: Vec<DeletedInterface>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedInterface {
    pub container_id: String,
    pub ifname: String,
    /// The netns that it was in and that was left alone, as podnet did not make it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    pub steps: Vec<StepReport>,
}

/// A document of a record, to which steps are added.
pub fn creation(name: &str, record: &Record) -> Creation {
    let owner = &record.wish.owner;
    Creation {
        api_version: API_VERSION.to_owned(),
        kind: "Creation".to_owned(),
        name: name.to_owned(),
        container_id: owner.container_id().to_owned(),
        ifname: owner.ifname().to_owned(),
        network: record.wish.network.clone(),
        netns: Place { path: record.netns_path().to_string_lossy().into_owned(), inode: record.netns },
        dry_run: false,
        steps: Vec::new(),
        elapsed_ms: 0.0,
        notes: Vec::new(),
        result: None,
        error: None,
    }
}

/// The plan alone.
pub fn plan(name: &str, record: &Record, steps: &[&dyn Step], notes: Vec<String>) -> Creation {
    let steps = steps.iter().map(|step| planned(*step, record)).collect();
    Creation { dry_run: true, steps, notes, ..creation(name, record) }
}

pub fn planned(step: &dyn Step, record: &Record) -> StepReport {
    StepReport {
        step: step.name().to_owned(),
        purpose: step.purpose().to_owned(),
        status: StepStatus::Planned,
        elapsed_ms: None,
        changes: Vec::new(),
        commands: step.preview(record),
        undo: step.undo_preview(record),
        error: None,
    }
}

/// What came of the steps of a whole creation.
pub fn created(name: &str, record: &Record, outcomes: &[Outcome], notes: Vec<String>) -> Creation {
    let steps: Vec<StepReport> = outcomes.iter().map(report).collect();
    let elapsed_ms = steps.iter().filter_map(|step| step.elapsed_ms).sum();
    let result = record.result().encode(SpecVersion::NEWEST).ok();
    Creation { steps, elapsed_ms, notes, result, ..creation(name, record) }
}

/// A creation that failed.
pub fn failed(name: &str, record: &Record, outcomes: &[Outcome], error: String) -> Creation {
    Creation { result: None, error: Some(error), ..created(name, record, outcomes, Vec::new()) }
}

pub fn deletion(name: &str, interfaces: Vec<DeletedInterface>, notes: Vec<String>) -> Deletion {
    Deletion {
        api_version: API_VERSION.to_owned(),
        kind: "Deletion".to_owned(),
        name: name.to_owned(),
        interfaces,
        notes,
    }
}

pub fn report(outcome: &Outcome) -> StepReport {
    StepReport {
        step: outcome.step.to_owned(),
        purpose: outcome.purpose.to_owned(),
        status: match outcome.status {
            Status::Done => StepStatus::Done,
            Status::Failed => StepStatus::Failed,
            Status::Undone => StepStatus::Undone,
            Status::Left => StepStatus::Left,
        },
        elapsed_ms: Some(outcome.elapsed_ms),
        changes: outcome.changes.clone(),
        commands: Vec::new(),
        undo: Vec::new(),
        error: outcome.error.clone(),
    }
}
