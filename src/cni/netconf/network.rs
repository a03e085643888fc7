//! A network: a name, a version and the plugins that make it, in their order; and what each of them is told.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Invalid;
use super::plugin::{Plugin, boolean, kind, text};
use crate::cni::is_name;
use crate::cni::version::{self, SpecVersion};

#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub name: String,
    /// The highest that both it and podnet support.
    pub version: SpecVersion,
    /// Those that it names, as they are written; none where it leaves that open.
    pub stated: Vec<String>,
    pub disable_check: bool,
    pub disable_gc: bool,
    pub load_only_inlined_plugins: bool,
    pub plugins: Vec<Plugin>,
    /// As it was read, in the form of a list: libcni's cache keeps it.
    pub bytes: Vec<u8>,
}

/// An attachment that GC must leave alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GcAttachment {
    #[serde(rename = "containerID")]
    pub container_id: String,
    pub ifname: String,
}

impl Network {
    /// Reads a list or a single plugin, whichever it is.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let object = object(bytes)?;
        match (object.contains_key("plugins"), object.contains_key("type")) {
            (true, _) => Self::from_list(object, bytes),
            (false, true) => Self::from_single(object),
            (false, false) => Err(Invalid::Neither),
        }
        .and_then(Self::with_plugins)
    }

    /// Reads a list, as a `.conflist` holds it. It may have no plugins yet: others may lie beside it.
    pub(super) fn parse_list(bytes: &[u8]) -> Result<Self, Invalid> {
        Self::from_list(object(bytes)?, bytes)
    }

    /// Reads a single plugin, as a `.conf` holds it.
    pub(super) fn parse_single(bytes: &[u8]) -> Result<Self, Invalid> {
        let object = object(bytes)?;
        match object.contains_key("plugins") && !object.contains_key("type") {
            true => Err(Invalid::ListInConf),
            false => Self::from_single(object),
        }
    }

    pub(super) fn with_plugins(self) -> Result<Self, Invalid> {
        if self.plugins.is_empty() { Err(Invalid::NoPlugins) } else { Ok(self) }
    }

    fn from_list(object: Map<String, Value>, bytes: &[u8]) -> Result<Self, Invalid> {
        let load_only_inlined_plugins = boolean(&object, "loadOnlyInlinedPlugins")?.unwrap_or(false);
        let plugins = match object.get("plugins") {
            None if load_only_inlined_plugins => return Err(Invalid::NothingInlined),
            None => Vec::new(),
            Some(Value::Array(values)) if values.is_empty() => return Err(Invalid::NoPlugins),
            Some(Value::Array(values)) => values
                .iter()
                .zip(1..)
                .map(|(value, nth)| Plugin::parse(value.clone(), nth))
                .collect::<Result<_, Invalid>>()?,
            Some(_) => return Err(Invalid::Key { key: "plugins".to_owned(), expected: "a list of objects" }),
        };
        Ok(Self {
            name: name(&object)?,
            version: select_version(&object)?,
            stated: stated(&object)?,
            disable_check: boolean(&object, "disableCheck")?.unwrap_or(false),
            disable_gc: boolean(&object, "disableGC")?.unwrap_or(false),
            load_only_inlined_plugins,
            plugins,
            bytes: bytes.to_vec(),
        })
    }

    fn from_single(object: Map<String, Value>) -> Result<Self, Invalid> {
        let single = text(&object, "cniVersion")?;
        let (name, version) = (name(&object)?, SpecVersion::stated(single.as_deref())?);
        kind(&object)?.ok_or(Invalid::Neither)?;
        let list = json!({ "name": name, "cniVersion": version, "plugins": [object] });
        let bytes = serde_json::to_vec(&list).map_err(Invalid::Json)?;
        let plugin = Plugin::parse(Value::Object(object), 1)?;
        Ok(Self {
            name,
            version,
            stated: single.into_iter().collect(),
            disable_check: false,
            disable_gc: false,
            load_only_inlined_plugins: false,
            plugins: vec![plugin],
            bytes,
        })
    }

    /// What a plugin reads from its standard input for ADD, DEL and CHECK. `capabilities` are what
    /// the runtime has to give; the plugin is told those that it declared.
    pub fn request(
        &self,
        plugin: &Plugin,
        previous: Option<&Value>,
        capabilities: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut request = self.base(plugin);
        let declared = |name: &String| plugin.capabilities.get(name) == Some(&true);
        let given: Map<String, Value> =
            capabilities.iter().filter(|(name, _)| declared(name)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if !given.is_empty() {
            request.insert("runtimeConfig".to_owned(), given.into());
        }
        if let Some(previous) = previous {
            request.insert("prevResult".to_owned(), previous.clone());
        }
        request
    }

    /// What a plugin reads for STATUS.
    pub fn status_request(&self, plugin: &Plugin) -> Map<String, Value> {
        self.base(plugin)
    }

    /// What a plugin reads for GC.
    pub fn gc_request(&self, plugin: &Plugin, valid: &[GcAttachment]) -> Map<String, Value> {
        let mut request = self.base(plugin);
        // The second is what the spec called it by mistake, and what libcni gives as well.
        for key in [VALID_ATTACHMENTS, "cni.dev/attachments"] {
            request.insert(key.to_owned(), json!(valid));
        }
        request
    }

    fn base(&self, plugin: &Plugin) -> Map<String, Value> {
        let mut request = plugin.object.clone();
        request.retain(|key, _| key != "capabilities" && !key.starts_with("cni.dev/"));
        request.insert("name".to_owned(), self.name.clone().into());
        request.insert("cniVersion".to_owned(), self.version.as_str().into());
        request
    }
}

