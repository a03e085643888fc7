//! The tree of commands, as clap has it.

use clap::Command;

/// Every command with its path, podnet itself first.
pub fn commands() -> Vec<(Vec<String>, Command)> {
    fn add(path: &[String], command: &Command, all: &mut Vec<(Vec<String>, Command)>) {
        all.push((path.to_vec(), command.clone()));
        for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
            add(&[path, &[subcommand.get_name().to_owned()]].concat(), subcommand, all);
        }
    }
    let mut command = podnet::cli::command();
    command.build();
    let mut all = Vec::new();
    add(&[], &command, &mut all);
    all
}
