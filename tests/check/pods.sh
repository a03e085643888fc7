# Pods, as several kinds of network make them; run on a machine of the test's own (support/machine.rs).
#
# kind_KIND makes two pods, web and db. Each leaves its values in /run/pods/NAME, for whoever breaks it:
# HOSTIF, its other end; GATE, the device by which its router speaks to it; ROUTER, the netns of that, or nothing for the
# machine's own; IP4, IP6, GW4, GW6, MTU; FLAVOUR, what is special with it; and how to restore what it had.

in_netns() { # NETNS COMMAND…, the machine's own where it is empty
  if [ -n "$1" ]; then place=$1; shift; nsenter --net="/run/netns/$place" "$@"; else shift; "$@"; fi
}
pod() { in_netns "$NAME" "$@"; }
router() { in_netns "$ROUTER" "$@"; }

container_id() { [ ! -e "/run/container.$1" ] || { cat "/run/container.$1"; return; }; printf %s "$1" | sha256sum | cut -c1-64; }

live() { # NAME: a process in it, for as long as the machine runs; by its cgroup the container that ADD was for
  nsenter --net="/run/netns/$1" sleep infinity </dev/null >/dev/null 2>&1 &
  process=$!
  echo $process >"/run/pid.$1"
  until [ "$(cat "/proc/$process/comm")" = sleep ]; do sleep 0.01; done
  echo "0::/kubepods/besteffort/podde1a6329-6418-6796-dab8-4fcfae4d6c12/$(container_id "$1")" >"/run/cgroup.$1"
  mount --bind "/run/cgroup.$1" "/proc/$process/cgroup"
}

netns() {
  resolv 'nameserver 198.51.100.1'
  ip netns add "$1"
  ip -n "$1" link set lo up
  live "$1"
}

resolv() { printf '%s\n' "$@" >/run/resolv; cat /run/resolv >/etc/resolv.conf; }

# The network's file, its plugins, and the store of its addresses: podnet's own, else host-local's.
network() {
  if [ "$TYPE" = cilium-cni ]; then
    ipam='' STORE=''
  elif [ "$TYPE" = podnet ]; then
    ipam='' STORE=/var/lib/podnet/networks/routed
    if [ ! -e /var/lib/podnet/pools/routed.json ]; then
      mkdir -p /var/lib/podnet/pools
      echo '{"name":"routed","subnets":[{"cidr":"10.90.0.0/24","gateway":"10.90.0.254"},{"cidr":"fd90::/64","gateway":"fd90::fe"}]}' \
        >/var/lib/podnet/pools/routed.json
    fi
  else
    STORE=/var/lib/cni/networks/$NET
    ipam=$(printf ',"ipam":{"type":"host-local","ranges":[[{"subnet":"%s.0/24"}],[{"subnet":"%s::/64"}]]}' "${IP4%.*}" "${IP6%::*}")
  fi
  case $TYPE in
    flannel) ipam=',"delegate":{"hairpinMode":true,"isDefaultGateway":true}' ;;
    calico) ipam=',"datastore_type":"kubernetes","mtu":1450,"ipam":{"type":"calico-ipam"},"policy":{"type":"k8s"}' STORE='' ;;
  esac
  CONFIG=$(printf '{"cniVersion":"1.0.0","name":"%s","plugins":[{"type":"%s"%s}]}' "$NET" "$TYPE" "$ipam")
  mkdir -p /etc/cni/net.d /opt/cni/bin ${STORE:+"$STORE"}
  if [ -z "$ROUTER" ]; then echo "$CONFIG" >/etc/cni/net.d/10-net.conflist; fi
  for plugin in "$TYPE" bridge calico-ipam host-local; do printf '#!/bin/sh\n' >"/opt/cni/bin/$plugin"; chmod 755 "/opt/cni/bin/$plugin"; done
}

hold() { for address; do [ -z "$STORE" ] || printf '%s\r\neth0' "$(container_id "$NAME")" >"$STORE/$address"; done; } # ADDRESS…, for the pod

