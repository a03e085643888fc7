//! Links and addresses, field by field as `ip` tells them.

use podnet::collect::kernel::{Programs, Sockets, Want};
use podnet::model::address::Address;
use podnet::model::link::Link;
use serde_json::Value;

use crate::support::netns::TestNetns;
use crate::support::prerequisite;
use crate::{read, read_one};

const STATISTICS: Want = Want {
    statistics: true,
    routing: false,
    sysctls: false,
    sockets: Sockets::None,
    firewall: false,
    programs: Programs::OfNone,
};

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().map(|number| u32::try_from(number).unwrap())
}

fn find<'a>(links: &'a [Link], name: &str) -> &'a Link {
    links.iter().find(|link| link.name == name).unwrap_or_else(|| panic!("no {name} among {links:#?}"))
}

/// Compares each link with what `ip -j -d -s link` says of it.
fn agree_with_ip(namespace: &TestNetns, links: &[Link]) {
    let told = namespace.ip_json("-s addr show");
    let told = told.as_array().unwrap();
    assert_eq!(links.len(), told.len());
    for (link, told) in links.iter().zip(told) {
        let name = &link.name;
        assert_eq!(Some(name.clone()), text(&told["ifname"]));
        assert_eq!(Some(link.ifindex), number(&told["ifindex"]), "{name}");
        assert_eq!(Some(link.mtu), number(&told["mtu"]), "{name}");
        // M-DOWN is no flag: ip looks at the other link for it.
        let flags: Vec<String> = words(&told["flags"]).into_iter().filter(|flag| flag != "M-DOWN").collect();
        assert_eq!(link.flags, flags, "{name}");
        assert_eq!(link.qdisc, text(&told["qdisc"]), "{name}");
        assert_eq!(link.tx_queue_length, number(&told["txqlen"]), "{name}");
        assert_eq!(link.alias, text(&told["ifalias"]), "{name}");
        assert_eq!(link.alternative_names, words(&told["altnames"]), "{name}");
        assert_eq!(link.link_netnsid.map(i64::from), told["link_netnsid"].as_i64(), "{name}");
        if link.link_netnsid.is_some() {
            assert_eq!(link.link, number(&told["link_index"]), "{name}");
        }
        assert_eq!(link.master.map(|master| name_of(links, master)), text(&told["master"]), "{name}");
        let state = serde_json::to_value(link.state).unwrap().as_str().unwrap().replace('-', "").to_uppercase();
        assert_eq!(Some(state), text(&told["operstate"]), "{name}");
        let kind = text(&told["linkinfo"]["info_kind"]).unwrap_or("loopback".to_owned());
        assert_eq!(link.kind, kind, "{name}");
        assert_eq!(link.mac.map(|mac| mac.to_string()), text(&told["address"]), "{name}");
        let offload = link.offload.as_ref().unwrap();
        assert_eq!(offload.gso_max_size, number(&told["gso_max_size"]), "{name}");
        assert_eq!(offload.gro_max_size, number(&told["gro_max_size"]), "{name}");
        let counted = link.statistics.unwrap();
        for (side, ours) in
            [("rx", [counted.rx_errors, counted.rx_dropped]), ("tx", [counted.tx_errors, counted.tx_dropped])]
        {
            let told = &told["stats64"][side];
            assert_eq!(ours.map(Some), [&told["errors"], &told["dropped"]].map(Value::as_u64), "{name} {side}");
        }
        addresses_agree(&link.addresses, told["addr_info"].as_array().unwrap());
    }
}

