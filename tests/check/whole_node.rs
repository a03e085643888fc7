//! What all pods of a node share: its limits, and the networks that they are in beside others.

use crate::case::{Case, cases};
use crate::node::Kind::{self, Bridge, Ptp, Routed};

cases! {
    pn_route_025: Case {
        code: "PN-ROUTE-025",
        on: &[Ptp, Routed],
        broken: "ip link add virbr0 type bridge; ip addr add ${IP4%.*}.254/25 dev virbr0; ip link set virbr0 up",
        mended: "ip link del virbr0",
        beside: &[],
    },
    pn_ipam_013: Case {
        code: "PN-IPAM-013",
        on: &[Bridge, Ptp, Routed],
        broken: "mkdir -p /var/lib/podnet/pools /var/lib/podnet/networks/copy
            echo '{\"name\":\"copy\",\"subnets\":[{\"cidr\":\"'${IP4%.*}.'0/25\",\"gateway\":\"'${IP4%.*}.'126\"}]}' >/var/lib/podnet/pools/copy.json
            . /run/pods/db; mv $STORE/$IP4 /var/lib/podnet/networks/copy/; mv $(record db) /run/record",
        mended: "rm -r /var/lib/podnet/pools/copy.json /var/lib/podnet/networks/copy; . /run/pods/db; hold $IP4; mv /run/record $(record db)",
        beside: &[],
    },
    pn_sys_015: Case {
        code: "PN-SYS-015",
        on: Kind::EVERY,
        broken: "claim /proc/sys/fs/inotify/max_user_watches 6
            for n in 1 2 3 4 5 6; do touch /run/followed$n; done; follow /run/followed[1-6]
            until [ $(cat /proc/$(cat /run/followers)/fdinfo/* 2>/dev/null | grep -c ^inotify) = 6 ]; do sleep 0.02; done",
        mended: "unclaim /proc/sys/fs/inotify/max_user_watches; unfollow",
        beside: &[],
    },
}
