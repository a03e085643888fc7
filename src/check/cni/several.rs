//! PN-CNI: several networks for one pod.

use super::{CONFIGURATION, readers};
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::pod::{Pod, family_of};
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::attachment::Attachment;
use crate::model::network::{NetworkFile, NetworkReader, Standing};
use crate::model::route::Route;

pub static TWO_DEFAULT_NETWORKS: Rule = Rule {
    code: "PN-CNI-015",
    severity: Severity::Error,
    sentence: "The runtime gives each pod several networks, and more than one of them brings the default route.",
    meaning: "The second one's ADD fails with «file exists», and the pod stays ContainerCreating; or, where the metrics \
              differ, answers leave by another interface than the questions came in by.",
    origin: "max_conf_num of containerd is not 1, and the directory holds the files of two networks for pods",
    confirm: "podnet status; max_conf_num in containerd's configuration",
    fix: "set max_conf_num = 1, or take the default route out of all networks but one (isDefaultGateway, ipam.routes)",
    needs: &[Need::Networks],
    follows: &["PN-CNI-010", "PN-CNI-007"],
    run: Run::Host(two_default_networks),
};

fn two_default_networks(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let hit = |reader: &NetworkReader| {
        let given = |family: Family| -> Vec<&NetworkFile> {
            let used = reader.files.iter().filter(|file| matches!(file.standing, Standing::Picked | Standing::Also));
            used.filter(|file| file.default_routes.contains(&family)).collect()
        };
        let several = [Family::Ipv4, Family::Ipv6].into_iter().map(given).find(|files| files.len() > 1)?;
        Some(several.iter().fold(Hit::new(), |hit, file| {
            let network = file.network.clone().unwrap_or_default();
            hit.saw(format!("brings a default route: {network}"), file.path.clone(), CONFIGURATION)
        }))
    };
    readers(facts).filter_map(hit).collect()
}

pub static TWO_DEFAULT_ROUTES: Rule = Rule {
    code: "PN-CNI-016",
    severity: Severity::Warning,
    sentence: "Two networks of the pod each gave it a default route.",
    meaning: "What comes in by one of them is answered by the other: the answer has the wrong way, and often the wrong \
              sender, so it is dropped on the way (reverse path filters, Cilium's source check, a firewall with state).",
    origin: "a further network (Multus, max_conf_num) brings a default route beside that of the first",
    confirm: "podnet exec POD -- ip route; podnet inspect POD under CNI",
    fix: "take the default route out of the further network (isDefaultGateway, ipam.routes; of Multus the annotation's \
          default-route), and make the pod anew",
    needs: &[Need::Attachments, Need::Routes, Need::Rules],
    follows: &[],
    run: Run::Pod(two_default_routes),
};

fn two_default_routes(pod: &Pod<'_>) -> Vec<Hit> {
    // Who chooses a table by the sender has a way for each.
    if pod.state.rules.iter().any(|rule| !matches!(rule.priority, 0 | 32766 | 32767)) {
        return Vec::new();
    }
    let hit = |family: Family| {
        let brings = |attachment: &&&Attachment| {
            let mut defaults = attachment.routes.iter().filter(|route| route.destination.prefix_len() == 0);
            defaults.any(|route| family_of(&route.destination) == family)
        };
        let bringing: Vec<&&Attachment> = pod.attachments.iter().filter(brings).collect();
        let ways: Vec<String> = defaults(pod, family).collect();
        let apart = ways.iter().any(|way| Some(way) != ways.first());
        (bringing.len() > 1 && apart).then(|| {
            bringing
                .iter()
                .fold(Hit::new(), |hit, attachment| {
                    let what = format!("default route of {}", attachment.network);
                    hit.saw(what, attachment.ifname.clone(), attachment.kept_by.word())
                })
                .saw(format!("default routes in {}", pod.place()), ways.join(", "), "kernel")
        })
    };
    [Family::Ipv4, Family::Ipv6].into_iter().find_map(hit).into_iter().collect()
}

/// The interfaces that the default routes of the main table lead to.
fn defaults(pod: &Pod<'_>, family: Family) -> impl Iterator<Item = String> {
    const MAIN: u32 = 254;
    let is_default = move |route: &&Route| route.table == MAIN && route.family == family && route.is_default();
    let routes = pod.state.routes.iter().filter(is_default);
    routes.filter_map(|route| route.next_hops.first()?.interface.clone())
}

pub static MULTUS_WITHOUT_DEFAULT: Rule = Rule {
    code: "PN-CNI-017",
    severity: Severity::Error,
    sentence: "The network that Multus hands pods on to is not there.",
    meaning: "Multus finds no network for the first interface: ADD fails for every new pod, also for those that ask for no \
              further one.",
    origin: "the CNI that it was set up over was removed, or renamed its file",
    confirm: "ls the directory; clusterNetwork in Multus' own file",
    fix: "restart Multus on this node (its daemon writes the file anew), once the other CNI has written its own",
    needs: &[Need::Networks],
    follows: &["PN-CNI-010", "PN-CNI-007"],
    run: Run::Host(multus_without_default),
};

fn multus_without_default(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let hit = |reader: &NetworkReader| {
        let multus = reader.picked().filter(|file| is_multus(file))?;
        // It is told the path as its own container sees it; only a file of this directory can be looked for.
        let told = multus.default_network.as_deref()?;
        let (directory, name) = told.strip_prefix("/host").unwrap_or(told).rsplit_once('/')?;
        let mut present = reader.files.iter().map(|file| &file.path).chain(&reader.ignored);
        let gone = directory == reader.directory && !present.any(|path| path.ends_with(&format!("/{name}")));
        gone.then(|| {
            Hit::new().saw("clusterNetwork", told, CONFIGURATION).saw(
                format!("in {}", reader.directory),
                format!("no {name}"),
                CONFIGURATION,
            )
        })
    };
    readers(facts).filter_map(hit).collect()
}

pub(super) fn is_multus(file: &NetworkFile) -> bool {
    file.plugins.iter().any(|kind| matches!(kind.as_str(), "multus" | "multus-shim"))
}
