//! Help that teaches: the commands in groups, and where to start.

use std::fmt::Write;

use clap::Command;

/// What one comes for, and the commands for it. A command that is named nowhere stands in the last group.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Look", &["status", "list", "inspect", "exec", "endpoint", "trace"]),
    ("Judge", &["check", "explain", "snapshot"]),
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

const CAPABILITIES: &str = "\
Capabilities:
  Root has them all. For all that list, inspect and check can tell:
  CAP_SYS_ADMIN    enter network namespaces
  CAP_SYS_PTRACE   see the processes of other users
  CAP_NET_ADMIN    see the programs on interfaces, with CAP_BPF
  exec needs CAP_SYS_ADMIN; what sets up or tears down needs CAP_NET_ADMIN too.
  Without them podnet shows what it may see, and says what it may not.";

const ENVIRONMENT: &str = "\
Environment:
  CILIUM_SOCK                 as --agent-socket
  COLUMNS                     how wide to print
  CONTAINER_RUNTIME_ENDPOINT  as --runtime-endpoint
  DOCKER_HOST                 unix:// and the socket of Docker
  KUBECONFIG                  how to ask the Kubernetes API server
  LC_ALL, LC_CTYPE, LANG      ASCII only, where the locale is no UTF-8 one
  NODE_NAME                   the node, as Kubernetes calls it
  NO_COLOR                    no colour, unless --color says otherwise
  PODNET_ROOT                 as --root, of ipam, create and the plugin
  PODNET_RUN                  where journals are kept
  PODNET_TARGET               the target of exec where none is named
  TERM                        no colour and no list to choose from, if dumb";

const FILES: &str = "\
Files:
  /run/*/*.sock               where runtimes and agents listen
  /etc/crictl.yaml            the CRI socket, where nothing else names it
  /etc/cni/net.d              configurations of CNI networks
  /var/lib/cni                what CNI plugins keep of their attachments
  /var/lib/podnet             podnet's pools, and who holds which address
  /run/podnet                 journals of what podnet sets up";

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
    let everything = [START, ENVIRONMENT, FILES, CAPABILITIES, EXIT_STATUS].join("\n\n");
    let command = command.help_template(template).after_help(format!("{START}\n\n{EXIT_STATUS}"));
    command.after_long_help(everything)
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
