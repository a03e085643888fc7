//! The steps, one file each, in the order of Cilium's present plugin: a full pool fails before anything exists.

mod configure;
mod endpoint;
mod host;
mod ipam;
mod masquerade;
mod netconf;
mod netns;
mod settings;
mod vacancy;
mod verify;
mod veth;

use super::step::Step;
use super::wish::Wish;

/// Every step that any wish can need, in order.
pub const ALL: [&dyn Step; 11] = [
    &netconf::Netconf,
    &netns::Netns,
    &vacancy::Vacancy,
    &ipam::Ipam,
    &veth::Veth,
    &settings::Settings,
    &configure::Configure,
    &host::Host,
    &masquerade::Masquerade,
    &endpoint::Endpoint,
    &verify::Verify,
];

/// Those that a wish needs.
pub fn of(wish: &Wish) -> Vec<&'static dyn Step> {
    let needed = |step: &&dyn Step| wish.masquerade || step.name() != masquerade::NAME;
    ALL.into_iter().filter(needed).collect()
}

/// The step of that name, as journals name them.
pub fn named(name: &str) -> Option<&'static dyn Step> {
    ALL.into_iter().find(|step| step.name() == name)
}
