//! The pair: the host's end here, the pod's end born in its netns.

use netlink_packet_route::link::NetkitMode;

use crate::flow::error::Error;
use crate::flow::kernel::deletion;
use crate::flow::kernel::link::{self, Device, Pair};
use crate::flow::mac;
use crate::flow::names;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;
use crate::model::mac::Mac;

pub struct Veth;

impl Step for Veth {
    fn name(&self) -> &'static str {
        "veth"
    }

    fn purpose(&self) -> &'static str {
        "create the veth pair, its one end inside the pod"
    }

    fn in_cilium(&self) -> &'static str {
        "connector.SetupVeth → netlink.LinkSetNsFd → connector.SetupVethRemoteNs"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        let mac = |mac: Option<Mac>| mac.map_or("MAC".to_owned(), |mac| mac.to_string());
        let netns = record.netns_path();
        let netns =
            netns.file_name().filter(|_| netns.starts_with("/run/netns")).map_or(netns.as_os_str(), |name| name);
        vec![format!(
            "ip link add {} mtu {mtu} address {} up type {} peer name {} netns {} mtu {mtu} address {}",
            record.host.name,
            mac(record.host.mac),
            record.agent.as_ref().map_or("veth", |told| told.config.datapath.as_str()),
            record.pod.name,
            netns.to_string_lossy(),
            mac(record.pod.mac),
            mtu = record.mtu,
        )]
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        vec![format!("ip link del {}", record.host.name)]
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let device = device(&work.record);
        // An L3 netkit has no MACs.
        if !matches!(device, Device::Netkit { mode: NetkitMode::L3, .. }) {
            mac::chosen(&mut work.record.host.mac)?;
            mac::chosen(&mut work.record.pod.mac)?;
        }
        let (host_mac, pod_mac) = (work.record.host.mac, work.record.pod.mac);
        let (host, pod) = (work.record.host.name.clone(), work.record.pod.name.clone());
        let (mtu, netns) = (work.record.mtu, work.netns_fd()?);
        let pair = Pair { host: (&host, host_mac), pod: (&pod, pod_mac), mtu, device, netns };
        let temporary = names::temporary(&work.record.wish.owner);
        if !link::create_pair(work.host()?, &pair)? {
            let created = link::create_and_move(work.host()?, &pair, &temporary);
            created.map_err(|error| unless_unknown(error, device))?;
        }
        work.record.host.ifindex = ifindex(link::find(work.host()?, &host)?);
        work.record.pod.ifindex = ifindex(link::find(work.pod()?, &pod)?);
        let inside = work.record.netns_path();
        Ok(vec![
            Change::added(format!("link {} {host}", work.record.host.ifindex)),
            Change::added(format!("link {} {pod} in {}", work.record.pod.ifindex, inside.display())),
        ])
    }

    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let name = work.record.host.name.clone();
        let Some(found) = link::find(work.host()?, &name)? else { return Ok(Vec::new()) };
        let alias = names::alias(&work.record.wish.owner);
        if found.mac != work.record.host.mac && found.alias.as_deref() != Some(&alias) {
            work.notes.push(format!("the interface {name} of the host is not of this pod: it is left alone"));
            return Ok(Vec::new());
        }
        let deleted = deletion::delete(work.host()?, found.ifindex)?;
        Ok(if deleted { vec![Change::removed(format!("link {} {name}", found.ifindex))] } else { Vec::new() })
    }
}

/// What the agent wants, where there is one.
fn device(record: &Record) -> Device {
    let Some(told) = &record.agent else { return Device::Veth };
    let settings = &told.config.settings;
    let netkit = |mode| Device::Netkit { mode, headroom: settings.headroom, tailroom: settings.tailroom };
    match told.config.datapath.as_str() {
        "netkit" => netkit(NetkitMode::L3),
        "netkit-l2" => netkit(NetkitMode::L2),
        _ => Device::Veth,
    }
}

/// A kernel that does not know the kind says so in the same way as to much else.
fn unless_unknown(error: Error, device: Device) -> Error {
    match (&error, device) {
        (Error::Kernel { source, .. }, Device::Netkit { .. }) if source.errno() == Some(nix::libc::EOPNOTSUPP) => {
            Error::NoNetkit
        }
        _ => error,
    }
}

fn ifindex(found: Option<link::Found>) -> u32 {
    found.map_or(0, |found| found.ifindex)
}
