//! The dialogue, on a terminal.

use nix::sys::signal::Signal;
use rexpect::session::{PtySession, spawn_command};

use crate::host::Host;
use crate::support::prerequisite::root_and;

/// Starts `podnet create NAME` on a terminal of its own.
fn create(host: &Host, name: &str, args: &[&str]) -> PtySession {
    let args = [&["create", name, "--runtime", "none"], args].concat();
    let mut command = host.on_terminal(env!("CARGO_BIN_EXE_podnet"), &args);
    command.env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1");
    host.netns.handle().run(|| spawn_command(command, Some(60_000)).unwrap()).unwrap()
}

fn at(session: &mut PtySession, step: &str) {
    session.exp_string(step).unwrap_or_else(|error| panic!("{step}: {error}"));
    session.exp_string("[q] quit").unwrap();
}

fn key(session: &mut PtySession, key: &str) {
    session.send(key).unwrap();
    session.flush().unwrap();
}

fn ends(session: &mut PtySession) {
    session.exp_eof().unwrap();
}

#[test]
fn one_step_undone_and_done_again_then_all_the_rest() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    let mut session = create(&host, &name, &[]);
    for step in [" 1/11", " 2/11", " 3/11", " 4/11"] {
        at(&mut session, step);
        key(&mut session, "\r");
    }
    at(&mut session, " 5/11");
    key(&mut session, "d");
    session.exp_string("connector.SetupVeth").unwrap();
    key(&mut session, "u");
    session.exp_string("undone").unwrap();
    at(&mut session, " 4/11");
    key(&mut session, "a");
    session.exp_string("up ").unwrap();
    ends(&mut session);
    assert!(host.leftovers().iter().any(|left| left.starts_with("link lxc")));
    host.json(&["delete", &name]);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_deletion_asks_too_and_can_stop_half_way() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    host.json(&["create", &name, "--runtime", "none"]);
    let delete = || {
        let mut command = host.on_terminal(env!("CARGO_BIN_EXE_podnet"), &["delete", &name, "--runtime", "none"]);
        command.env("NO_COLOR", "1");
        host.netns.handle().run(|| spawn_command(command, Some(60_000)).unwrap()).unwrap()
    };
    let mut session = delete();
    for step in [" 1/11", " 2/11", " 3/11"] {
        session.exp_string(step).unwrap();
        session.exp_string("[q] stop here").unwrap();
        key(&mut session, "\n");
    }
    session.exp_string(" 4/11").unwrap();
    session.exp_string("[q] stop here").unwrap();
    key(&mut session, "q");
    ends(&mut session);
    assert!(host.leftovers().iter().any(|left| left.starts_with("link lxc")), "the pair still stands");
    let mut session = delete();
    session.exp_string(" 1/8").unwrap();
    session.exp_string("[q] stop here").unwrap();
    key(&mut session, "a");
    session.exp_string("gone").unwrap();
    ends(&mut session);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn quit_and_control_c_roll_back() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    for leave in ["q", "\u{3}"] {
        let host = Host::new();
        let mut session = create(&host, &host.name("a"), &[]);
        for step in [" 1/11", " 2/11", " 3/11", " 4/11", " 5/11"] {
            at(&mut session, step);
            key(&mut session, "\n");
        }
        at(&mut session, " 6/11");
        key(&mut session, leave);
        session.exp_string("all is undone").unwrap();
        ends(&mut session);
        assert_eq!(host.leftovers(), Vec::<String>::new(), "{leave:?}");
    }
}

#[test]
fn a_signal_rolls_back() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let mut session = create(&host, &host.name("a"), &[]);
    for step in [" 1/11", " 2/11", " 3/11"] {
        at(&mut session, step);
        key(&mut session, "\n");
    }
    at(&mut session, " 4/11");
    session.process_mut().signal(Signal::SIGTERM).unwrap();
    session.exp_string("all is undone").unwrap();
    ends(&mut session);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn the_terminal_is_as_it_was() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let script = format!(
        "{} create {} --runtime none; stty -a | tr ';' '\\n' | grep -c -- -icanon",
        env!("CARGO_BIN_EXE_podnet"),
        host.name("a")
    );
    let command = host.on_terminal("sh", &["-c", &script]);
    let mut session = host.netns.handle().run(|| spawn_command(command, Some(60_000)).unwrap()).unwrap();
    at(&mut session, " 1/11");
    key(&mut session, "q");
    session.exp_string("undone").unwrap();
    let rest = session.exp_eof().unwrap();
    assert_eq!(rest.trim().lines().last().unwrap().trim(), "0", "{rest}");
}
