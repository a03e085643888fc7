//! What a creation gives back to a runtime: the result of ADD.

use super::kernel::route::Route;
use super::record::Record;
use crate::cni::result::{AddResult, Interface, Ip, Route as ResultRoute};
use crate::ipam::LeasedAddress;

impl Record {
    /// The host's interface, then the pod's, as Cilium gives them; each address single, as it is on the interface.
    pub fn result(&self) -> AddResult {
        let sandbox = self.netns_path().to_string_lossy().into_owned();
        let mac = |end: &super::record::End| end.mac.map(|mac| mac.to_string()).unwrap_or_default();
        let interface = |end: &super::record::End, sandbox: &str| Interface {
            name: end.name.clone(),
            mac: mac(end),
            mtu: self.mtu,
            sandbox: sandbox.to_owned(),
            ..Interface::default()
        };
        AddResult {
            interfaces: vec![interface(&self.host, ""), interface(&self.pod, &sandbox)],
            ips: self.addresses.iter().map(ip).collect(),
            routes: self.addresses.iter().flat_map(|leased| routes(leased, self.route_mtu())).collect(),
            dns: self.dns.clone(),
            ..AddResult::default()
        }
    }
}

fn ip(leased: &LeasedAddress) -> Ip {
    let address = leased.address.addr().into();
    Ip { address, gateway: Some(leased.gateway), interface: Some(1), extra: Default::default() }
}

/// Scope 253: the gateway is on the link.
fn routes(leased: &LeasedAddress, mtu: Option<u32>) -> [ResultRoute; 2] {
    let neighbour = Route::to_neighbour(leased.gateway, 0);
    let way_out = Route::default_by(leased.gateway, 0);
    let on_link = ResultRoute { scope: Some(253), ..ResultRoute::new(neighbour.destination, None) };
    [on_link, ResultRoute { mtu: mtu.unwrap_or(0), ..ResultRoute::new(way_out.destination, way_out.gateway) }]
}
