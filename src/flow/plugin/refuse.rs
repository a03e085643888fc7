//! From podnet's errors to the codes of the CNI spec.

use crate::cni::error::{Code, Refusal};
use crate::cni::exec;
use crate::collect::cilium;
use crate::flow::agent::client::is_away;
use crate::flow::error::Error;
use crate::{ipam, netns};

pub(super) fn flow(error: &Error) -> Refusal {
    match error {
        Error::Delegate(error) => exec(error),
        Error::Netns(netns::Error::Open { .. } | netns::Error::NotANetns { .. }) => {
            of_netns(Refusal::caused(Code::INVALID_ENVIRONMENT, error))
        }
        Error::HostNetns { .. } => of_netns(Refusal::caused(Code::INVALID_NETNS, error)),
        _ => Refusal::caused(code(error), error),
    }
}

/// The spec wants the variable named.
fn of_netns(refusal: Refusal) -> Refusal {
    Refusal { message: format!("CNI_NETNS: {}", refusal.message), ..refusal }
}

/// What a delegated plugin refuses with is passed on.
pub(super) fn exec(error: &exec::Error) -> Refusal {
    match error {
        exec::Error::Refused { refusal, program, .. } => {
            let name = program.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            Refusal { message: format!("{name}: {}", refusal.message), ..refusal.clone() }
        }
        exec::Error::NotFound { .. } => Refusal::caused(Code::INVALID_CONFIG, error),
        exec::Error::Deadline { .. } => Refusal::caused(Code::TRY_AGAIN, error),
        _ => Refusal::caused(Code::INTERNAL, error),
    }
}

fn code(error: &Error) -> Code {
    match error {
        Error::Invalid(_) | Error::Overlap { .. } | Error::NoFamily => Code::INVALID_CONFIG,
        Error::Ipam(error) => ipam(error),
        Error::NetnsChanged { .. } => Code::INVALID_ENVIRONMENT,
        Error::InterfaceExists { .. } | Error::NotOurs { .. } | Error::Exists { .. } => Code::EXISTS,
        Error::NoAddress { .. } | Error::NoAgentAddress => Code::NO_ADDRESS,
        Error::Agent(cilium::Error::Refused { status: 502, .. }) => Code::NO_ADDRESS,
        // Up to 1.15 of an attachment that it has already, and of an address.
        Error::Agent(cilium::Error::Refused { status: 409, .. }) => Code::EXISTS,
        Error::Agent(error) if is_away(error) => Code::TRY_AGAIN,
        Error::Agent(cilium::Error::Busy { .. }) | Error::Queue { .. } | Error::QueueFull { .. } => Code::TRY_AGAIN,
        Error::AgentMode { .. } | Error::NoDelegate | Error::CloudIpam { .. } | Error::NoNetkit => {
            Code::UNSUPPORTED_FIELD
        }
        Error::Differs { .. } => Code::NOT_AS_EXPECTED,
        Error::Busy { .. } | Error::Interrupted => Code::TRY_AGAIN,
        Error::Journal { .. } => Code::IO,
        _ => Code::INTERNAL,
    }
}

fn ipam(error: &ipam::Error) -> Code {
    match error {
        ipam::Error::Full { .. } | ipam::Error::Taken { .. } => Code::NO_ADDRESS,
        ipam::Error::AlreadyReserved { .. } => Code::EXISTS,
        ipam::Error::Read { .. } | ipam::Error::Write { .. } | ipam::Error::Lock { .. } => Code::IO,
        ipam::Error::Locked { .. } => Code::TRY_AGAIN,
        _ => Code::INVALID_CONFIG,
    }
}
