//! What the CNI wrote down, as plain data to look at beside what the kernel shows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cache::{Cache, Cached, Entry};
use super::config_dir::{File, Pick, Standing, look, readers};
use super::netconf::{Network, Plugin};
use super::result::AddResult;
use crate::collect::kernel::problem::chain;
use crate::model::address::Family;
use crate::model::address_store::AddressRange;
use crate::model::attachment::{AttachedAddress, AttachedInterface, AttachedRoute, Attachment};
use crate::model::network::{self, FLANNEL, NetworkFile, NetworkReader};
use crate::model::node::Node;
use crate::model::source::Answer;
use crate::model::workload::Pod;

/// Every attachment that libcni's cache under `root` tells of.
pub fn attachments(root: &Path) -> Answer<Vec<Attachment>> {
    if !root.join("results").is_dir() {
        return Answer::Absent(format!("no {}", root.join("results").display()));
    }
    match Cache::open(root).entries() {
        Ok(entries) => Answer::Present(entries.into_iter().map(attachment).collect()),
        Err(error) => Answer::Failed(chain(&error)),
    }
}

fn attachment(entry: Entry) -> Attachment {
    let mut attachment = Attachment {
        file: entry.path.to_string_lossy().into_owned(),
        since: entry.since.and_then(|since| Timestamp::try_from(since).ok()),
        ..Attachment::default()
    };
    match entry.cached {
        Ok(cached) => fill(&mut attachment, &cached),
        Err(unclear) => attachment.problem = Some(chain(&unclear)),
    }
    attachment
}

fn fill(attachment: &mut Attachment, cached: &Cached) {
    attachment.network.clone_from(&cached.network);
    attachment.container_id.clone_from(&cached.container_id);
    attachment.ifname.clone_from(&cached.ifname);
    attachment.netns.clone_from(&cached.netns);
    attachment.pod = pod(cached);
    if let Some(Ok(network)) = cached.network_then() {
        attachment.plugins = network.plugins.iter().map(|plugin| plugin.kind.clone()).collect();
        attachment.ipam = network.plugins.iter().find_map(|plugin| plugin.ipam()).map(str::to_owned);
        attachment.ranges = ranges(&network);
    }
    match cached.add_result() {
        Ok(result) => take_result(attachment, &result.unwrap_or_default()),
        Err(invalid) => attachment.problem = Some(chain(&invalid)),
    }
}

/// What an ADD gave back.
pub fn take_result(attachment: &mut Attachment, result: &AddResult) {
    let interface = |interface: &super::result::Interface| AttachedInterface {
        name: interface.name.clone(),
        mac: interface.mac.parse().ok(),
        mtu: Some(interface.mtu).filter(|mtu| *mtu != 0),
        in_sandbox: !interface.sandbox.is_empty(),
    };
    attachment.interfaces = result.interfaces.iter().map(interface).collect();
    let named = |index: Option<i64>| {
        let interface = result.interfaces.get(usize::try_from(index?).ok()?)?;
        Some(interface.name.clone())
    };
    let address = |ip: &super::result::Ip| AttachedAddress {
        address: ip.address,
        gateway: ip.gateway,
        interface: named(ip.interface),
    };
    attachment.addresses = result.ips.iter().map(address).collect();
    let route = |route: &super::result::Route| AttachedRoute {
        destination: route.dst,
        gateway: route.gw,
        mtu: Some(route.mtu).filter(|mtu| *mtu != 0),
    };
    attachment.routes = result.routes.iter().map(route).collect();
}

fn pod(cached: &Cached) -> Option<Pod> {
    let arg = |name: &str| {
        let found = cached.args.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    Some(Pod {
        namespace: arg("K8S_POD_NAMESPACE")?,
        name: arg("K8S_POD_NAME")?,
        uid: arg("K8S_POD_UID"),
        container: None,
        sandbox_id: arg("K8S_POD_INFRA_CONTAINER_ID").or_else(|| Some(cached.container_id.clone())),
    })
}

/// What host-local is told to give addresses from: sets of ranges, or a single one as it was written at first.
fn ranges(network: &Network) -> Vec<AddressRange> {
    let ipam = |plugin: &Plugin| plugin.object.get("ipam").filter(|_| plugin.ipam() == Some("host-local")).cloned();
    let sets = |ipam: Value| {
        let single = ipam.get("subnet").is_some().then(|| ipam.clone());
        let several = ipam.get("ranges").and_then(Value::as_array).cloned().unwrap_or_default();
        let several = several.into_iter().flat_map(|set| set.as_array().cloned().unwrap_or_default());
        single.into_iter().chain(several).collect::<Vec<_>>()
    };
    network.plugins.iter().filter_map(ipam).flat_map(sets).filter_map(|value| range(&value)).collect()
}

/// Without bounds of its own a range is all that hosts may have, and its gateway the first of that.
fn range(value: &Value) -> Option<AddressRange> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let address = |key: &str| text(key).and_then(|text| text.parse::<IpAddr>().ok());
    let subnet: IpNet = text("subnet")?.parse().ok()?;
    let (network, last) = (subnet.network(), subnet.broadcast());
    let step = |address: IpAddr, up: bool| match address {
        IpAddr::V4(v4) => IpAddr::from(
            if up { u32::from(v4).saturating_add(1) } else { u32::from(v4).saturating_sub(1) }.to_be_bytes(),
        ),
        IpAddr::V6(v6) => {
            IpAddr::from((if up { u128::from(v6).saturating_add(1) } else { u128::from(v6) }).to_be_bytes())
        }
    };
    Some(AddressRange {
        subnet,
        first: address("rangeStart").unwrap_or_else(|| step(network, true)),
        last: address("rangeEnd").unwrap_or_else(|| step(last, false)),
        gateway: Some(address("gateway").unwrap_or_else(|| step(network, true))),
    })
}

