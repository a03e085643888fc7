//! A table that could not be read is a line under «problems», not the end of the reading.

use netlink_packet_core::{NetlinkDeserializable, NetlinkSerializable};

use super::netlink::{Dump, Error, Netlink};
use crate::model::count::counted;

/// The errnos of a kernel that has no such table.
const UNSUPPORTED: [i32; 3] = [nix::libc::EOPNOTSUPP, nix::libc::EAFNOSUPPORT, nix::libc::EPROTONOSUPPORT];

/// Dumps a table; what fails is told under the table's name. A kernel without it has an empty one.
pub fn dump<T>(netlink: &mut Netlink, problems: &mut Vec<String>, table: &str, question: T) -> Vec<T>
where
    T: NetlinkSerializable + NetlinkDeserializable + Clone,
{
    told(problems, table, netlink.dump(question))
}

/// What a dump brought; what it could not is told.
pub fn told<T>(problems: &mut Vec<String>, table: &str, dump: Result<Dump<T>, Error>) -> Vec<T> {
    match dump {
        Ok(dump) => {
            if dump.undecoded > 0 {
                let entries = counted(dump.undecoded, "entry", "entries");
                problems.push(format!("{table}: {entries} of a form that podnet does not know"));
            }
            dump.messages
        }
        Err(error) if error.errno().is_some_and(|errno| UNSUPPORTED.contains(&errno)) => Vec::new(),
        Err(error) => {
            problems.push(format!("{table}: {}", chain(&error)));
            Vec::new()
        }
    }
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
