//! podnet-cni(8): how a pod gets its network, step by step, and who does each step in Cilium.

use podnet::flow::steps;
use roff::bold;

use super::page::Page;

pub fn page() -> String {
    let mut page = Page::new("podnet-cni", 8, "how podnet gives a pod its network");
    page.heading("DESCRIPTION").text(
        "podnet create, and podnet as a CNI plugin that a container runtime calls, give a pod its network by the same steps, in the order and with the values of Cilium's CNI plugin. Before and after each step a journal is written, so that whatever ends podnet leaves enough to undo what was done: podnet delete and podnet gc do. Undone is in reverse.",
    );
    page.heading("STEPS").text(
        "Each with what it is good for, and the function of Cilium's plugin (plugins/cilium-cni) that does it there.",
    );
    for step in steps::ALL {
        let (purpose, cilium) = (step.purpose().trim_end_matches('.'), step.in_cilium().trim_end_matches('.'));
        page.item(vec![bold(step.name())], &format!("{}. Cilium: {cilium}.", capitalised(purpose)));
    }
    page.heading("FILES");
    for (path, what) in [
        ("/etc/cni/net.d", "Where runtimes look for configurations of networks."),
        ("/var/lib/cni", "What libcni keeps of each attachment, and host-local of addresses."),
        ("/var/lib/podnet", "podnet's pools, and who holds which address."),
        ("/run/podnet", "Journals of what podnet sets up."),
    ] {
        page.item(vec![bold(path)], what);
    }
    page.heading("EXIT STATUS").text("As of every command of podnet(1). Called as a plugin, 1 with an error object of the CNI specification on standard output.");
    page.see_also(&[
        ("podnet".to_owned(), 1),
        ("podnet-create".to_owned(), 1),
        ("podnet-delete".to_owned(), 1),
        ("podnet-gc".to_owned(), 1),
    ]);
    page.finished()
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}
