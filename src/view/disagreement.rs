//! Two sources that tell different things of the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disagreement {
    /// What they differ in: addresses, mtu, identity, …
    pub what: String,
    /// What each says.
    pub told: Vec<Told>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// kernel, CNI result, pod, CiliumEndpoint, …
    pub by: String,
    pub value: String,
}

impl Disagreement {
    /// A disagreement between those who tell `(who, value)`.
    pub fn new(what: &str, told: &[(&str, &str)]) -> Self {
        let told = told.iter().map(|(by, value)| Told { by: (*by).to_owned(), value: (*value).to_owned() });
        Self { what: what.to_owned(), told: told.collect() }
    }
}

/// A list as one of the values, `none` where it is empty.
pub fn listed<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}
