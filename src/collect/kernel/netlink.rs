//! A netlink socket: one dump, request or order at a time, answers checked.
//!
//! Plain and synchronous, since it is used on the short-lived threads that visit namespaces. Collectors only ask;
//! orders are given by `flow` alone.
//! What a message library would hide is looked at here: interrupted dumps (`NLM_F_DUMP_INTR`), answers that
//! cannot be decoded, and the kernel's own words for an error (`NETLINK_EXT_ACK`).

use std::io;
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::{TimeVal, TimeValLike};

use super::frame::{self, Frame};
use super::message_name::message_name;
use super::problem::chain;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open a netlink socket")]
    Open { source: io::Error },
    #[error("cannot ask the kernel over netlink")]
    Send { source: io::Error },
    #[error("no answer from the kernel over netlink")]
    Receive { source: io::Error },
    #[error("the kernel refused{}", .said.as_deref().map(|s| format!(": {s}")).unwrap_or_default())]
    Refused { said: Option<String>, source: io::Error },
    #[error("the tables kept changing while they were read")]
    Interrupted,
    #[error("a netlink answer is not well formed")]
    Malformed,
}

impl Error {
    /// The kernel's errno, where it gave one: EOPNOTSUPP, EPERM, ENODEV, …
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Open { source }
            | Error::Send { source }
            | Error::Receive { source }
            | Error::Refused { source, .. } => source.raw_os_error(),
            Error::Interrupted | Error::Malformed => None,
        }
    }
}

/// What a dump brought.
#[derive(Debug)]
pub struct Dump<T> {
    pub messages: Vec<T>,
    /// Answers of the right shape whose content the decoder did not understand.
    pub undecoded: usize,
}

pub struct Netlink {
    socket: Socket,
    protocol: isize,
    sequence: u32,
    buffer: Vec<u8>,
    /// The type of the message that was sent last, and when.
    sent: (u16, Instant),
}

/// How often a dump that the kernel calls interrupted is asked for again.
const ATTEMPTS: u64 = 4;
/// A dump comes in pieces of at most 32 KiB (`netlink_recvmsg`); a single answer may be larger.
const BUFFER: usize = 128 * 1024;
const TIMEOUT_MS: i64 = 2000;

