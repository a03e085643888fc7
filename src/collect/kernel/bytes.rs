//! Reading the kernel's own byte order and its attributes (`struct nlattr`) out of a buffer.

use std::borrow::Cow;
use std::ffi::CStr;

use crate::collect::contents::lossy;

/// Size of `struct nlattr`.
const HEADER: usize = 4;
/// `NLA_TYPE_MASK`: without the nested and byte order bits.
const TYPE_MASK: u16 = 0x3fff;

pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// A number as nf_tables sends it, in the network's order.
pub fn be32(value: &[u8]) -> Option<u32> {
    value.get(..4)?.try_into().ok().map(u32::from_be_bytes)
}

pub fn be64(value: &[u8]) -> Option<u64> {
    value.get(..8)?.try_into().ok().map(u64::from_be_bytes)
}

/// Text up to its NUL. The kernel promises no encoding: what is no UTF-8 shows as U+FFFD.
pub fn text(bytes: &[u8]) -> String {
    words(bytes).into_owned()
}

/// As [`text`], for what is only looked at.
pub fn words(bytes: &[u8]) -> Cow<'_, str> {
    lossy(CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes))
}

/// Types and values of a row of attributes, up to the first that is cut short.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE_MASK;
        let value = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}
