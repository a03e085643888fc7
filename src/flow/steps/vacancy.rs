//! The interface's name must be free: what is there already is somebody else's (CNI spec, ADD).

use crate::flow::error::Error;
use crate::flow::kernel::link;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;

pub struct Vacancy;

impl Step for Vacancy {
    fn name(&self) -> &'static str {
        "vacancy"
    }

    fn purpose(&self) -> &'static str {
        "see that the pod has no interface of that name yet"
    }

    fn in_cilium(&self) -> &'static str {
        "netns.RemoveIfFromNetNSIfExists (which removes it)"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        vec![format!("{} link show {}   # must say: does not exist", Work::command_prefix(record), record.pod.name)]
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let (pod, host) = (work.record.pod.name.clone(), work.record.host.name.clone());
        if link::find(work.pod()?, &pod)?.is_some() {
            return Err(Error::InterfaceExists { name: pod, netns: work.netns()?.inode() });
        }
        match link::find(work.host()?, &host)? {
            Some(_) => Err(Error::NotOurs { name: host }),
            None => Ok(Vec::new()),
        }
    }
}