impl Netlink {
    /// Opens a socket in the netns of the calling thread; it belongs there from now on.
    /// `protocol` is one of `NETLINK_*`.
    pub fn open(protocol: isize) -> Result<Self, Error> {
        let failed = |source| Error::Open { source };
        // The kernel gives it an address with the first question.
        let socket = Socket::new(protocol).map_err(failed)?;
        // Older kernels know neither; then filters are applied by the caller and errors have no words.
        let _ = socket.set_netlink_get_strict_chk(true);
        let _ = socket.set_ext_ack(true);
        setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(TIMEOUT_MS))
            .map_err(|errno| failed(errno.into()))?;
        Ok(Self { socket, protocol, sequence: 0, buffer: Vec::with_capacity(BUFFER), sent: (0, Instant::now()) })
    }

    /// Asks for a table, again when it changed while it was read.
    pub fn dump<T>(&mut self, question: T) -> Result<Dump<T>, Error>
    where
        T: NetlinkSerializable + NetlinkDeserializable + Clone,
    {
        self.dump_with(question, |frame| T::deserialize(&frame.header(), frame.payload).ok())
    }

    /// As [`Netlink::dump`], for a table whose entries are decoded by the caller.
    pub fn dump_with<Q, T>(&mut self, question: Q, decode: impl Fn(&Frame<'_>) -> Option<T>) -> Result<Dump<T>, Error>
    where
        Q: NetlinkSerializable + Clone,
    {
        let dump = self.dump_unchanged(question, decode);
        self.told(dump, |dump| dump.messages.len() + dump.undecoded)
    }

    fn dump_unchanged<Q, T>(&mut self, question: Q, decode: impl Fn(&Frame<'_>) -> Option<T>) -> Result<Dump<T>, Error>
    where
        Q: NetlinkSerializable + Clone,
    {
        for attempt in 0..ATTEMPTS {
            std::thread::sleep(Duration::from_millis(attempt));
            self.send(question.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            let mut dump = Dump { messages: Vec::new(), undecoded: 0 };
            let mut interrupted = false;
            while let Next::More = self.receive(|frame| {
                interrupted |= frame.flags & frame::DUMP_INTERRUPTED != 0;
                match decode(&frame) {
                    Some(message) => dump.messages.push(message),
                    None => dump.undecoded += 1,
                }
            })? {}
            if !interrupted {
                return Ok(dump);
            }
        }
        Err(Error::Interrupted)
    }

    /// Asks a question that has one answer.
    pub fn request<T>(&mut self, question: T) -> Result<T, Error>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
    {
        self.request_with(question, |frame| T::deserialize(&frame.header(), frame.payload).ok())
    }

    /// As [`Netlink::request`], for an answer that is decoded by the caller.
    pub fn request_with<Q, T>(&mut self, question: Q, decode: impl Fn(&Frame<'_>) -> Option<T>) -> Result<T, Error>
    where
        Q: NetlinkSerializable,
    {
        self.send(question, NLM_F_REQUEST)?;
        let answer = self.one_answer(decode);
        self.told(answer, |_| 1)
    }

    fn one_answer<T>(&mut self, decode: impl Fn(&Frame<'_>) -> Option<T>) -> Result<T, Error> {
        let mut answer = None;
        while answer.is_none() {
            let next = self.receive(|frame| answer = Some(decode(&frame)))?;
            if let Next::Done = next {
                break;
            }
        }
        answer.flatten().ok_or(Error::Malformed)
    }

    /// Orders a change and waits until the kernel has made it. `flags` are `NLM_F_CREATE` and its like.
    pub fn execute<T: NetlinkSerializable>(&mut self, order: T, flags: u16) -> Result<(), Error> {
        self.send(order, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        let acknowledged = self.acknowledged();
        self.told(acknowledged, |()| 1)
    }

    /// Gives orders in one datagram, each with its flags, and waits for the acknowledgement of each that asks for
    /// one with `NLM_F_ACK`. nf_tables makes the changes between its two marks all at once or not at all.
    pub fn execute_batch<T: NetlinkSerializable>(&mut self, orders: Vec<(T, u16)>) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let acknowledged = orders.iter().filter(|(_, flags)| flags & NLM_F_ACK != 0).count();
        // One number for all, as the acknowledgements come one by one and in order.
        let bytes: Vec<u8> =
            orders.into_iter().flat_map(|(order, flags)| self.frame(order, NLM_F_REQUEST | flags)).collect();
        self.send_bytes(&bytes)?;
        let all = (0..acknowledged).try_for_each(|_| self.acknowledged());
        self.told(all, |()| acknowledged)
    }

    /// For `-vv`.
    fn told<T>(&self, result: Result<T, Error>, answers: impl Fn(&T) -> usize) -> Result<T, Error> {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let (kind, begin) = self.sent;
            let request = message_name(self.protocol, kind);
            let elapsed_ms = begin.elapsed().as_secs_f64() * 1000.0;
            match &result {
                Ok(answer) => tracing::debug!(request, answers = answers(answer), elapsed_ms, "netlink"),
                Err(error) => tracing::debug!(request, error = chain(error), elapsed_ms, "netlink"),
            }
        }
        result
    }

    fn acknowledged(&mut self) -> Result<(), Error> {
        while let Next::More = self.receive(|_| ())? {}
        Ok(())
    }

    fn send<T: NetlinkSerializable>(&mut self, question: T, flags: u16) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = self.frame(question, flags);
        self.send_bytes(&bytes)
    }

    fn frame<T: NetlinkSerializable>(&mut self, message: T, flags: u16) -> Vec<u8> {
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
        message.header.flags = flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        self.sent = (message.header.message_type, Instant::now());
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let kernel = SocketAddr::new(0, 0);
        self.socket.send_to(bytes, &kernel, 0).map(drop).map_err(|source| Error::Send { source })
    }

    /// Receives one datagram and hands its answers to `take`.
    fn receive(&mut self, mut take: impl FnMut(Frame<'_>)) -> Result<Next, Error> {
        let failed = |source| Error::Receive { source };
        // Into its spare capacity, which nobody has to fill with zeros for each of a thousand namespaces.
        self.buffer.clear();
        let (_, sender) = self.socket.recv_from(&mut self.buffer, 0).map_err(failed)?;
        if sender.port_number() != 0 {
            return Ok(Next::More); // not from the kernel
        }
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let frame = Frame::cut(&mut rest).ok_or(Error::Malformed)?;
            if frame.sequence != self.sequence {
                continue; // left over from a question that was given up
            }
            match frame.kind {
                frame::NOOP => {}
                frame::DONE => return frame.end_of_dump().map(|()| Next::Done),
                frame::ERROR => return frame.acknowledgement().map(|()| Next::Done),
                _ => take(frame),
            }
        }
        Ok(Next::More)
    }
}

enum Next {
    More,
    Done,
}
