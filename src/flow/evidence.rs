//! What podnet's journals tell of what was made, as plain data to look at beside what the kernel shows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;

use super::Record;
use super::error::Error;
use super::journal::{Journals, Phase};
use crate::cni::evidence::take_result;
use crate::collect::kernel::problem::chain;
use crate::ipam::Owner;
use crate::model::attachment::{Attachment, Keeper};
use crate::model::netns::Inode;
use crate::model::source::Answer;
use crate::model::workload::Pod;

/// Every attachment that the journals below `run` tell of. What is under way, or was left by a kill, was promised to
/// nobody.
pub fn attachments(run: &Path) -> Answer<Vec<Attachment>> {
    let journals = Journals::new(run);
    let found = journals
        .owners()
        .and_then(|owners| owners.iter().map(|owner| attachment(&journals, owner)).collect::<Result<Vec<_>, _>>());
    match found.map(|found| found.into_iter().flatten().collect::<Vec<_>>()) {
        Ok(found) if found.is_empty() => Answer::Absent(format!("nothing in {}", run.display())),
        Ok(found) => Answer::Present(found),
        Err(error) => Answer::Failed(chain(&error)),
    }
}

fn attachment(journals: &Journals, owner: &Owner) -> Result<Option<Attachment>, Error> {
    let state = journals.peek(owner)?.filter(|state| state.phase == Phase::Ready);
    Ok(state.map(|state| {
        let path = journals.path(owner);
        let written = fs::metadata(&path).and_then(|file| file.modified()).ok();
        Attachment {
            file: path.to_string_lossy().into_owned(),
            since: written.and_then(|time| Timestamp::try_from(time).ok()),
            ..of_record(&state.record)
        }
    }))
}

fn of_record(record: &Record) -> Attachment {
    let wish = &record.wish;
    let mut attachment = Attachment {
        kept_by: Keeper::Podnet,
        network: wish.network.clone(),
        container_id: wish.owner.container_id().to_owned(),
        ifname: wish.owner.ifname().to_owned(),
        netns: Some(record.netns_path().to_string_lossy().into_owned()),
        netns_inode: record.netns.filter(|inode| still_leads_to(&record.netns_path(), *inode)),
        pod: wish.agent.as_ref().and_then(|agent| agent.pod.as_ref()).map(|pod| Pod {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            container: None,
            sandbox_id: Some(wish.owner.container_id().to_owned()),
        }),
        plugins: vec![crate::cni::install::NAME.to_owned()],
        ipam: wish.delegate.as_ref().map(|delegate| delegate.kind.clone()),
        ..Attachment::default()
    };
    take_result(&mut attachment, &record.result());
    attachment
}

/// The kernel gives the number of a namespace that is gone to the next one.
fn still_leads_to(path: &Path, inode: Inode) -> bool {
    fs::metadata(path).is_ok_and(|netns| netns.ino() == inode)
}
