//! TCP and UDP sockets: sock_diag(7), not the text files, which cost a pass over every hash bucket.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};

use rustix::fs::CWD;

use super::netlink::Netlink;
use super::problem;
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

/// The tables of the calling thread's netns that may hold what is wanted. The others are not asked for: the kernel looks
/// through those of all namespaces, which takes it longer than all else that is asked.
pub fn inhabited(wanted: Wanted) -> Vec<Table> {
    if wanted == Wanted::None {
        return Vec::new();
    }
    let usage = Usage::read();
    TABLES.into_iter().filter(|(_, name, family)| !usage.of_none(name, *family, wanted)).collect()
}

/// Sockets of the calling thread's netns in these tables: the listeners, a count by state, and every other one, as far as
/// wanted.
pub fn read(problems: &mut Vec<String>, wanted: Wanted, inhabited: &[Table]) -> Sockets {
    let mut sockets = Sockets::default();
    if inhabited.is_empty() {
        return sockets;
    }
    let mut netlink = match Netlink::open(netlink_sys::protocols::NETLINK_SOCK_DIAG) {
        Ok(netlink) => netlink,
        Err(error) => {
            problems.push(format!("sockets: {}", problem::chain(&error)));
            return sockets;
        }
    };
    for (protocol, name, family) in inhabited.iter().copied() {
        let question = SockDiagMessage::InetRequest(InetRequest {
            family,
            protocol,
            extensions: ExtensionFlags::empty(),
            states: match (wanted, name) {
                // Which stand in a table of their own.
                (Wanted::Listeners, "tcp") => StateFlags::LISTEN,
                _ => StateFlags::all(),
            },
            socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
        });
        for message in problem::dump(&mut netlink, problems, name, question) {
            if let SockDiagMessage::InetResponse(response) = message {
                keep(&mut sockets, convert(name, &response), wanted);
            }
        }
    }
    sockets
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

    /// Whether there are surely none. Half-open connections are not counted, but come of a listener, which is; what is
    /// left of connections stands apart.
    fn of_none(&self, protocol: &str, family: u8, wanted: Wanted) -> bool {
        let line = match (protocol, family) {
            ("tcp", AF_INET) => "TCP:",
            ("tcp", _) => "TCP6:",
            (_, AF_INET) => "UDP:",
            _ => "UDP6:",
        };
        let nothing_left = protocol != "tcp" || wanted == Wanted::Listeners || self.number("TCP:", "tw") == Some(0);
        nothing_left && self.number(line, "inuse") == Some(0)
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

fn keep(sockets: &mut Sockets, socket: Socket, wanted: Wanted) {
    *sockets.count_by_state.entry(format!("{}/{}", socket.protocol, socket.state)).or_default() += 1;
    let listens = socket.state == "listen" || socket.state == "unconnected";
    if listens {
        sockets.listeners.push(socket);
    } else if wanted == Wanted::All {
        sockets.others.push(socket);
    }
}

fn convert(protocol: &str, response: &InetResponse) -> Socket {
    let header = &response.header;
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
    Socket {
        protocol: protocol.to_owned(),
        state,
        local: SocketAddr::new(unmapped(id.source_address), id.source_port),
        remote: connected.then_some(remote),
        inode: header.inode,
        receive_queue: header.recv_queue,
        send_queue: header.send_queue,
        process: None,
    }
}

/// An IPv4 peer of a dual-stack socket is an IPv4 peer; `::` stays itself.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}
