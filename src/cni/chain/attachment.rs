//! One attachment to one network: ADD, DEL, CHECK.

use std::time::Instant;

use super::{Attachment, Error, Runtime, Skipped, Turn, Watch};
use crate::cni::cache::Cached;
use crate::cni::exec::Call;
use crate::cni::invocation::Verb;
use crate::cni::netconf::{Network, Plugin};
use crate::cni::result::AddResult;

#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    pub runtime: &'a Runtime,
    pub network: &'a Network,
    pub attachment: &'a Attachment,
}

/// A failed ADD, and what went wrong in undoing it.
#[derive(Debug)]
pub struct AddFailure {
    pub error: Box<Error>,
    pub undo: Vec<Error>,
}

impl Chain<'_> {
    /// One plugin's ADD, after `previous`.
    pub fn add_one(&self, plugin: &Plugin, previous: Option<&AddResult>) -> Result<AddResult, Error> {
        let call = self.call(plugin, Verb::Add, previous)?;
        Ok(call.run_add(self.network.version)?.0)
    }

    /// One plugin's DEL or CHECK, with what the last ADD gave.
    pub fn tell_one(&self, plugin: &Plugin, verb: Verb, last: Option<&AddResult>) -> Result<(), Error> {
        self.call(plugin, verb, last)?.run()?;
        Ok(())
    }

    fn call(&self, plugin: &Plugin, verb: Verb, previous: Option<&AddResult>) -> Result<Call, Error> {
        let previous = previous.map(|result| result.encode(self.network.version)).transpose();
        let previous = previous.map_err(Error::Previous)?;
        let request = self.network.request(plugin, previous.as_ref(), &self.attachment.capabilities);
        Ok(self.runtime.call(plugin, verb, self.attachment.variables(), request)?)
    }

    /// ADD by every plugin; the result of the last is kept in the cache. When one fails, all are told DEL.
    pub fn add(&self, watch: &mut Watch<'_>) -> Result<AddResult, AddFailure> {
        let mut previous: Option<AddResult> = None;
        for (nth, plugin) in self.network.plugins.iter().enumerate() {
            let begin = Instant::now();
            let added = self.add_one(plugin, previous.as_ref());
            let (result, error) = (added.as_ref().ok(), added.as_ref().err());
            let (elapsed, before) = (begin.elapsed(), previous.as_ref());
            watch(&Turn { verb: Verb::Add, nth, plugin, elapsed, before, result, error });
            match added {
                Ok(result) => previous = Some(result),
                Err(error) => return Err(AddFailure { error: error.into(), undo: self.undo(watch) }),
            }
        }
        let result = previous.unwrap_or_default();
        match self.remember(&result) {
            Ok(()) => Ok(result),
            Err(error) => Err(AddFailure { error: error.into(), undo: self.undo(watch) }),
        }
    }

    /// Keeps the result of an ADD for the CHECK and DEL to come.
    pub fn remember(&self, result: &AddResult) -> Result<(), Error> {
        let cached = Cached {
            network: self.network.name.clone(),
            container_id: self.attachment.owner.container_id().to_owned(),
            ifname: self.attachment.owner.ifname().to_owned(),
            netns: self.attachment.netns.as_ref().map(|path| path.display().to_string()),
            config: self.network.bytes.clone(),
            args: self.attachment.args.clone(),
            capabilities: self.attachment.capabilities.clone(),
            result: result.encode(self.network.version).map_err(Error::Previous)?,
            is_bare: false,
        };
        Ok(self.runtime.cache.put(&self.attachment.owner, &cached)?)
    }

    /// DEL by every plugin in reverse, going on past errors: those that were not added may have left something, too.
    pub fn undo(&self, watch: &mut Watch<'_>) -> Vec<Error> {
        let plugins = self.network.plugins.iter().enumerate().rev();
        plugins.filter_map(|(nth, plugin)| self.turn(nth, plugin, Verb::Del, None, watch).err()).collect()
    }

    fn turn(
        &self,
        nth: usize,
        plugin: &Plugin,
        verb: Verb,
        last: Option<&AddResult>,
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        let begin = Instant::now();
        let told = self.tell_one(plugin, verb, last);
        watch(&Turn {
            verb,
            nth,
            plugin,
            elapsed: begin.elapsed(),
            before: None,
            result: None,
            error: told.as_ref().err(),
        });
        told
    }

    /// What the cache holds of the last ADD.
    pub fn last_result(&self) -> Result<Option<AddResult>, Error> {
        let cached = self.runtime.cache.get(&self.network.name, &self.attachment.owner)?;
        cached.map(|cached| cached.add_result()).transpose().map(Option::flatten).map_err(Error::CachedResult)
    }

    /// DEL by every plugin in reverse; the first that refuses ends it, and the cache keeps the attachment.
    pub fn del(&self, watch: &mut Watch<'_>) -> Result<(), Error> {
        // A damaged cache must not keep anything from being deleted.
        let last = self.network.version.has_check().then(|| self.last_result().ok().flatten()).flatten();
        for (nth, plugin) in self.network.plugins.iter().enumerate().rev() {
            self.turn(nth, plugin, Verb::Del, last.as_ref(), watch)?;
        }
        Ok(self.runtime.cache.remove(&self.network.name, &self.attachment.owner)?)
    }

    /// CHECK by every plugin, in order; the first that refuses ends it.
    pub fn check(&self, watch: &mut Watch<'_>) -> Result<Option<Skipped>, Error> {
        if !self.network.version.has_check() {
            return Ok(Some(Skipped::TooOld(self.network.version)));
        }
        if self.network.disable_check {
            return Ok(Some(Skipped::Disabled));
        }
        let not_added = || Error::NotAdded { owner: self.attachment.owner.clone(), network: self.network.name.clone() };
        let last = self.last_result()?.ok_or_else(not_added)?;
        for (nth, plugin) in self.network.plugins.iter().enumerate() {
            self.turn(nth, plugin, Verb::Check, Some(&last), watch)?;
        }
        Ok(None)
    }
}
