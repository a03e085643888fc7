//! What the packages are said to hold.

use std::collections::BTreeSet;

use toml::Value;

/// Where a system's users find a shell's completions differs, and a .deb has a licence file of its own.
const THEIR_OWN: [&str; 2] = ["_podnet", "LICENSE"];

fn metadata() -> Value {
    let manifest: Value = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
    manifest["package"]["metadata"].clone()
}

/// Each file that is packed, with where it goes.
fn packed(assets: &Value) -> BTreeSet<(String, String)> {
    let field = |asset: &Value, at: usize, key: &str| {
        let value = asset.as_array().map_or_else(|| &asset[key], |list| &list[at]);
        value.as_str().unwrap().to_owned()
    };
    let assets = assets.as_array().unwrap().iter();
    assets
        .map(|asset| {
            (
                field(asset, 0, "source"),
                field(asset, 1, "dest").trim_start_matches('/').trim_end_matches("podnet").to_owned(),
            )
        })
        .collect()
}

#[test]
fn both_packages_hold_the_same_and_all_of_it_is_there() {
    let metadata = metadata();
    let (deb, rpm) = (packed(&metadata["deb"]["assets"]), packed(&metadata["generate-rpm"]["assets"]));
    let differing: Vec<_> = deb
        .symmetric_difference(&rpm)
        .filter(|(source, _)| !THEIR_OWN.iter().any(|own| source.ends_with(own)))
        .collect();
    assert!(differing.is_empty(), "{differing:?}");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (source, _) in deb.union(&rpm).filter(|(source, _)| !source.starts_with("target/")) {
        let found = match source.split_once('*') {
            Some((folder, end)) => std::fs::read_dir(root.join(folder))
                .unwrap()
                .flatten()
                .any(|entry| entry.file_name().to_str().unwrap().ends_with(end)),
            None => root.join(source).is_file(),
        };
        assert!(found, "{source} is not there");
    }
}

#[test]
fn every_page_and_every_completion_is_packed() {
    let sources: BTreeSet<String> =
        packed(&metadata()["deb"]["assets"]).into_iter().map(|(source, _)| source).collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("man")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let section = name.rsplit('.').next().unwrap();
        assert!(sources.contains(&format!("man/*.{section}")), "{name}");
    }
    for shell in ["completions/podnet.bash", "completions/_podnet", "completions/podnet.fish"] {
        assert!(sources.contains(shell), "{shell}");
    }
}
