//! Running the rules and putting what they found in order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::RULES;
use super::choice::Choice;
use super::facts::Facts;
use super::finding::{CheckReport, Finding, Ignored, Skipped, Summary};
use super::grace::too_young;
use super::hit::Hit;
use super::pod::{Pod, pods};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::agent::SOURCE;
use crate::model::netns::Inode;

/// The target of what concerns all pods of the node.
pub const NODE: &str = "node";

/// Judges the pods with these namespaces, or all; and in any case what of the node concerns them.
///
/// Things come and go while they are read: with the report of a look shortly before, only what both looks show is told.
pub fn check(
    facts: &Facts<'_>,
    wanted: Option<&BTreeSet<Inode>>,
    choice: &Choice,
    before: Option<&CheckReport>,
) -> CheckReport {
    let pods = pods(facts);
    let mut run = Running {
        facts,
        pods: &pods,
        wanted,
        choice,
        findings: Vec::new(),
        skipped: Vec::new(),
        lacking: BTreeMap::new(),
        held: 0,
        without_pod: 0,
    };
    let judged = run.judged();
    for rule in RULES.iter().filter(|rule| choice.wants(rule)) {
        run.one(rule, &judged);
    }
    if let Some(before) = before {
        run.findings.retain(|finding| before.has(finding) || takes_two_looks(&finding.code));
    }
    let mut targets: Vec<String> = judged.iter().map(|pod| pod.name.clone()).collect();
    if wanted.is_none_or(|wanted| wanted.contains(&facts.node.host_netns)) {
        targets.push(NODE.to_owned());
    }
    run.report(targets)
}

fn takes_two_looks(code: &str) -> bool {
    RULES.iter().any(|rule| rule.code == code && rule.needs.contains(&Need::Earlier))
}

struct Running<'r, 'a> {
    facts: &'r Facts<'a>,
    pods: &'r [Pod<'r>],
    wanted: Option<&'r BTreeSet<Inode>>,
    choice: &'r Choice,
    findings: Vec<Finding>,
    skipped: Vec<Skipped>,
    /// What was found of each need; many rules have the same.
    lacking: BTreeMap<Need, Option<String>>,
    held: usize,
    without_pod: usize,
}