fn addresses_agree(addresses: &[Address], told: &[Value]) {
    assert_eq!(addresses.len(), told.len(), "{addresses:#?} {told:#?}");
    for (address, told) in addresses.iter().zip(told) {
        assert_eq!(Some(address.address.to_string()), text(&told["local"]));
        assert_eq!(Some(u32::from(address.prefix_length)), number(&told["prefixlen"]), "{told}");
        assert_eq!(Some(address.scope.clone()), text(&told["scope"]), "{told}");
        assert_eq!(address.peer.map(|peer| peer.to_string()), text(&told["address"]), "{told}");
        assert_eq!(address.broadcast.map(|peer| peer.to_string()), text(&told["broadcast"]), "{told}");
        assert_eq!(address.label, text(&told["label"]), "{told}");
        for flag in
            ["secondary", "temporary", "nodad", "deprecated", "tentative", "dadfailed", "noprefixroute", "mngtmpaddr"]
        {
            assert_eq!(address.flags.iter().any(|ours| ours == flag), told[flag] == true, "{flag} {told}");
        }
        // ip says «dynamic» of what is not permanent.
        assert_eq!(address.flags.iter().all(|ours| ours != "permanent"), told["dynamic"] == true, "{told}");
        for (ours, theirs) in
            [(address.valid_seconds, "valid_life_time"), (address.preferred_seconds, "preferred_life_time")]
        {
            let theirs = number(&told[theirs]).filter(|seconds| *seconds != u32::MAX);
            assert!(ours.unwrap_or(0).abs_diff(theirs.unwrap_or(0)) <= 1, "{ours:?} {told}");
        }
    }
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().map(|list| list.iter().map(|word| text(word).unwrap()).collect()).unwrap_or_default()
}

fn name_of(links: &[Link], ifindex: u32) -> String {
    links.iter().find(|link| link.ifindex == ifindex).unwrap().name.clone()
}

#[test]
fn links_and_addresses_are_as_ip_tells_them() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, pod) = (TestNetns::new(), TestNetns::new());
    let eth0 = format!(
        "link add lxc1 mtu 1400 type veth peer name eth0 mtu 1400 address 02:00:00:00:00:07 netns {}",
        pod.path()
    );
    host.ip_all([
        "link set lo up",
        "link add br0 type bridge",
        &eth0,
        "link add both1 type veth peer name both2",
        "link set both1 master br0 up",
        "link set lxc1 up alias «pod» txqueuelen 77",
        "link property add dev lxc1 altname lxc-default-web-0-with-a-name-of-more-than-fifteen",
        "link add vx0 type vxlan id 42 dstport 8472 local 127.0.0.1 dev lo nolearning",
        "link add vx1 type vxlan external dstport 4790",
        "link add mv0 link lxc1 type macvlan mode bridge",
        "link add mvt0 link lxc1 type macvtap mode vepa",
        "link add ifb0 type ifb",
        "tuntap add tun0 mode tun",
        "tuntap add tap0 mode tap",
        "addr add 10.1.2.3/24 brd + dev lxc1 label lxc1:one",
        "addr add 10.1.2.4/24 dev lxc1 valid_lft 3600 preferred_lft 1800",
        "addr add 10.9.0.1 peer 10.9.0.2/32 dev tun0",
        "addr add fd00::1/64 dev lxc1 nodad",
        "addr add fd00::2/64 dev lxc1 valid_lft 600 preferred_lft 0 noprefixroute",
        "addr add 169.254.7.7/32 dev lo scope link",
    ]);
    pod.ip_all(["link set eth0 up gso_max_size 30000", "addr add 10.1.2.5/32 dev eth0"]);
    for namespace in [&host, &pod] {
        agree_with_ip(namespace, &read_one(namespace, &STATISTICS).links);
    }
}

