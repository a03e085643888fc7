//! Controllers, which endpoints and the agent itself have.

use serde::Deserialize;

use super::time;
use crate::model::agent::Controller;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wire {
    name: Option<String>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Status {
    success_count: Option<u64>,
    failure_count: Option<u64>,
    consecutive_failure_count: Option<u64>,
    last_success_timestamp: Option<String>,
    last_failure_timestamp: Option<String>,
    last_failure_msg: Option<String>,
}

/// By name; a count that was left out is zero, as Go leaves it out.
pub fn controllers(list: Option<Vec<Wire>>) -> Vec<Controller> {
    let mut controllers: Vec<Controller> = list.unwrap_or_default().into_iter().map(controller).collect();
    controllers.sort_by(|one, other| one.name.cmp(&other.name));
    controllers
}

fn controller(wire: Wire) -> Controller {
    let status = wire.status.unwrap_or_default();
    Controller {
        name: wire.name.unwrap_or_default(),
        successes: status.success_count.unwrap_or(0),
        failures: status.failure_count.unwrap_or(0),
        consecutive_failures: status.consecutive_failure_count.unwrap_or(0),
        last_success: status.last_success_timestamp.as_deref().and_then(time),
        last_failure: status.last_failure_timestamp.as_deref().and_then(time),
        last_error: status.last_failure_msg.filter(|message| !message.is_empty()),
    }
}
