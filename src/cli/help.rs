//! Help that teaches: the commands in groups, and where to start.

use std::fmt::Write;

use clap::Command;

/// What one comes for, and the commands for it. A command that is named nowhere stands in the last group.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Look", &["list", "inspect", "exec", "endpoint", "trace"]),
    ("Judge", &["check", "explain", "snapshot", "status"]),
    (
        "Set up and tear down",
        &["create", "delete", "gc", "ipam", "cni", "install-cni", "uninstall-cni", "demo", "bench"],
    ),
    ("For shells and programs", &[]),
];

const START: &str = "\
Start here:
  podnet list                    what runs on this node, and on which network
  podnet status                  what makes pods' networks here, and how it is
  podnet inspect web-0           everything about one of them
  podnet inspect 10.42.0.7       … by address, MAC, PID, veth, netns, too
  podnet exec web-0 -- ip addr   this host's tools, inside its network
  podnet check web-0             what is wrong with it, and the fix";

/// Where to look next, for who called podnet alone.
const MORE: &str = "Every command: podnet --help   One of them: podnet inspect --help";

/// Of every command; the numbers are as stable as the documents.
pub const EXIT_STATUS: &str = "\
Exit status: 0 fine, 1 failed, 2 usage, 3 not found, 4 ambiguous, 5 permission,
6 check found an error";

/// What `podnet` alone says.
pub fn start(command: &Command) -> String {
    format!("podnet {}: {}\n\n{START}\n\n{MORE}", env!("CARGO_PKG_VERSION"), about(command))
}

/// The command tree with its commands in groups.
pub fn grouped(command: Command) -> Command {
    let groups = groups(&command);
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{groups}\n{{options-heading}}\n{{options}}{{after-help}}"
    );
    let heading = command.get_styles().get_header();
    let template = template.replace("{options-heading}", &format!("{heading}Options:{heading:#}"));
    command.help_template(template).after_help(format!("{START}\n\n{EXIT_STATUS}"))
}

fn groups(command: &Command) -> String {
    let shown: Vec<&Command> = command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let width = shown.iter().map(|command| command.get_name().len()).max().unwrap_or(0);
    let heading = command.get_styles().get_header();
    let name = command.get_styles().get_literal();
    let mut text = String::new();
    for (nth, (title, names)) in GROUPS.iter().enumerate() {
        let homeless = |command: &Command| !GROUPS.iter().any(|(_, names)| names.contains(&command.get_name()));
        let last = nth + 1 == GROUPS.len();
        let named = names.iter().filter_map(|name| shown.iter().find(|command| command.get_name() == *name));
        let rest = shown.iter().filter(|command| last && homeless(command));
        let lines = named.chain(rest).map(|command| {
            let (called, about) = (command.get_name(), about(command));
            format!("  {name}{called:width$}{name:#}  {about}\n")
        });
        let lines: String = lines.collect();
        if !lines.is_empty() {
            let _ = write!(text, "\n{heading}{title}:{heading:#}\n{lines}");
        }
    }
    text
}

/// A brace would mean something in a template.
fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default().replace(['{', '}'], "")
}