/// Tells the networks of host-local's stores, of which their files say only the name, what they give addresses from.
pub fn add_ranges(node: &mut Node) {
    let files = node.networks.iter().flatten().flat_map(|reader| &reader.files);
    let by_file = files.filter_map(|file| Some((file.network.clone()?, file.ranges.clone())));
    let attachments = node.attachments.iter().flatten();
    let by_attachment = attachments.map(|attachment| (attachment.network.clone(), attachment.ranges.clone()));
    let known: BTreeMap<String, Vec<AddressRange>> =
        by_attachment.chain(by_file).filter(|(_, ranges)| !ranges.is_empty()).collect();
    let networks = node.address_stores.iter_mut().flat_map(|store| &mut store.networks);
    for network in networks.filter(|network| network.subnets.is_empty()) {
        let Some(ranges) = known.get(&network.name) else { continue };
        let size = |ipv4: bool| {
            let own = ranges.iter().filter(|range| range.first.is_ipv4() == ipv4);
            own.map(AddressRange::size).reduce(u64::saturating_add)
        };
        network.subnets = ranges.iter().map(|range| range.subnet).collect();
        (network.size_ipv4, network.size_ipv6) = (size(true), size(false));
        network.ranges.clone_from(ranges);
    }
}

/// What the runtimes that are configured below `root`, `/` on a node, make of their directories of networks.
pub fn networks(root: &Path) -> Vec<NetworkReader> {
    let mut found: Vec<NetworkReader> = readers(root).into_iter().map(network_reader).collect();
    let files = found.iter_mut().flat_map(|reader| &mut reader.files);
    for file in files.filter(|file| file.plugins.first().is_some_and(|plugin| plugin == FLANNEL)) {
        if file.ranges.is_empty() {
            let subnets = super::flannel::subnets(root);
            file.ranges = subnets.iter().filter_map(|subnet| range(&json!({ "subnet": subnet }))).collect();
        }
    }
    found
}

fn network_reader(reader: super::config_dir::Reader) -> NetworkReader {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut found = NetworkReader {
        runtime: reader.runtime.map(str::to_owned),
        directory: text(&reader.directory),
        plugin_directories: reader.plugin_directories.iter().map(|path| text(path)).collect(),
        ..NetworkReader::default()
    };
    match look(reader) {
        Ok(Pick { files, ignored, .. }) => {
            found.files = files.iter().map(network_file).collect();
            found.ignored = ignored.iter().map(|path| text(path)).collect();
        }
        Err(error) => found.problem = Some(chain(&error)),
    }
    found
}

fn network_file(file: &File) -> NetworkFile {
    let (standing, because_of) = match &file.standing {
        Standing::Picked => (network::Standing::Picked, None),
        Standing::Also { .. } => (network::Standing::Also, None),
        Standing::Shadowed { by } => (network::Standing::Shadowed, Some(by)),
        Standing::SameName { as_in } => (network::Standing::SameName, Some(as_in)),
        Standing::NotNamed => (network::Standing::NotNamed, None),
        Standing::PassedOver => (network::Standing::PassedOver, None),
        Standing::Blocks => (network::Standing::Blocks, None),
        Standing::Blocked { by } => (network::Standing::Blocked, Some(by)),
    };
    let network = file.network.as_ref().ok();
    let plugins = || network.into_iter().flat_map(|network| &network.plugins);
    NetworkFile {
        path: file.path.to_string_lossy().into_owned(),
        network: network.map(|network| network.name.clone()),
        versions: match &file.network {
            Ok(network) => network.stated.clone(),
            Err(invalid) => invalid.versions().unwrap_or_default(),
        },
        plugins: plugins().map(|plugin| plugin.kind.clone()).collect(),
        missing: file.missing.clone(),
        not_executable: file.not_executable.clone(),
        ranges: network.map(ranges).unwrap_or_default(),
        default_routes: default_routes(plugins()),
        default_network: plugins().find_map(Plugin::default_network).map(str::to_owned),
        ipam: plugins().find_map(|plugin| plugin.ipam()).map(str::to_owned),
        standing,
        because_of: because_of.map(|path| path.to_string_lossy().into_owned()),
        problem: file.network.as_ref().err().map(|invalid| chain(invalid)),
    }
}

fn default_routes<'a>(plugins: impl Iterator<Item = &'a Plugin>) -> Vec<Family> {
    let mut families: Vec<Family> = plugins.flat_map(Plugin::default_routes).collect();
    families.sort_unstable();
    families.dedup();
    families
}
