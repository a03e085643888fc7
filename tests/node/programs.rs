//! The BPF programs at both sides of a pod's veth, as the kernel tells them of the descriptors that they were loaded by.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::net::if_::if_nametoindex;
use podnet::netns::Handle;
use serde_json::{Value, json};

use crate::support::bpf;
use crate::support::containerd::Containerd;
use crate::support::facts;
use crate::support::podnet::{interface, on_containerd};
use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::run;

/// What `inspect` has to tell of a program that is attached so.
fn expected(hook: &str, name: &str, program: &OwnedFd) -> Value {
    let (id, tag) = bpf::id_and_tag(program);
    json!({ "hook": hook, "name": name, "id": id, "tag": tag })
}

fn found(end: &Value) -> Vec<Value> {
    let mut programs = end["programs"].as_array().cloned().unwrap_or_default();
    programs.iter_mut().for_each(|program| drop(program.as_object_mut().unwrap().remove("preference")));
    programs
}

/// By tc on both sides, XDP, and tcx where the kernel has it; with what holds the last.
fn attach(device: &str, place: &Path, programs: [&OwnedFd; 4]) -> (Vec<Value>, Option<bpf::Attached>) {
    let [xdp, ingress, egress, tcx] = programs;
    let pinned = |name: &str, program| {
        let file = place.join(name);
        bpf::pin(program, &file);
        file.to_str().unwrap().to_owned()
    };
    run("ip", &["link", "set", "dev", device, "xdpgeneric", "pinned", &pinned("xdp", xdp)]);
    run("tc", &["qdisc", "add", "dev", device, "clsact"]);
    for (side, program) in [("ingress", ingress), ("egress", egress)] {
        let file = pinned(side, program);
        run("tc", &["filter", "add", "dev", device, side, "bpf", "da", "object-pinned", &file]);
    }
    let link = bpf::attach_tcx(tcx, if_nametoindex(device).unwrap());
    let mut expected = vec![
        expected("xdp", "pass_all", xdp),
        // tc(8) names a filter by where its program came from.
        expected("tc-ingress", "ingress:[*fsobj]", ingress),
        expected("tc-egress", "egress:[*fsobj]", egress),
    ];
    expected.extend(link.as_ref().map(|_| self::expected("tcx-ingress", "cil_from_contai", tcx)));
    (expected, link)
}

#[test]
fn programs_at_both_sides_of_a_pods_veth() {
    if !prerequisite::root_and(&["ip", "tc"]) {
        return;
    }
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_pod("default", "hooked");
    let id = cri.run_container(&pod, "app", &[]);
    let veth = facts::veth(cri.pid(&id), "eth0");
    let scratch = Scratch::new();
    let place = bpf::mounted(&scratch);
    let xdp = bpf::xdp("pass_all");
    let classifiers: Vec<OwnedFd> = (0..6).map(|_| bpf::classifier("cil_from_container")).collect();

    let [a, b, c, d, e, f] = &classifiers[..] else { unreachable!() };
    let (on_host, _host_link) = attach(&veth.peer_name, &place.join("host"), [&xdp, a, b, c]);
    let netns = Handle::open(&cri.netns_path(&pod).unwrap()).unwrap();
    let (in_pod, _pod_link) = netns.run(|| attach("eth0", &place.join("pod"), [&xdp, d, e, f])).unwrap();

    let podnet = on_containerd(containerd.socket());
    let document = podnet.inspect("default/hooked/app");
    let link = interface(&document, "eth0");
    assert_eq!(found(link), in_pod, "{link:#}");
    assert_eq!(found(&link["peer"]), on_host, "{link:#}");

    let table = podnet.env("COLUMNS", "80".into()).run(&["inspect", "default/hooked/app"]).stdout;
    let (pods, hosts) = table.split_once("└─ peer").unwrap();
    for (text, programs, is_host) in [(pods, in_pod, false), (hosts, on_host, true)] {
        for program in programs {
            let word = |key: &str| program[key].as_str().unwrap().to_owned();
            let hook = word("hook").replace('-', " ");
            let way = match (is_host, hook.as_str()) {
                (false, _) => "",
                (true, "tc egress") => "to pod",
                (true, _) => "from pod",
            };
            let id = format!("id {} tag {}", program["id"], word("tag"));
            let line = format!("{way} {hook} {} {id}", word("name"));
            let is_shown = |shown: &str| shown.split_whitespace().eq(line.split_whitespace());
            assert!(text.lines().any(is_shown), "«{line}» in\n{table}");
        }
    }
}
