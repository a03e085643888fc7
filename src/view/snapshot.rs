//! `podnet snapshot`: what was saved, and what changed between two of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use super::snapshot_facts::{Key, facts};
use crate::check::CheckReport;
use crate::model::node::Node;
use crate::model::snapshot::{LeftOut, Snapshot};

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    pub api_version: String,
    pub kind: String,
    pub file: String,
    pub bytes: u64,
    pub node: String,
    pub collected_at: Timestamp,
    pub workloads: usize,
    pub namespaces: usize,
    /// What was taken out of it, by place.
    pub left_out: Vec<LeftOut>,
}

pub fn saved(snapshot: &Snapshot, left_out: Vec<LeftOut>, file: String, bytes: u64) -> Saved {
    Saved {
        api_version: API_VERSION.to_owned(),
        kind: "SnapshotSaved".to_owned(),
        file,
        bytes,
        node: snapshot.node.hostname.clone(),
        collected_at: snapshot.node.collected_at,
        workloads: snapshot.node.workloads.len(),
        namespaces: snapshot.node.namespaces.len(),
        left_out,
    }
}

/// What appeared, went and changed from one snapshot to another. Counters, times and the states of neighbours that come
/// and go by themselves are no changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotDiff {
    pub api_version: String,
    pub kind: String,
    pub before: Moment,
    pub after: Moment,
    pub items: Vec<Difference>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    pub node: String,
    pub collected_at: Timestamp,
    /// Another one after each boot, which numbers namespaces and interfaces anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub what: What,
    pub change: Change,
    /// Whose it is: a pod, a container, `host`; absent for what is the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    pub name: String,
    /// What there is to say of it: of what changed, only that.
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    pub field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Kinds of things that are compared, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Finding,
    Source,
    Workload,
    Namespace,
    Interface,
    Address,
    Route,
    Rule,
    Neighbour,
    Sysctl,
    Listener,
    Endpoint,
    HeldAddress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Appeared,
    Went,
    Changed,
}

/// Compares two snapshots, each with what `podnet check` finds in it.
pub fn diff(before: (&Node, &CheckReport), after: (&Node, &CheckReport)) -> SnapshotDiff {
    let (old, mut new) = (facts(before.0, before.1), facts(after.0, after.1));
    let mut items = Vec::new();
    for (key, fields) in old {
        match new.remove(&key) {
            None => items.push(difference(key, Change::Went, one_sided(fields, |value| (Some(value), None)))),
            Some(now) => {
                let changed = changed(fields, now);
                if !changed.is_empty() {
                    items.push(difference(key, Change::Changed, changed));
                }
            }
        }
    }
    let appeared = new
        .into_iter()
        .map(|(key, fields)| difference(key, Change::Appeared, one_sided(fields, |value| (None, Some(value)))));
    items.extend(appeared);
    items.sort_by(|one, other| {
        (one.what, &one.of, &one.name, one.change).cmp(&(other.what, &other.of, &other.name, other.change))
    });
    SnapshotDiff {
        api_version: API_VERSION.to_owned(),
        kind: "SnapshotDiff".to_owned(),
        before: moment(before.0),
        after: moment(after.0),
        items,
    }
}

fn moment(node: &Node) -> Moment {
    let boot_id = node.host.as_ref().and_then(|host| host.boot_id.clone());
    Moment { node: node.hostname.clone(), collected_at: node.collected_at, boot_id }
}

fn difference(key: Key, change: Change, fields: Vec<Field>) -> Difference {
    Difference { what: key.what, change, of: key.of, name: key.name, fields }
}

type Fields = BTreeMap<&'static str, String>;

fn one_sided(fields: Fields, sides: impl Fn(String) -> (Option<String>, Option<String>)) -> Vec<Field> {
    let field = |(field, value): (&'static str, String)| {
        let (before, after) = sides(value);
        Field { field: field.to_owned(), before, after }
    };
    fields.into_iter().filter(|(_, value)| !value.is_empty()).map(field).collect()
}

fn changed(mut old: Fields, mut new: Fields) -> Vec<Field> {
    let names: Vec<&'static str> =
        old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).copied().collect();
    let mut changed = Vec::new();
    for name in names {
        let full = |value: Option<String>| value.filter(|value| !value.is_empty());
        let (before, after) = (full(old.remove(name)), full(new.remove(name)));
        if before != after {
            changed.push(Field { field: name.to_owned(), before, after });
        }
    }
    changed
}