pub(super) const VALID_ATTACHMENTS: &str = "cni.dev/valid-attachments";

pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Invalid> {
    match serde_json::from_slice(bytes).map_err(Invalid::Json)? {
        Value::Object(object) => Ok(object),
        _ => Err(Invalid::NotAnObject),
    }
}

pub(super) fn name(object: &Map<String, Value>) -> Result<String, Invalid> {
    match text(object, "name")? {
        None => Err(Invalid::NoName),
        Some(name) if is_name(&name) => Ok(name),
        Some(name) => Err(Invalid::Name { name }),
    }
}

/// `cniVersion` and `cniVersions`.
fn stated(object: &Map<String, Value>) -> Result<Vec<String>, Invalid> {
    let listed: Vec<String> = match object.get("cniVersions") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| Invalid::Key { key: "cniVersions".to_owned(), expected: "a list of versions" })?,
    };
    Ok(text(object, "cniVersion")?.into_iter().chain(listed).collect())
}

/// The highest of those that podnet knows.
fn select_version(object: &Map<String, Value>) -> Result<SpecVersion, Invalid> {
    let stated = stated(object)?;
    if object.get("cniVersions").is_none_or(Value::is_null) {
        return Ok(SpecVersion::stated(stated.first().map(String::as_str))?);
    }
    let usable = stated.iter().filter(|text| !version::is_later(text)).map(|text| text.parse());
    match usable.collect::<Result<Vec<SpecVersion>, _>>()?.into_iter().max() {
        Some(version) => Ok(version),
        None if stated.is_empty() => Ok(SpecVersion::UNSTATED),
        None => Err(Invalid::TooNew { stated }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(extra: &str) -> Result<Network, Invalid> {
        Network::parse(format!(r#"{{"name": "n", "plugins": [{{"type": "ptp"}}]{extra}}}"#).as_bytes())
    }

    #[test]
    fn the_highest_version_that_is_known_is_taken() {
        for (extra, version) in [
            ("", SpecVersion::V0_1_0),
            (r#", "cniVersion": "0.4.0""#, SpecVersion::V0_4_0),
            (r#", "cniVersion": "0.4.0", "cniVersions": []"#, SpecVersion::V0_4_0),
            (r#", "cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.1.0", "1.0.0", "2.7.0"]"#, SpecVersion::V1_1_0),
            (r#", "cniVersions": ["1.0.0", "0.4.0"]"#, SpecVersion::V1_0_0),
        ] {
            assert_eq!(list(extra).unwrap().version, version, "{extra}");
        }
        assert!(matches!(list(r#", "cniVersions": ["2.0.0"]"#), Err(Invalid::TooNew { .. })));
        assert!(matches!(list(r#", "cniVersion": "1.2.0""#), Err(Invalid::Version(_))));
        assert!(matches!(list(r#", "cniVersions": ["0.9.9"]"#), Err(Invalid::Version(_))));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let refused = |text: &str| Network::parse(text.as_bytes()).unwrap_err().to_string();
        for (text, words) in [
            ("", "no JSON"),
            ("{", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "neither"),
            (r#"{"plugins": [{"type": "a"}]}"#, "no «name»"),
            (r#"{"name": "../x", "plugins": [{"type": "a"}]}"#, "its name «../x»"),
            (r#"{"name": 7, "plugins": [{"type": "a"}]}"#, "«name» must be a text"),
            (r#"{"name": "n", "plugins": []}"#, "no plugins"),
            (r#"{"name": "n", "plugins": {}}"#, "«plugins» must be a list"),
            (r#"{"name": "n", "plugins": [{}]}"#, "plugin 1 has no «type»"),
            (r#"{"name": "n", "plugins": [{"type": "a"}, 7]}"#, "plugin 2 is no JSON object"),
            (r#"{"name": "n", "plugins": [{"type": "../../bin/sh"}]}"#, "is no name of a program"),
            (r#"{"name": "n", "type": "a", "cniVersion": 1}"#, "«cniVersion» must be a text"),
            (r#"{"name": "n", "plugins": [{"type": "a"}], "disableGC": 1}"#, "«disableGC» must be true or false"),
            (r#"{"name": "n", "plugins": [{"type": "a", "capabilities": []}]}"#, "«capabilities» must be"),
        ] {
            assert!(refused(text).contains(words), "{text}: {}", refused(text));
        }
        assert!(matches!(
            Network::parse_list(br#"{"name":"n","loadOnlyInlinedPlugins":true}"#),
            Err(Invalid::NothingInlined)
        ));
        assert!(matches!(Network::parse_single(br#"{"name":"n","plugins":[]}"#), Err(Invalid::ListInConf)));
        let deep = "[".repeat(100_000);
        assert!(refused(&deep).contains("no JSON"));
    }

    #[test]
    fn a_plugin_is_told_all_but_what_is_for_the_runtime() {
        let network = Network::parse(
            br#"{"cniVersion": "1.1.0", "name": "n", "disableCheck": "TRUE", "plugins": [{"type": "portmap", "x": {"y": [1, null]},
                "capabilities": {"portMappings": true, "bandwidth": false}, "cni.dev/odd": 1, "name": "other"}]}"#,
        )
        .unwrap();
        assert!(network.disable_check);
        let given = json!({"portMappings": [{"hostPort": 80}], "bandwidth": {}, "ips": ["10.0.0.1"]});
        let request = network.request(&network.plugins[0], Some(&json!({"a": 1})), given.as_object().unwrap());
        let told = json!({
            "cniVersion": "1.1.0", "name": "n", "type": "portmap", "x": {"y": [1, null]},
            "runtimeConfig": {"portMappings": [{"hostPort": 80}]}, "prevResult": {"a": 1},
        });
        assert_eq!(Value::Object(request), told);
        let valid = [GcAttachment { container_id: "c".into(), ifname: "eth0".into() }];
        let gc = Value::Object(network.gc_request(&network.plugins[0], &valid));
        assert_eq!(gc["cni.dev/valid-attachments"], json!([{"containerID": "c", "ifname": "eth0"}]));
        assert_eq!(gc.get("prevResult"), None);
    }

    #[test]
    fn a_single_plugin_becomes_a_list_of_one() {
        let single = Network::parse(br#"{"name": "n", "cniVersion": "0.3.1", "type": "ptp", "mtu": 1400}"#).unwrap();
        assert_eq!((single.name.as_str(), single.version, single.plugins.len()), ("n", SpecVersion::V0_3_1, 1));
        let again = Network::parse(&single.bytes).unwrap();
        assert_eq!(again.plugins, single.plugins);
    }
}
