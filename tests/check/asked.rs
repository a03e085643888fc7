//! How often Kubernetes is asked, and for what.

use crate::apiserver::forbidden;
use crate::case::assert_healthy;
use crate::kube::Scene;

/// The questions about CiliumEndpoints that one command asks.
fn asked_about_endpoints(scene: &Scene, args: &[&str]) -> Vec<String> {
    let before = scene.server.asked().len();
    let ran = scene.cilium.node.machine.podnet(args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let mut asked: Vec<String> =
        scene.server.asked().split_off(before).into_iter().map(|question| question.path).collect();
    asked.retain(|path| path.contains("/ciliumendpoints"));
    asked.sort();
    asked
}

/// One list of each namespace that several pods are in, and each question once.
#[test]
fn kubernetes_is_asked_once_about_pods() {
    let Some(scene) = Scene::new() else { return };
    assert_healthy(&scene.cilium.node, "before");
    let file = scene.cilium.node.machine.scratch().text("snapshot.json");
    let save = ["snapshot", "save", "--force", &file];
    let demo = "/apis/cilium.io/v2/namespaces/demo/ciliumendpoints";
    let db = "/apis/cilium.io/v2/namespaces/shop/ciliumendpoints/db";
    assert_eq!(asked_about_endpoints(&scene, &save), [demo, db]);
    assert_eq!(asked_about_endpoints(&scene, &["check"]), [&format!("{demo}/web1"), db]);
    // Who may not list asks one by one.
    let list = format!("{demo}?");
    scene.server.instead(&list, forbidden("list", "ciliumendpoints", "cilium.io"));
    let asked = asked_about_endpoints(&scene, &save);
    assert!(asked.contains(&format!("{demo}/web1")) && asked.contains(&format!("{demo}/hostnet")), "{asked:?}");
    assert_healthy(&scene.cilium.node, "asked one by one");
}
