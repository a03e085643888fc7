//! podnet-json(7): the documents, from their schemas.

use std::collections::BTreeMap;

use podnet::view::schema::KINDS;
use roff::{bold, italic, roman};
use serde_json::Value;

use super::page::Page;

pub fn page() -> String {
    let mut page = Page::new("podnet-json", 7, "the documents that podnet prints");
    page.heading("DESCRIPTION").text(
        "With -o json every command prints one document, with -o yaml the same in YAML. Each says its version in apiVersion and what it is in kind. Within podnet/v1 kinds and fields are only added: a field that is here keeps its name, its type and its meaning.\n\n\
        A field that its source did not give is left out, never invented; sources says of each source whether it answered. podnet schema KIND prints the JSON Schema of a kind, which is what this page is made of. -o jsonpath=EXPRESSION prints parts (RFC 9535).",
    );
    page.heading("KINDS");
    let mut definitions: BTreeMap<String, Value> = BTreeMap::new();
    for kind in KINDS {
        let schema = kind.schema();
        page.subheading(kind.name).text(&format!("Printed by {}.", kind.printed_by.trim_end_matches('.')));
        fields(&mut page, &schema);
        let own = schema["$defs"].as_object().into_iter().flatten();
        definitions.extend(own.map(|(name, definition)| (name.clone(), definition.clone())));
    }
    page.heading("PARTS");
    for (name, definition) in &definitions {
        page.subheading(name);
        if let Some(text) = definition["description"].as_str() {
            page.text(text);
        }
        words(&mut page, definition);
        fields(&mut page, definition);
    }
    let others = [("podnet".to_owned(), 1), ("podnet-schema".to_owned(), 1)];
    page.see_also(&others);
    page.finished()
}

fn fields(page: &mut Page, schema: &Value) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let optional = if required.contains(&name.as_str()) { "" } else { ", optional" };
        let term = vec![bold(name.as_str()), roman(" ("), italic(kind_of(field)), roman(format!("{optional})"))];
        page.item(term, field["description"].as_str().unwrap_or(""));
    }
}

/// The words that it can be.
fn words(page: &mut Page, schema: &Value) {
    if let Some(list) = schema["enum"].as_array() {
        let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        page.text(&format!("One of {}.", words.join(", ")));
    }
    for choice in schema["oneOf"].as_array().into_iter().flatten() {
        if let Some(word) = choice["const"].as_str() {
            page.item(vec![bold(word)], choice["description"].as_str().unwrap_or(""));
        } else if let Some(list) = choice["enum"].as_array() {
            for word in list.iter().filter_map(Value::as_str) {
                page.item(vec![bold(word)], "");
            }
        } else {
            page.item(vec![italic(kind_of(choice))], choice["description"].as_str().unwrap_or(""));
            fields(page, choice);
        }
    }
}

/// `list of Link`, `text`, `number`.
fn kind_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("\"{word}\"");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[key].as_array() {
            let kinds: Vec<String> = choices.iter().map(kind_of).filter(|kind| kind != "null").collect();
            return kinds.join(" or ");
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        other => other.as_str().into_iter().collect(),
    };
    match types.as_slice() {
        ["array"] => format!("list of {}", kind_of(&schema["items"])),
        ["object"] if schema["additionalProperties"].is_object() => {
            format!("{} by name", kind_of(&schema["additionalProperties"]))
        }
        ["string"] => "text".to_owned(),
        ["integer"] => "number".to_owned(),
        [] => "anything".to_owned(),
        others => others.join(" or "),
    }
}
