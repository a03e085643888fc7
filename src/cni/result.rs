//! What ADD gives back, in every version of the spec. podnet keeps it in the form of 1.1.0, which
//! holds all that the others can say; what is unknown is kept.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::version::{self, SpecVersion};

/// Further keys, as they were.
type Extra = Map<String, Value>;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AddResult {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Ip>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    #[serde(default)]
    pub name: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub mac: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub mtu: u32,
    /// The netns as the runtime named it; empty for an interface of the host.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    #[serde(rename = "socketPath", default, skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
    #[serde(rename = "pciID", default, skip_serializing_if = "Option::is_none")]
    pub pci_id: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ip {
    pub address: IpNet,
    #[serde(default, deserialize_with = "address_or_empty", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Which of the result's interfaces; absent or negative for none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<i64>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub dst: IpNet,
    #[serde(default, deserialize_with = "address_or_empty", skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub mtu: u32,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub advmss: u32,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub priority: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// 0 global, 253 link, 254 host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<u32>,
    #[serde(flatten)]
    pub extra: Extra,
}

impl Route {
    pub fn new(dst: IpNet, gw: Option<IpAddr>) -> Self {
        Self { dst, gw, mtu: 0, advmss: 0, priority: 0, table: None, scope: None, extra: Extra::new() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dns {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `null` is what Go writes for an empty list.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An empty text counts as none, as in Go.
fn address_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error("the result is no JSON object of a CNI result")]
    Shape(#[source] serde_json::Error),
    #[error("the result is of an unknown version")]
    Version(#[from] version::Unknown),
    #[error("a result of version {version} needs an address, and this has none")]
    NoAddress { version: SpecVersion },
}

/// The forms of 0.1.0 and 0.2.0.
#[derive(Deserialize)]
struct Old {
    #[serde(default)]
    ip4: Option<OldIp>,
    #[serde(default)]
    ip6: Option<OldIp>,
    #[serde(default, deserialize_with = "or_default")]
    dns: Dns,
}

#[derive(Deserialize)]
struct OldIp {
    ip: IpNet,
    #[serde(default, deserialize_with = "address_or_empty")]
    gateway: Option<IpAddr>,
    #[serde(default, deserialize_with = "or_default")]
    routes: Vec<Route>,
}

/// The version that a result says it is of; `otherwise` where it says none.
fn stated_version(value: &Value, otherwise: SpecVersion) -> Result<SpecVersion, Invalid> {
    match value.get("cniVersion").and_then(Value::as_str) {
        None | Some("") => Ok(otherwise),
        Some(text) => Ok(text.parse()?),
    }
}

impl AddResult {
    /// Reads a result; `otherwise` is its version where it states none.
    pub fn decode(value: Value, otherwise: SpecVersion) -> Result<Self, Invalid> {
        let version = stated_version(&value, otherwise)?;
        if version < SpecVersion::V0_3_0 {
            return Ok(serde_json::from_value::<Old>(value).map_err(Invalid::Shape)?.into());
        }
        let mut result: Self = serde_json::from_value(value).map_err(Invalid::Shape)?;
        result.extra.remove("cniVersion");
        for ip in &mut result.ips {
            // 0.3.0 to 0.4.0 say which family an address is of.
            ip.extra.remove("version");
        }
        Ok(result)
    }

    /// Writes it in a version. What the version cannot say is left out.
    pub fn encode(&self, version: SpecVersion) -> Result<Value, Invalid> {
        let value = match version {
            SpecVersion::V0_1_0 | SpecVersion::V0_2_0 => self.encode_old(version)?,
            SpecVersion::V0_3_0 | SpecVersion::V0_3_1 | SpecVersion::V0_4_0 => {
                let mut result = self.without_news();
                for ip in &mut result.ips {
                    let family = if ip.address.addr().is_ipv4() { "4" } else { "6" };
                    ip.extra.insert("version".into(), family.into());
                }
                serde_json::to_value(result).map_err(Invalid::Shape)?
            }
            SpecVersion::V1_0_0 => serde_json::to_value(self.without_news()).map_err(Invalid::Shape)?,
            SpecVersion::V1_1_0 => serde_json::to_value(self).map_err(Invalid::Shape)?,
        };
        Ok(with_version(value, version))
    }

    /// Without what 1.1.0 brought.
    fn without_news(&self) -> Self {
        let mut result = self.clone();
        for interface in &mut result.interfaces {
            interface.mtu = 0;
            interface.socket_path = None;
            interface.pci_id = None;
        }
        for route in &mut result.routes {
            *route = Route { extra: std::mem::take(&mut route.extra), ..Route::new(route.dst, route.gw) };
        }
        result
    }

    /// One address of a family, with the family's routes.
    fn encode_old(&self, version: SpecVersion) -> Result<Value, Invalid> {
        let mut value = json!({});
        for (key, is_ipv4) in [("ip4", true), ("ip6", false)] {
            let Some(ip) = self.ips.iter().find(|ip| ip.address.addr().is_ipv4() == is_ipv4) else { continue };
            let mut part = json!({ "ip": ip.address });
            if let Some(gateway) = ip.gateway {
                part["gateway"] = gateway.to_string().into();
            }
            let routes = self.routes.iter().filter(|route| route.dst.addr().is_ipv4() == is_ipv4);
            let routes: Vec<Value> = routes.map(|route| old_route(route.dst, route.gw)).collect();
            if !routes.is_empty() {
                part["routes"] = routes.into();
            }
            value[key] = part;
        }
        if value.as_object().is_none_or(Map::is_empty) {
            return Err(Invalid::NoAddress { version });
        }
        if !self.dns.is_empty() {
            value["dns"] = serde_json::to_value(&self.dns).map_err(Invalid::Shape)?;
        }
        Ok(value)
    }

    /// The addresses of the interface `ifname` in the netns `sandbox`.
    pub fn addresses_of(&self, ifname: &str, sandbox: &str) -> impl Iterator<Item = &Ip> {
        self.ips.iter().filter(move |ip| {
            let interface = ip.interface.and_then(|index| self.interfaces.get(usize::try_from(index).ok()?));
            interface.is_some_and(|interface| interface.name == ifname && interface.sandbox == sandbox)
        })
    }
}

fn old_route(dst: IpNet, gw: Option<IpAddr>) -> Value {
    match gw {
        Some(gw) => json!({ "dst": dst, "gw": gw }),
        None => json!({ "dst": dst }),
    }
}

fn with_version(mut value: Value, version: SpecVersion) -> Value {
    value["cniVersion"] = version.as_str().into();
    value
}

impl From<Old> for AddResult {
    fn from(old: Old) -> Self {
        let mut result = Self { dns: old.dns, ..Self::default() };
        for part in [old.ip4, old.ip6].into_iter().flatten() {
            result.ips.push(Ip { address: part.ip, gateway: part.gateway, interface: None, extra: Extra::new() });
            result.routes.extend(part.routes);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::SpecVersion::*;
    use super::*;

    fn full() -> Value {
        json!({
            "cniVersion": "1.1.0",
            "interfaces": [
                {"name": "lxc0123456789ab", "mac": "aa:bb:cc:dd:ee:01", "mtu": 1400},
                {"name": "eth0", "mac": "aa:bb:cc:dd:ee:02", "mtu": 1400, "sandbox": "/run/netns/a", "socketPath": "/s",
                 "pciID": "0000:00:1f.6", "x-own": {"kept": true}},
            ],
            "ips": [
                {"address": "fd42::7/128", "gateway": "fd42::1", "interface": 1},
                {"address": "10.42.0.7/32", "gateway": "10.42.0.1", "interface": 1},
            ],
            "routes": [
                {"dst": "10.42.0.1/32", "scope": 253},
                {"dst": "0.0.0.0/0", "gw": "10.42.0.1", "mtu": 1350, "advmss": 1310, "priority": 100, "table": 254},
                {"dst": "::/0", "gw": "fd42::1"},
            ],
            "dns": {"nameservers": ["10.96.0.10"], "search": ["svc.cluster.local"]},
            "x-more": [1, 2],
        })
    }

    fn decoded() -> AddResult {
        AddResult::decode(full(), V0_1_0).unwrap()
    }

    #[test]
    fn the_newest_form_loses_nothing() {
        assert_eq!(decoded().encode(V1_1_0).unwrap(), full());
    }

    #[test]
    fn a_form_survives_its_own_version() {
        for version in SpecVersion::ALL {
            let once = decoded().encode(version).unwrap();
            assert_eq!(once["cniVersion"], version.as_str());
            let again = AddResult::decode(once.clone(), NEWEST_BUT).unwrap().encode(version).unwrap();
            assert_eq!(again, once, "{version}");
        }
    }
    const NEWEST_BUT: SpecVersion = V1_0_0;

    #[test]
    fn older_forms_say_what_they_can() {
        let old = decoded().encode(V0_4_0).unwrap();
        assert_eq!(
            old["ips"][0],
            json!({"version": "6", "address": "fd42::7/128", "gateway": "fd42::1", "interface": 1})
        );
        assert_eq!(old["routes"][1], json!({"dst": "0.0.0.0/0", "gw": "10.42.0.1"}));
        assert_eq!(old["interfaces"][0], json!({"name": "lxc0123456789ab", "mac": "aa:bb:cc:dd:ee:01"}));
        let one = decoded().encode(V1_0_0).unwrap();
        assert_eq!(one["ips"][0], json!({"address": "fd42::7/128", "gateway": "fd42::1", "interface": 1}));
        let oldest = decoded().encode(V0_2_0).unwrap();
        assert_eq!(
            oldest,
            json!({
                "cniVersion": "0.2.0",
                "ip4": {"ip": "10.42.0.7/32", "gateway": "10.42.0.1",
                        "routes": [{"dst": "10.42.0.1/32"}, {"dst": "0.0.0.0/0", "gw": "10.42.0.1"}]},
                "ip6": {"ip": "fd42::7/128", "gateway": "fd42::1", "routes": [{"dst": "::/0", "gw": "fd42::1"}]},
                "dns": {"nameservers": ["10.96.0.10"], "search": ["svc.cluster.local"]},
            })
        );
    }

    #[test]
    fn what_go_leaves_empty_is_none() {
        let value = json!({"interfaces": null, "ips": [{"address": "10.0.0.2/24", "gateway": "", "interface": null}],
                           "routes": null, "dns": null});
        let result = AddResult::decode(value, V0_4_0).unwrap();
        assert_eq!((result.ips[0].gateway, result.ips[0].interface), (None, None));
        assert_eq!(AddResult::decode(json!({}), V1_0_0).unwrap(), AddResult::default());
        assert!(matches!(AddResult::default().encode(V0_1_0), Err(Invalid::NoAddress { .. })));
    }

    #[test]
    fn what_is_no_result_is_refused() {
        for value in [
            json!(null),
            json!([]),
            json!("x"),
            json!({"ips": [{"address": "10.0.0.1"}]}),
            json!({"ips": [{}]}),
            json!({"routes": [{"dst": "x"}]}),
            json!({"cniVersion": "7.0.0"}),
            json!({"interfaces": {}}),
        ] {
            assert!(AddResult::decode(value.clone(), V1_0_0).is_err(), "{value}");
        }
    }

    #[test]
    fn the_addresses_of_an_interface_are_found() {
        let result = decoded();
        assert_eq!(result.addresses_of("eth0", "/run/netns/a").count(), 2);
        assert_eq!(result.addresses_of("eth0", "/run/netns/b").count(), 0);
    }
}
