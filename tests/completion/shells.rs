//! Real shells on a terminal, with the files that packages install.

use std::process::Command;

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::support::fake_docker::{FakeDocker, container, container_of_pod};
use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::succeed;

const BINARY: &str = env!("CARGO_BIN_EXE_podnet");
const COMPLETIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/completions");

/// Stands for podnet on the PATH: answers the shell as podnet does, and tells what it was started with.
const RECORDER: &str = r#"#!/bin/sh
[ -z "$PODNET_COMPLETE" ] || exec BINARY "$@"
printf 'RAN'; printf '[%s]' "$@"; echo
"#;

struct Shell {
    pty: PtySession,
    _docker: FakeDocker,
    // Last: fields drop in order.
    _scratch: Scratch,
}

impl Shell {
    /// None, having said why, where it is not installed. `setup` is typed first, without waiting for a prompt.
    fn start(argv: &[&str], setup: &[&str]) -> Option<Self> {
        if !prerequisite::has(&[argv[0]]) {
            return None;
        }
        let scratch = Scratch::new();
        let docker = FakeDocker::new(
            &scratch,
            vec![container("pnt-db"), container_of_pod("pnt-web-0", "app"), container("other")],
        );
        for (name, content) in [("podnet", RECORDER.replace("BINARY", BINARY)), ("pnt-tool", "#!/bin/sh\n".to_owned())]
        {
            let file = scratch.write(&format!("bin/{name}"), &content);
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let store = ["--root", &scratch.text("store")];
        succeed(Command::new(BINARY).args(["ipam", "pool", "add", "pnt-blue", "10.7.0.0/24"]).args(store));
        let mut command = Command::new(argv[0]);
        command.args(&argv[1..]).current_dir(scratch.path());
        command.env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", scratch.text("bin")));
        command.envs([
            ("HOME", scratch.text("")),
            ("DOCKER_HOST", docker.host()),
            ("PODNET_ROOT", scratch.text("store")),
            ("LC_ALL", "C.UTF-8".into()),
            ("TERM", "xterm".into()),
        ]);
        command.env_remove("PODNET_COMPLETE").env_remove("FPATH");
        let options = Options::new().timeout_ms(Some(30_000)).strip_ansi_escape_codes(true);
        let mut pty = spawn_with_options(command, options).unwrap();
        // An interactive shell takes no notice of SIGTERM.
        pty.process_mut().set_kill_timeout(Some(100));
        for line in ["stty cols 200 rows 50"].iter().chain(setup) {
            pty.send_line(line).unwrap();
        }
        pty.send_line("echo ready''-now").unwrap();
        pty.exp_string("ready-now").unwrap();
        Some(Self { pty, _docker: docker, _scratch: scratch })
    }

    /// Types it, TABs included, and Enter: what podnet was started with.
    fn typed(&mut self, keys: &str) -> String {
        self.pty.send(&format!("{keys}\r")).unwrap();
        self.pty.flush().unwrap();
        self.pty.exp_string("RAN").unwrap_or_else(|error| panic!("{keys:?}: {error}"));
        self.pty.read_line().unwrap().trim().to_owned()
    }

    /// Types it and waits until the shell shows that.
    fn shows(mut self, keys: &str, words: &str) {
        self.pty.send(keys).unwrap();
        self.pty.flush().unwrap();
        self.pty.exp_string(words).unwrap_or_else(|error| panic!("{keys:?} {words}: {error}"));
    }

    /// What every shell completes alike.
    fn completes_everything(&mut self) {
        for (keys, ran) in [
            ("podnet insp\tx", "[inspect][x]"),
            ("podnet inspect pnt-d\t", "[inspect][pnt-db]"),
            ("podnet inspect default/pnt\t", "[inspect][default/pnt-web-0]"),
            ("podnet inspect pod:def\t", "[inspect][pod:default/pnt-web-0]"),
            ("podnet inspect name:pnt\t", "[inspect][name:pnt-db]"),
            ("podnet list --outp\tya\t", "[list][--output][yaml]"),
            ("podnet list --output=ya\t", "[list][--output=yaml]"),
            ("podnet list -o jsonp\t'$.items'", "[list][-o][jsonpath=$.items]"),
            ("podnet exec pnt-d\t-- pnt-t\t", "[exec][pnt-db][--][pnt-tool]"),
            ("podnet check --ignore rou\t", "[check][--ignore][route]"),
            ("podnet explain PN-LINK-009\t", "[explain][PN-LINK-009]"),
            ("podnet ipam list --pool pnt\t", "[ipam][list][--pool][pnt-blue]"),
            ("podnet inspect nothing-like-it\t", "[inspect][nothing-like-it]"),
        ] {
            assert_eq!(self.typed(keys), ran, "{keys:?}");
        }
    }
}

#[test]
fn bash_completes() {
    let source = format!("source {COMPLETIONS}/podnet.bash");
    let Some(mut bash) =
        Shell::start(&["bash", "--norc", "--noprofile", "-i"], &["bind 'set enable-bracketed-paste off'", &source])
    else {
        return;
    };
    bash.completes_everything();
    // Where the library of completions is loaded, other programs complete their own arguments.
    let library = "/usr/share/bash-completion/bash_completion";
    if std::path::Path::new(library).exists() {
        bash.pty.send_line(&format!("source {library}; complete -W 'pnt-argument' pnt-tool")).unwrap();
        assert_eq!(bash.typed("podnet exec x -- pnt-tool pnt\t"), "[exec][x][--][pnt-tool][pnt-argument]");
        assert_eq!(bash.typed("podnet exec x -- pnt-to\t"), "[exec][x][--][pnt-tool]");
    } else {
        prerequisite::skip("bash-completion is not installed");
    }
    bash.shows("podnet inspect \t\t", "default/pnt-web-0");
}

#[test]
fn zsh_completes() {
    let path = format!("fpath=({COMPLETIONS} $fpath)");
    let setup = [path.as_str(), "autoload -U compinit; compinit -D -u", "PROMPT='%% '"];
    let Some(mut zsh) = Shell::start(&["zsh", "-f", "-i"], &setup) else { return };
    zsh.completes_everything();
    zsh.pty.send_line("_pnt() { compadd pnt-argument }; compdef _pnt pnt-tool").unwrap();
    assert_eq!(zsh.typed("podnet exec x -- pnt-tool pnt\t"), "[exec][x][--][pnt-tool][pnt-argument]");
    zsh.shows("podnet inspect \t", "-- docker, registry.example/db:1");
}

#[test]
fn fish_completes() {
    let path = format!("set fish_complete_path {COMPLETIONS} $fish_complete_path");
    let Some(mut fish) = Shell::start(&["fish", "--no-config", "-i"], &[&path]) else { return };
    fish.completes_everything();
    fish.pty.send_line("complete -c pnt-tool -f -a pnt-argument").unwrap();
    assert_eq!(fish.typed("podnet exec x -- pnt-tool pnt\t"), "[exec][x][--][pnt-tool][pnt-argument]");
    fish.shows("podnet inspect \t", "(docker, registry.example/db:1)");
}
