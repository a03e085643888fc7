//! What CNI made, and where the kernel shows otherwise.

use std::io::{self, Write};

use crate::show::Page;
use crate::show::disagreement::disagreements;
use crate::show::page::{flow, heading, sentence};
use crate::show::words::since;
use crate::view::cni::Attached;
use crate::view::inspection::Inspection;

impl Inspection {
    pub(super) fn cni(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(attached) = &self.cni else { return Ok(()) };
        heading(page, out, "CNI")?;
        let telling = |each: &&Attached| page.wide || !each.attachment.is_loopback() || !each.disagreements.is_empty();
        let shown: Vec<&Attached> = attached.iter().filter(telling).collect();
        if shown.is_empty() {
            writeln!(out, "  no result of it is kept")?;
        }
        shown.into_iter().try_for_each(|each| self.attachment(each, page, out))
    }

    fn attachment(&self, each: &Attached, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let attachment = &each.attachment;
        let age = attachment.since.map(|then| format!("added {} ago", since(then, self.collected_at)));
        let compared = !self.interfaces.is_empty() && attachment.problem.is_none();
        let agrees = (compared && each.disagreements.is_empty()).then(|| "result agrees with the kernel".to_owned());
        let mut parts = vec![attachment.network.clone(), attachment.ifname.clone()];
        parts.extend(age);
        parts.push(attachment.plugins.join(", "));
        parts.extend(agrees);
        flow(page, out, 2, &parts)?;
        if page.wide {
            flow(page, out, 4, &[attachment.file.clone(), attachment.netns.clone().unwrap_or_default()])?;
        }
        if let Some(problem) = &attachment.problem {
            sentence(page, out, 4, &format!("! {problem}: {}", attachment.file))?;
        }
        disagreements(page, out, &each.disagreements)
    }
}
