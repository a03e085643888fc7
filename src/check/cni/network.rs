//! PN-CNI: whether the runtime can make the next pod's network, by the configurations that it reads.

use super::{CONFIGURATION, readers, several};
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::paste::word;
use crate::check::pod::Pod;
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::network::{NetworkFile, NetworkReader, Standing};

pub static VERSION_UNKNOWN: Rule = Rule {
    code: "PN-CNI-007",
    severity: Severity::Error,
    sentence: "The CNI configuration asks for a version of the CNI spec that nobody speaks.",
    meaning: "Plugins refuse it: ADD fails for every new pod with «incompatible CNI versions».",
    origin: "the version was mistyped, or the file is of a newer CNI than what is installed here. Only the file is judged: \
             what each plugin speaks it tells itself alone, and check runs no program of others",
    confirm: "podnet status names the file; podnet cni status asks its plugins",
    fix: "write a version that its plugins know (0.3.1, 0.4.0, 1.0.0, 1.1.0) as cniVersion",
    needs: &[Need::Networks],
    follows: &[],
    run: Run::Host(version_unknown),
};

fn version_unknown(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let blocking = readers(facts).flat_map(|reader| &reader.files).filter(|file| file.standing == Standing::Blocks);
    let unknown = blocking.filter(|file| is_of_unknown_version(file));
    unknown.map(|file| Hit::new().saw(file.path.clone(), file.versions.join(", "), CONFIGURATION)).collect()
}

/// A file that is fine but for that says only what it asks for.
fn is_of_unknown_version(file: &NetworkFile) -> bool {
    file.problem.is_some() && !file.versions.is_empty()
}

pub static NO_VERSION: Rule = Rule {
    code: "PN-CNI-008",
    severity: Severity::Warning,
    sentence: "The CNI configuration does not say which version of the CNI spec it is of.",
    meaning: "Plugins take it for the first, 0.1.0, which has no CHECK and no names of interfaces. Some runtimes and \
              plugins refuse that (containerd 1.6.0 to 1.6.3 could not tear pods down by it), others do without.",
    origin: "the file was written by hand, or is older than the key",
    confirm: "grep cniVersion in the file that podnet status names",
    fix: "add \"cniVersion\": \"1.0.0\", or another that its plugins know (podnet cni status asks them)",
    needs: &[Need::Networks],
    follows: &[],
    run: Run::Host(no_version),
};

fn no_version(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let used = readers(facts).flat_map(|reader| &reader.files);
    let used = used.filter(|file| matches!(file.standing, Standing::Picked | Standing::Also));
    used.filter(|file| file.versions.is_empty())
        .map(|file| Hit::new().saw(file.path.clone(), "no cniVersion", CONFIGURATION))
        .collect()
}

pub static CONFIGURATION_DAMAGED: Rule = Rule {
    code: "PN-CNI-010",
    severity: Severity::Error,
    sentence: "A damaged CNI configuration keeps the runtime from having any network for new pods.",
    meaning: "containerd reads the files in the order of their names and gives up at the first that it cannot read: pods \
              stay ContainerCreating, with «cni plugin not initialized».",
    origin: "a file was written by hand or half-way",
    confirm: "podnet status names the file and what is wrong with it",
    fix: "mend the file or move it out of the directory",
    needs: &[Need::Networks],
    follows: &[],
    run: Run::Host(configuration_damaged),
};

fn configuration_damaged(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let damaged = readers(facts).flat_map(|reader| &reader.files).filter(|file| file.standing == Standing::Blocks);
    damaged
        .filter(|file| !is_of_unknown_version(file))
        .map(|file| {
            let away = format!("mv {0} {0}.damaged", word(&file.path));
            Hit::new().saw(file.path.clone(), file.problem.clone().unwrap_or_default(), CONFIGURATION).command(away)
        })
        .collect()
}

pub static NO_CONFIGURATION: Rule = Rule {
    code: "PN-CNI-011",
    severity: Severity::Error,
    sentence: "The runtime finds no CNI configuration, so new pods get no network.",
    meaning: "Pods that are there go on; each new one stays ContainerCreating.",
    origin: "the CNI was never installed or was removed, its agent never became ready to write the file, or the runtime \
             looks in another directory",
    confirm: "ls the directory that podnet status names",
    fix: "look why the CNI's own pods do not run (kubectl -n kube-system get pods), or correct the runtime's conf_dir",
    needs: &[Need::Networks],
    follows: &[],
    run: Run::Host(no_configuration),
};

