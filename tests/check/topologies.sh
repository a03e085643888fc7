# Nodes as the makers of pod networks set them up, with all that they leave beside the pods; read after pods.sh.

# What kube-proxy has everywhere.
kube_proxy() {
  if [ -e /proc/sys/net/bridge ]; then sysctl -qw net.bridge.bridge-nf-call-iptables=1; fi
  iptables-restore --noflush <<'RULES'
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
COMMIT
*filter
:KUBE-FORWARD - [0:0]
:KUBE-FIREWALL - [0:0]
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A INPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
RULES
}

# A device for the pods of other nodes, one of which there is.
overlay() { # DEVICE VNI PORT OWN_ADDRESS OTHER_ADDRESS OTHERS
  ip link add "$1" mtu 1450 type vxlan id "$2" local 198.51.100.2 dev eth0 dstport "$3" nolearning
  ip addr add "$4/32" dev "$1"
  ip link set "$1" up
  ip neigh replace "$5" lladdr 66:15:b3:d5:01:0a dev "$1" nud permanent
  bridge fdb replace 66:15:b3:d5:01:0a dev "$1" dst 198.51.100.3
  ip route add "$6" via "$5" dev "$1" onlink
}

# flannel has the bridge plugin make the pods, and routes all of the cluster's addresses by the bridge.
flannel_pod() {
  MTU=1450 BRIDGE=cni0 TYPE=flannel ROUTED=10.88.0.0/16
  bridge_pod "$1" "$2"
  bridge link set dev "$HOSTIF" hairpin on
  mkdir -p /var/lib/cni/flannel
  printf '{"cniVersion":"0.3.1","hairpinMode":true,"isDefaultGateway":true,"ipMasq":false,"mtu":1450,"name":"net","type":"bridge",
    "ipam":{"type":"host-local","ranges":[[{"subnet":"10.88.0.0/24"}],[{"subnet":"fd88::/64"}]],"routes":[{"dst":"10.88.0.0/16"}]}}' \
    >"/var/lib/cni/flannel/$(container_id "$1")"
}
kind_flannel() {
  flannel_pod web 7; flannel_pod db 8
  overlay flannel.1 1 8472 10.88.0.0 10.88.1.0 10.88.1.0/24
  mkdir -p /run/flannel
  printf 'FLANNEL_NETWORK=10.88.0.0/16\nFLANNEL_SUBNET=10.88.0.1/24\nFLANNEL_IPV6_SUBNET=fd88::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n' >/run/flannel/subnet.env
  kube_proxy
  iptables -P FORWARD DROP
  iptables-restore --noflush <<'RULES'
*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
-A FLANNEL-POSTRTG -s 10.88.0.0/24 -d 10.88.0.0/16 -j RETURN
-A FLANNEL-POSTRTG -s 10.88.0.0/16 -d 10.88.0.0/24 -j RETURN
-A FLANNEL-POSTRTG ! -s 10.88.0.0/16 -d 10.88.0.0/24 -j RETURN
-A FLANNEL-POSTRTG -s 10.88.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.88.0.0/16 -d 10.88.0.0/16 -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.88.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.88.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
RULES
}

