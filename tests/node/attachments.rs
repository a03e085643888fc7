//! What a runtime kept of a pod's attachment, beside the kernel, before and after somebody meddled with the pod.

use serde_json::Value;

use crate::support::containerd::Containerd;
use crate::support::podnet::{interface, on_containerd, source};
use crate::support::shell::run;

/// `WHAT: CNI RESULT / KERNEL` of the attachment of the interface.
fn differing(document: &Value, ifname: &str) -> Vec<String> {
    let attached = document["cni"].as_array().unwrap().iter().find(|each| each["ifname"] == ifname);
    let attached = attached.unwrap_or_else(|| panic!("{ifname} in {:#}", document["cni"]));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = attached["disagreements"].as_array().cloned().unwrap_or_default();
    all.iter()
        .map(|each| {
            assert_eq!((&each["told"][0]["by"], &each["told"][1]["by"]), (&"CNI result".into(), &"kernel".into()));
            format!(
                "{}: {} / {}",
                text(&each["what"]),
                text(&each["told"][0]["value"]),
                text(&each["told"][1]["value"])
            )
        })
        .collect()
}

#[test]
fn a_pods_attachment_is_compared_with_the_kernel() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_pod("default", "attached");
    let netns = cri.netns_path(&pod).unwrap();
    let podnet = on_containerd(containerd.socket());
    let document = podnet.inspect("default/attached");
    assert_eq!(source(&document, "cni cache")["status"], "present");
    let eth0 = document["cni"].as_array().unwrap().iter().find(|each| each["ifname"] == "eth0").unwrap();
    assert_eq!(
        (&eth0["network"], &eth0["containerId"]),
        (&containerd.subnet.bridge().into(), &pod.sandbox.as_str().into())
    );
    assert_eq!(eth0["plugins"], serde_json::json!(["ptp", "portmap"]));
    assert_eq!(differing(&document, "eth0"), [""; 0]);
    assert_eq!(differing(&document, "lo"), [""; 0]);
    let screen = podnet.run(&["inspect", "default/attached"]).stdout;
    assert!(screen.contains("result agrees with the kernel"), "{screen}");

    let mac = interface(&document, "eth0")["mac"].as_str().unwrap().to_owned();
    let address = eth0["addresses"][0]["address"].as_str().unwrap();
    let peer = interface(&document, "eth0")["peer"]["name"].as_str().unwrap();
    let enter = format!("--net={}", netns.display());
    let ip = |words: &str| {
        run("nsenter", &[&[enter.as_str(), "ip"], words.split(' ').collect::<Vec<_>>().as_slice()].concat())
    };
    ip("route delete default");
    ip("link set eth0 address 02:00:00:00:00:01");
    ip("address add 192.0.2.7/32 dev eth0");
    run("ip", &["link", "set", peer, "address", "02:00:00:00:00:02"]);
    let document = podnet.inspect("default/attached");
    let found = differing(&document, "eth0");
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.contains(&format!("mac of eth0: {mac} / 02:00:00:00:00:01")), "{found:?}");
    assert!(found.contains(&format!("addresses: {address} / {address} 192.0.2.7/32")), "{found:?}");
    assert!(found.contains(&"route: 0.0.0.0/0 / no route to 0.0.0.0/0".to_owned()), "{found:?}");
    assert!(found.iter().any(|each| each.starts_with(&format!("mac of {peer}: "))), "{found:?}");
    let screen = podnet.run(&["inspect", "default/attached"]).stdout;
    assert!(screen.contains("  ! route   CNI result 0.0.0.0/0   kernel no route to 0.0.0.0/0\n"), "{screen}");

    ip("link set eth0 down");
    ip("link set eth0 name net9");
    let found = differing(&podnet.inspect("default/attached"), "eth0");
    assert!(found.contains(&"interface: eth0 / none of that name, but net9".to_owned()), "{found:?}");
}
