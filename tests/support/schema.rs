//! Whether what podnet prints has the shape that it promises.

use podnet::view::schema::Kind;
use serde_json::Value;

/// Panics where the document breaks the schema of its kind.
pub fn check(document: &Value) {
    let Some(kind) = document["kind"].as_str().and_then(Kind::named) else { return };
    check_as(document, kind.name);
}

/// As [`check`], for documents that don't name their kind.
pub fn check_as(document: &Value, kind: &str) {
    let schema = Kind::named(kind).unwrap_or_else(|| panic!("no schema of {kind}")).schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "not a {kind}: {}\n{document:#}", errors.join("\n"));
}
