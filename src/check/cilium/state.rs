//! How far the agent got with a pod's endpoint, by its own account.

use super::{AGENT, RESTART, about, changed, is_past_grace, keeps_failing};
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::pod::Pod;
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::agent::Controller;
use crate::model::endpoint::{Endpoint, ToldBy};

pub static NOT_READY: Rule = Rule {
    code: "PN-CIL-004",
    severity: Severity::Error,
    sentence: "The agent could not set up the pod's endpoint: it is not ready.",
    meaning: "The program that takes the pod's packets is of an earlier policy, or missing.",
    origin: "the program did not compile or load (a kernel too old, a map that is full), or the proxy did not take the \
             policy",
    confirm: "podnet endpoint log POD",
    fix: "read the log; when the reason is gone, the agent tries again by itself, or after a restart",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-001"],
    run: Run::Node(not_ready),
};

fn not_ready(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let bad = |endpoint: &&Endpoint| matches!(endpoint.state.as_deref(), Some("not-ready" | "invalid"));
    let settled = |endpoint: &&Endpoint| changed(endpoint).is_none_or(|at| is_past_grace(facts, at));
    facts.node.endpoints.iter().filter(bad).filter(settled).map(|endpoint| with_log(endpoint, pods)).collect()
}

/// State, and the last that happened.
fn with_log(endpoint: &Endpoint, pods: &[Pod<'_>]) -> Hit {
    let last = endpoint.log.first();
    let failing = endpoint.controllers.iter().find(|controller| controller.is_failing());
    about(endpoint, pods)
        .saw(format!("state of endpoint {}", endpoint.id), endpoint.state.clone().unwrap_or_default(), AGENT)
        .saw_if("since", last.and_then(|change| change.timestamp).map(|at| at.to_string()), AGENT)
        .saw_if("last message", last.and_then(|change| change.message.clone()), AGENT)
        .saw_if("failing", failing.map(said_by), AGENT)
}

fn said_by(controller: &Controller) -> String {
    let error = controller.last_error.clone().unwrap_or_default();
    format!("{} ({} times in a row): {error}", controller.name, controller.consecutive_failures)
}

pub static STUCK: Rule = Rule {
    code: "PN-CIL-005",
    severity: Severity::Error,
    sentence: "The pod's endpoint has been on its way to ready for too long.",
    meaning: "Until it is ready the pod has no network, or that of an earlier policy.",
    origin: "the API server or the key-value store is not reachable (waiting for an identity, restoring), or the agent \
             hangs (regenerating, disconnecting)",
    confirm: "podnet endpoint log POD; podnet check --rule cil node",
    fix: "see to the API server; if it is well, restart the agent",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-001"],
    run: Run::Node(stuck),
};

fn stuck(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let on_its_way = |endpoint: &&Endpoint| {
        let settled =
            matches!(endpoint.state.as_deref(), None | Some("ready" | "not-ready" | "invalid" | "disconnected"));
        !settled && facts.is_old(changed(endpoint))
    };
    facts.node.endpoints.iter().filter(on_its_way).map(|endpoint| with_log(endpoint, pods)).collect()
}

pub static CONTROLLER_FAILS: Rule = Rule {
    code: "PN-CIL-006",
    severity: Severity::Warning,
    sentence: "The agent tries something for the pod's endpoint again and again, and fails.",
    meaning: "What it is for is out of date: the CiliumEndpoint that other nodes go by, the policy map, the labels.",
    origin: "the API server refuses (RBAC, a webhook) or is away, or a map of the kernel is full",
    confirm: "podnet endpoint get POD, under controllers",
    fix: "mend what the message tells; the agent goes on trying",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-004", "PN-CIL-005", "PN-CIL-001"],
    run: Run::Node(controller_fails),
};

fn controller_fails(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let endpoints = facts.node.endpoints.iter().filter(|endpoint| endpoint.told_by == ToldBy::Agent);
    let failing = endpoints.flat_map(|endpoint| {
        let failing = endpoint.controllers.iter().filter(|controller| keeps_failing(facts, controller));
        failing.map(move |controller| (endpoint, controller))
    });
    failing
        .map(|(endpoint, controller)| {
            about(endpoint, pods)
                .saw(
                    controller.name.clone(),
                    format!("failed {} times in a row", controller.consecutive_failures),
                    AGENT,
                )
                .saw_if("last error", controller.last_error.clone(), AGENT)
                .saw_if("last success", controller.last_success.map(|at| at.to_string()), AGENT)
        })
        .collect()
}

pub static POLICY_BEHIND: Rule = Rule {
    code: "PN-CIL-007",
    severity: Severity::Warning,
    sentence: "An earlier policy than the wanted one is in force for the pod.",
    meaning: "It is still allowed, or still refused, what the policies of today say otherwise of.",
    origin: "the endpoint was not regenerated since the policy changed: that failed, or the agent hangs",
    confirm: "podnet endpoint get POD, under policy: wanted and realized revision",
    fix: RESTART,
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-001", "PN-CIL-004", "PN-CIL-005"],
    run: Run::Node(policy_behind),
};

fn policy_behind(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let hit = |endpoint: &Endpoint| {
        let policy = endpoint.policy.as_ref()?;
        let (realized, wanted) = policy.realized_revision.zip(policy.wanted_revision)?;
        // While it is being regenerated, its log grows.
        let behind = realized < wanted && endpoint.state.as_deref() == Some("ready") && facts.is_old(changed(endpoint));
        behind.then(|| {
            about(endpoint, pods).saw("policy revision in force", realized.to_string(), AGENT).saw(
                "wanted",
                wanted.to_string(),
                AGENT,
            )
        })
    };
    facts.node.endpoints.iter().filter_map(hit).collect()
}

pub static NO_LABELS: Rule = Rule {
    code: "PN-CIL-008",
    severity: Severity::Error,
    sentence: "The agent does not know the pod's labels, so the pod has the identity of one that is being made.",
    meaning: "Policies that select pods by labels do not fit it: what they allow is refused.",
    origin: "the agent cannot read the pod from the API server",
    confirm: "podnet endpoint get POD: reserved:init",
    fix: "see to the agent's connection to the API server",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-004", "PN-CIL-005", "PN-CIL-001"],
    run: Run::Node(no_labels),
};

fn no_labels(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let initial = |endpoint: &&Endpoint| {
        endpoint.told_by == ToldBy::Agent && endpoint.has_reserved("init") && facts.is_old(changed(endpoint))
    };
    let endpoints = facts.node.endpoints.iter().filter(initial);
    endpoints
        .map(|endpoint| {
            about(endpoint, pods).saw("labels", endpoint.labels.join("  "), AGENT).saw_if(
                "identity",
                endpoint.identity.map(|identity| identity.to_string()),
                AGENT,
            )
        })
        .collect()
}

pub static PENDING_OPTIONS: Rule = Rule {
    code: "PN-CIL-032",
    severity: Severity::Info,
    sentence: "Options that are wanted for the pod's endpoint are not in force yet.",
    meaning: "The program that takes its packets was made with others: tracing, audit mode or address checks differ from \
              what was asked for.",
    origin: "an option was changed, and the endpoint was not regenerated since",
    confirm: "podnet endpoint get POD, under options",
    fix: RESTART,
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-001", "PN-CIL-004", "PN-CIL-005"],
    run: Run::Node(pending_options),
};

fn pending_options(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let pending = |endpoint: &&Endpoint| !endpoint.pending_options.is_empty() && facts.is_old(changed(endpoint));
    let hit = |endpoint: &Endpoint| {
        endpoint.pending_options.iter().fold(about(endpoint, pods), |hit, (name, wanted)| {
            let now = endpoint.options.get(name).map_or("not set", String::as_str);
            hit.saw(name.clone(), format!("{now}, wanted {wanted}"), AGENT)
        })
    };
    facts.node.endpoints.iter().filter(pending).map(hit).collect()
}