record() { echo "/var/lib/cni/results/$NET-$(container_id "$1")-eth0"; } # NAME

# The MAC that the pod was given, whatever it has now.
own_mac() { of "$1" MAC; } # NAME
mac_of() { ip -n "$1" -j link show dev eth0 | sed 's/.*"address":"\([^"]*\)".*/\1/'; } # NAME

cached() { # libcni's record of what ADD gave to the pod whose values are set
  id=$(container_id "$NAME")
  if [ "$KIND" != cilium ]; then POD=demo/$NAME; fi
  config=$(printf %s "$CONFIG" | base64 -w0)
  ips="{\"address\": \"$IP4/$LEN4\", \"gateway\": \"$GW4\", \"interface\": $INDEX}"
  routes="{\"dst\": \"0.0.0.0/0\", \"gw\": \"$GW4\"}, {\"dst\": \"$ROUTED\", \"gw\": \"$GW4\"}"
  if [ -n "$IP6" ]; then
    ips="$ips, {\"address\": \"$IP6/$LEN6\", \"gateway\": \"$GW6\", \"interface\": $INDEX}"
    routes="$routes, {\"dst\": \"::/0\", \"gw\": \"$GW6\"}"
  fi
  cat >"$(record "$NAME")" <<JSON
{"kind": "cniCacheV1", "containerId": "$id", "config": "$config", "ifName": "eth0", "networkName": "$NET",
 "netns": "/var/run/netns/$NAME", "cniArgs": [["K8S_POD_NAMESPACE", "${POD%/*}"], ["K8S_POD_NAME", "${POD#*/}"]],
 "result": {"cniVersion": "1.0.0",
  "interfaces": [$HOST_ENTRY{"name": "eth0", "mac": "$MAC", "mtu": $MTU, "sandbox": "/var/run/netns/$NAME"}],
  "ips": [$ips], "routes": [$routes]}}
JSON
}

keep() { # the values that are set
  mkdir -p /run/pods
  for variable in NAME POD N KIND FLAVOUR TYPE NET STORE HOSTIF GATE ROUTER IP4 IP6 LEN4 LEN6 GW4 GW6 MTU MAC ROUTED; do
    eval "printf '%s=%s\n' $variable \"\$$variable\""
  done >"/run/pods/$NAME"
}

of() { sed -n "s/^$2=//p" "/run/pods/$1"; } # NAME VARIABLE

remember() {
  if [ "$FLAVOUR" = docker ]; then MAC=$(mac_of "$NAME"); keep; return; fi
  if [ -n "$HOSTIF" ]; then
    hostmac=$(router ip -j link show dev "$HOSTIF" | sed 's/.*"address":"\([^"]*\)".*/\1/')
    HOST_ENTRY="{\"name\": \"$HOSTIF\", \"mac\": \"$hostmac\"}, " INDEX=1
  else
    HOST_ENTRY='' INDEX=0
  fi
  if [ -n "$ROUTER" ]; then NET=inner; else NET=net; fi
  MAC=$(mac_of "$NAME")
  network; hold "$IP4" "$IP6"; cached; keep
}

# What the pod had, again, whatever of it is left.
restore() {
  pod ip link set eth0 up
  pod ip addr replace "$IP4/$LEN4" dev eth0
  [ -z "$IP6" ] || pod ip addr replace "$IP6/$LEN6" dev eth0 nodad
  if [ "$KIND" = routed ] || [ "$KIND" = cilium ]; then
    pod ip route replace "$GW4" dev eth0 scope link
    case $GW6 in '' | fe80:*) ;; *) pod ip -6 route replace "$GW6" dev eth0 ;; esac
  elif [ "$KIND" = ptp ]; then
    pod ip route del "${IP4%.*}.0/24" dev eth0 scope link 2>/dev/null || true
    pod ip route replace "$GW4" dev eth0 scope link
    pod ip route replace "${IP4%.*}.0/24" via "$GW4" dev eth0
  fi
  pod ip route replace default via "$GW4" dev eth0
  [ -z "$ROUTED" ] || pod ip route replace "$ROUTED" via "$GW4" dev eth0
  [ -z "$IP6" ] || pod ip -6 route replace default via "$GW6" dev eth0
}

