//! podnet(1), and a page for each of its commands.

use std::collections::BTreeMap;

use clap::{Arg, Command};
use roff::{Inline, bold, italic, roman};

use super::page::Page;

pub fn pages() -> BTreeMap<String, String> {
    // As it was declared: building it would repeat the options of every command in each.
    let root = podnet::cli::command();
    let commands = || root.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    let name = |command: &Command| format!("podnet-{}", command.get_name());
    let mut all: Vec<(String, u8)> = vec![("podnet".to_owned(), 1)];
    all.extend(commands().map(|command| (name(command), 1)));
    all.extend([("podnet-checks".to_owned(), 7), ("podnet-json".to_owned(), 7), ("podnet-cni".to_owned(), 8)]);

    let mut pages = BTreeMap::from([("podnet.1".to_owned(), page_of_podnet(&root, &all))]);
    let others = [all[0].clone(), all[all.len() - 2].clone()];
    pages.extend(commands().map(|command| {
        let mut page = Page::new(&name(command), 1, &about(command));
        page.heading("SYNOPSIS").inlines(synopsis(&format!("podnet {}", command.get_name()), command));
        page.heading("DESCRIPTION").text(&described(command));
        options(&mut page, command, true);
        subcommands(&mut page, &format!("podnet {}", command.get_name()), command);
        sections(&mut page, command);
        page.text_of_common().see_also(&others);
        (format!("{}.1", name(command)), page.finished())
    }));
    pages
}

fn page_of_podnet(root: &Command, all: &[(String, u8)]) -> String {
    let mut page = Page::new("podnet", 1, &about(root));
    page.heading("SYNOPSIS").inlines(synopsis("podnet", root));
    page.heading("DESCRIPTION").text(&described(root)).heading("COMMANDS");
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        page.item(vec![bold(format!("podnet-{}", command.get_name())), roman("(1)")], &about(command));
    }
    options(&mut page, root, true);
    sections(&mut page, root);
    page.see_also(all);
    page.finished()
}

impl Page {
    fn text_of_common(&mut self) -> &mut Self {
        self.heading("COMMON").text("Options of every command, environment, files, exit status and the capabilities that are needed: podnet(1).")
    }
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn described(command: &Command) -> String {
    command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default()
}

fn synopsis(called: &str, command: &Command) -> Vec<Inline> {
    let mut line = vec![bold(called)];
    if command.get_arguments().any(|arg| !arg.is_positional() && !arg.is_hide_set()) {
        line.push(roman(" [options]"));
    }
    for arg in command.get_positionals().filter(|arg| !arg.is_hide_set()) {
        let (open, close) = if arg.is_required_set() { ("", "") } else { ("[", "]") };
        let dashes = if arg.is_last_set() { "-- " } else { "" };
        line.extend([roman(format!(" {open}{dashes}")), italic(value(arg)), roman(format!("{}{close}", more(arg)))]);
    }
    if command.get_subcommands().next().is_some() {
        line.extend([roman(" "), italic("command")]);
    }
    line
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>();
    if names.is_empty() { arg.get_id().as_str().to_uppercase() } else { names.join(" ") }
}

fn more(arg: &Arg) -> &'static str {
    let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    if many || matches!(arg.get_action(), clap::ArgAction::Append) && arg.is_positional() { "..." } else { "" }
}

fn options(page: &mut Page, command: &Command, heading: bool) {
    let shown: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    if shown.is_empty() {
        return;
    }
    if heading {
        page.heading("OPTIONS");
    }
    for arg in shown {
        page.item(term(arg), &meaning(arg));
    }
}

fn term(arg: &Arg) -> Vec<Inline> {
    if arg.is_positional() {
        return vec![italic(value(arg)), roman(more(arg))];
    }
    let short = arg.get_short().map(|short| bold(format!("-{short}")));
    let long = arg.get_long().map(|long| bold(format!("--{long}")));
    let both = short.is_some() && long.is_some();
    let mut term: Vec<Inline> = short.into_iter().chain(both.then(|| roman(", "))).chain(long).collect();
    if arg.get_action().takes_values() {
        term.extend([roman(" "), italic(value(arg))]);
    }
    term
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = help.trim_end_matches('.').to_owned();
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() && arg.get_action().takes_values() && !arg.is_hide_possible_values_set() {
        meaning += &format!(": {}", values.join(", "));
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !default.is_empty() && arg.get_action().takes_values() {
        meaning += &format!(" (default {})", default.join(" "));
    }
    if let Some(variable) = arg.get_env() {
        meaning += &format!(" (environment {})", variable.to_string_lossy());
    }
    if meaning.is_empty() { meaning } else { meaning + "." }
}

/// All below it, by whole command lines.
fn subcommands(page: &mut Page, called: &str, command: &Command) {
    let shown: Vec<&Command> = command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    if !shown.is_empty() && called.matches(' ').count() == 1 {
        page.heading("COMMANDS");
    }
    for command in shown {
        let called = format!("{called} {}", command.get_name());
        if command.get_subcommands().next().is_none() {
            let line: String = synopsis(&called, command).into_iter().map(plain).collect();
            page.subheading(&line).text(&(described(command).trim_end_matches('.').to_owned() + "."));
            options(page, command, false);
            sections(page, command);
        }
        subcommands(page, &called, command);
    }
}

fn plain(inline: Inline) -> String {
    match inline {
        Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text,
        Inline::LineBreak => String::new(),
    }
}

/// The sections below the help: a title and a colon, and what belongs to it indented or beside it.
fn sections(page: &mut Page, command: &Command) {
    let after = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string).unwrap_or_default();
    for section in after.split("\n\n").filter(|section| !section.trim().is_empty()) {
        let lines: Vec<&str> = section.lines().collect();
        let (title, beside) = lines[0].split_once(':').unwrap_or(("Notes", lines[0]));
        if !title.starts_with(char::is_uppercase) || title.split(' ').count() > 2 {
            let (head, indented): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| !line.starts_with(' '));
            page.heading("NOTES").text(&head.join(" "));
            if !indented.is_empty() {
                page.verbatim(&indented);
            }
            continue;
        }
        page.heading(if title == "Start here" { "EXAMPLES" } else { title });
        if !beside.trim().is_empty() {
            page.text(beside.trim());
        }
        if lines.len() > 1 {
            let rest: Vec<&str> = lines[1..].iter().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
            page.verbatim(&rest);
        }
    }
}
