//! The frames of netlink: `struct nlmsghdr`, and the errors in them (linux/netlink.h).

use std::io;

use netlink_packet_core::NetlinkHeader;

use super::bytes::{attributes, u16_at, u32_at};
use super::netlink::Error;

/// `NLMSG_NOOP`, `NLMSG_ERROR`, `NLMSG_DONE`.
pub const NOOP: u16 = 1;
pub const ERROR: u16 = 2;
pub const DONE: u16 = 3;
/// `NLM_F_DUMP_INTR`: the table changed while it was dumped.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_CAPPED` and `NLM_F_ACK_TLVS`, on errors only.
const CAPPED: u16 = 0x100;
const ACK_TLVS: u16 = 0x200;
/// `NLMSGERR_ATTR_MSG`: the reason in words.
const ATTRIBUTE_MESSAGE: u16 = 1;
/// Size of `struct nlmsghdr`.
const HEADER: usize = 16;

pub struct Frame<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the first frame off `rest`; None when it is cut short.
    pub fn cut(rest: &mut &'a [u8]) -> Option<Self> {
        let length = u32_at(rest, 0)? as usize;
        let frame = Frame {
            kind: u16_at(rest, 4)?,
            flags: u16_at(rest, 6)?,
            sequence: u32_at(rest, 8)?,
            payload: rest.get(HEADER..length)?,
        };
        *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(frame)
    }

    pub fn header(&self) -> NetlinkHeader {
        let mut header = NetlinkHeader::default();
        header.message_type = self.kind;
        header.flags = self.flags;
        header.sequence_number = self.sequence;
        header.length = (HEADER + self.payload.len()) as u32;
        header
    }

    /// The end of a dump carries an errno too, and its words directly behind it.
    pub fn end_of_dump(&self) -> Result<(), Error> {
        match u32_at(self.payload, 0) {
            None | Some(0) => Ok(()),
            Some(code) => Err(refusal(code, self.payload.get(4..).filter(|_| self.flags & ACK_TLVS != 0))),
        }
    }

    /// `struct nlmsgerr`: errno (0 acknowledges), the header of the question, the question unless
    /// capped, then attributes.
    pub fn acknowledgement(&self) -> Result<(), Error> {
        let code = u32_at(self.payload, 0).ok_or(Error::Malformed)?;
        if code == 0 {
            return Ok(());
        }
        let question = u32_at(self.payload, 4).unwrap_or_default() as usize;
        let quoted = if self.flags & CAPPED != 0 { HEADER } else { question.next_multiple_of(4) };
        let words = self.payload.get(4 + quoted..).filter(|_| self.flags & ACK_TLVS != 0);
        Err(refusal(code, words))
    }
}

/// `code` is a negative errno, `row` the attributes that the kernel adds (`NETLINK_EXT_ACK`).
fn refusal(code: u32, row: Option<&[u8]>) -> Error {
    let errno = (code as i32).wrapping_neg();
    Error::Refused { said: row.and_then(message), source: io::Error::from_raw_os_error(errno) }
}

fn message(row: &[u8]) -> Option<String> {
    let (_, words) = attributes(row).find(|(kind, _)| *kind == ATTRIBUTE_MESSAGE)?;
    Some(String::from_utf8_lossy(words).trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn the_kernels_own_words_survive() {
        let mut payload = (-95i32).to_ne_bytes().to_vec();
        payload.extend([16, 0, 0, 0]);
        payload.extend([0; 12]);
        payload.extend([9, 0, 1, 0]);
        payload.extend(b"nope\0");
        let bytes = frame(ERROR, CAPPED | ACK_TLVS, &payload);
        let error = Frame::cut(&mut &bytes[..]).unwrap().acknowledgement().unwrap_err();
        assert_eq!(error.to_string(), "the kernel refused: nope");
        assert_eq!(error.errno(), Some(95));
    }

    #[test]
    fn a_cut_frame_is_no_frame() {
        let whole = frame(20, 0, &[1, 2, 3, 4]);
        for length in 0..whole.len() {
            assert!(Frame::cut(&mut &whole[..length]).is_none(), "{length}");
        }
        assert!(Frame::cut(&mut &[255; 16][..]).is_none());
        assert_eq!(Frame::cut(&mut &whole[..]).unwrap().payload, [1, 2, 3, 4]);
    }
}
