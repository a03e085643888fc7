//! Words that name more than one workload, or none.

use serde_json::Value;

use crate::support::docker::Docker;
use crate::support::facts;
use crate::support::namespace::Namespace;
use crate::support::podnet::{Podnet, on_docker};
use crate::support::shell::run;

#[test]
fn a_name_that_another_starts_with_is_still_that_name() {
    let Some(docker) = Docker::start() else { return };
    let ids = ["amb", "amb-1", "amb-12"].map(|name| (name, docker.run(name)));
    let podnet = on_docker(docker.socket());
    for (name, id) in &ids {
        assert_eq!(podnet.inspect(name)["workload"]["id"], **id, "{name}");
    }
}

#[test]
fn an_id_prefix_of_several_lists_each_with_the_spelling_that_picks_it() {
    let Some(docker) = Docker::start() else { return };
    let podnet = on_docker(docker.socket());
    // Of 17 ids two begin with the same digit.
    let ids: Vec<String> = (0..17).map(|number| docker.run_with(&format!("many-{number}"), NO_NETWORK, &[])).collect();
    let first = |id: &String| id.as_bytes()[0];
    let (one, other) = ids
        .iter()
        .enumerate()
        .find_map(|(at, id)| Some((id, ids[at + 1..].iter().find(|other| first(other) == first(id))?)))
        .unwrap();
    let shared: String = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    let ran = podnet.run(&["inspect", &format!("container:{shared}")]);
    assert_eq!(ran.status, 4, "{ran:?}");
    assert_eq!(ran.stdout, "");
    for id in [one, other] {
        let spelling = format!("docker://{}", &id[..12]);
        assert!(ran.stderr.contains(&spelling), "{spelling} in {}", ran.stderr);
        assert_eq!(podnet.inspect(&spelling)["workload"]["id"], **id);
    }
}

/// A container, a pod, a mounted netns and a host interface, all of one name.
#[test]
fn a_word_that_fits_several_kinds_lists_each_with_the_spelling_that_picks_it() {
    let Some(docker) = Docker::start() else { return };
    let (netns, other) = (Namespace::new(), Namespace::new());
    let word = netns.name.as_str();
    run("ip", &["link", "add", word, "type", "veth", "peer", "name", "eth0", "netns", &other.name]);
    docker.run(word);
    let labels =
        [("pod.namespace", "shop"), ("pod.name", word), ("container.name", "app"), ("docker.type", "container")];
    let labels: Vec<String> =
        labels.iter().map(|(key, value)| format!("--label=io.kubernetes.{key}={value}")).collect();
    let options: Vec<&str> = NO_NETWORK.iter().copied().chain(labels.iter().map(String::as_str)).collect();
    docker.run_with("k8s_app", &options, &[]);
    let mut expected =
        vec![netns.inode(), other.inode(), facts::netns(docker.pid(word)), facts::netns(docker.pid("k8s_app"))];

    let podnet = on_docker(docker.socket());
    let ran = podnet.run(&["inspect", word]);
    assert_eq!((ran.status, ran.stdout.as_str()), (4, ""), "{ran:?}");
    let rows = ran.stderr.lines().filter_map(|line| line.strip_prefix("  "));
    let spellings: Vec<&str> = rows.map(|row| row.split_whitespace().next().unwrap()).collect();
    let mut picked: Vec<u64> =
        spellings.iter().map(|spelling| podnet.inspect(spelling)["netns"]["inode"].as_u64().unwrap()).collect();
    expected.sort_unstable();
    picked.sort_unstable();
    assert_eq!(picked, expected, "{}", ran.stderr);
    for spelling in &spellings {
        let entered = podnet.run(&["exec", spelling, "--", "readlink", "/proc/self/ns/net"]);
        let inode = &podnet.inspect(spelling)["netns"]["inode"];
        assert_eq!((entered.status, entered.stdout), (0, format!("net:[{inode}]\n")), "{spelling}: {}", entered.stderr);
    }

    let ran = podnet.run(&["inspect", word, "-o", "json"]);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    let candidates = error["error"]["candidates"].as_array().unwrap();
    assert!(candidates.iter().map(|candidate| candidate["spelling"].as_str().unwrap()).eq(spellings), "{error:#}");
}

#[test]
fn what_is_not_there_gets_the_nearest_names_and_who_was_asked() {
    let Some(docker) = Docker::start() else { return };
    docker.run_with("frontend", NO_NETWORK, &[]);
    let ran = on_docker(docker.socket()).run(&["inspect", "frontent"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("frontend") && ran.stderr.contains("docker"), "{}", ran.stderr);
    assert_eq!(Podnet::default().run(&["inspect", "pid:x"]).status, 2);
}

const NO_NETWORK: &[&str] = &["--network", "none"];
