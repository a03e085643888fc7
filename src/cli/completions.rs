//! `podnet completions`.

use clap::Args;

use super::complete::Shell;
use super::{Error, terminal};

/// Print what makes a shell complete podnet's commands and targets
///
/// What is printed asks podnet itself at every TAB, so it stays right when podnet is updated. Packages install it
/// already.
#[derive(Args, Debug)]
#[command(
    alias = "completion",
    after_help = "Examples:\n  podnet completions bash >/usr/share/bash-completion/completions/podnet\n  podnet completions zsh >/usr/share/zsh/site-functions/_podnet\n  podnet completions fish >~/.config/fish/completions/podnet.fish\n  podnet completions elvish >>~/.config/elvish/rc.elv\n  podnet completions powershell >>$PROFILE\n  eval \"$(podnet completions bash)\"      in this shell alone"
)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<u8, Error> {
        terminal::write_out(self.shell.file().as_bytes()).map_err(|source| Error::Write { source })?;
        Ok(0)
    }
}
