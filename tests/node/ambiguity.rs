//! Words that name more than one workload, or none.

use crate::support::docker::Docker;
use crate::support::podnet::{Podnet, on_docker};

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
