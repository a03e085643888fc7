//! What was promised to the pods: CNI's records and configurations, the address stores, names and the packet filter.

use crate::case::{Case, cases};
use crate::node::Kind::{self, Bridge, Macvlan, Nested, Ptp, Routed};

cases! {
    pn_cni_001: Case {
        code: "PN-CNI-001",
        on: &[Bridge, Macvlan, Nested],
        broken: "pod ip addr del $IP4/24 dev eth0; pod ip addr add ${IP4%.*}.77/24 dev eth0
            pod ip route add default via $GW4; pod ip route add $ROUTED via $GW4",
        mended: "pod ip addr del ${IP4%.*}.77/24 dev eth0; restore",
        beside: &["PN-CNI-002"],
    },
    pn_cni_002: Case {
        code: "PN-CNI-002",
        on: &[Bridge, Macvlan, Nested],
        broken: "pod ip addr add ${IP4%.*}.77/24 dev eth0",
        mended: "pod ip addr del ${IP4%.*}.77/24 dev eth0",
        beside: &[],
    },
    pn_cni_003: Case {
        code: "PN-CNI-003",
        on: &[Ptp, Bridge, Routed, Macvlan, Nested],
        broken: "pod ip route del $ROUTED",
        mended: "restore",
        beside: &[],
    },
    pn_cni_004: Case {
        code: "PN-CNI-004",
        on: &[Ptp, Routed],
        broken: "pod ip link set eth0 mtu 1400; router ip link set $HOSTIF mtu 1400",
        mended: "pod ip link set eth0 mtu $MTU; router ip link set $HOSTIF mtu $MTU",
        beside: &[],
    },
    pn_cni_005: Case {
        code: "PN-CNI-005",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "pod ip link set eth0 address 02:00:00:00:00:77",
        mended: "pod ip link set eth0 address $(own_mac $NAME)",
        beside: &[],
    },
    pn_cni_006: Case {
        code: "PN-CNI-006",
        on: &[Bridge, Ptp, Routed],
        broken: "ip link set $HOSTIF down; ip link set $HOSTIF name other0; HOSTIF=other0; restore_router; restore",
        mended: "ip link set other0 down; ip link set other0 name $HOSTIF; restore_router; restore",
        beside: &[],
    },
    pn_cni_010: Case {
        code: "PN-CNI-010",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "echo '{\"name\":' >/etc/cni/net.d/00-new.conflist",
        mended: "rm /etc/cni/net.d/00-new.conflist",
        beside: &[],
    },
    pn_cni_011: Case {
        code: "PN-CNI-011",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "mv /etc/cni/net.d/10-net.conflist /etc/cni/net.d/10-net.conflist.cilium_bak",
        mended: "mv /etc/cni/net.d/10-net.conflist.cilium_bak /etc/cni/net.d/10-net.conflist",
        beside: &[],
    },
    pn_cni_012: Case {
        code: "PN-CNI-012",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "chmod 644 /opt/cni/bin/$TYPE",
        mended: "chmod 755 /opt/cni/bin/$TYPE",
        beside: &[],
    },
    pn_cni_013: Case {
        code: "PN-CNI-013",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "sed 's/\"net\"/\"old\"/' /etc/cni/net.d/10-net.conflist >/etc/cni/net.d/20-old.conflist",
        mended: "rm /etc/cni/net.d/20-old.conflist",
        beside: &[],
    },
    pn_cni_014: Case {
        code: "PN-CNI-014",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "cp /opt/cni/bin/host-local /opt/cni/bin/portmap; cp /etc/cni/net.d/10-net.conflist /run/before
            sed -i 's/\"plugins\":\\[/&{\"type\":\"portmap\"},/' /etc/cni/net.d/10-net.conflist",
        mended: "cp /run/before /etc/cni/net.d/10-net.conflist",
        beside: &[],
    },
    pn_cni_018: Case {
        code: "PN-CNI-018",
        on: Kind::EVERY,
        broken: "head -c 100 /dev/zero >/var/lib/cni/results/net-torn-eth0",
        mended: "rm /var/lib/cni/results/net-torn-eth0",
        beside: &[],
    },
    pn_ipam_001: Case {
        code: "PN-IPAM-001",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "NAME=gone; hold ${IP4%.*}.55",
        mended: "rm $STORE/${IP4%.*}.55",
        beside: &[],
    },
    pn_ipam_002: Case {
        code: "PN-IPAM-002",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "rm $STORE/$IP4",
        mended: "hold $IP4",
        beside: &[],
    },
    pn_ipam_003: Case {
        code: "PN-IPAM-003",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "pod=$NAME NAME=other; hold $IP4",
        mended: "hold $IP4",
        beside: &[],
    },
    pn_ipam_004: Case {
        code: "PN-IPAM-004",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "mkdir -p /var/lib/cni/networks/second; cp $STORE/$IP4 /var/lib/cni/networks/second/",
        mended: "rm -r /var/lib/cni/networks/second",
        beside: &[],
    },
    pn_ipam_005: Case {
        code: "PN-IPAM-005",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: ": >$STORE/${IP4%.*}.66",
        mended: "rm $STORE/${IP4%.*}.66",
        beside: &[],
    },
    pn_ipam_006: Case {
        code: "PN-IPAM-006",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "hold 192.0.2.99",
        mended: "rm $STORE/192.0.2.99",
        beside: &[],
    },
    pn_ipam_007: Case {
        code: "PN-IPAM-007",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "for n in $(seq 10 240); do hold ${IP4%.*}.$n; done",
        mended: "for n in $(seq 10 240); do rm $STORE/${IP4%.*}.$n; done; hold $IP4",
        beside: &[],
    },
    pn_ipam_008: Case {
        code: "PN-IPAM-008",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "for n in $(seq 1 254); do [ -e $STORE/${IP4%.*}.$n ] || hold ${IP4%.*}.$n; done",
        mended: "for n in $(seq 1 254); do rm $STORE/${IP4%.*}.$n; done; hold $IP4
            . /run/pods/db; hold $IP4; if [ -e /run/pods/node ]; then . /run/pods/node; hold $IP4; fi",
        beside: &[],
    },
    pn_ipam_009: Case {
        code: "PN-IPAM-009",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "echo 'do not touch' >$STORE/README",
        mended: "rm $STORE/README",
        beside: &[],
    },
    pn_dns_001: Case {
        code: "PN-DNS-001",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "resolv 'nameserver 10.200.0.10'; pod ip route add unreachable 10.200.0.10",
        mended: "resolv 'nameserver 198.51.100.1'; pod ip route del unreachable 10.200.0.10",
        beside: &[],
    },
    pn_dns_002: Case {
        code: "PN-DNS-002",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "resolv 'nameserver 10.200.0.10' 'nameserver 198.51.100.1'; pod ip route add unreachable 10.200.0.10",
        mended: "resolv 'nameserver 198.51.100.1'; pod ip route del unreachable 10.200.0.10",
        beside: &[],
    },
    pn_dns_003: Case {
        code: "PN-DNS-003",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "resolv 'nameserver 127.0.0.53'",
        mended: "resolv 'nameserver 198.51.100.1'",
        beside: &[],
    },
    pn_dns_004: Case {
        code: "PN-DNS-004",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "resolv 'search example.org'",
        mended: "resolv 'nameserver 198.51.100.1'",
        beside: &[],
    },
    pn_dns_005: Case {
        code: "PN-DNS-005",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "resolv 'nameserver 198.51.100.1' 'nameserver 198.51.100.3' 'nameserver 198.51.100.4' 'nameserver 198.51.100.5'",
        mended: "resolv 'nameserver 198.51.100.1'",
        beside: &[],
    },
    pn_dns_006: Case {
        code: "PN-DNS-006",
        on: &[Bridge, Ptp, Routed, Macvlan, Nested],
        broken: "resolv 'nameserver 198.51.100.1' 'options ndots:5' \\
            'search demo.svc.cluster.local svc.cluster.local cluster.local a.example.org b.example.org example.org'",
        mended: "resolv 'nameserver 198.51.100.1'",
        beside: &[],
    },
    pn_fw_001: Case {
        code: "PN-FW-001",
        on: &[Bridge, Ptp, Routed, Nested],
        broken: "router nft add table ip guard
            router nft 'add chain ip guard forward { type filter hook forward priority 0; policy drop; }'
            router nft add rule ip guard forward ct state established,related accept",
        mended: "router nft delete table ip guard",
        beside: &[],
    },
    pn_fw_002: Case {
        code: "PN-FW-002",
        on: &[Bridge, Ptp, Routed, Nested],
        broken: "router nft add table ip guard
            router nft 'add chain ip guard forward { type filter hook forward priority 0; policy accept; }'
            router nft add rule ip guard forward ip saddr $IP4 counter drop",
        mended: "router nft delete table ip guard",
        beside: &[],
    },
    pn_fw_003: Case {
        code: "PN-FW-003",
        on: Kind::EVERY,
        broken: "nft add table ip filter; nft add chain ip filter KUBE-FORWARD
            nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy accept; }'
            nft add rule ip filter KUBE-FORWARD ct state invalid counter drop",
        mended: "nft delete table ip filter",
        beside: &[],
    },
    pn_fw_005: Case {
        code: "PN-FW-005",
        on: Kind::EVERY,
        broken: "nft add table ip nat; nft add chain ip nat DOCKER
            nft 'add chain ip nat PREROUTING { type nat hook prerouting priority dstnat; policy accept; }'
            nft add rule ip nat PREROUTING fib daddr type local jump DOCKER",
        mended: "nft delete table ip nat",
        beside: &[],
    },
}