#[test]
fn parameters_are_those_of_the_kind() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let host = TestNetns::new();
    host.ip_all([
        "link set lo up",
        "link add vx0 type vxlan id 42 dstport 8472 local 127.0.0.1 remote 127.0.0.2 dev lo nolearning",
        "link add vx1 type vxlan external dstport 4790",
        "link add br0 type bridge stp_state 1",
        "link add mv0 link br0 type macvlan mode private",
        "link add mvt0 link br0 type macvtap mode vepa",
        "tuntap add tap0 mode tap",
    ]);
    let links = read_one(&host, &Want::default()).links;
    let expected: [(&str, &[(&str, &str)]); 6] = [
        (
            "vx0",
            &[
                ("id", "42"),
                ("port", "8472"),
                ("local", "127.0.0.1"),
                ("remote", "127.0.0.2"),
                ("link", "1"),
                ("learning", "false"),
            ],
        ),
        ("vx1", &[("port", "4790"), ("external", "true")]),
        ("br0", &[("stp", "true"), ("vlan_filtering", "false")]),
        ("mv0", &[("mode", "private")]),
        ("mvt0", &[("mode", "vepa")]),
        ("tap0", &[("type", "tap")]),
    ];
    for (name, parameters) in expected {
        let link = find(&links, name);
        for (key, value) in parameters {
            assert_eq!(
                link.parameters.get(*key).map(String::as_str),
                Some(*value),
                "{name} {key}: {:?}",
                link.parameters
            );
        }
    }
}

#[test]
fn statistics_only_where_wanted() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let host = TestNetns::new();
    host.ip("link set lo up");
    assert!(read_one(&host, &STATISTICS).links[0].statistics.is_some());
    assert_eq!(read_one(&host, &Want::default()).links[0].statistics, None);
}

/// Whoever rules a user namespace of his own may name his interfaces as he likes; he must not get one out of sight by that.
#[test]
fn text_that_is_no_utf8_hides_nothing() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = TestNetns::new();
    pod.ip("link add v0 type veth peer name v1");
    let rename = |from: &[u8], word: &str, to: &[u8]| {
        use std::os::unix::ffi::OsStrExt;
        let mut ip = std::process::Command::new("ip");
        ip.args(["link", "set"]).arg(std::ffi::OsStr::from_bytes(from)).arg(word).arg(std::ffi::OsStr::from_bytes(to));
        pod.handle().run(|| crate::support::shell::succeed(&mut ip)).unwrap();
    };
    rename(b"v0", "alias", b"caf\xe9");
    rename(b"v1", "name", b"v\xff\x1b[2J");
    let state = read(&[&pod], &[], &Want::default()).remove(0);
    assert_eq!(find(&state.links, "v0").alias.as_deref(), Some("caf\u{fffd}"));
    assert_eq!(find(&state.links, "v\u{fffd}\u{1b}[2J").kind, "veth");
}

/// The settings that come with the links are those of the files.
#[test]
fn settings_of_interfaces_are_what_proc_says() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let netns = TestNetns::new();
    netns.ip_all(["link add v0 type veth peer name v1.5", "link set v0 up"]);
    let change = |path: &'static str, value: &'static str| {
        netns.handle().run(|| std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap()).unwrap();
    };
    for (path, value) in [
        ("ipv4/conf/v0/rp_filter", "2"),
        ("ipv4/conf/v0/arp_ignore", "8"),
        ("ipv4/conf/v0/arp_accept", "2"),
        ("ipv4/conf/v1.5/arp_notify", "1"),
        ("ipv4/conf/v1.5/proxy_arp", "1"),
        ("ipv4/conf/v1.5/route_localnet", "1"),
        ("ipv6/conf/v0/accept_ra", "2"),
        ("ipv6/conf/v1.5/proxy_ndp", "1"),
        ("ipv6/conf/v1.5/disable_ipv6", "1"),
        ("ipv6/conf/v0/accept_dad", "-1"),
    ] {
        change(path, value);
    }
    let want = Want { sysctls: true, ..Want::default() };
    let sysctls = read_one(&netns, &want).sysctls.unwrap();
    let mut seen = 0;
    for (name, value) in &sysctls.values {
        let path = if name.contains('/') { name.clone() } else { name.replace('.', "/") };
        let of_file = netns.handle().run(|| std::fs::read_to_string(format!("/proc/sys/{path}")).unwrap()).unwrap();
        assert_eq!(of_file.trim().replace('\t', " "), *value, "{name}");
        seen += usize::from(name.contains("v0") || name.contains("v1.5"));
    }
    assert_eq!(seen, 32, "eleven of IPv4 and five of IPv6, of two interfaces");
    assert_eq!(sysctls.effective_rp_filter.get("v0"), Some(&2));
}
