//! The stand-in API server, on the node's own machine: it listens there, and the kubeconfig lies where kubeadm puts it.

use podnet::netns::Handle;

use crate::apiserver::ApiServer;
use crate::node::Node;

/// With the objects of the recorded node, which is this one.
pub fn on(node: &Node) -> ApiServer {
    let inside = Handle::open(std::path::Path::new(&node.machine.netns())).unwrap();
    let server = inside.run(ApiServer::start).unwrap();
    let kubeconfig = server.kubeconfig(node.machine.scratch());
    node.run(&format!(
        "mkdir -p /etc/kubernetes; cp {kubeconfig} /etc/kubernetes/admin.conf; cp {} /etc/kubernetes/ca.crt",
        node.machine.scratch().text("ca.crt")
    ));
    server
}
