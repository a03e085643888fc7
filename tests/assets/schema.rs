//! What programs rely on: within podnet/v1 documents only grow.

use std::collections::{BTreeMap, BTreeSet};

use podnet::view::schema::KINDS;
use serde_json::{Value, json};

use crate::{kept, sources};

const FOLDER: &str = "tests/data/schema";
const FILE: &str = "podnet-v1.json";

fn now() -> Value {
    KINDS.iter().map(|kind| (kind.name.to_owned(), kind.schema())).collect::<serde_json::Map<_, _>>().into()
}

/// What was promised stays true. Having grown, the promise is renewed as `main.rs` says; that is refused where
/// something would be taken back.
#[test]
fn the_documents_only_grow() {
    let path = format!("{}/{FOLDER}/{FILE}", env!("CARGO_MANIFEST_DIR"));
    let promised = std::fs::read_to_string(path).map_or(json!({}), |text| serde_json::from_str(&text).unwrap());
    let broken = breaches(&promised, &now());
    assert!(broken.is_empty(), "podnet/v1 would take back what it promised:\n{}", broken.join("\n"));
    let text = serde_json::to_string_pretty(&now()).unwrap() + "\n";
    kept::folder(FOLDER, &BTreeMap::from([(FILE.to_owned(), text)]));
}

/// Whoever prints a new kind of document lists it in `src/view/schema.rs`.
#[test]
fn every_document_has_a_schema() {
    let registry = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/view/schema.rs")).unwrap();
    let mut shown = BTreeSet::new();
    for text in sources::below("src/show") {
        let shows = text.lines().filter_map(|line| line.strip_prefix("impl Show for ")?.strip_suffix(" {"));
        shown.extend(shows.map(|name| name.rsplit("::").next().unwrap().to_owned()));
    }
    assert!(shown.len() > 3, "{shown:?}");
    shown.remove("KindSchema"); // a schema itself
    let listed =
        |name: &str| registry.contains(&format!("kind::<{name}>")) || registry.contains(&format!("::{name}>("));
    let missing: Vec<_> = shown.iter().filter(|name| !listed(name)).collect();
    assert!(missing.is_empty(), "add to KINDS in src/view/schema.rs: {missing:?}");
    let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), KINDS.len(), "a kind is listed twice in src/view/schema.rs");
}

fn breaches(promised: &Value, now: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for (kind, old) in promised.as_object().unwrap() {
        match now.get(kind) {
            Some(new) => Comparison { old, new }.schemas(kind, old, new, &mut broken),
            None => broken.push(format!("{kind}: is gone")),
        }
    }
    broken
}

/// Two roots, where references lead.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
}

impl Comparison<'_> {
    fn schemas(&self, path: &str, old: &Value, new: &Value, broken: &mut Vec<String>) {
        // The same definition holds the same, and may hold itself.
        if let (Some(one), Some(other)) = (old["$ref"].as_str(), new["$ref"].as_str())
            && one == other
            && path.matches('.').count() > 12
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        for key in ["type", "const", "format"] {
            if old[key] != new[key] {
                broken.push(format!("{path}: {key} was {}, is {}", old[key], new[key]));
            }
        }
        let words = |schema: &Value, key: &str| -> BTreeSet<String> {
            schema[key].as_array().into_iter().flatten().map(Value::to_string).collect()
        };
        for (key, what) in [("enum", "can no longer be"), ("required", "no longer always holds")] {
            for word in words(old, key).difference(&words(new, key)) {
                broken.push(format!("{path}: {what} {word}"));
            }
        }
        for (field, old) in old["properties"].as_object().into_iter().flatten() {
            match new["properties"].get(field) {
                Some(new) => self.schemas(&format!("{path}.{field}"), old, new, broken),
                None => broken.push(format!("{path}: no longer has {field}")),
            }
        }
        for key in ["items", "additionalProperties"] {
            if old[key].is_object() {
                self.schemas(&format!("{path}[]"), &old[key], &new[key], broken);
            }
        }
        for key in ["oneOf", "anyOf", "allOf"] {
            self.choices(path, &old[key], &new[key], broken);
        }
    }

    /// Each old choice is still one.
    fn choices(&self, path: &str, old: &Value, new: &Value, broken: &mut Vec<String>) {
        for choice in old.as_array().into_iter().flatten() {
            let fits = |new: &&Value| {
                let mut broken = Vec::new();
                self.schemas(path, choice, new, &mut broken);
                broken.is_empty()
            };
            if !new.as_array().into_iter().flatten().any(|new| fits(&new)) {
                broken.push(format!("{path}: can no longer be {choice}"));
            }
        }
    }
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

#[test]
fn what_is_taken_back_is_noticed() {
    let schema = json!({"List": {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
            "state": {"oneOf": [{"const": "up"}, {"enum": ["down", "gone"]}]},
            "detail": {"type": ["string", "null"]},
        },
        "required": ["items"],
        "$defs": {"Item": {"type": "object", "properties": {"mtu": {"type": "integer"}}, "required": ["mtu"]}},
    }});
    let broken_by = |pointer: &str, value: Value| {
        let mut changed = schema.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        breaches(&schema, &changed)
    };
    for (pointer, value, breach) in [
        ("/List", Value::Null, "List: type was \"object\", is null"),
        ("/List/required", json!([]), "List: no longer always holds \"items\""),
        ("/List/properties/detail", json!({"type": "string"}), "List.detail: type was"),
        ("/List/$defs/Item/properties", json!({}), "List.items[]: no longer has mtu"),
        (
            "/List/$defs/Item/properties/mtu/type",
            json!("string"),
            "List.items[].mtu: type was \"integer\", is \"string\"",
        ),
        ("/List/properties/state/oneOf", json!([{"const": "up"}, {"enum": ["down"]}]), "List.state: can no longer be"),
    ] {
        let broken = broken_by(pointer, value);
        assert!(broken.iter().any(|line| line.starts_with(breach)), "{pointer}: {broken:?}");
    }
    for (pointer, value) in [
        ("/List/required", json!(["items", "state"])),
        ("/List/properties/state/oneOf", json!([{"const": "up"}, {"enum": ["down", "gone", "new"]}, {"const": "odd"}])),
        ("/List/$defs/Item/properties", json!({"mtu": {"type": "integer"}, "name": {"type": "string"}})),
    ] {
        assert_eq!(broken_by(pointer, value), [""; 0], "{pointer}");
    }
}
