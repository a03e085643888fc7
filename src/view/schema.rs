//! The shape of every document that podnet prints, as JSON Schema (draft 2020-12), from the types themselves.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bench::Bench;
use super::chain::ChainRun;
use super::creation::{Creation, Deletion};
use super::endpoint::{EndpointList, EndpointLog, EndpointReport};
use super::error::ErrorReport;
use super::gc::Leftovers;
use super::inspection::Inspection;
use super::installation::Installation;
use super::ipam::{AddressList, AddressReport, PoolList, Released};
use super::ipam_check::{IpamRelease, IpamReport};
use super::list::List;
use super::snapshot::{Saved, SnapshotDiff};
use super::status::Status;
use super::{API_VERSION, exec};
use crate::check::CheckReport;
use crate::check::rule::{Explanation, RuleList};
use crate::check::watch::CheckChange;
use crate::model::snapshot::Snapshot;

/// A kind of document.
pub struct Kind {
    /// Its `kind`.
    pub name: &'static str,
    /// The command that prints it.
    pub printed_by: &'static str,
    schema: fn(SchemaGenerator) -> Schema,
}

/// Every kind. Programs rely on them: fields and kinds are added, and never taken away or given another meaning.
pub const KINDS: &[Kind] = &[
    kind::<Status>("Status", "podnet status"),
    kind::<List>("List", "podnet list"),
    kind::<Inspection>("Inspection", "podnet inspect"),
    kind::<Creation>("Creation", "podnet create"),
    kind::<Deletion>("Deletion", "podnet delete"),
    kind::<Leftovers>("Leftovers", "podnet gc"),
    kind::<Bench>("Bench", "podnet bench add"),
    kind::<ChainRun>("ChainRun", "podnet create --conf, podnet delete --conf, podnet cni check, status and gc"),
    kind::<Installation>("Installation", "podnet install-cni, podnet uninstall-cni"),
    kind::<CheckReport>("CheckReport", "podnet check"),
    kind::<CheckChange>("CheckChange", "podnet check --watch: one a line"),
    kind::<RuleList>("RuleList", "podnet check --list"),
    kind::<Explanation>("Rule", "podnet explain"),
    kind::<Snapshot>("Snapshot", "podnet snapshot save, into its file"),
    kind::<Saved>("SnapshotSaved", "podnet snapshot save"),
    kind::<SnapshotDiff>("SnapshotDiff", "podnet snapshot diff"),
    kind::<EndpointList>("EndpointList", "podnet endpoint list"),
    kind::<EndpointReport>("Endpoint", "podnet endpoint get"),
    kind::<EndpointLog>("EndpointLog", "podnet endpoint log"),
    kind::<PoolList>("PoolList", "podnet ipam"),
    kind::<AddressList>("AddressList", "podnet ipam list"),
    kind::<AddressReport>("Address", "podnet ipam show"),
    kind::<Released>("Released", "podnet ipam release"),
    kind::<IpamReport>("IpamReport", "podnet ipam check"),
    kind::<IpamRelease>("IpamRelease", "podnet ipam release --from-report"),
    kind::<KindList>("KindList", "podnet schema"),
    kind::<exec::Line>("Line", "podnet exec with several targets: one a line, of what the commands say"),
    kind::<ErrorReport>("Error", "every command that fails, on standard error"),
];

const fn kind<T: JsonSchema>(name: &'static str, printed_by: &'static str) -> Kind {
    Kind { name, printed_by, schema: SchemaGenerator::into_root_schema_for::<T> }
}

impl Kind {
    pub fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    /// As it is printed: what may be left out is not required.
    pub fn schema(&self) -> Value {
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let mut schema = (self.schema)(generator).to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("$id".to_owned(), json!(format!("urn:podnet:v1:{}", self.name)));
            schema.insert("title".to_owned(), json!(self.name));
        }
        for (field, value) in [("apiVersion", API_VERSION), ("kind", self.name)] {
            if let Some(slot) = schema.pointer_mut(&format!("/properties/{field}")) {
                *slot = json!({ "const": value });
            }
        }
        schema
    }
}

/// What `podnet schema` answers: which kinds there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KindList {
    pub api_version: String,
    pub kind: String,
    pub items: Vec<KindItem>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KindItem {
    pub name: String,
    /// The command that prints it with `-o json`.
    pub printed_by: String,
}

pub fn kinds() -> KindList {
    let item = |kind: &Kind| KindItem { name: kind.name.to_owned(), printed_by: kind.printed_by.to_owned() };
    let items = KINDS.iter().map(item).collect();
    KindList { api_version: API_VERSION.to_owned(), kind: "KindList".to_owned(), items }
}

/// One kind's schema.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct KindSchema {
    #[serde(skip)]
    pub name: &'static str,
    pub schema: Value,
}

pub fn schema(kind: &Kind) -> KindSchema {
    KindSchema { name: kind.name, schema: kind.schema() }
}