# What its router had for it.
restore_router() {
  router ip link set "$HOSTIF" up
  if [ "$KIND" = ptp ] || [ "$KIND" = routed ]; then
    if [ "$KIND" = ptp ]; then router ip addr replace "$GW4/32" dev "$HOSTIF"; fi
    if [ "$FLAVOUR" != calico ]; then router ip addr replace "$GW6/128" dev "$HOSTIF" nodad; fi
    router ip route replace "$IP4" dev "$HOSTIF" scope link
    router ip -6 route replace "$IP6" dev "$HOSTIF"
  elif [ "$KIND" = cilium ]; then
    taken
    if [ "$FLAVOUR" = routes ]; then given; ip route replace "$IP4" dev "$HOSTIF" scope link; fi
  fi
}

pair() {
  router ip link add "$HOSTIF" mtu "$MTU" ${HOSTMAC:+address "$HOSTMAC"} type veth peer name eth0 mtu "$MTU" netns "/run/netns/$NAME"
  router ip link set "$HOSTIF" up
  if [ "$FLAVOUR" = docker ]; then pod sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; fi
}

# What is so unless a kind says otherwise: FLAVOUR, BRIDGE, HOSTMAC; a route that ADD gave beside the default one.
: "${MTU=1500}" "${ROUTED=192.0.2.0/24}"

# docker0, cni0: a bridge that has the gateway's addresses. Nested: the same in a namespace that is a pod itself.
bridge_pod() { # NAME NUMBER [ROUTER]
  NAME=$1 N=$2 ROUTER=${3-} KIND=bridge TYPE=${TYPE:-bridge} GATE=${BRIDGE:-br0} HOSTIF=veth$1 LEN4=24 LEN6=64
  subnet=10.88.0 prefix=fd88::
  if [ -n "$ROUTER" ]; then subnet=10.99.0 prefix=fd99::; fi
  IP4=$subnet.$N IP6=$prefix$N GW4=$subnet.1 GW6=${prefix}1
  if ! router ip link show dev "$GATE" >/dev/null 2>&1; then
    router ip link add "$GATE" type bridge
    router ip addr add "$GW4/24" dev "$GATE"
    router ip addr add "$GW6/64" dev "$GATE" nodad
    router ip link set "$GATE" up
  fi
  netns "$NAME"; pair
  router ip link set "$HOSTIF" master "$GATE"
  restore; remember
}

# The ptp plugin: the gateway's addresses on each pair, a route to each pod.
ptp_pod() {
  NAME=$1 N=$2 ROUTER='' KIND=ptp TYPE=ptp HOSTIF=veth$1 LEN4=24 LEN6=64
  GATE=$HOSTIF IP4=10.89.0.$N IP6=fd89::$N GW4=10.89.0.1 GW6=fd89::1
  netns "$NAME"; pair; restore_router; restore; remember
}

# Calico, podnet: single addresses, a gateway that nobody has and the node answers for.
routed_pod() {
  NAME=$1 N=$2 ROUTER='' KIND=routed TYPE=podnet HOSTIF=veth$1 LEN4=32 LEN6=128
  IP4=10.90.0.$N IP6=fd90::$N GW4=169.254.1.1 GW6=fd90::1
  if [ "$FLAVOUR" = calico ]; then TYPE=calico HOSTIF=cali0123456789$N GW6=fe80::ecee:eeff:feee:eeee; fi
  GATE=$HOSTIF
  netns "$NAME"; pair; restore_router
  sysctl -qw "net.ipv4.conf.$HOSTIF.proxy_arp=1" "net.ipv4.neigh.$HOSTIF.proxy_delay=0"
  restore; remember
}

