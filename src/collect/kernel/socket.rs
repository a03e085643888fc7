//! TCP and UDP sockets: sock_diag(7), not the text files, which cost a pass over every hash bucket.

use std::net::{IpAddr, SocketAddr};

use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};

use super::netlink::Netlink;
use super::problem;
use super::read::Sockets as Wanted;
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
    for (number, protocol) in [(IPPROTO_TCP, "tcp"), (IPPROTO_UDP, "udp")] {
        for (family, any) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
            let question = SockDiagMessage::InetRequest(InetRequest {
                family,
                protocol: number,
                extensions: ExtensionFlags::empty(),
                states: match (wanted, protocol) {
                    // Otherwise the kernel walks the table of all connections of all namespaces.
                    (Wanted::Listeners, "tcp") => StateFlags::LISTEN,
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
