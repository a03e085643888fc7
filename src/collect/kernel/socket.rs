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

/// Sockets of the calling thread's netns: the listeners, a count by state, and every other one, as far as wanted.
pub fn read(problems: &mut Vec<String>, wanted: Wanted) -> Sockets {
    let mut sockets = Sockets::default();
    let mut netlink = match Netlink::open(netlink_sys::protocols::NETLINK_SOCK_DIAG) {
        Ok(netlink) => netlink,
        Err(error) => {
            problems.push(format!("sockets: {}", problem::chain(&error)));
            return sockets;
        }
    };
    let usage = if wanted == Wanted::Listeners { Usage::default() } else { Usage::read() };
    for (number, protocol) in [(IPPROTO_TCP, "tcp"), (IPPROTO_UDP, "udp")] {
        for (family, any) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
            let question = SockDiagMessage::InetRequest(InetRequest {
                family,
                protocol: number,
                extensions: ExtensionFlags::empty(),
                states: match protocol {
                    // Otherwise the kernel walks the table of all connections of all namespaces, which takes it
                    // longer than all else that is asked.
                    "tcp" if wanted == Wanted::Listeners || usage.of_none(family) => StateFlags::LISTEN,
                    _ => StateFlags::all(),
                },
                socket_id: any,
            });
            for message in problem::dump(&mut netlink, problems, protocol, question) {
                if let SockDiagMessage::InetResponse(response) = message {
                    keep(&mut sockets, convert(protocol, &response), wanted);
                }
            }
        }
    }
    sockets
}

/// Sockets of TCP that a netns has, by /proc/net/sockstat and sockstat6; `None` where that does not tell.
#[derive(Default)]
struct Usage {
    ipv4: Option<u64>,
    ipv6: Option<u64>,
    time_wait: Option<u64>,
}

impl Usage {
    /// Of the calling thread's netns.
    fn read() -> Self {
        let read = |name| contents(CWD, Path::new("/proc/thread-self/net").join(name)).ok();
        let text = |name| read(name).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let (of_both, of_ipv6) = (text("sockstat"), text("sockstat6"));
        Self {
            ipv4: number_in(&of_both, "TCP:", "inuse"),
            ipv6: number_in(&of_ipv6, "TCP6:", "inuse"),
            time_wait: number_in(&of_both, "TCP:", "tw"),
        }
    }

    /// Whether there are surely none: neither listeners, from which half-open connections come that are not counted,
    /// nor connections, nor what is left of them.
    fn of_none(&self, family: u8) -> bool {
        let used = if family == AF_INET { self.ipv4 } else { self.ipv6 };
        used == Some(0) && self.time_wait == Some(0)
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
