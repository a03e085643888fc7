//! `podnet install-cni` and `podnet uninstall-cni`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Common, Error};
use crate::cni::CACHE_ROOT;
use crate::cni::cache::Cache;
use crate::cni::config_dir::{self, Reader};
use crate::cni::install::{self, Places};
use crate::view::installation;

const INSTALL_EXAMPLES: &str = "\
Examples:
  podnet install-cni          where the runtime of this node looks
  podnet install-cni --bin-dir /usr/lib/cni --conf-dir /etc/cni/net.d

It puts this program in place as the plugin podnet, and a network podnet in
10-podnet.conflist, with portmap where that is installed. Runtimes take the file
whose name comes first. A file of another network is never touched, and what is
podnet's own is kept; the program is replaced by this one.";

const UNINSTALL_EXAMPLES: &str = "\
Examples:
  podnet uninstall-cni
  podnet uninstall-cni --force      though pods are attached still: their
                                    runtime will not be able to delete them";

/// Put podnet in place as a CNI plugin
#[derive(Args, Debug)]
#[command(after_help = INSTALL_EXAMPLES)]
pub(super) struct InstallCni {
    #[command(flatten)]
    directories: Directories,
}

/// Take podnet's CNI plugin and its network away
#[derive(Args, Debug)]
#[command(after_help = UNINSTALL_EXAMPLES)]
pub(super) struct UninstallCni {
    #[command(flatten)]
    directories: Directories,
    /// Also while containers are attached
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
struct Directories {
    /// Where plugins are [default: the runtime's, or /opt/cni/bin]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Where networks are [default: the runtime's, or /etc/cni/net.d]
    #[arg(long, value_name = "DIR")]
    conf_dir: Option<PathBuf>,
}

impl Directories {
    /// The runtime's own where one is configured here.
    fn places(&self, reader: &Reader) -> Places {
        let plugins = self.bin_dir.clone().or_else(|| reader.plugin_directories.first().cloned());
        Places {
            plugins: plugins.unwrap_or_else(|| crate::cni::PLUGIN_DIRECTORY.into()),
            networks: self.conf_dir.clone().unwrap_or_else(|| reader.directory.clone()),
        }
    }
}

fn reader() -> Reader {
    let root = Path::new("/");
    config_dir::readers(root).into_iter().next().unwrap_or_else(|| Reader::usual(root))
}

impl InstallCni {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let reader = reader();
        let places = self.directories.places(&reader);
        let files = install::install(Path::new("/proc/self/exe"), &places)?;
        let remarks = install::remarks(&places, &reader)?;
        common.print(&installation::installation(&files, remarks))?;
        Ok(0)
    }
}

impl UninstallCni {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let places = self.directories.places(&reader());
        let files = install::uninstall(&places, &Cache::open(Path::new(CACHE_ROOT)), self.force)?;
        common.print(&installation::installation(&files, Vec::new()))?;
        Ok(0)
    }
}
