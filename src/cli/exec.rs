//! `podnet exec`: the host's own tools inside the netns of a workload.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use super::exec_place::{self, Names, Place};
use super::terminal::say;
use super::{Common, Error, exec_many};
use crate::collect::dns;
use crate::collect::options::Options;
use crate::descriptors;
use crate::exec::{self, Entry, Identity, NameFiles};
use crate::netns::Handle;
use crate::show::harmless;

/// Run a command of this host in a workload's network namespace
///
/// Only the network is the workload's: files, processes and users stay this host's, so its tools are there even
/// for a container that has none. podnet becomes the command: terminal, signals and exit status are its own
/// (127: not found, 126: not to be run). Without CMD a shell is started.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet exec web-0 -- ip addr\n  podnet exec 3f2a91c04d5e -- tcpdump -ni eth0\n  podnet exec web-0 --dns -- getent hosts kubernetes\n  podnet exec -t web-0 -t web-1 -- ip route     side by side, lines named\n  podnet exec -- ip addr                        asks which one"
)]
pub struct Exec {
    /// Any handle that `podnet inspect` takes; `PODNET_TARGET` where none is given
    pub(super) target: Option<String>,
    /// Run in this one too, side by side
    ///
    /// Each line is told with the name of its workload, or as a line of JSON with -o json. The worst status wins. The
    /// commands end with podnet, and have no standard input, nor has a single one that -t names: TARGET does.
    #[arg(short, long = "target", value_name = "TARGET")]
    targets: Vec<String>,
    /// Run in every workload that has a network of its own, as with -t
    #[arg(long, conflicts_with_all = ["target", "targets"])]
    all: bool,
    /// Show the command the container's resolv.conf and hosts
    #[arg(long)]
    dns: bool,
    /// Run the command as this user
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Run the command without capabilities
    #[arg(long)]
    drop_caps: bool,
    /// Whose resolv.conf and hosts to show, where the target is a descriptor of another podnet
    #[arg(long, value_name = "PID|NAME", hide = true)]
    names_of: Option<Names>,
    /// How many files the command may open, where another podnet that starts this one has raised its own limit
    #[arg(long, value_name = "NUMBER", hide = true)]
    open_files: Option<u64>,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Exec {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let options = common.options()?;
        if let Some(limit) = self.open_files {
            descriptors::remember_limit(limit);
        }
        if self.all || !self.targets.is_empty() {
            exec_many::speaks(&common.output)?;
            let targets = self.target.iter().chain(&self.targets).map(String::as_str);
            let places =
                if self.all { exec_place::of_all(&options)? } else { exec_place::of_targets(targets, &options)? };
            return exec_many::run(&places, &self.flags(), &self.command(), &common.output);
        }
        let named = self.target.clone().or_else(|| std::env::var("PODNET_TARGET").ok().filter(|text| !text.is_empty()));
        let place = match named {
            Some(text) => exec_place::of_target(&text, &options)?,
            None => exec_place::choose(&options)?,
        };
        Err(self.enter(&place, &options)?)
    }

    /// Whether it is one target, or several side by side: not both.
    pub(super) fn says_where(&self) -> bool {
        self.target.is_some() != (self.all || !self.targets.is_empty())
    }

    /// Returns only the error that kept podnet from becoming the command.
    fn enter(&self, place: &Place, options: &Options) -> Result<Error, Error> {
        let mut command = self.command().into_iter();
        let names = self.names_of.as_ref().unwrap_or(&place.names);
        let entry = Entry {
            netns: &place.handle,
            names: if self.dns { Some(name_files(names, &place.handle, options)?) } else { None },
            identity: self.user.as_deref().map(str::parse::<Identity>).transpose()?,
            drop_capabilities: self.drop_caps,
            ends_with_parent: self.names_of.is_some(),
            program: command.next().unwrap_or_else(|| "/bin/sh".into()),
            arguments: command.collect(),
        };
        let error =
            exec::become_command(&entry, |problem| say(format_args!("podnet: {}", harmless(&problem.to_string()))));
        Ok(error.into())
    }

    fn command(&self) -> Vec<OsString> {
        if self.command.is_empty() {
            let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
            vec![shell.unwrap_or_else(|| "/bin/sh".into())]
        } else {
            self.command.clone()
        }
    }

    /// What a podnet that is started for one of several targets needs to be told as well.
    fn flags(&self) -> Vec<OsString> {
        let dns = self.dns.then(|| OsString::from("--dns"));
        let drop = self.drop_caps.then(|| OsString::from("--drop-caps"));
        let user = self.user.iter().flat_map(|user| [OsString::from("--user"), OsString::from(user)]);
        let files = descriptors::usual_limit();
        let files = files.into_iter().flat_map(|limit| [OsString::from("--open-files"), limit.to_string().into()]);
        dns.into_iter().chain(drop).chain(user).chain(files).collect()
    }
}

/// The container's own files; for a netns that is only mounted, those that `ip netns exec` would show.
fn name_files(names: &Names, netns: &Handle, options: &Options) -> Result<NameFiles, Error> {
    let files = match names {
        Names::OfProcess(pid) => {
            let failed = |source| Error::NameFiles { pid: *pid, source };
            let file = |path: &str| dns::file(&options.proc_root, *pid, Path::new(path));
            let resolv_conf = file("etc/resolv.conf").map_err(failed)?;
            let files = NameFiles { resolv_conf: Some(resolv_conf), hosts: file("etc/hosts").ok() };
            // The number may have come to mean another process since it was found.
            let still = Handle::of_pid(*pid).is_ok_and(|now| now.inode() == netns.inode());
            if !still {
                return Err(Error::Closed { text: format!("pid:{pid}") });
            }
            files
        }
        Names::OfNetns(name) => {
            let folder = Path::new("/etc/netns").join(name);
            let file = |file: &str| std::fs::read(folder.join(file)).ok();
            NameFiles { resolv_conf: file("resolv.conf"), hosts: file("hosts") }
        }
    };
    Ok(files)
}
