//! PN-NS: namespaces that outlived their pods, and pods in the wrong one.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::hit::Hit;
use super::paste::word;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::netns::{Holder, HolderKind, NetnsState};
use crate::model::workload::{Role, State, Workload};

pub static LEAKED_MOUNT: Rule = Rule {
    code: "PN-NS-001",
    severity: Severity::Warning,
    sentence: "A network namespace was left behind: it is mounted, but nobody lives in it and no runtime knows it.",
    meaning: "Its interfaces and addresses are still taken, and its other ends still lie on the node.",
    origin: "the runtime crashed or was killed while it removed the pod, or could not unmount it",
    confirm: "podnet inspect PATH: no process, and no container of the runtime's list has it",
    fix: "CNI DEL for what it holds (podnet gc), then umount PATH && rm PATH",
    needs: &[Need::Processes],
    follows: &[],
    run: Run::Node(leaked_mount),
};

fn leaked_mount(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let hit = |pod: &Pod<'_>| {
        let path =
            pod.state.netns.paths.iter().find(|path| made_by(path).is_some_and(|runtime| answered(facts, runtime)))?;
        let known = facts.node.workloads.iter().any(|workload| belongs(workload, pod.state));
        let empty = pod.has_no_process() && pod.workloads.is_empty();
        (empty && !known && facts.is_old(pod.state.netns.since)).then(|| {
            let interfaces: Vec<&str> = pod.state.links.iter().map(|link| link.name.as_str()).collect();
            let path_word = word(path);
            Hit::new()
                .about(pod.inode())
                .saw("mounted at", path.clone(), "proc")
                .saw("processes in it", "none", "proc")
                .saw("interfaces in it", interfaces.join(", "), "kernel")
                .command(format!("umount {path_word} && rm {path_word}"))
        })
    };
    pods.iter().filter_map(hit).collect()
}

/// The runtime whose names these are; a namespace that somebody named himself is his own.
fn made_by(path: &str) -> Option<&'static [&'static str]> {
    let (folder, name) = path.rsplit_once('/')?;
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_uuid = |text: &str| text.len() == 36 && hexadecimal(text);
    match folder {
        "/run/netns" if name.strip_prefix("cni-").is_some_and(is_uuid) => Some(&["cri", "containerd"]),
        "/run/netns" if name.strip_prefix("netns-").is_some_and(is_uuid) => Some(&["podman", "podman storage"]),
        "/run/netns" if is_uuid(name) => Some(&["cri"]),
        "/run/docker/netns" if name.len() == 12 && hexadecimal(name) => Some(&["docker"]),
        _ => None,
    }
}

fn answered(facts: &Facts<'_>, sources: &[&str]) -> bool {
    sources.iter().any(|source| facts.silent(source).is_none())
}

fn belongs(workload: &Workload, state: &NetnsState) -> bool {
    let by_path = workload.netns_path.as_deref().is_some_and(|path| {
        let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
        state.netns.paths.iter().any(|own| own == path)
    });
    by_path || workload.netns == Some(state.netns.inode)
}

pub static PATH_GONE: Rule = Rule {
    code: "PN-NS-002",
    severity: Severity::Warning,
    sentence: "The pod's network namespace is not mounted where its runtime and its network were told.",
    meaning: "The pod works as long as its processes live, but its network cannot be checked or torn down: DEL does not \
              find the namespace, and addresses and interfaces stay behind.",
    origin: "/run/netns was unmounted or mounted over, or somebody deleted the mount",
    confirm: "ls -l PATH; grep netns /proc/self/mountinfo",
    fix: "mount it again: touch PATH && mount --bind /proc/PID/ns/net PATH; or make the pod anew",
    needs: &[Need::Processes],
    follows: &[],
    run: Run::Pod(path_gone),
};

fn path_gone(pod: &Pod<'_>) -> Vec<Hit> {
    let process = pod.workloads.iter().find_map(|workload| workload.pid);
    let told =
        pod.attachments.iter().filter_map(|attachment| Some((attachment.netns.as_deref()?, attachment.kept_by.word())));
    let by_runtime = pod.workloads.iter().filter_map(|workload| {
        Some((workload.netns_path.as_deref()?, workload.runtime.as_deref().unwrap_or("runtime")))
    });
    let missing = told.chain(by_runtime).find(|(path, _)| {
        let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
        // A path below /proc is no mount.
        path.starts_with("/run/") && !pod.state.netns.paths.iter().any(|own| own == path)
    });
    let Some((path, source)) = missing.filter(|_| process.is_some()) else { return Vec::new() };
    let mounts = if pod.state.netns.paths.is_empty() { "none".to_owned() } else { pod.state.netns.paths.join(", ") };
    let hit = Hit::new().saw("mounts of its netns", mounts, "proc").saw("said to be at", path, source);
    let path = word(path);
    vec![match process {
        Some(pid) => hit.command(format!("touch {path} && mount --bind /proc/{pid}/ns/net {path}")),
        None => hit,
    }]
}

