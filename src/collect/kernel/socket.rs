//! TCP and UDP sockets: sock_diag(7), not the text files, which cost a pass over every hash bucket.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use netlink_packet_core::{NetlinkSerializable, Parseable};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};

use rustix::fs::CWD;

use super::netlink::Netlink;
use super::problem::{chain, told};
use super::read::Sockets as Wanted;
use crate::collect::contents::contents;
use crate::model::socket::{Socket, Sockets};

/// `TCP_*` of net/tcp_states.h, from 1; UDP uses ESTABLISHED and CLOSE.
const STATES: [&str; 12] = [
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "close",
    "close-wait",
    "last-ack",
    "listen",
    "closing",
    "new-syn-recv",
];

const TABLES: [Table; 4] = [
    (IPPROTO_TCP, "tcp", AF_INET),
    (IPPROTO_TCP, "tcp", AF_INET6),
    (IPPROTO_UDP, "udp", AF_INET),
    (IPPROTO_UDP, "udp", AF_INET6),
];

/// Protocol, its name, and the family of addresses.
type Table = (u8, &'static str, u8);

/// Sockets of the calling thread's netns that the kernel finds at once: who listens, and all of UDP as far as wanted.
pub struct AtOnce {
    pub sockets: Sockets,
    /// Whether there may be connections, which take more time to find than all else that is asked.
    pub maybe_connections: bool,
}

/// Reads those, of the tables that have any.
pub fn read_at_once(problems: &mut Vec<String>, wanted: Wanted) -> AtOnce {
    let usage = Usage::read();
    let inhabited: Vec<Table> =
        TABLES.into_iter().filter(|(_, name, family)| usage.count(name, *family) != Some(0)).collect();
    let mut sockets = Sockets::default();
    if !inhabited.is_empty() {
        let Some(mut netlink) = open(problems) else { return AtOnce { sockets, maybe_connections: false } };
        for (protocol, name, family) in inhabited {
            let question = SockDiagMessage::InetRequest(InetRequest {
                family,
                protocol,
                extensions: ExtensionFlags::empty(),
                // TCP's stand in a table of their own.
                states: if protocol == IPPROTO_TCP { StateFlags::LISTEN } else { StateFlags::all() },
                socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
            });
            let dump = netlink.dump_with(question, |frame| socket(name, frame.payload));
            told(problems, name, dump).into_iter().for_each(|socket| keep(&mut sockets, socket, wanted));
        }
    }
    let maybe_connections = wanted != Wanted::Listeners && usage.may_be_connected(&sockets.listeners);
    AtOnce { sockets, maybe_connections }
}

fn open(problems: &mut Vec<String>) -> Option<Netlink> {
    let netlink = Netlink::open(netlink_sys::protocols::NETLINK_SOCK_DIAG);
    netlink.inspect_err(|error| problems.push(format!("sockets: {}", chain(error)))).ok()
}

/// The connections of the calling thread's netns. The kernel goes through those of all namespaces, hundreds of
/// thousands of mostly empty buckets, so once for both families.
pub fn connections(problems: &mut Vec<String>) -> Vec<Socket> {
    let name = "tcp";
    let dump = open(problems).map(|mut netlink| netlink.dump_with(Connections, |frame| socket(name, frame.payload)));
    dump.map(|dump| told(problems, name, dump)).unwrap_or_default()
}

/// `TCPDIAG_GETSOCK` with a `struct inet_diag_req` (linux/inet_diag.h): the only question that asks for both families,
/// as ss(8) does.
#[derive(Clone)]
struct Connections;

impl NetlinkSerializable for Connections {
    fn message_type(&self) -> u16 {
        18
    }

    fn buffer_len(&self) -> usize {
        60
    }

    fn serialize(&self, buffer: &mut [u8]) {
        /// `idiag_states`, after family, lengths and extensions (a byte each) and `struct inet_diag_sockid`.
        const STATES: std::ops::Range<usize> = 52..56;
        buffer.fill(0);
        if let Some(states) = buffer.get_mut(STATES) {
            states.copy_from_slice(&StateFlags::all().difference(StateFlags::LISTEN).bits().to_ne_bytes());
        }
    }
}

/// What a netns has of each protocol, by /proc/net/sockstat and sockstat6.
struct Usage {
    text: String,
}

impl Usage {
    /// Of the calling thread's netns.
    fn read() -> Self {
        let read = |name| contents(CWD, Path::new("/proc/thread-self/net").join(name)).ok();
        let text = |name| read(name).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        Self { text: text("sockstat") + &text("sockstat6") }
    }

    fn count(&self, protocol: &str, family: u8) -> Option<u64> {
        let line = match (protocol, family) {
            ("tcp", AF_INET) => "TCP:",
            ("tcp", _) => "TCP6:",
            (_, AF_INET) => "UDP:",
            _ => "UDP6:",
        };
        self.number(line, "inuse")
    }

    /// Whether TCP has more than who listens. Half-open connections are not counted, but come of a listener; over loopback
    /// who connects is here, and counted (but for those whom `route_localnet` lets in from elsewhere).
    fn may_be_connected(&self, listeners: &[Socket]) -> bool {
        let listeners = || listeners.iter().filter(|socket| socket.protocol == "tcp");
        let count = [AF_INET, AF_INET6].map(|family| self.count("tcp", family));
        let all_listen = count.into_iter().sum::<Option<u64>>() == Some(listeners().count() as u64);
        let nothing_left = self.number("TCP:", "tw") == Some(0);
        !(all_listen && nothing_left && listeners().all(|socket| socket.local.ip().is_loopback()))
    }

    fn number(&self, line: &str, name: &str) -> Option<u64> {
        number_in(&self.text, line, name)
    }
}

/// `TCP: inuse 5 orphan 0 tw 2 alloc 7 mem 1`.
fn number_in(text: &str, line: &str, name: &str) -> Option<u64> {
    let mut words = text.lines().find_map(|text| text.strip_prefix(line))?.split_whitespace();
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

/// Counts it, and keeps it as far as wanted.
pub fn keep(sockets: &mut Sockets, socket: Socket, wanted: Wanted) {
    *sockets.count_by_state.entry(format!("{}/{}", socket.protocol, socket.state)).or_default() += 1;
    let listens = socket.state == "listen" || socket.state == "unconnected";
    if listens {
        sockets.listeners.push(socket);
    } else if wanted == Wanted::All {
        sockets.others.push(socket);
    }
}

fn socket(protocol: &str, payload: &[u8]) -> Option<Socket> {
    let header = InetResponseHeader::parse(payload).ok()?;
    let id = &header.socket_id;
    let remote = SocketAddr::new(unmapped(id.destination_address), id.destination_port);
    let connected = remote.port() != 0 || !remote.ip().is_unspecified();
    let state = match (protocol, usize::from(header.state)) {
        ("udp", _) if !connected => "unconnected".to_owned(),
        (_, number) => number
            .checked_sub(1)
            .and_then(|at| STATES.get(at))
            .map_or_else(|| number.to_string(), |name| (*name).to_owned()),
    };
    Some(Socket {
        protocol: protocol.to_owned(),
        state,
        local: SocketAddr::new(unmapped(id.source_address), id.source_port),
        remote: connected.then_some(remote),
        inode: header.inode,
        receive_queue: header.recv_queue,
        send_queue: header.send_queue,
        process: None,
    })
}

/// An IPv4 peer of a dual-stack socket is an IPv4 peer; `::` stays itself.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_searched_for_where_there_may_be_some() {
        let listening = |at: &str| {
            let (protocol, state, local) = ("tcp".to_owned(), "listen".to_owned(), at.parse().unwrap());
            Socket { protocol, state, local, remote: None, inode: 7, receive_queue: 0, send_queue: 0, process: None }
        };
        let may_be = |in_use: [u8; 3], listeners: &[&str]| {
            let [tcp, tcp6, waiting] = in_use;
            let text = format!("TCP: inuse {tcp} orphan 0 tw {waiting} alloc 9 mem 0\nTCP6: inuse {tcp6}\n");
            let listeners: Vec<Socket> = listeners.iter().map(|at| listening(at)).collect();
            Usage { text }.may_be_connected(&listeners)
        };
        assert!(!may_be([0, 0, 0], &[]));
        assert!(!may_be([1, 1, 0], &["127.0.0.11:40001", "[::1]:53"]));
        assert!(may_be([2, 0, 0], &["127.0.0.11:40001"]), "one of two does not listen");
        assert!(may_be([1, 0, 1], &["127.0.0.11:40001"]), "something is left of one that ended");
        assert!(may_be([1, 0, 0], &["10.0.0.1:80"]), "half-open ones are not counted");
        assert!(Usage { text: String::new() }.may_be_connected(&[]), "nothing is known");
    }
}
