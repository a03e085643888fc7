//! Deleting a link, and being back as soon as it is gone.
//!
//! `RTM_DELLINK` returns late. When the link has left every list, with its addresses, routes, files under /sys and its
//! other end, the kernel gives its lock (rtnl) back, and goes on to free the memory, before which it waits one or
//! two RCU grace periods (`netdev_run_todo`: `rcu_barrier`), some 15 to 40 ms. Whoever sent the message sits through
//! that; nobody else sees a difference. So another process sends it, and podnet waits for the kernel's own news.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::libc;
use rtnetlink::LinkUnspec;
use rustix::event::{PollFd, PollFlags, poll};

use super::errand::Errand;
use super::{link, refused, unless};
use crate::collect::kernel::netlink::Netlink;
use crate::flow::error::Error;

/// `RTNLGRP_LINK` (linux/rtnetlink.h).
const LINK_NEWS: u32 = 1;

/// Deletes a link of the calling thread's netns and with it its other end; `false` when it was gone already.
/// `netlink` is of the same netns.
pub fn delete(netlink: &mut Netlink, ifindex: u32) -> Result<bool, Error> {
    match by_errand(ifindex) {
        Ok(Some(0)) => return Ok(true),
        Ok(Some(libc::ENODEV)) => return Ok(false),
        // The lock is given back when the other end is gone, too, and this question takes it.
        Ok(None) if link::mtu(netlink, ifindex)?.is_none() => return Ok(true),
        // What the kernel refuses it refuses with words, which an errand does not bring.
        Ok(_) | Err(_) => {}
    }
    let deleted = netlink.execute(order(ifindex), 0);
    unless(libc::ENODEV, deleted).map_err(refused(format!("delete interface {ifindex}")))
}

fn order(ifindex: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelLink(LinkUnspec::new_with_index(ifindex).build())
}

/// The kernel's errno, or `None` when its news came first.
fn by_errand(ifindex: u32) -> io::Result<Option<i32>> {
    let news = News::subscribe()?;
    let mut message = NetlinkMessage::from(order(ifindex));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let errand = Errand::run(&bytes)?;
    loop {
        let mut waiting = [PollFd::new(&errand, PollFlags::IN), PollFd::new(&news, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        let [answered, told] = waiting.map(|each| !each.revents().is_empty());
        if answered {
            return errand.outcome().map(Some).ok_or_else(|| io::ErrorKind::BrokenPipe.into());
        }
        if told && news.of_the_end_of(ifindex) {
            return Ok(None);
        }
    }
}

/// What the kernel tells everybody of the links of a netns.
struct News {
    socket: Socket,
}

impl News {
    fn subscribe() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.add_membership(LINK_NEWS)?;
        Ok(Self { socket })
    }

    /// Whether the next piece says that this link is gone. What was missed (ENOBUFS) the errand's end makes up for.
    fn of_the_end_of(&self, ifindex: u32) -> bool {
        let Ok((bytes, _)) = self.socket.recv_from_full() else { return false };
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes);
        matches!(
            message.map(|message| message.payload),
            Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(gone)))
                // A bridge tells in its own family that a port has left it.
                if gone.header.index == ifindex && gone.header.interface_family == AddressFamily::Unspec
        )
    }
}

impl AsFd for News {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
