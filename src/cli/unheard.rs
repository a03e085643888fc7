//! Who acts on what a name means is told which runtimes did not say whether they have one of that name.

use super::terminal::say;
use crate::model::node::Node;
use crate::model::source::Status;
use crate::show::harmless;
use crate::target::Target;

/// Names are the runtimes' alone to tell: all else that a target may be is in `/proc` and the kernel.
pub(super) fn tell_unheard(node: &Node, target: &Target) {
    if !target.may_be_name() {
        return;
    }
    for asked in node.sources.iter().filter(|asked| asked.status == Status::Failed && asked.is_runtime()) {
        let why = asked.detail.as_deref().unwrap_or("no answer");
        let line = format!("podnet: {} may have a «{}»: {why}", asked.name, target.text);
        say(harmless(&line));
    }
}