impl<'r> Running<'r, '_> {
    fn judged(&mut self) -> Vec<&'r Pod<'r>> {
        let mut judged = Vec::new();
        let now = self.facts.node.collected_at;
        let pods = self.pods;
        for pod in pods.iter().filter(|pod| is_wanted(self.wanted, pod)) {
            if let Some(young) = too_young(pod, now, self.choice.grace) {
                let again_in_seconds = young.again_in_seconds;
                self.skipped.push(Skipped { again_in_seconds, ..skipped("*", young.why, Some(&pod.name)) });
            } else if let Some(why) = pod.state.unread() {
                let why = format!("its netns could not be read: {why}");
                self.skipped.push(skipped("*", why, Some(&pod.name)));
            } else {
                judged.push(pod);
            }
        }
        judged
    }

    fn one(&mut self, rule: &'static Rule, judged: &[&Pod<'_>]) {
        if let Some(why) = rule.needs.iter().find_map(|need| self.lack(*need)) {
            return self.skipped.push(skipped(rule.code, why, None));
        }
        let before = self.findings.len();
        match rule.run {
            Run::Pod(_) if judged.is_empty() => return self.without_pod += 1,
            Run::Pod(look) => {
                if let Some(why) = what_all_lack(rule, judged) {
                    return self.skipped.push(skipped(rule.code, why, None));
                }
                self.take_pods(rule, look, judged);
            }
            Run::Host(look) => self.take(rule, look(self.facts, self.pods)),
            Run::Node(look) => self.take_node(rule, look(self.facts, self.pods)),
        }
        self.held += usize::from(self.findings.len() == before);
    }

    fn take_pods(&mut self, rule: &'static Rule, look: fn(&Pod<'_>) -> Vec<Hit>, judged: &[&Pod<'_>]) {
        for pod in judged {
            match what_lacks(rule, pod) {
                Some(why) => self.skipped.push(skipped(rule.code, why, Some(&pod.name))),
                None => self.findings.extend(look(pod).into_iter().map(|hit| finding(rule, hit, Some(pod)))),
            }
        }
    }

    fn take(&mut self, rule: &'static Rule, hits: Vec<Hit>) {
        self.findings.extend(hits.into_iter().map(|hit| finding(rule, hit, None)));
    }

    /// Without what concerns others.
    fn take_node(&mut self, rule: &'static Rule, hits: Vec<Hit>) {
        for hit in hits {
            let pod = hit.about.and_then(|inode| self.pods.iter().find(|pod| pod.inode() == inode));
            let told = match (self.wanted, hit.about) {
                (None, _) => true,
                (Some(wanted), Some(inode)) => wanted.contains(&inode),
                (Some(wanted), None) => wanted.contains(&self.facts.node.host_netns),
            };
            if told {
                self.findings.push(finding(rule, hit, pod));
            }
        }
    }

    fn lack(&mut self, need: Need) -> Option<String> {
        if let Some(known) = self.lacking.get(&need) {
            return known.clone();
        }
        let why = self.lacks(need);
        self.lacking.insert(need, why.clone());
        why
    }

    fn lacks(&self, need: Need) -> Option<String> {
        let host = || self.facts.host();
        let of_host = |table: &str| match host() {
            Some(state) => state.unread_table(table).map(str::to_owned),
            None => Some("the host's netns was not found".to_owned()),
        };
        match need {
            Need::Routes => of_host("routes"),
            Need::Rules => of_host("rules"),
            Need::Neighbours => of_host("neighbours"),
            Need::Sysctls => {
                host().is_none_or(|host| host.sysctls.is_none()).then(|| "sysctls were not read".to_owned())
            }
            Need::Host => self.facts.node.host.is_none().then(|| "the machine's settings were not read".to_owned()),
            Need::Processes => self.facts.silent("proc"),
            Need::Everyone => self.facts.not_everyone(),
            Need::Earlier => self.facts.earlier.is_none().then(|| "takes two looks: --watch".to_owned()),
            Need::Attachments => self.facts.node.attachments.is_none().then(|| self.facts.no_attachments()),
            Need::Networks => {
                self.facts.node.networks.is_none().then(|| "the CNI configurations were not read".to_owned())
            }
            Need::NetworkStatus => {
                let none = self.facts.node.network_status.is_empty();
                let why = || self.facts.silent("cri").unwrap_or_else(|| "the CRI told no NetworkReady".to_owned());
                none.then(why)
            }
            Need::Runtimes => self.facts.no_runtime(),
            Need::Names => self.facts.node.names.is_empty().then(|| "no resolv.conf of a pod was read".to_owned()),
            Need::Firewall => match host() {
                Some(host) if host.firewall.is_none() => {
                    Some(host.unread_table("firewall").unwrap_or("the packet filter was not read").to_owned())
                }
                _ => of_host("firewall"),
            },
            Need::HostSockets => ["sockets", "tcp", "udp"].iter().find_map(|table| of_host(table)),
            Need::Stores => {
                self.facts.node.address_stores.is_empty().then(|| "no address store was found on this node".to_owned())
            }
            Need::Agent => self.facts.node.agent.is_none().then(|| self.facts.why_silent(SOURCE)),
            Need::Endpoints => {
                self.facts.node.endpoints.is_empty().then(|| "no endpoint of Cilium is known".to_owned())
            }
            Need::Datapath => {
                let maps = self.facts.node.datapath.as_ref().and_then(|datapath| datapath.endpoints.as_ref());
                maps.is_none().then(|| self.facts.why_silent("cilium maps"))
            }
            Need::Kubernetes => self.facts.node.kubernetes.is_none().then(|| self.facts.why_silent("kubernetes")),
            // Asked of each pod.
            Need::Sockets | Need::Programs => None,
        }
    }

    fn report(mut self, targets: Vec<String>) -> CheckReport {
        explain(&mut self.findings);
        let mut ignored = Vec::new();
        self.findings.retain(|finding| {
            let fits = self.choice.ignore.iter().find(|ignore| ignore.fits(&finding.code, &finding.target));
            ignored.extend(fits.map(|ignore| Ignored {
                code: finding.code.clone(),
                target: finding.target.clone(),
                reason: ignore.reason.clone(),
            }));
            fits.is_none()
        });
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let not_run = self.skipped.iter().filter(|skipped| skipped.target.is_none()).count();
        let summary = Summary {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            infos: count(Severity::Info),
            ignored: ignored.len(),
            held: self.held,
            without_pod: self.without_pod,
            not_run,
        };
        self.findings.retain(|finding| finding.severity <= self.choice.severity);
        sort(&mut self.findings);
        CheckReport {
            api_version: "podnet/v1".to_owned(),
            kind: "CheckReport".to_owned(),
            node: self.facts.node.hostname.clone(),
            collected_at: self.facts.node.collected_at,
            targets,
            findings: self.findings,
            ignored,
            skipped: self.skipped,
            summary,
            sources: self.facts.node.sources.clone(),
        }
    }
}

