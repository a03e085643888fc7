//! Which of Cilium's resources the cluster has, and in which version.

use serde::Deserialize;

use futures_util::future::join_all;

use super::request::{Asker, Failure, Resource};
use crate::model::kube::{Served, Unread};

const GROUP: &str = "cilium.io";
/// Those that podnet reads.
const RESOURCES: [&str; 5] =
    ["ciliumnodes", "ciliumendpoints", "ciliumendpointslices", "ciliumidentities", "ciliumpodippools"];
/// Where a resource is served in several, and the field paths are the same in all.
const PREFERRED: &str = "v2";

/// `/version`.
#[derive(Deserialize)]
pub struct Version {
    #[serde(rename = "gitVersion")]
    pub git_version: String,
}

#[derive(Deserialize)]
struct Group {
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Empty where the cluster knows nothing of Cilium.
pub async fn find(asker: &Asker) -> Result<Vec<Resource>, Failure> {
    let group: Option<Group> = asker.path(&format!("/apis/{GROUP}")).await?;
    let mut versions: Vec<String> =
        group.into_iter().flat_map(|group| group.versions).map(|each| each.version).collect();
    versions.sort_by_key(|version| version != PREFERRED);
    let ask = |version: &String| {
        let path = format!("/apis/{GROUP}/{version}");
        async move { asker.path::<Resources>(&path).await }
    };
    let answers = join_all(versions.iter().map(ask)).await;
    let mut found: Vec<Resource> = Vec::new();
    for (version, answer) in versions.iter().zip(answers) {
        let names: Vec<String> = answer?.into_iter().flat_map(|told| told.resources).map(|each| each.name).collect();
        for plural in RESOURCES {
            let known = found.iter().any(|resource| resource.plural == plural);
            if !known && names.iter().any(|name| name == plural) {
                found.push(Resource { group: GROUP, version: version.clone(), plural });
            }
        }
    }
    Ok(found)
}

/// The line under «not read».
pub fn unread(failure: &Failure) -> Unread {
    Unread {
        verb: "get".to_owned(),
        resource: format!("/apis/{GROUP}"),
        namespace: None,
        status: failure.status(),
        why: failure.to_string(),
        rule: None,
    }
}

/// As the model has it.
pub fn told(resource: &Resource) -> Served {
    Served { resource: resource.plural.to_owned(), version: resource.version.clone() }
}
