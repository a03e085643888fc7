//! What podnet sends, held against the agent's own API documents.

use std::path::Path;

use serde_json::Value;

use crate::stand_in::{Request, query_of};
use crate::support::prerequisite;

/// The document of one version.
pub struct Document {
    name: &'static str,
    root: Value,
}

/// Beside the checkout, where there is one; else the test that asks is told so, and may skip.
pub fn document(version: &str) -> Option<Document> {
    let name = match version {
        "1.9" => "cilium-1.9-openapi.yaml",
        "1.15" => "cilium-1.15-openapi.yaml",
        _ => "cilium-1.20pre-openapi-derived.json",
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let Ok(text) = std::fs::read_to_string(&file) else {
        let _ = prerequisite::skip(&format!("no API document {}", file.display()));
        return None;
    };
    Some(Document { name, root: serde_saphyr::from_str(&text).unwrap() })
}

impl Document {
    /// Panics with what the document does not allow.
    pub fn validate(&self, request: &Request) {
        let path = request.target.split('?').next().unwrap();
        let below = path.strip_prefix(self.root["basePath"].as_str().unwrap()).unwrap_or_else(|| panic!("{path}"));
        let operation = self.operation(below, &request.method);
        let parameters: Vec<Value> = operation["parameters"].as_array().cloned().unwrap_or_default();
        let parameters: Vec<&Value> = parameters
            .iter()
            .map(|parameter| self.resolved(parameter))
            .cloned()
            .map(|it| &*Box::leak(Box::new(it)))
            .collect();
        let declared = |kind: &str, name: &str| {
            parameters.iter().any(|parameter| {
                parameter["in"] == kind && parameter["name"].as_str().unwrap().eq_ignore_ascii_case(name)
            })
        };
        for name in query_of(request).keys() {
            assert!(declared("query", name), "{}: {} {path} has no query {name}", self.name, request.method);
        }
        const USUAL: [&str; 4] = ["host", "accept", "content-type", "content-length"];
        for (name, _) in request.headers.iter().filter(|(name, _)| !USUAL.contains(&name.as_str())) {
            assert!(declared("header", name), "{}: {} {path} has no header {name}", self.name, request.method);
        }
        let body = parameters.iter().find(|parameter| parameter["in"] == "body");
        match (request.body.is_empty(), body) {
            (true, body) => assert!(
                body.is_none_or(|body| body["required"] != true),
                "{}: {} {path} wants a body",
                self.name,
                request.method
            ),
            (false, None) => panic!("{}: {} {path} takes no body", self.name, request.method),
            (false, Some(body)) => {
                let value = serde_json::from_slice(&request.body).unwrap();
                self.check(&value, &body["schema"], "body");
            }
        }
    }

    fn operation(&self, path: &str, method: &str) -> Value {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let wanted: Vec<&str> = template.split('/').collect();
            wanted.len() == parts.len()
                && wanted.iter().zip(&parts).all(|(want, is)| want.starts_with('{') || want == is)
        };
        let paths = self.root["paths"].as_object().unwrap();
        let found = paths.iter().find(|(template, _)| fits(template));
        let (_, operations) = found.unwrap_or_else(|| panic!("{}: no path {path}", self.name));
        let operation = operations[method.to_ascii_lowercase()].clone();
        assert!(operation.is_object(), "{}: no {method} {path}", self.name);
        operation
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.resolved(self.root.pointer(pointer).unwrap_or_else(|| panic!("{}: {reference}", self.name)))
            }
            None => value,
        }
    }

    fn check(&self, value: &Value, schema: &Value, place: &str) {
        let schema = self.resolved(schema);
        if let Some(allowed) = schema["enum"].as_array() {
            // In the derived document a list's quotes have slipped.
            let allowed: String = allowed.iter().map(|each| each.as_str().unwrap()).collect::<Vec<_>>().join("\"");
            let words: Vec<&str> = allowed.split(['"', ',']).filter(|word| !word.is_empty()).collect();
            assert!(
                words.contains(&value.as_str().unwrap()),
                "{}: {place} is {value}, not one of {words:?}",
                self.name
            );
        }
        let kind = schema["type"].as_str().unwrap_or(if schema["properties"].is_object() { "object" } else { "" });
        let is_right = match kind {
            "object" => value.is_object(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            _ => true,
        };
        assert!(is_right, "{}: {place} is {value}, and no {kind}", self.name);
        if let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
            for (name, value) in fields {
                let property = properties.get(name);
                let property = property.unwrap_or_else(|| panic!("{}: {place} has no field {name}", self.name));
                self.check(value, property, &format!("{place}.{name}"));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(name.as_str().unwrap()), "{}: {place} lacks {name}", self.name);
            }
        }
        for element in value.as_array().into_iter().flatten() {
            self.check(element, &schema["items"], &format!("{place}[]"));
        }
    }
}

#[test]
fn what_looks_is_as_every_version_has_it() {
    let agent = crate::stand_in::StandIn::recorded("k8s");
    agent.podnet().json(&["inspect", "ep:1408", "--runtime", "none"]);
    agent.podnet().json(&["endpoint", "get", "1408"]);
    agent.podnet().json(&["endpoint", "log", "1408"]);
    agent.podnet().json(&["status", "--runtime", "none", "--no-kube"]);
    agent.podnet().json(&["ipam", "list", "--no-kube"]);
    for version in ["1.9", "1.15", "1.20"] {
        let Some(document) = document(version) else { return };
        for request in agent.requests() {
            assert_eq!(request.method, "GET", "looking changes nothing");
            document.validate(&request);
        }
    }
}
