//! `podnet bench`.

use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, Subcommand};

use super::attachment::{State, owner};
use super::create::NETWORK;
use super::{Common, Error};
use crate::collect::kernel::problem::chain;
use crate::flow::{Engine, Place, Unwatched, Wish};
use crate::ipam::pool::DEFAULT_POOL;
use crate::view::bench as view;

/// Measure what giving pods a network takes on this node
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  podnet bench add -n 100\n  podnet bench add -n 100 -j 20 -o json")]
pub struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create pods, and delete each again
    ///
    /// Each is a namespace of its own with an interface, made by the steps of `podnet create` and deleted before the
    /// next: at most JOBS exist at a time, and none is left.
    Add {
        /// How many pods
        #[arg(short = 'n', long, value_name = "PODS", default_value = "50", value_parser = clap::value_parser!(u16).range(1..=10_000))]
        pods: u16,
        /// How many at once
        #[arg(short, long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
        jobs: u16,
        /// Pool to take addresses from
        #[arg(long, value_name = "NAME", default_value = DEFAULT_POOL)]
        pool: String,
        #[command(flatten)]
        state: State,
    },
}

impl Bench {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let Command::Add { pods, jobs, pool, state } = &self.command;
        let (pods, jobs) = (usize::from(*pods), usize::from(*jobs));
        let engine = state.engine();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut runs = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < pods {
                let nth = runs.len();
                runs.push(wish(state, pool, nth).and_then(|wish| once(&engine, wish)));
            }
            runs
        };
        let runs: Vec<view::Run> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
        });
        let document = view::bench(jobs, &runs);
        let failed = document.failed > 0;
        common.print(&document)?;
        Ok(u8::from(failed))
    }
}

/// Named by the process and the thread, so that two benchmarks don't meet.
fn wish(state: &State, pool: &str, nth: usize) -> Result<Wish, String> {
    let name = format!("bench-{}-{}-{nth}", std::process::id(), nix::unistd::gettid());
    Ok(Wish {
        owner: owner(&name, "eth0").map_err(|error| error.to_string())?,
        network: NETWORK.to_owned(),
        place: Place::Named(name),
        ipv4_pool: Some(pool.to_owned()),
        ipv6_pool: Some(pool.to_owned()),
        addresses: Vec::new(),
        mac: None,
        mtu: None,
        masquerade: true,
        store: state.root.clone(),
        delegate: None,
        agent: None,
    })
}

fn once(engine: &Engine, wish: Wish) -> view::Run {
    let created = engine.create(wish.clone(), &mut Unwatched).map_err(|failed| chain(&*failed))?;
    let deleted = engine.delete(wish, &mut Unwatched).map_err(|error| chain(&error))?;
    match deleted.error {
        Some(error) => Err(chain(&error)),
        None => Ok((created.outcomes, deleted.outcomes.iter().map(|outcome| outcome.elapsed_ms).sum())),
    }
}
