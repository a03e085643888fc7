//! What a rule found, before the engine makes a finding of it.

use super::finding::Evidence;
use crate::model::netns::Inode;

/// One fault. What is left out is told in the rule's own words.
#[derive(Clone, Debug, Default)]
pub struct Hit {
    pub message: Option<String>,
    pub evidence: Vec<Evidence>,
    pub cause: Option<String>,
    pub fix: Option<String>,
    /// Whether the fix is a command, to be pasted as it is.
    pub is_command: bool,
    /// The pod that it concerns, of a rule that was asked about the node.
    pub about: Option<Inode>,
    /// What it concerns where that is no pod: an address, a file.
    pub thing: Option<String>,
}

impl Hit {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn saw(mut self, what: impl Into<String>, value: impl Into<String>, source: &str) -> Self {
        self.evidence.push(Evidence { what: what.into(), value: value.into(), source: source.to_owned() });
        self
    }

    /// As [`Hit::saw`], where there is something to show.
    pub fn saw_if(self, what: impl Into<String>, value: Option<impl Into<String>>, source: &str) -> Self {
        match value {
            Some(value) => self.saw(what, value, source),
            None => self,
        }
    }

    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// A fix that can be pasted.
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.fix = Some(command.into());
        self.is_command = true;
        self
    }

    pub fn about(mut self, inode: Inode) -> Self {
        self.about = Some(inode);
        self
    }

    pub fn thing(mut self, thing: impl Into<String>) -> Self {
        self.thing = Some(thing.into());
        self
    }
}
