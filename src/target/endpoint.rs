//! Picking out of the agent's endpoints what was named, where the question is of endpoints.

use super::candidate::Candidate;
use super::reading::{Reading, Target};
use crate::model::endpoint::Endpoint;

/// The endpoints that the target may mean, the best first reading alone: a number is an endpoint's before it is
/// anything else, a pod's whole name goes before longer ones that start with it.
pub fn endpoints<'a>(list: &'a [Endpoint], target: &Target) -> Vec<&'a Endpoint> {
    let by_id = list.iter().filter(|endpoint| target.readings.contains(&Reading::Endpoint(endpoint.id)));
    let by_id: Vec<&Endpoint> = by_id.collect();
    if !by_id.is_empty() {
        return by_id;
    }
    let fitting = |how: Fit| {
        let fits = |endpoint: &&Endpoint| {
            target.readings.iter().any(|reading| fit(endpoint, reading).is_some_and(|fit| fit == how))
        };
        list.iter().filter(fits).collect::<Vec<&Endpoint>>()
    };
    let whole = fitting(Fit::Whole);
    if whole.is_empty() { fitting(Fit::Beginning) } else { whole }
}

#[derive(PartialEq)]
enum Fit {
    Whole,
    Beginning,
}

fn fit(endpoint: &Endpoint, reading: &Reading) -> Option<Fit> {
    let whole = |fits: bool| fits.then_some(Fit::Whole);
    let text = |own: &str, named: &str| match own.strip_prefix(named) {
        Some("") => Some(Fit::Whole),
        Some(_) if !named.is_empty() => Some(Fit::Beginning),
        _ => None,
    };
    match reading {
        Reading::Endpoint(id) => whole(endpoint.id == *id),
        Reading::Identity(identity) => whole(endpoint.identity == Some(*identity)),
        Reading::CiliumEndpoint { namespace, name } => {
            whole(endpoint.pod.as_ref().is_some_and(|pod| pod.namespace == *namespace && pod.name == *name))
        }
        Reading::Pod { namespace, name, container: None } => {
            let pod = endpoint.pod.as_ref()?;
            if namespace.as_ref().is_some_and(|namespace| *namespace != pod.namespace) {
                return None;
            }
            text(&pod.name, name)
        }
        Reading::Container { id, .. } => text(endpoint.container_id.as_deref()?, id),
        Reading::Name(name) => whole(endpoint.container_name.as_ref() == Some(name)),
        Reading::Ip(ip) => whole(endpoint.addresses.contains(ip)),
        Reading::Mac(mac) => whole(endpoint.mac == Some(*mac) || endpoint.host_mac == Some(*mac)),
        Reading::Device(name) => whole(endpoint.interface.as_ref() == Some(name)),
        Reading::Ifindex(ifindex) => whole(endpoint.ifindex == Some(*ifindex)),
        Reading::Pod { .. } | Reading::Pid(_) | Reading::Path(_) | Reading::NetnsName(_) | Reading::Inode(_) => None,
    }
}

/// An endpoint as one of several to choose from.
pub fn candidate_of_endpoint(endpoint: &Endpoint, reason: &'static str) -> Candidate {
    let name = endpoint.called().or_else(|| endpoint.labels.first().cloned()).unwrap_or_default();
    Candidate { spelling: format!("ep:{}", endpoint.id), name, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::PodName;

    fn endpoint(id: u32, pod: &str, ifindex: u32) -> Endpoint {
        Endpoint {
            id,
            identity: Some(24105),
            pod: Some(PodName { namespace: "default".into(), name: pod.into() }),
            container_id: Some(format!("{id:x}").repeat(20)),
            addresses: vec![format!("10.0.0.{ifindex}").parse().unwrap()],
            interface: Some(format!("lxc{id}")),
            ifindex: Some(ifindex),
            ..Endpoint::default()
        }
    }

    fn found(text: &str) -> Vec<u32> {
        let list = [endpoint(157, "web", 9), endpoint(9, "web-1", 157), endpoint(4000, "db", 12)];
        endpoints(&list, &text.parse().unwrap()).iter().map(|endpoint| endpoint.id).collect()
    }

    #[test]
    fn every_handle_leads_to_the_endpoint() {
        for text in [
            "ep:157",
            "cilium-local:157",
            "157",
            "web",
            "default/web",
            "cep:default/web",
            "lxc157",
            "10.0.0.9",
            "9d9d9d",
        ] {
            assert_eq!(found(text), [157], "{text}");
        }
        assert_eq!(found("ifindex:157"), [9]);
        assert_eq!(found("12"), [4000]);
    }

    #[test]
    fn several_fit_only_where_none_fits_better() {
        assert_eq!(found("we"), [157, 9]);
        assert_eq!(found("identity:24105"), [157, 9, 4000]);
        assert!(found("other/web").is_empty());
        assert!(found("pid:157").is_empty());
    }
}
