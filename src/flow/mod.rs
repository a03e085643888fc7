//! Creating and tearing down a pod's network, step by step.
//!
//! A [`Step`](step::Step) can be previewed, applied and undone, and its undo needs nothing but the
//! [`Record`](record::Record) of what was asked and made so far. The engine writes the record down before and after
//! each step, so whatever kills it, `podnet gc` can finish the undo. `create`, `delete`, `gc` and the CNI plugin
//! are faces of this one engine.

pub mod agent;
pub mod delegate;
mod engine;
pub mod error;
pub mod evidence;
pub mod gc;
pub mod guest;
pub mod journal;
pub mod kernel;
mod mac;
pub mod names;
pub mod plugin;
pub mod record;
mod result;
pub mod step;
pub mod steps;
pub mod verify;
pub mod wish;
mod work;

pub use engine::{Created, Decision, Deleted, Engine, Failed, Outcome, Status, Unwatched, Upcoming, Watch};
pub use error::Error;
pub use record::Record;
pub use wish::{Place, Wish};
