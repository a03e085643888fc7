//! One case a rule.

use crate::case::{Case, cases};
use crate::node::Kind::{self, Bridge, Macvlan, Nested, Ptp, Routed};

/// Every case, of what the kernel shows and of what was promised.
pub fn all() -> impl Iterator<Item = &'static Case> {
    CASES
        .iter()
        .chain(crate::promises::CASES)
        .chain(crate::networks::CASES)
        .chain(crate::ways::CASES)
        .chain(crate::whole_node::CASES)
}

cases! {
    pn_link_002: Case {
        code: "PN-LINK-002",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "ip netns add elsewhere
            router ip link set $HOSTIF netns /run/netns/elsewhere
            ip -n elsewhere link set $HOSTIF up",
        mended: "if [ -n \"$ROUTER\" ]; then ip -n elsewhere link set $HOSTIF netns /run/netns/$ROUTER
            else ip -n elsewhere link set $HOSTIF netns $$; fi
            if [ $KIND = bridge ]; then router ip link set $HOSTIF master $GATE; fi
            if [ $KIND = routed ]; then sysctl -qw net.ipv4.conf.$HOSTIF.proxy_arp=1; fi
            restore_router; restore; ip netns del elsewhere",
        beside: &[],
    },
    pn_link_003: Case {
        code: "PN-LINK-003",
        on: Kind::EVERY,
        broken: "ip link add lxc0123456789ab type veth peer name tmp01234",
        mended: "ip link del lxc0123456789ab",
        beside: &[],
    },
    pn_link_004: Case {
        code: "PN-LINK-004",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod ip link set eth0 down",
        mended: "restore",
        beside: &[],
    },
    pn_link_005: Case {
        code: "PN-LINK-005",
        on: &[Bridge, Ptp, Routed, Nested],
        broken: "router ip link set $HOSTIF down",
        mended: "restore_router; restore",
        beside: &[],
    },
    pn_link_006: Case {
        code: "PN-LINK-006",
        on: &[Macvlan],
        broken: "ip link set mac0 down",
        mended: "ip link set mac0 up; restore; NAME=db N=8 IP4=198.51.101.8 IP6=2001:db8:52::8; restore",
        beside: &[],
    },
    pn_link_007: Case {
        code: "PN-LINK-007",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "pod ip link set eth0 mtu 1400",
        mended: "pod ip link set eth0 mtu $MTU",
        beside: &[],
    },
    pn_link_008: Case {
        code: "PN-LINK-008",
        on: &[Bridge, Ptp, Routed, Nested],
        broken: "ip link set eth0 mtu 1400; ip -n world link set eth0 mtu 1400",
        mended: "ip link set eth0 mtu 1500; ip -n world link set eth0 mtu 1500",
        beside: &[],
    },
    pn_link_009: Case {
        code: "PN-LINK-009",
        on: Kind::EVERY,
        broken: "ip link add vx0 type vxlan id 7 dev eth0 dstport 4789; ip link set vx0 up
            ip link set eth0 mtu 1480; ip -n world link set eth0 mtu 1480",
        mended: "ip link del vx0; ip link set eth0 mtu 1500; ip -n world link set eth0 mtu 1500",
        beside: &["PN-LINK-008"],
    },
    pn_link_010: Case {
        code: "PN-LINK-010",
        on: &[Ptp, Routed],
        broken: "pod ip link set eth0 mtu 1200; router ip link set $HOSTIF mtu 1200",
        mended: "pod ip link set eth0 mtu $MTU; router ip link set $HOSTIF mtu $MTU; restore_router; restore",
        beside: &[],
    },
    pn_link_011: Case {
        code: "PN-LINK-011",
        on: &[Bridge, Nested],
        broken: "ip -n web link set eth0 address 02:00:00:00:00:07; ip -n db link set eth0 address 02:00:00:00:00:07",
        mended: "for name in web db; do ip -n $name link set eth0 address $(own_mac $name); done",
        beside: &[],
    },
    pn_link_013: Case {
        code: "PN-LINK-013",
        on: &[Bridge, Nested],
        broken: "router ip link set $GATE down",
        mended: "router ip link set $GATE up; router ip addr replace $GW6/64 dev $GATE nodad",
        beside: &[],
    },
    pn_link_014: Case {
        code: "PN-LINK-014",
        on: &[Routed, Ptp],
        broken: "ip link add br9 type bridge; ip link set br9 up; ip link set $HOSTIF master br9",
        mended: "ip link del br9; restore_router",
        beside: &[],
    },
    pn_link_015: Case {
        code: "PN-LINK-015",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod tc qdisc replace dev eth0 root pfifo_fast; pod ip link set eth0 txqueuelen 0",
        mended: "pod ip link set eth0 txqueuelen 1000; pod tc qdisc del dev eth0 root",
        beside: &[],
    },
    pn_link_016: Case {
        code: "PN-LINK-016",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "pod ip link set eth0 gso_max_size 131072",
        mended: "pod ip link set eth0 gso_max_size 65536",
        beside: &[],
    },
    pn_link_017: Case {
        code: "PN-LINK-017",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "pod ip link set eth0 arp off",
        mended: "pod ip link set eth0 arp on",
        beside: &[],
    },
    pn_link_018: Case {
        code: "PN-LINK-018",
        on: &[Bridge, Nested],
        broken: "ip -n db link set eth0 mtu 1400; router ip link set $(of db HOSTIF) mtu 1400",
        mended: "ip -n db link set eth0 mtu $MTU; router ip link set $(of db HOSTIF) mtu $MTU",
        beside: &[],
    },
    pn_link_019: Case {
        code: "PN-LINK-019",
        on: &[Bridge, Ptp, Nested],
        broken: "router ip link del $HOSTIF",
        mended: "pair; if [ $KIND = bridge ]; then router ip link set $HOSTIF master $GATE; fi
            restore_router; restore; remember",
        beside: &[],
    },
    pn_link_020: Case {
        code: "PN-LINK-020",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "pod ip link set eth0 gso_max_size 3000",
        mended: "pod ip link set eth0 gso_max_size 65536",
        beside: &[],
    },
    pn_link_021: Case {
        code: "PN-LINK-021",
        on: &[Routed, Ptp, Bridge, Nested],
        broken: "pod ip link set eth0 gso_max_size 131072; router ip link set $HOSTIF gso_max_size 131072",
        mended: "pod ip link set eth0 gso_max_size 65536; router ip link set $HOSTIF gso_max_size 65536",
        beside: &[],
    },
    pn_addr_001: Case {
        code: "PN-ADDR-001",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod ip addr flush dev eth0 scope global",
        mended: "restore",
        beside: &[],
    },
    pn_addr_002: Case {
        code: "PN-ADDR-002",
        on: &[Bridge, Ptp, Routed, Nested],
        broken: "pod sysctl -qw net.ipv6.conf.eth0.dad_transmits=1000
            pod ip addr del $IP6/$LEN6 dev eth0; pod ip addr add $IP6/$LEN6 dev eth0
            if [ $KIND = routed ]; then pod ip -6 route replace $GW6 dev eth0; fi
            pod ip -6 route replace default via $GW6 dev eth0",
        mended: "pod sysctl -qw net.ipv6.conf.eth0.dad_transmits=1; pod ip addr del $IP6/$LEN6 dev eth0; restore",
        beside: &[],
    },
    pn_addr_003: Case {
        code: "PN-ADDR-003",
        on: &[Bridge, Nested],
        broken: "pod ip addr add ${IP6%:*}:8/64 dev eth0
            until pod ip -6 addr show dev eth0 | grep -q dadfailed; do sleep 0.05; done",
        mended: "pod ip addr del ${IP6%:*}:8/64 dev eth0",
        beside: &[],
    },
    pn_addr_004: Case {
        code: "PN-ADDR-004",
        on: &[Bridge, Ptp, Macvlan, Nested],
        broken: "pod ip addr add $(of db IP4)/24 dev eth0",
        mended: "pod ip addr del $(of db IP4)/24 dev eth0",
        beside: &[],
    },
    pn_addr_005: Case {
        code: "PN-ADDR-005",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod ip addr change $IP6/$LEN6 dev eth0 preferred_lft 0",
        mended: "pod ip addr change $IP6/$LEN6 dev eth0 preferred_lft forever",
        beside: &[],
    },
    pn_addr_006: Case {
        code: "PN-ADDR-006",
        on: &[Bridge, Macvlan, Nested],
        broken: "pod ip addr add ${IP4%.*}.255/24 dev eth0",
        mended: "pod ip addr del ${IP4%.*}.255/24 dev eth0",
        beside: &[],
    },
    pn_route_002: Case {
        code: "PN-ROUTE-002",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod ip route del default",
        mended: "restore",
        beside: &[],
    },
    pn_route_003: Case {
        code: "PN-ROUTE-003",
        on: &[Routed, Ptp],
        broken: "pod ip route del $GW4 dev eth0",
        mended: "restore",
        beside: &[],
    },
    pn_route_004: Case {
        code: "PN-ROUTE-004",
        on: &[Bridge, Ptp, Routed, Nested],
        broken: "router nft add table arp quiet
            router nft 'add chain arp quiet in { type filter hook input priority 0; policy drop; }'
            pod ip neigh flush dev eth0; pod ping -c1 -W1 $GW4 >/dev/null || true
            until pod ip neigh show to $GW4 dev eth0 | grep -q FAILED; do
              pod ping -c1 -W1 $GW4 >/dev/null || true
            done",
        mended: "router nft delete table arp quiet; pod ip neigh flush dev eth0 nud failed
            pod ping -c1 -W2 $GW4 >/dev/null || true",
        beside: &[],
    },
    pn_route_005: Case {
        code: "PN-ROUTE-005",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "pod ip neigh replace $GW4 lladdr 02:00:00:00:00:99 dev eth0 nud reachable",
        mended: "pod ip neigh del $GW4 dev eth0",
        beside: &[],
    },
    pn_route_006: Case {
        code: "PN-ROUTE-006",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "if [ $KIND = bridge ]; then router ip route del ${IP4%.*}.0/24 dev $GATE; else ip route del $IP4; fi",
        mended: "if [ $KIND = bridge ]; then
              router ip route add ${IP4%.*}.0/24 dev $GATE proto kernel scope link src $GW4; else restore_router; fi",
        beside: &[],
    },
    pn_route_007: Case {
        code: "PN-ROUTE-007",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "if [ $KIND = bridge ]; then router ip route add $IP4 dev eth0; else ip route replace $IP4 dev $(of db HOSTIF); fi",
        mended: "if [ $KIND = bridge ]; then router ip route del $IP4 dev eth0; else restore_router; fi",
        // The same route is a stale one of the pod that it leads to.
        beside: &["PN-ROUTE-011"],
    },
    pn_route_008: Case {
        code: "PN-ROUTE-008",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "router ip route add default dev eth0 table 77; router ip rule add pref 50 lookup 77",
        mended: "router ip rule del pref 50; router ip route flush table 77",
        beside: &[],
    },
    pn_route_009: Case {
        code: "PN-ROUTE-009",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "if [ $KIND != bridge ]; then ip route del $IP4; fi; router ip route add unreachable $IP4",
        mended: "router ip route del unreachable $IP4; restore_router",
        beside: &[],
    },
    pn_route_011: Case {
        code: "PN-ROUTE-011",
        on: &[Ptp, Routed],
        broken: "ip route add ${IP4%.*}.99 dev $HOSTIF",
        mended: "ip route del ${IP4%.*}.99 dev $HOSTIF",
        beside: &[],
    },
    pn_route_014: Case {
        code: "PN-ROUTE-014",
        on: &[Bridge],
        broken: "ip route add ${IP4%.*}.128/25 dev eth0",
        mended: "ip route del ${IP4%.*}.128/25 dev eth0",
        beside: &[],
    },
    pn_route_015: Case {
        code: "PN-ROUTE-015",
        on: Kind::EVERY,
        broken: "ip rule del pref 0",
        mended: "ip rule add pref 0 lookup local",
        beside: &[],
    },
    pn_route_016: Case {
        code: "PN-ROUTE-016",
        on: Kind::EVERY,
        broken: "ip rule add pref 100 lookup local",
        mended: "ip rule del pref 100",
        beside: &[],
    },
    pn_route_017: Case {
        code: "PN-ROUTE-017",
        on: Kind::EVERY,
        broken: "ip rule del pref 32766",
        mended: "ip rule add pref 32766 lookup main",
        beside: &[],
    },
    pn_route_018: Case {
        code: "PN-ROUTE-018",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod ip rule del pref 32766",
        mended: "pod ip rule add pref 32766 lookup main",
        beside: &[],
    },
    pn_route_019: Case {
        code: "PN-ROUTE-019",
        on: Kind::EVERY,
        broken: "ip link add up2 type veth peer name up2 netns /run/netns/world
            ip addr add 198.51.102.2/24 dev up2; ip link set up2 up
            ip route replace default nexthop via 198.51.100.1 dev eth0 nexthop via 198.51.102.1 dev up2 onlink",
        mended: "ip route replace default via 198.51.100.1; ip link del up2",
        beside: &[],
    },
    pn_route_020: Case {
        code: "PN-ROUTE-020",
        on: Kind::EVERY,
        broken: "ip -n world link set eth0 down
            until ip route show default | grep -q linkdown; do sleep 0.02; done",
        mended: "ip -n world link set eth0 up; ip -n world addr replace 2001:db8:51::1/64 dev eth0 nodad
            until ! ip route show default | grep -q linkdown; do sleep 0.02; done",
        beside: &[],
    },
    pn_route_021: Case {
        code: "PN-ROUTE-021",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod ip route del default; pod ip route add unreachable default",
        mended: "pod ip route del unreachable default; restore",
        beside: &[],
    },
    pn_sys_001: Case {
        code: "PN-SYS-001",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "router sysctl -qw net.ipv4.ip_forward=0",
        mended: "router sysctl -qw net.ipv4.ip_forward=1",
        beside: &[],
    },
    pn_sys_002: Case {
        code: "PN-SYS-002",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "router sysctl -qw net.ipv4.conf.$GATE.forwarding=0",
        mended: "router sysctl -qw net.ipv4.conf.$GATE.forwarding=1",
        beside: &[],
    },
    pn_sys_003: Case {
        code: "PN-SYS-003",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "router sysctl -qw net.ipv6.conf.all.forwarding=0",
        mended: "router sysctl -qw net.ipv6.conf.all.forwarding=1",
        beside: &[],
    },
    pn_sys_004: Case {
        code: "PN-SYS-004",
        on: &[Routed, Ptp],
        broken: "ip link add cilium_host type veth peer name cilium_net
            ip link set cilium_host up; ip link set cilium_net up
            ip route replace $IP4 dev cilium_host; sysctl -qw net.ipv4.conf.$HOSTIF.rp_filter=1",
        mended: "restore_router; ip link del cilium_host; sysctl -qw net.ipv4.conf.$HOSTIF.rp_filter=0",
        beside: &[],
    },
    pn_sys_006: Case {
        code: "PN-SYS-006",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
        mended: "pod sysctl -qw net.ipv6.conf.all.disable_ipv6=0; restore",
        beside: &[],
    },
    pn_sys_007: Case {
        code: "PN-SYS-007",
        on: &[Routed, Ptp, Bridge, Nested],
        broken: "case $KIND in
            routed) sysctl -qw net.ipv4.conf.$HOSTIF.proxy_arp=0;;
            ptp) sysctl -qw net.ipv4.conf.$HOSTIF.arp_ignore=8;;
            bridge) router sysctl -qw net.ipv4.conf.$GATE.arp_ignore=8;;
            esac",
        mended: "case $KIND in
            routed) sysctl -qw net.ipv4.conf.$HOSTIF.proxy_arp=1;;
            ptp) sysctl -qw net.ipv4.conf.$HOSTIF.arp_ignore=0;;
            bridge) router sysctl -qw net.ipv4.conf.$GATE.arp_ignore=0;;
            esac",
        beside: &[],
    },
    pn_sys_008: Case {
        code: "PN-SYS-008",
        on: Kind::EVERY,
        broken: "claim /proc/sys/net/netfilter/nf_conntrack_count 90; claim /proc/sys/net/netfilter/nf_conntrack_max 100",
        mended: "unclaim /proc/sys/net/netfilter/nf_conntrack_count /proc/sys/net/netfilter/nf_conntrack_max",
        beside: &[],
    },
    pn_sys_009: Case {
        code: "PN-SYS-009",
        on: Kind::EVERY,
        broken: "claim /proc/sys/net/netfilter/nf_conntrack_count 100; claim /proc/sys/net/netfilter/nf_conntrack_max 100",
        mended: "unclaim /proc/sys/net/netfilter/nf_conntrack_count /proc/sys/net/netfilter/nf_conntrack_max",
        beside: &[],
    },
    pn_sys_010: Case {
        code: "PN-SYS-010",
        on: Kind::EVERY,
        broken: "mount -t tmpfs tmpfs /proc/sys/net/ipv4/neigh; mkdir /proc/sys/net/ipv4/neigh/default
            echo 8 >/proc/sys/net/ipv4/neigh/default/gc_thresh3
            for n in 1 2 3 4 5 6 7 8; do
              ip neigh replace 198.51.100.10$n lladdr 02:00:00:00:00:0$n dev eth0 nud stale
            done",
        mended: "umount /proc/sys/net/ipv4/neigh; ip neigh flush dev eth0",
        beside: &[],
    },
    pn_sys_011: Case {
        code: "PN-SYS-011",
        on: Kind::EVERY,
        broken: "claim /proc/sys/fs/inotify/max_user_instances 5; touch /run/followed
            for n in 1 2 3 4 5; do follow /run/followed; done
            until [ $(find /proc/[0-9]*/fd -lname anon_inode:inotify 2>/dev/null | wc -l) -ge 5 ]; do sleep 0.02; done",
        mended: "unclaim /proc/sys/fs/inotify/max_user_instances; unfollow",
        beside: &[],
    },
    pn_sys_012: Case {
        code: "PN-SYS-012",
        on: Kind::EVERY,
        broken: "claim /proc/sys/fs/file-nr 95 0 100",
        mended: "unclaim /proc/sys/fs/file-nr",
        beside: &[],
    },
    pn_sys_013: Case {
        code: "PN-SYS-013",
        on: &[Ptp, Bridge, Routed],
        broken: "echo 'net.ipv4.ip_forward = 0' >/etc/sysctl.d/90-hardening.conf",
        mended: "rm /etc/sysctl.d/90-hardening.conf",
        beside: &[],
    },
    pn_sys_014: Case {
        code: "PN-SYS-014",
        on: Kind::EVERY,
        broken: "ip -6 route del default; ip -6 route add default via 2001:db8:51::1 dev eth0 proto ra",
        mended: "ip -6 route del default; ip -6 route add default via 2001:db8:51::1 dev eth0",
        beside: &[],
    },
    pn_ns_002: Case {
        code: "PN-NS-002",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "umount /run/netns/web",
        mended: "mount --bind /proc/$(cat /run/pid.web)/ns/net /run/netns/web",
        beside: &[],
    },
    pn_ns_003: Case {
        code: "PN-NS-003",
        on: Kind::EVERY,
        broken: "ip netns add stuck; ip link add s0 type veth peer name eth0 netns /run/netns/stuck
            unshare --mount --propagation private sleep infinity </dev/null >/dev/null 2>&1 & echo $! >/run/holder
            until [ \"$(cat /proc/$(cat /run/holder)/comm)\" = sleep ]; do sleep 0.01; done
            umount /run/netns/stuck",
        mended: "kill $(cat /run/holder); rm /run/netns/stuck
            until ! ip link show dev s0 >/dev/null 2>&1; do sleep 0.02; done",
        beside: &[],
    },
}
