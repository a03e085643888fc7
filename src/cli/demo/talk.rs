//! Packets from one pod to another.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::netns::Handle;

const PATIENCE: Duration = Duration::from_secs(5);
const GREETING: &[u8] = b"hello from podnet\n";

/// Makes a TCP connection and has a greeting sent back; how long that took.
pub fn tcp(from: &Handle, to: &Handle, address: IpAddr) -> io::Result<Duration> {
    let listener = inside(to, || TcpListener::bind(SocketAddr::new(address, 0)))?;
    let place = listener.local_addr()?;
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut heard = vec![0; GREETING.len()];
            stream.read_exact(&mut heard)?;
            stream.write_all(&heard)
        });
        let begin = Instant::now();
        let mut stream = inside(from, || TcpStream::connect_timeout(&place, PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(GREETING)?;
        let mut heard = vec![0; GREETING.len()];
        stream.read_exact(&mut heard)?;
        let elapsed = begin.elapsed();
        echo.join().unwrap_or_else(|_| Err(io::Error::other("the listener died")))?;
        if heard == GREETING { Ok(elapsed) } else { Err(io::Error::other("another greeting came back")) }
    })
}

/// Sends an ICMP echo request and waits for its reply; how long that took.
pub fn ping(from: &Handle, address: IpAddr) -> io::Result<Duration> {
    // A raw socket is sent to and received from as one of UDP is.
    let socket = inside(from, || raw(address).map(UdpSocket::from))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (request, reply) = if address.is_ipv4() { (8, 0) } else { (128, 129) };
    let message = echo(request, (std::process::id() & 0xffff) as u16);
    let begin = Instant::now();
    socket.send_to(&message, SocketAddr::new(address, 0))?;
    let mut buffer = [0; 256];
    while begin.elapsed() < PATIENCE {
        let (length, _) = socket.recv_from(&mut buffer)?;
        let packet = buffer.get(..length).unwrap_or_default();
        // IPv4 comes with its header, whose length stands in it (raw(7)).
        let header = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
        let icmp = if address.is_ipv4() { packet.get(header..).unwrap_or_default() } else { packet };
        if icmp.first() == Some(&reply) && icmp.get(4..) == message.get(4..) {
            return Ok(begin.elapsed());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn raw(address: IpAddr) -> io::Result<std::os::fd::OwnedFd> {
    let (family, protocol) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    Ok(socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, Some(protocol))?)
}

/// Type, code, checksum, identifier, sequence number, data (RFC 792). The kernel fills in the checksum of ICMPv6.
fn echo(kind: u8, identifier: u16) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend(1u16.to_be_bytes());
    message.extend(b"podnet demo!");
    let sum = checksum(&message).to_be_bytes();
    message.splice(2..4, sum);
    message
}

/// Of the Internet (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let high = pair.first().copied().unwrap_or(0);
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([high, low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn inside<T: Send>(netns: &Handle, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    netns.run(work).map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_message_with_its_checksum_is_zero() {
        assert_eq!(checksum(&echo(8, 0x1234)), 0);
    }
}