fn no_configuration(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let empty = |reader: &&NetworkReader| {
        let usable = reader.files.iter().any(|file| matches!(file.standing, Standing::Picked | Standing::Blocks));
        reader.problem.is_none() && !usable
    };
    readers(facts)
        .filter(empty)
        .map(|reader| {
            let files: Vec<&str> = reader.files.iter().map(|file| file.path.as_str()).collect();
            let others = if reader.ignored.is_empty() { "nothing".to_owned() } else { reader.ignored.join(", ") };
            let found = if files.is_empty() { others } else { format!("{}, none of them usable", files.join(", ")) };
            let runtime = reader.runtime.as_deref().unwrap_or("the runtime");
            Hit::new().saw(format!("{}, where {runtime} looks", reader.directory), found, CONFIGURATION)
        })
        .collect()
}

pub static PLUGIN_MISSING: Rule = Rule {
    code: "PN-CNI-012",
    severity: Severity::Error,
    sentence: "A CNI plugin that new pods need is not installed, or cannot be run.",
    meaning: "ADD fails for every new pod with «failed to find plugin» or «permission denied», and DEL for every old one.",
    origin: "an update removed it, the init container that copies it failed, or the runtime looks in another directory",
    confirm: "ls -l the plugin in the directories that podnet status names",
    fix: "install it there (containernetworking-plugins, or the CNI's own installer), with mode 0755",
    needs: &[Need::Networks],
    follows: &[],
    run: Run::Host(plugin_missing),
};

fn plugin_missing(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let hit = |reader: &NetworkReader| {
        let file = reader.picked().filter(|file| !file.missing.is_empty() || !file.not_executable.is_empty())?;
        let listed = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
        Some(
            Hit::new()
                .saw("network", format!("{} in {}", file.network.clone().unwrap_or_default(), file.path), CONFIGURATION)
                .saw_if("its plugins that are missing", listed(&file.missing), CONFIGURATION)
                .saw_if("without the right to be executed", listed(&file.not_executable), CONFIGURATION)
                .saw("looked for in", reader.plugin_directories.join(", "), CONFIGURATION),
        )
    };
    readers(facts).filter_map(hit).collect()
}

pub static SHADOWED: Rule = Rule {
    code: "PN-CNI-013",
    severity: Severity::Info,
    sentence: "Several CNI configurations lie here, and the first name in the alphabet wins.",
    meaning: "Should that file go, or another one sort before it, new pods get another network than the old ones.",
    origin: "an earlier CNI left its file, or two are installed",
    confirm: "podnet status names the one that wins and those behind it",
    fix: "remove the files of networks that are not used any more",
    needs: &[Need::Networks],
    follows: &["PN-CNI-010"],
    run: Run::Host(shadowed),
};

fn shadowed(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let hit = |reader: &NetworkReader| {
        // Multus hands pods on to the others.
        let picked = reader.picked().filter(|file| !several::is_multus(file))?;
        // Podman puts its own beside, and never looks at the others.
        let behind = reader.files.iter().filter(|file| file.standing == Standing::Shadowed && !is_podmans(file));
        let behind: Vec<&str> = behind.map(|file| file.path.as_str()).collect();
        (!behind.is_empty()).then(|| {
            Hit::new().saw("in force", picked.path.clone(), CONFIGURATION).saw(
                "shadowed",
                behind.join(", "),
                CONFIGURATION,
            )
        })
    };
    readers(facts).filter_map(hit).collect()
}

fn is_podmans(file: &NetworkFile) -> bool {
    file.path.contains("podman") || file.path.contains("crio-loopback") || file.plugins == ["loopback"]
}

pub static WRONG_ORDER: Rule = Rule {
    code: "PN-CNI-014",
    severity: Severity::Error,
    sentence: "The CNI chain begins with a plugin that only changes what another has made.",
    meaning: "It gets no result to work on: ADD fails for every new pod.",
    origin: "the plugins were written down in the wrong order, or the one that makes the interface was taken out",
    confirm: "podnet status names the file; its first plugin must be the one that makes the interface",
    fix: "put the plugin that makes the interface (bridge, ptp, cilium-cni, …) first",
    needs: &[Need::Networks],
    follows: &[],
    run: Run::Host(wrong_order),
};

/// Those of the reference plugins that need a `prevResult`.
const META: [&str; 6] = ["portmap", "bandwidth", "tuning", "firewall", "sbr", "vrf"];

fn wrong_order(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let picked = readers(facts).filter_map(|reader| reader.picked());
    let wrong = picked.filter(|file| file.plugins.first().is_some_and(|first| META.contains(&first.as_str())));
    wrong.map(|file| Hit::new().saw(file.path.clone(), file.plugins.join(" → "), CONFIGURATION)).collect()
}
