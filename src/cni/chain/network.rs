//! A network as a whole: STATUS and GC.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Map, Value};

use super::{Attachment, Chain, Error, Runtime, Skipped, Turn, Watch};
use crate::cni::alive::Standing;
use crate::cni::invocation::Verb;
use crate::cni::netconf::{GcAttachment, Network, Plugin};
use crate::ipam::Owner;

/// What GC came to.
#[derive(Debug, Default)]
pub struct Collected {
    pub deleted: Vec<GcAttachment>,
    pub errors: Vec<Error>,
    /// The plugins were not asked.
    pub skipped: Option<Skipped>,
}

impl Runtime {
    /// STATUS of every plugin; the first that refuses ends it.
    pub fn status(&self, network: &Network, watch: &mut Watch<'_>) -> Result<Option<Skipped>, Error> {
        if !network.version.has_gc() {
            return Ok(Some(Skipped::TooOld(network.version)));
        }
        for (nth, plugin) in network.plugins.iter().enumerate() {
            self.plain_turn(nth, plugin, Verb::Status, network.status_request(plugin), watch)?;
        }
        Ok(None)
    }

    /// DEL of the attachments that are gone, then GC by every plugin with those that are alive, going on past errors.
    pub fn gc(&self, network: &Network, standing: &Standing, watch: &mut Watch<'_>) -> Collected {
        let mut collected = Collected::default();
        if network.disable_gc {
            collected.skipped = Some(Skipped::Disabled);
            return collected;
        }
        for attachment in &standing.gone {
            match self.del_gone(network, attachment, watch) {
                Ok(()) => collected.deleted.push(attachment.clone()),
                Err(error) => collected.errors.push(error),
            }
        }
        if !network.version.has_gc() {
            collected.skipped = Some(Skipped::TooOld(network.version));
            return collected;
        }
        let alive: Vec<GcAttachment> = standing.alive.iter().cloned().collect();
        for (nth, plugin) in network.plugins.iter().enumerate() {
            let request = network.gc_request(plugin, &alive);
            collected.errors.extend(self.plain_turn(nth, plugin, Verb::Gc, request, watch).err());
        }
        collected
    }

    /// With what the cache kept of it, the network as it was then included.
    fn del_gone(&self, network: &Network, gone: &GcAttachment, watch: &mut Watch<'_>) -> Result<(), Error> {
        let owner = Owner::new(&gone.container_id, &gone.ifname)?;
        let cached = self.cache.get(&network.name, &owner)?.unwrap_or_default();
        let then = cached.network_then().transpose().map_err(Error::CachedNetwork)?;
        let netns = cached.netns.map(PathBuf::from);
        let attachment = Attachment { owner, netns, args: cached.args, capabilities: cached.capabilities };
        Chain { runtime: self, network: then.as_ref().unwrap_or(network), attachment: &attachment }.del(watch)
    }

    fn plain_turn(
        &self,
        nth: usize,
        plugin: &Plugin,
        verb: Verb,
        request: Map<String, Value>,
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        let begin = Instant::now();
        let told = self.call(plugin, verb, Vec::new(), request).and_then(|call| call.run()).map_err(Error::from);
        let elapsed = begin.elapsed();
        watch(&Turn { verb, nth, plugin, elapsed, before: None, result: None, error: told.as_ref().err() });
        told.map(drop)
    }
}