# Calico: the same MAC at each end of the node's, which answers for a gateway that nobody has; a block of addresses whose rest
# leads nowhere; and a chain for each pod, which accepts by a mark.
calico_pod() {
  FLAVOUR=calico MTU=1450 HOSTMAC=ee:ee:ee:ee:ee:ee
  routed_pod "$1" "$2"
  sysctl -qw "net.ipv4.conf.$HOSTIF.rp_filter=1" "net.ipv4.conf.$HOSTIF.route_localnet=1" "net.ipv6.conf.$HOSTIF.proxy_ndp=1"
  iptables-restore --noflush <<RULES
*filter
:cali-fw-$HOSTIF - [0:0]
:cali-tw-$HOSTIF - [0:0]
-I cali-from-wl-dispatch -i $HOSTIF -g cali-fw-$HOSTIF
-I cali-to-wl-dispatch -o $HOSTIF -g cali-tw-$HOSTIF
-A cali-fw-$HOSTIF -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-fw-$HOSTIF -m conntrack --ctstate INVALID -j DROP
-A cali-fw-$HOSTIF -j MARK --set-xmark 0x0/0x10000
-A cali-fw-$HOSTIF -p udp -m comment --comment "Drop VXLAN encapped packets originating in workloads" -m multiport --dports 4789 -j DROP
-A cali-fw-$HOSTIF -p ipencap -m comment --comment "Drop IPinIP encapped packets originating in workloads" -j DROP
-A cali-fw-$HOSTIF -j cali-pro-kns.demo
-A cali-fw-$HOSTIF -m comment --comment "Return if profile accepted" -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-fw-$HOSTIF -m comment --comment "Drop if no profiles matched" -j DROP
-A cali-tw-$HOSTIF -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-tw-$HOSTIF -j MARK --set-xmark 0x0/0x10000
-A cali-tw-$HOSTIF -j cali-pro-kns.demo
-A cali-tw-$HOSTIF -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-tw-$HOSTIF -j DROP
COMMIT
RULES
}
kind_calico() {
  kube_proxy
  iptables-restore --noflush <<'RULES'
*filter
:cali-INPUT - [0:0]
:cali-FORWARD - [0:0]
:cali-from-wl-dispatch - [0:0]
:cali-to-wl-dispatch - [0:0]
:cali-pro-kns.demo - [0:0]
-I FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
-I INPUT -m comment --comment "cali:Cz_u1IQiXIMmKD4c" -j cali-INPUT
-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-INPUT -i cali+ -g cali-from-wl-dispatch
-A cali-FORWARD -j MARK --set-xmark 0x0/0xe0000
-A cali-FORWARD -i cali+ -j cali-from-wl-dispatch
-A cali-FORWARD -o cali+ -j cali-to-wl-dispatch
-A cali-from-wl-dispatch -m comment --comment "Unknown interface" -j DROP
-A cali-to-wl-dispatch -m comment --comment "Unknown interface" -j DROP
-A cali-pro-kns.demo -m comment --comment "Profile kns.demo egress" -j MARK --set-xmark 0x10000/0x10000
COMMIT
*nat
:cali-POSTROUTING - [0:0]
:cali-nat-outgoing - [0:0]
-I POSTROUTING -j cali-POSTROUTING
-A cali-POSTROUTING -j cali-nat-outgoing
-A cali-nat-outgoing -s 10.90.0.0/16 ! -d 10.90.0.0/16 -j MASQUERADE --random-fully
COMMIT
RULES
  iptables -P FORWARD DROP
  calico_pod web 7; calico_pod db 8
  ip route add blackhole 10.90.0.0/26 proto 80
  ip -6 route add blackhole fd90::/122 proto 80
  overlay vxlan.calico 4096 4789 10.90.0.0 10.90.1.0 10.90.1.0/26
  touch /etc/cni/net.d/calico-kubeconfig
}

# What the agent adds to the node for its pods, wherever it does the rest by its programs.
cilium_node() {
  kube_proxy
  iptables -P FORWARD DROP
  iptables-restore --noflush <<'RULES'
*filter
:CILIUM_FORWARD - [0:0]
:CILIUM_INPUT - [0:0]
:CILIUM_OUTPUT - [0:0]
-I FORWARD -m comment --comment "cilium-feeder: CILIUM_FORWARD" -j CILIUM_FORWARD
-I INPUT -m comment --comment "cilium-feeder: CILIUM_INPUT" -j CILIUM_INPUT
-I OUTPUT -m comment --comment "cilium-feeder: CILIUM_OUTPUT" -j CILIUM_OUTPUT
-A CILIUM_FORWARD -o cilium_host -m comment --comment "cilium: any->cluster on cilium_host forward accept" -j ACCEPT
-A CILIUM_FORWARD -i cilium_host -m comment --comment "cilium: cluster->any on cilium_host forward accept (nodeport)" -j ACCEPT
-A CILIUM_FORWARD -i lxc+ -m comment --comment "cilium: cluster->any on lxc+ forward accept" -j ACCEPT
-A CILIUM_FORWARD -i cilium_net -m comment --comment "cilium: cluster->any on cilium_net forward accept (nodeport)" -j ACCEPT
-A CILIUM_FORWARD -o lxc+ -m comment --comment "cilium: any->cluster on lxc+ forward accept" -j ACCEPT
-A CILIUM_INPUT -m mark --mark 0x200/0xf00 -m comment --comment "cilium: ACCEPT for proxy traffic" -j ACCEPT
-A CILIUM_OUTPUT -m mark --mark 0xa00/0xe00 -m comment --comment "cilium: ACCEPT for proxy traffic" -j ACCEPT
COMMIT
RULES
  ip rule add pref 9 fwmark 0x200/0xf00 lookup 2004
  ip route add local default dev lo table 2004
  ip rule add pref 100 lookup local
  ip rule del pref 0
}