# macvlan on a device of its own, whose gateway is beyond the node.
macvlan_pod() {
  NAME=$1 N=$2 ROUTER='' KIND=macvlan TYPE=macvlan HOSTIF='' GATE=mac0 LEN4=24 LEN6=64
  IP4=198.51.101.$N IP6=2001:db8:52::$N GW4=198.51.101.1 GW6=2001:db8:52::1
  if ! ip link show dev mac0 >/dev/null 2>&1; then
    ip link add mac0 type veth peer name mac1 netns /run/netns/world
    ip link set mac0 up
    ip -n world link set mac1 up
    ip -n world addr add "$GW4/24" dev mac1
    ip -n world addr add "$GW6/64" dev mac1 nodad
  fi
  netns "$NAME"
  ip link add link mac0 name "m$NAME" type macvlan mode bridge
  ip link set "m$NAME" netns "/run/netns/$NAME" name eth0
  restore; remember
}

# cilium-cni in its usual mode: one route for all pods, to cilium_host; the program on each pair leads on from there.
cilium_pod() { # NAME ADDRESS MAC HOST_END MAC IFINDEX POD, as a real agent recorded them
  NAME=$1 POD=$7 N=0 ROUTER='' KIND=cilium TYPE=cilium-cni HOSTIF=$4 GATE=$4 LEN4=32 LEN6='' IP4=$2 IP6='' GW4=10.244.1.217 GW6=''
  if ! ip link show dev cilium_host >/dev/null 2>&1; then
    ip link add cilium_host type veth peer name cilium_net
    ip link set cilium_host up; ip link set cilium_net up
    ip addr add "$GW4/32" dev cilium_host
    ip route add "$GW4" dev cilium_host scope link
    ip route add 10.244.1.0/24 via "$GW4" dev cilium_host src "$GW4"
    mkdir -p /run/cilium/state /run/cilium/deleteQueue
  fi
  netns "$NAME"
  ip link add "$HOSTIF" index "$6" address "$5" type veth peer name eth0 address "$3" netns "/run/netns/$NAME"
  ip link set "$HOSTIF" up
  if [ -e /sys/fs/bpf/cil_from_container ]; then taken; fi
  restore; remember
}
taken() { # by Cilium's program, what comes out of the pod
  tc qdisc replace dev "$HOSTIF" clsact
  tc filter replace dev "$HOSTIF" ingress prio 1 handle 1 bpf da object-pinned /sys/fs/bpf/cil_from_container
}
given() { # by another program, what goes to the pod
  tc filter replace dev "$HOSTIF" egress prio 1 handle 1 bpf da object-pinned /sys/fs/bpf/cil_to_container
}
kind_cilium() {
  cilium_pod web 10.244.1.249 52:1e:f9:cb:16:47 lxcbafbf983d433 42:3d:83:68:7d:d1 50 demo/web1
  cilium_pod db 10.244.1.104 0a:7d:be:ea:3a:39 lxcf677d59c77cc 22:0f:db:ed:85:73 56 shop/db
}

kind_bridge() { bridge_pod web 7; bridge_pod db 8; }
kind_ptp() { ptp_pod web 7; ptp_pod db 8; }
kind_routed() { routed_pod web 7; routed_pod db 8; }
kind_macvlan() { macvlan_pod web 7; macvlan_pod db 8; }

# A node in a pod, with pods of its own, as in kind.
kind_nested() {
  bridge_pod node 9
  nsenter --net=/run/netns/node sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  bridge_pod web 7 node; bridge_pod db 8 node
}

# A file of the kernel's that says something else.
claim() { # FILE WORD…
  file=$1; shift
  echo "$*" >"/run/claim.${file##*/}"
  mount --bind "/run/claim.${file##*/}" "$file"
}
unclaim() { for file; do umount "$file"; done; }

follow() { # FILE…, by an inotify instance of its own with a watch for each
  tail -f "$@" </dev/null >/dev/null 2>&1 &
  echo $! >>/run/followers
}
unfollow() { kill $(cat /run/followers); rm /run/followers; }

# Nothing but processes in the machine's own netns.
kind_host() { sleep infinity </dev/null >/dev/null 2>&1 & }
