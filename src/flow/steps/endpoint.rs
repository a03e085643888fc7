//! Registration: with no agent to tell, the interface itself says whose it is.

use crate::flow::error::Error;
use crate::flow::kernel::link;
use crate::flow::names;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;

pub struct Endpoint;

impl Step for Endpoint {
    fn name(&self) -> &'static str {
        "endpoint"
    }

    fn purpose(&self) -> &'static str {
        "write on the host's interface whose it is"
    }

    fn in_cilium(&self) -> &'static str {
        "EndpointCreate → Endpoint.PutEndpointID"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        vec![format!("ip link set {} alias '{}'", record.host.name, names::alias(&record.wish.owner))]
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let (ifindex, alias) = (work.record.host.ifindex, names::alias(&work.record.wish.owner));
        link::set_alias(work.host()?, ifindex, &alias)?;
        Ok(vec![Change::set(format!("alias of {} to «{alias}»", work.record.host.name))])
    }
}
