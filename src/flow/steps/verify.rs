//! Everything read back from the kernel: what it holds counts, not what it acknowledged.

use crate::flow::error::Error;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::verify::differences;
use crate::flow::work::Work;

pub struct Verify;

impl Step for Verify {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn purpose(&self) -> &'static str {
        "read everything back from the kernel and compare"
    }

    fn in_cilium(&self) -> &'static str {
        "cmdCheck (part of it)"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        vec![
            format!("{} addr show {}", Work::command_prefix(record), record.pod.name),
            format!("{} route", Work::command_prefix(record)),
            format!("ip route show dev {}", record.host.name),
        ]
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let differences = differences(work)?;
        if differences.is_empty() {
            return Ok(Vec::new());
        }
        Err(Error::Differs { path: work.record.netns_path(), differences })
    }
}
