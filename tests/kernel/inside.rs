//! What only a thread inside can read: sockets and sysctls.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use podnet::collect::kernel::{Programs, Sockets, Want};

use crate::read_one;
use crate::support::netns::TestNetns;
use crate::support::prerequisite;
use crate::support::shell::wait_for;

#[test]
fn listeners_and_a_count_by_state() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = TestNetns::new();
    pod.ip("link set lo up");
    // Sockets stay in the namespace that they were opened in.
    let held = pod.handle().run(|| {
        let listener = TcpListener::bind("127.0.0.1:7001").unwrap();
        let client = TcpStream::connect("127.0.0.1:7001").unwrap();
        let served = listener.accept().unwrap().0;
        let both = TcpListener::bind("[::]:7002").unwrap();
        let mapped = TcpStream::connect("127.0.0.1:7002").unwrap();
        let udp = UdpSocket::bind("0.0.0.0:7003").unwrap();
        let connected = UdpSocket::bind("[::1]:7004").unwrap();
        connected.connect("[::1]:7005").unwrap();
        (listener, client, served, both, mapped, udp, connected)
    });
    let held = held.unwrap();
    let read = |sockets| read_one(&pod, &Want { sockets, ..Want::default() }).sockets.unwrap();
    let sockets = read(Sockets::Counted);
    let mut listeners: Vec<String> = sockets
        .listeners
        .iter()
        .map(|socket| format!("{} {} {}", socket.protocol, socket.state, socket.local))
        .collect();
    listeners.sort();
    assert_eq!(listeners, ["tcp listen 127.0.0.1:7001", "tcp listen [::]:7002", "udp unconnected 0.0.0.0:7003"]);
    let count: Vec<(&str, u32)> =
        sockets.count_by_state.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    // The connection that nobody accepted is one, too: both of its ends.
    assert_eq!(count, [("tcp/established", 4), ("tcp/listen", 2), ("udp/established", 1), ("udp/unconnected", 1)]);
    assert!(sockets.others.is_empty());

    let others = read(Sockets::All).others;
    assert_eq!(others.len(), 5);
    let client = held.1.local_addr().unwrap();
    let own = others.iter().find(|socket| socket.local == client).unwrap();
    assert_eq!((own.remote, own.state.as_str()), (held.1.peer_addr().ok(), "established"));
    let mapped = held.4.local_addr().unwrap();
    assert!(others.iter().any(|socket| socket.remote == Some(mapped)), "an IPv4 peer of a dual-stack socket is IPv4");
}

#[test]
fn what_is_left_of_a_connection_is_counted_when_nothing_else_is_there() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = TestNetns::new();
    pod.ip("link set lo up");
    let read = || read_one(&pod, &Want { sockets: Sockets::Counted, ..Want::default() }).sockets.unwrap();
    assert!(read().count_by_state.is_empty());
    for address in ["127.0.0.1:7001", "[::1]:7001"] {
        let connect = || {
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(address).unwrap();
            let served = listener.accept().unwrap().0;
            drop(client); // who closes first waits
            served
        };
        let mut served = pod.handle().run(connect).unwrap();
        assert_eq!(served.read(&mut [0]).unwrap(), 0);
    }
    let waiting = BTreeMap::from([("tcp/time-wait".to_owned(), 2)]);
    wait_for("both to wait", Duration::from_secs(10), || (read().count_by_state == waiting).then_some(()));
}

#[test]
fn a_handshake_that_nobody_ends_is_counted() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, pod) = (TestNetns::new(), TestNetns::new());
    host.ip(&format!("link add lxc1 type veth peer name eth0 netns {}", pod.path()));
    host.ip("addr add 10.9.9.1/24 dev lxc1");
    host.ip("link set lxc1 up");
    pod.ip("addr add 10.9.9.2/24 dev eth0");
    pod.ip("link set eth0 up");
    // What the pod answers goes nowhere.
    pod.ip("neigh add 10.9.9.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent");
    let address = "10.9.9.2:7001".parse().unwrap();
    let _listener = pod.handle().run(|| TcpListener::bind(address).unwrap()).unwrap();
    let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err();
    let count = wait_for("a knock to be heard", Duration::from_secs(10), || {
        assert!(host.handle().run(knock).unwrap());
        let sockets = read_one(&pod, &Want { sockets: Sockets::Counted, ..Want::default() }).sockets?;
        Some(sockets.count_by_state).filter(|count| count.contains_key("tcp/syn-recv"))
    });
    assert_eq!((count.len(), count["tcp/listen"]), (2, 1), "{count:?}");
}

#[test]
fn sysctls_are_those_of_the_namespace() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, pod) = (TestNetns::new(), TestNetns::new());
    host.ip(&format!("link add lxc1 type veth peer name eth0.5 netns {}", pod.path()));
    let set = [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "1"),
        ("ipv4/conf/eth0.5/rp_filter", "2"),
        ("ipv4/conf/eth0.5/proxy_arp", "1"),
        ("ipv4/conf/eth0.5/arp_ignore", "2"),
        ("ipv4/conf/eth0.5/arp_accept", "1"),
        ("ipv4/conf/all/arp_notify", "1"),
        ("ipv6/conf/eth0.5/disable_ipv6", "1"),
        ("ipv6/conf/all/accept_ra", "2"),
    ];
    let written =
        pod.handle().run(|| set.iter().try_for_each(|(path, value)| fs::write(format!("/proc/sys/net/{path}"), value)));
    written.unwrap().unwrap();
    let want = Want { sysctls: true, programs: Programs::OfNone, ..Want::default() };
    let sysctls = read_one(&pod, &want).sysctls.unwrap();
    for (name, value) in [
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv4.conf.all.rp_filter", "1"),
        ("net/ipv4/conf/eth0.5/rp_filter", "2"),
        ("net/ipv4/conf/eth0.5/proxy_arp", "1"),
        ("net/ipv4/conf/eth0.5/arp_ignore", "2"),
        ("net/ipv4/conf/eth0.5/arp_accept", "1"),
        ("net/ipv4/conf/eth0.5/arp_notify", "0"),
        ("net.ipv4.conf.all.arp_notify", "1"),
        ("net/ipv6/conf/eth0.5/disable_ipv6", "1"),
        ("net.ipv6.conf.all.accept_ra", "2"),
    ] {
        assert_eq!(sysctls.values.get(name).map(String::as_str), Some(value), "{name} in {:#?}", sysctls.values);
    }
    assert_eq!(sysctls.effective_rp_filter.get("eth0.5"), Some(&2));
    let of_host = read_one(&host, &want).sysctls.unwrap();
    assert_eq!(
        of_host.values.get("net.ipv4.conf.all.rp_filter").map(String::as_str),
        Some("0"),
        "the other is untouched"
    );
}