# A container of a real Docker, that it has started.
docker_pod() { # NAME NETWORK BRIDGE
  NAME=$1 POD=$1 N=0 KIND=bridge FLAVOUR=docker TYPE=docker NET=$2 GATE=$3 ROUTER='' STORE='' ROUTED='' LEN4=24 LEN6=64
  pid=$(docker inspect --format '{{.State.Pid}}' "$1")
  echo "$pid" >"/run/pid.$1"
  ln -sfn "/proc/$pid/ns/net" "/run/netns/$1"
  told() { docker inspect --format "{{(index .NetworkSettings.Networks \"$NET\").$1}}" "$NAME"; }
  IP4=$(told IPAddress) IP6=$(told GlobalIPv6Address) GW4=$(told Gateway) GW6=$(told IPv6Gateway)
  other=$(pod ip -o link show dev eth0 | sed 's/^[0-9]*: eth0@if\([0-9]*\):.*/\1/')
  HOSTIF=$(ip -o link | sed -n "s/^$other: \([^@:]*\)[@:].*/\1/p")
  MAC=$(mac_of "$1"); keep
}

# A pod of a real containerd, that the plugin ptp has connected.
cri_pod() { # NAME SANDBOX PID
  NAME=$1 POD=demo/$1 N=0 KIND=ptp TYPE=ptp NET=net ROUTER='' STORE=/var/lib/cni/networks/net LEN4=24 LEN6=64
  GW4=10.89.0.1 GW6=fd89::1
  printf %s "$2" >"/run/container.$1"
  echo "$3" >"/run/pid.$1"
  ln -sfn "/proc/$3/ns/net" "/run/netns/$1"
  IP4=$(pod ip -o -4 addr show dev eth0 | sed 's/.* inet \([^/]*\).*/\1/')
  IP6=$(pod ip -o -6 addr show dev eth0 scope global | sed 's/.* inet6 \([^/]*\).*/\1/')
  other=$(pod ip -o link show dev eth0 | sed 's/^[0-9]*: eth0@if\([0-9]*\):.*/\1/')
  HOSTIF=$(ip -o link | sed -n "s/^$other: \([^@:]*\)[@:].*/\1/p") GATE=$HOSTIF
  MAC=$(mac_of "$1"); keep
}
kind_docker() { # ARCHIVE of an image IMAGE
  resolv 'nameserver 198.51.100.1'
  until docker version >/dev/null 2>&1; do sleep 0.05; done
  docker load --quiet --input "$1"
  docker network create --ipv6 --subnet 10.87.0.0/24 --subnet fd87::/64 -o com.docker.network.bridge.name=app0 app
  docker run --detach --name web --network app --ip 10.87.0.7 --ip6 fd87::7 --publish 8080:80 "$2" httpd -f -p 80
  docker run --detach --name db --network app --ip 10.87.0.8 --ip6 fd87::8 "$2"
  docker run --detach --name side --network container:web "$2"
  docker run --detach --name plain --publish 8081:80 "$2" httpd -f -p 80
  docker run --detach --name alone --network none "$2"
  docker run --detach --name onhost --network host "$2"
  docker_pod db app app0; docker_pod web app app0
}