pub static HELD_FROM_OUTSIDE: Rule = Rule {
    code: "PN-NS-003",
    severity: Severity::Warning,
    sentence: "A network namespace that nobody lives in is kept alive from outside.",
    meaning: "It was unmounted here, but its interfaces and addresses stay taken until the last holder lets go. This is \
              what is behind «unlinkat /run/netns/…: device or resource busy».",
    origin: "its mount was copied into another mount namespace (a container that mounts /run or /var/run, a service \
             with PrivateTmp), or a program kept it open or left a thread in it",
    confirm: "podnet inspect netns:INODE names the process and its container",
    fix: "restart that container or service, with mount propagation for /run/netns (HostToContainer) if it mounts /run",
    needs: &[Need::Processes],
    follows: &[],
    run: Run::Node(held_from_outside),
};

fn held_from_outside(_: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let hit = |pod: &Pod<'_>| {
        let netns = &pod.state.netns;
        let lived_in = !pod.has_no_process() || !pod.workloads.is_empty() || !netns.paths.is_empty();
        // In a user namespace of its own (rootless Podman) that is how it is done.
        let connected = pod.state.links.iter().any(|link| link.kind != "loopback");
        if lived_in || netns.owner_user_ns.is_some() || !connected {
            return None;
        }
        let outside: Vec<String> = netns.holders.iter().map(held_by).collect();
        let first = netns.holders.first()?;
        let hit = Hit::new().about(pod.inode()).saw("held by", outside.join("; "), "proc");
        Some(match (&first.container, first.pid) {
            (Some(container), _) => hit.fix(format!("restart the container {container}")),
            (None, Some(pid)) => hit.fix(format!("restart the service that process {pid} belongs to")),
            (None, None) => hit,
        })
    };
    pods.iter().filter_map(hit).collect()
}

fn held_by(holder: &Holder) -> String {
    let process = format!(
        "{} {}",
        holder.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string()),
        holder.process.clone().unwrap_or_default()
    );
    let container =
        holder.container.as_ref().map(|id| format!(" in container {}", id.get(..12).unwrap_or(id))).unwrap_or_default();
    let path = holder.path.clone().unwrap_or_default();
    match holder.kind {
        HolderKind::ForeignMount => format!("a mount at {path} in the mount namespace of {process}{container}"),
        HolderKind::Fd => format!("a descriptor {path} of {process}{container}"),
        HolderKind::Thread => format!("a thread {path} of {process}{container}"),
        HolderKind::Process | HolderKind::Mount => format!("{process}{container}"),
    }
}

pub static WRONG_NETNS: Rule = Rule {
    code: "PN-NS-005",
    severity: Severity::Error,
    sentence: "A container of the pod is in another network namespace than the pod's sandbox.",
    meaning: "It has not the pod's address and is not reached by it; on «localhost» it does not meet the other containers.",
    origin: "its process moved itself (unshare, setns), or the runtime made it while the sandbox was being replaced",
    confirm: "podnet list -o wide: two NETNS for one pod",
    fix: "restart the container",
    needs: &[],
    follows: &[],
    run: Run::Node(wrong_netns),
};

fn wrong_netns(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let running = || facts.node.workloads.iter().filter(|workload| workload.state == State::Running);
    let sandbox_of = |workload: &Workload| {
        let id = workload.pod.as_ref()?.sandbox_id.clone()?;
        running().find(|other| other.role == Role::Sandbox && other.id.as_ref() == Some(&id))
    };
    let hit = |workload: &Workload| {
        let (own, sandbox) = (workload.netns?, sandbox_of(workload)?);
        let meant = sandbox.netns.filter(|meant| *meant != own)?;
        let process = workload.process.clone().unwrap_or_default();
        Some(
            Hit::new()
                .about(meant)
                .saw(format!("container {}", label(workload)), format!("netns {own}, process {process}"), "proc")
                .saw("sandbox of the pod", format!("netns {meant}"), "proc"),
        )
    };
    running().filter(|workload| workload.role == Role::Container).filter_map(hit).collect()
}

fn label(workload: &Workload) -> String {
    workload.name.clone().or_else(|| workload.id.clone()).unwrap_or_default()
}

pub static JOINED_A_DEAD_ONE: Rule = Rule {
    code: "PN-NS-006",
    severity: Severity::Error,
    sentence: "The container joined the network of another one that was restarted since, and sits in its old namespace.",
    meaning: "The old namespace lost its interface when the other container stopped. This one has no network until it is \
              restarted, too.",
    origin: "--network container:… (or network_mode: service:… of compose) binds to the namespace of that moment",
    confirm: "podnet list shows two different NETNS for the two containers",
    fix: "docker restart CONTAINER; restart both together from now on",
    needs: &[],
    follows: &[],
    run: Run::Node(joined_a_dead_one),
};

