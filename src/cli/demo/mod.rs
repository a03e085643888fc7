//! `podnet demo`: the whole of podnet on two pods, in namespaces of its own.

mod sandbox;
mod talk;

use std::io::{IsTerminal, stdin};
use std::process::{Command, ExitStatus, Stdio};

use clap::Args;

use super::{Common, Error, terminal};
use crate::cli::terminal::say;
use crate::model::address::Family;
use crate::netns::Handle;
use sandbox::Sandbox;

/// See podnet at work on two pods, in a world of its own
///
/// It makes two pods step by step, lists and inspects them, runs a command in one, sends packets between them, fills
/// a pool, tears everything down and shows that nothing is left. All of it happens in namespaces of its own (network,
/// mounts, processes, and users where it is not root), so that it needs no Docker, no cluster and no root, and nothing
/// of this machine is touched.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet demo\n  podnet demo --keep        ends in a shell beside the pods, to play with them"
)]
pub struct Demo {
    /// Leave the pods for playing: start a shell beside them, and tear down when it ends
    #[arg(long)]
    keep: bool,
    /// Runs in the namespaces that the outer one made
    #[arg(long, hide = true)]
    inside: bool,
}

const PODS: [&str; 2] = ["demo-a", "demo-b"];

impl Demo {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        if !self.inside {
            return self.outside();
        }
        let stage = Stage { page: common.page(), sandbox: Sandbox::prepare()? };
        stage.play(self.keep)
    }

    /// Starts the demo again in namespaces of its own, and waits for its end.
    fn outside(&self) -> Result<u8, Error> {
        let root = sandbox::separate()?;
        let mut command = Command::new("/proc/self/exe");
        command.args(["demo", "--inside"]).args(self.keep.then_some("--keep"));
        if !root {
            say("(not root: in a user namespace of its own)");
        }
        let status =
            command.status().map_err(|source| Error::Demo { what: "start in namespaces of its own", source })?;
        Ok(code(status))
    }
}

fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Where it plays.
struct Stage {
    page: crate::show::Page,
    sandbox: Sandbox,
}

impl Stage {
    fn play(&self, keep: bool) -> Result<u8, Error> {
        self.tell(
            "Two pods, each with a network namespace, a veth pair, addresses, routes. Every step can be undone.",
        )?;
        for pod in PODS {
            self.podnet(&["create", pod, "--yes"])?;
        }
        self.tell("What runs here, on which network?")?;
        self.podnet(&["list"])?;
        self.tell("Everything about one of them, the host's end of the veth proven:")?;
        self.podnet(&["inspect", PODS[0]])?;
        self.tell("This machine's own tools inside it:")?;
        self.podnet(&["exec", PODS[0], "--", "ip", "addr"])?;
        self.tell("From one to the other, by way of the host:")?;
        self.talk()?;
        self.tell("Who has which address? A pool of six addresses is full after five pods:")?;
        self.fill()?;
        if keep {
            self.keep()?;
        }
        self.tell("Down again, in reverse:")?;
        for pod in PODS {
            self.podnet(&["delete", pod, "--yes"])?;
        }
        self.tell("And nothing is left:")?;
        self.prove()
    }

    /// A heading of the story.
    fn tell(&self, text: &str) -> Result<(), Error> {
        let mut line = b"\n".to_vec();
        let _ = crate::show::sentence(&self.page, &mut line, 0, &format!("# {text}"));
        self.print(&self.page.bold(String::from_utf8_lossy(&line).trim_end()))
    }

    fn print(&self, text: &str) -> Result<(), Error> {
        terminal::print(&format!("{text}\n")).map_err(|source| Error::Write { source })
    }

    /// Runs a command as a person would, and says so first.
    fn podnet(&self, words: &[&str]) -> Result<u8, Error> {
        self.print(&self.page.dim(format!("$ podnet {}", words.join(" "))))?;
        let status = self.command(words).status();
        status.map(code).map_err(|source| Error::Demo { what: "run podnet", source })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.args(words).args(self.quiet(words)).envs(self.sandbox.environment()).stdin(Stdio::null());
        command
    }

    /// No runtime of the machine has anything to do with it.
    fn quiet(&self, words: &[&str]) -> Vec<&'static str> {
        match words.first() {
            Some(&("list" | "inspect" | "create" | "delete" | "gc")) => vec!["--runtime", "none"],
            _ => Vec::new(),
        }
    }

    fn talk(&self) -> Result<(), Error> {
        let [from, to] = PODS.map(|pod| Handle::open(&crate::flow::Place::Named(pod.to_owned()).path()));
        let (from, to) = (from?, to?);
        for address in self.sandbox.addresses(PODS[1])? {
            let failed = |what: &'static str| move |source| Error::Demo { what, source };
            let echo = talk::ping(&from, address).map_err(failed("ping from pod to pod"))?;
            self.print(&format!("ping  {} → {}   {address}   {echo:.1?}", PODS[0], PODS[1]))?;
            let tcp = talk::tcp(&from, &to, address).map_err(failed("connect from pod to pod"))?;
            let family = Family::of(&address);
            self.print(&format!(
                "tcp   {} → {}   {address}   {tcp:.1?}   a greeting came back, {family}",
                PODS[0], PODS[1]
            ))?;
        }
        Ok(())
    }

    fn fill(&self) -> Result<(), Error> {
        self.podnet(&["ipam", "pool", "add", "tiny", "10.43.0.0/29"])?;
        let names: Vec<String> = (1..=6).map(|nth| format!("tiny-{nth}")).collect();
        for name in &names {
            let words = ["create", name, "--pool", "tiny", "--yes"];
            let quiet = self.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).output();
            let output = quiet.map_err(|source| Error::Demo { what: "run podnet", source })?;
            if !output.status.success() {
                self.print(&self.page.dim(format!("$ podnet {}", words.join(" "))))?;
                self.print(String::from_utf8_lossy(&output.stderr).trim_end())?;
            }
        }
        self.podnet(&["ipam"])?;
        self.podnet(&["ipam", "list"])?;
        for name in &names {
            let deleted = self.command(&["delete", name, "--yes"]).stdout(Stdio::null()).status();
            deleted.map_err(|source| Error::Demo { what: "run podnet", source })?;
        }
        Ok(())
    }

    fn keep(&self) -> Result<(), Error> {
        self.tell("Yours to play with: podnet list, podnet exec demo-a -- ip route, … «exit» tears it down.")?;
        let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
        let mut command = Command::new(shell);
        command.envs(self.sandbox.environment());
        if !stdin().is_terminal() {
            self.print("(standard input is no terminal: its lines are run)")?;
        }
        command.status().map(drop).map_err(|source| Error::Demo { what: "start a shell", source })
    }

    fn prove(&self) -> Result<u8, Error> {
        let collected = self.podnet(&["gc"])?;
        let list = self.podnet(&["list"])?;
        let left = self.sandbox.leftovers()?;
        if left.is_empty() {
            self.print(&self.page.good("no link, no namespace, no address, no rule and no journal more than before"))?;
            return Ok(collected.max(list));
        }
        self.print(&self.page.bad(format!("left: {}", left.join(", "))))?;
        Ok(1)
    }
}
