//! One plugin of a network: a JSON object of which the protocol knows a few keys.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Invalid;
use crate::model::address::Family;

#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// `type`: the name of the program.
    pub kind: String,
    /// What it would be told by a runtime that has it: portMappings, bandwidth, …
    pub capabilities: BTreeMap<String, bool>,
    /// The whole object; unknown keys are the plugin's own.
    pub object: Map<String, Value>,
}

impl Plugin {
    /// `nth` counts from 1, for the words of an error.
    pub(super) fn parse(value: Value, nth: usize) -> Result<Self, Invalid> {
        let Value::Object(object) = value else { return Err(Invalid::PluginNotAnObject { nth }) };
        let kind = kind(&object)?.ok_or(Invalid::NoType { nth })?;
        let capabilities = match object.get("capabilities") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(value) => serde_json::from_value(value.clone()).map_err(|_| Invalid::Key {
                key: "capabilities".to_owned(),
                expected: "an object of names, each true or false",
            })?,
        };
        Ok(Self { kind, capabilities, object })
    }

    /// The address plugin that it delegates to.
    pub fn ipam(&self) -> Option<&str> {
        self.object.get("ipam")?.get("type")?.as_str().filter(|kind| !kind.is_empty())
    }

    /// The families that it gives a default route for, by its own words: `isDefaultGateway`, or one among the routes of
    /// its address plugin; and of those that always give one, whatever they are told.
    pub fn default_routes(&self) -> Vec<Family> {
        const ALWAYS: [&str; 4] = ["cilium-cni", "calico", "flannel", "podnet"];
        let ipam = self.object.get("ipam");
        let routes = ipam.and_then(|ipam| ipam.get("routes")).and_then(Value::as_array);
        let destinations = routes.into_iter().flatten().filter_map(|route| route.get("dst")?.as_str());
        let is_gateway = self.object.get("isDefaultGateway") == Some(&Value::Bool(true));
        let implied = ALWAYS.contains(&self.kind.as_str()) || is_gateway;
        let stated: Vec<&str> = destinations.collect();
        let all = [(Family::Ipv4, implied || stated.contains(&"0.0.0.0/0")), (Family::Ipv6, stated.contains(&"::/0"))];
        all.into_iter().filter(|(_, gives)| *gives).map(|(family, _)| family).collect()
    }

    /// The file of the network that Multus hands each pod on to first, where it is told one by its path.
    pub fn default_network(&self) -> Option<&str> {
        let is_multus = matches!(self.kind.as_str(), "multus" | "multus-shim");
        self.object.get("clusterNetwork")?.as_str().filter(|path| is_multus && path.starts_with('/'))
    }
}

/// `type` of an object, when it is the name of a program and no path.
pub(super) fn kind(object: &Map<String, Value>) -> Result<Option<String>, Invalid> {
    match text(object, "type")? {
        Some(kind) if is_program(&kind) => Ok(Some(kind)),
        Some(kind) => Err(Invalid::Type { kind }),
        None => Ok(None),
    }
}

pub(in crate::cni) fn is_program(kind: &str) -> bool {
    !matches!(kind, "." | "..") && !kind.contains(|letter: char| matches!(letter, '/' | '\\') || letter.is_control())
}

/// A text; an empty one counts as none.
pub(super) fn text(object: &Map<String, Value>, key: &str) -> Result<Option<String>, Invalid> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(Invalid::Key { key: key.to_owned(), expected: "a text" }),
    }
}

/// `true`, `false`, or as a text, which libcni takes as well.
pub(super) fn boolean(object: &Map<String, Value>, key: &str) -> Result<Option<bool>, Invalid> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err(Invalid::Key { key: key.to_owned(), expected: "true or false" }),
    }
}
