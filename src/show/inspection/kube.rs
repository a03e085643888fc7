//! What Kubernetes believes of the pod, and where the kernel shows otherwise.

use std::io::{self, Write};

use crate::model::kube::pod::KubePod;
use crate::model::kube::{Rule, Unread};
use crate::show::Page;
use crate::show::disagreement::disagreements;
use crate::show::page::{flow, heading, sentence};
use crate::show::words::since;
use crate::view::inspection::Inspection;

impl Inspection {
    pub(super) fn kubernetes(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(told) = &self.kubernetes else { return Ok(()) };
        heading(page, out, "KUBERNETES")?;
        let mut parts = Vec::new();
        match &told.pod {
            Some(pod) => {
                let age = pod.created_at.map(|then| format!("created {} ago", since(then, self.collected_at)));
                let leaving = pod.deletion_timestamp.map(|_| "being deleted".to_owned());
                parts.push(format!("pod {}", pod.phase));
                parts.extend(pod.reason.clone());
                parts.extend(leaving);
                parts.extend(pod.pod_ips.iter().cloned());
                parts.extend(pod.host_network.then(|| "host network".to_owned()));
                parts.extend(age);
            }
            None => parts.push(format!("no pod {}", told.name)),
        }
        if let Some(endpoint) = &told.endpoint {
            let state = endpoint.state.as_deref().unwrap_or("without a state");
            parts.push(format!("CiliumEndpoint {state}"));
            parts.extend(endpoint.id.map(|id| format!("endpoint {id}")));
            parts.extend(endpoint.identity.map(|id| format!("identity {id}")));
        }
        flow(page, out, 2, &parts)?;
        if let Some(pod) = &told.pod {
            conditions(page, out, pod)?;
        }
        if page.wide
            && let Some(identity) = &told.identity
        {
            let labels: Vec<String> = identity.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            flow(page, out, 4, &labels)?;
        }
        disagreements(page, out, &told.disagreements)?;
        unread(page, out, &told.unread)
    }
}

/// Those that are not as they should be, and the containers that wait or have ended.
fn conditions(page: &Page, out: &mut dyn Write, pod: &KubePod) -> io::Result<()> {
    if pod.has_ended() {
        return Ok(());
    }
    for condition in pod.conditions.iter().filter(|condition| condition.status != "True") {
        let why = [condition.reason.clone(), condition.message.clone()].into_iter().flatten().collect::<Vec<_>>();
        sentence(page, out, 2, &format!("{} {}: {}", condition.kind, condition.status, why.join(": ")))?;
    }
    for container in pod.containers.iter().filter(|container| container.state.as_deref() == Some("waiting")) {
        let why = [container.reason.clone(), container.message.clone()].into_iter().flatten().collect::<Vec<_>>();
        sentence(page, out, 2, &format!("{} waits: {}", container.name, why.join(": ")))?;
    }
    Ok(())
}

/// What was not answered, a line each; what RBAC refused in one, with the rules that would allow it.
fn unread(page: &Page, out: &mut dyn Write, unread: &[Unread]) -> io::Result<()> {
    let mut rules: Vec<Rule> = Vec::new();
    for each in unread {
        let Some(rule) = &each.rule else {
            sentence(page, out, 2, &format!("! not read: {}", each.told()))?;
            continue;
        };
        match rules.iter_mut().find(|known| known.api_groups == rule.api_groups && known.verbs == rule.verbs) {
            Some(known) => known.resources.extend(rule.resources.clone()),
            None => rules.push(rule.clone()),
        }
    }
    if rules.is_empty() {
        return Ok(());
    }
    let who = unread.iter().find_map(|each| each.refused_to()).unwrap_or("podnet");
    sentence(page, out, 2, &format!("! not read, forbidden to {who}; rules of a ClusterRole that would allow it:"))?;
    for mut rule in rules {
        rule.resources.sort();
        rule.resources.dedup();
        let quoted = |words: &[String]| words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let (groups, resources, verbs) = (quoted(&rule.api_groups), quoted(&rule.resources), quoted(&rule.verbs));
        let line = format!("- {{apiGroups: [{groups}], resources: [{resources}], verbs: [{verbs}]}}");
        sentence(page, out, 6, &line)?;
    }
    Ok(())
}
