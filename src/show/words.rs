//! Numbers and times in the words of the field.

use jiff::Timestamp;

use crate::model::link::OperationalState;
use crate::model::workload::State;

/// `1.2 GiB`.
pub fn bytes(count: u64) -> String {
    scaled(count, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], " ")
}

/// `904k`.
pub fn count(count: u64) -> String {
    scaled(count, 1000.0, &["", "k", "M", "G", "T", "P", "E"], "")
}

fn scaled(count: u64, step: f64, units: &[&str], gap: &str) -> String {
    let mut value = count as f64;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while value >= step {
        let Some(larger) = units.next() else { break };
        value /= step;
        unit = larger;
    }
    let digits = usize::from(value < 10.0 && value.fract() != 0.0);
    format!("{value:.digits$}{gap}{unit}")
}

/// `3h12m`, `4d2h`, `17s`; the two largest units.
pub fn since(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

pub fn state(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Paused => "paused",
        State::Restarting => "restarting",
        State::Stopped => "stopped",
        State::Dead => "dead",
        State::Unknown => "unknown",
    }
}

pub fn operational(state: OperationalState) -> &'static str {
    match state {
        OperationalState::Unknown => "unknown",
        OperationalState::NotPresent => "not present",
        OperationalState::Down => "down",
        OperationalState::LowerLayerDown => "lower layer down",
        OperationalState::Testing => "testing",
        OperationalState::Dormant => "dormant",
        OperationalState::Up => "up",
    }
}

/// The twelve digits that people paste.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            (bytes(0), bytes(1023), bytes(1288490189), bytes(u64::MAX)),
            ("0 B".into(), "1023 B".into(), "1.2 GiB".into(), "16 EiB".into())
        );
        assert_eq!((count(904_123), count(7)), ("904k".into(), "7".into()));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(since(at(0), at(11_520)), "3h12m");
        assert_eq!(since(at(5), at(0)), "0s");
        assert_eq!(since(at(0), at(90_000)), "1d1h");
    }
}