fn what_lacks(rule: &Rule, pod: &Pod<'_>) -> Option<String> {
    rule.needs.iter().find_map(|need| pod.lacks(*need))
}

/// Why a rule could look at no pod at all, where each lacks something.
fn what_all_lack(rule: &Rule, pods: &[&Pod<'_>]) -> Option<String> {
    let lacking: Option<Vec<String>> = pods.iter().map(|pod| what_lacks(rule, pod)).collect();
    lacking?.into_iter().next()
}

/// Who asks for one gets it, whatever it is.
fn is_wanted(wanted: Option<&BTreeSet<Inode>>, pod: &Pod<'_>) -> bool {
    wanted.map_or_else(|| pod.is_used(), |wanted| wanted.contains(&pod.inode()))
}

fn skipped(code: &str, why: String, target: Option<&str>) -> Skipped {
    Skipped { code: code.to_owned(), why, target: target.map(str::to_owned), again_in_seconds: None }
}

fn finding(rule: &Rule, hit: Hit, pod: Option<&Pod<'_>>) -> Finding {
    let target = hit.thing.clone().or_else(|| pod.map(|pod| pod.name.clone())).unwrap_or_else(|| NODE.to_owned());
    Finding {
        code: rule.code.to_owned(),
        severity: rule.severity,
        target,
        netns: pod.map(Pod::inode),
        message: hit.message.unwrap_or_else(|| rule.sentence.to_owned()),
        evidence: hit.evidence,
        cause: hit.cause.unwrap_or_else(|| rule.origin.to_owned()),
        fix_is_command: hit.is_command,
        fix: hit.fix.unwrap_or_else(|| rule.fix.to_owned()),
        explains: Vec::new(),
    }
}

/// What follows from a deeper fault of the same target, or of the node, is told with that.
fn explain(findings: &mut Vec<Finding>) {
    let deeper = |finding: &Finding, all: &[Finding]| {
        let follows = RULES.iter().find(|rule| rule.code == finding.code).map(|rule| rule.follows)?;
        let explains = |other: &Finding| {
            follows.contains(&other.code.as_str()) && (other.target == finding.target || other.target == NODE)
        };
        all.iter().position(explains)
    };
    let reasons: Vec<Option<usize>> = findings.iter().map(|finding| deeper(finding, findings)).collect();
    for (at, reason) in reasons.iter().enumerate() {
        let root = root(*reason, &reasons);
        let code = findings.get(at).map(|finding| finding.code.clone());
        if let Some((finding, code)) = root.and_then(|root| findings.get_mut(root)).zip(code)
            && !finding.explains.contains(&code)
        {
            finding.explains.push(code);
        }
    }
    let mut reasons = reasons.into_iter();
    findings.retain(|_| reasons.next().flatten().is_none());
}

/// The end of a chain of reasons; the catalogue has no rings, and a test says so.
fn root(mut reason: Option<usize>, reasons: &[Option<usize>]) -> Option<usize> {
    while let Some(next) = reason.and_then(|at| reasons.get(at).copied().flatten()) {
        reason = Some(next);
    }
    reason
}

/// Targets with the worst first, in each the worst first.
fn sort(findings: &mut [Finding]) {
    let mut weight: BTreeMap<String, (Severity, Reverse<usize>)> = BTreeMap::new();
    for finding in findings.iter() {
        let entry = weight.entry(finding.target.clone()).or_insert((finding.severity, Reverse(0)));
        entry.0 = entry.0.min(finding.severity);
        entry.1.0 += 1;
    }
    findings.sort_by_cached_key(|finding| {
        (weight.get(&finding.target).copied(), finding.target.clone(), finding.severity, finding.code.clone())
    });
}