fn joined_a_dead_one(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let by_id: BTreeMap<&str, &Workload> =
        facts.node.workloads.iter().filter_map(|workload| Some((workload.id.as_deref()?, workload))).collect();
    let hit = |workload: &Workload| {
        let joined = workload.network_mode.as_deref()?.strip_prefix("container:")?;
        let other = by_id
            .get(joined)
            .copied()
            .or_else(|| facts.node.workloads.iter().find(|other| other.name.as_deref() == Some(joined)))?;
        let own = workload.netns?;
        if other.netns == Some(own) {
            return None;
        }
        let now = other.netns.map_or_else(|| "none, it is stopped".to_owned(), |inode| format!("netns {inode}"));
        Some(
            Hit::new()
                .about(own)
                .saw(label(workload), format!("netns {own}"), "proc")
                .saw(format!("{}, whose network it joined", label(other)), now, "proc")
                .command(format!("docker restart {}", word(&label(workload)))),
        )
    };
    let running = facts.node.workloads.iter().filter(|workload| workload.state == State::Running);
    running.filter_map(hit).collect()
}

pub static SANDBOX_GONE: Rule = Rule {
    code: "PN-NS-007",
    severity: Severity::Warning,
    sentence: "The runtime calls the pod's sandbox stopped, but its network is still there.",
    meaning: "The address and the interface of a pod that is over are still taken.",
    origin: "the teardown failed (the CNI plugin's DEL did), and kubelet has not tried again or fails each time",
    confirm: "crictl pods: NotReady; podnet list --all",
    fix: "crictl rmp SANDBOX, and read what it says",
    needs: &[Need::Processes],
    follows: &[],
    run: Run::Pod(sandbox_gone),
};

fn sandbox_gone(pod: &Pod<'_>) -> Vec<Hit> {
    let over = |workload: &&&Workload| workload.state == State::Stopped && workload.role == Role::Sandbox;
    let Some(sandbox) = pod.workloads.iter().find(over) else { return Vec::new() };
    let connected = pod.ends.iter().any(|end| end.link.addresses.iter().any(|address| address.scope == "global"));
    let alive = pod.workloads.iter().any(|workload| workload.state == State::Running);
    if alive || !connected || !pod.facts.is_old(pod.state.netns.since) {
        return Vec::new();
    }
    let id = sandbox.id.clone().unwrap_or_default();
    vec![
        Hit::new()
            .saw("sandbox", format!("{id} stopped"), sandbox.runtime.as_deref().unwrap_or("runtime"))
            .saw(
                "its addresses",
                pod.addresses().map(|(_, address)| address.address.to_string()).collect::<Vec<_>>().join("  "),
                "kernel",
            )
            .command(format!("crictl rmp {}", word(&id))),
    ]
}

pub static TWO_SANDBOXES: Rule = Rule {
    code: "PN-NS-008",
    severity: Severity::Warning,
    sentence: "The pod has two sandboxes that run at once.",
    meaning: "Each has an address and an interface. Kubernetes knows one of them; the containers may be in the other.",
    origin: "kubelet lost track of the first while it was being made (a restart, a timeout), and made another",
    confirm: "crictl pods --name POD: two that are Ready",
    fix: "crictl stopp and crictl rmp the older one, if no container is in it",
    needs: &[],
    follows: &[],
    run: Run::Node(two_sandboxes),
};

fn two_sandboxes(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let mut by_pod: BTreeMap<(&str, &str, &str), Vec<&Workload>> = BTreeMap::new();
    for workload in
        facts.node.workloads.iter().filter(|each| each.role == Role::Sandbox && each.state == State::Running)
    {
        if let Some(pod) = &workload.pod {
            let uid = pod.uid.as_deref().unwrap_or_default();
            by_pod.entry((&pod.namespace, &pod.name, uid)).or_default().push(workload);
        }
    }
    let several = by_pod.into_values().filter(|sandboxes| sandboxes.len() > 1);
    let hit = |sandboxes: Vec<&Workload>| {
        let about = sandboxes.iter().find_map(|sandbox| sandbox.netns);
        let shown = sandboxes.iter().fold(Hit::new(), |hit, sandbox| {
            let netns = sandbox.netns.map_or_else(|| "no netns".to_owned(), |inode| format!("netns {inode}"));
            let id = sandbox.id.clone().unwrap_or_default();
            hit.saw(
                format!("sandbox {}", id.get(..12).unwrap_or(&id)),
                netns,
                sandbox.runtime.as_deref().unwrap_or("runtime"),
            )
        });
        match about {
            Some(inode) => shown.about(inode),
            None => shown,
        }
    };
    several.map(hit).collect()
}
