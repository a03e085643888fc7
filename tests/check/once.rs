//! Whatever is looked at is looked at once: podnet's own system calls are counted.

use std::collections::BTreeMap;
use std::path::Path;

use crate::node::{Kind, Node};
use crate::support::prerequisite;

/// Each thread of podnet writes a file of its own, so that no call is torn apart by another's.
fn traced(node: &Node, words: &[&str]) -> Vec<String> {
    let traces = node.machine.scratch().join(words[0]);
    std::fs::create_dir(&traces).unwrap();
    let calls = "trace=open,openat,openat2,setns,sendto,sendmsg";
    let output = traces.join("thread").display().to_string();
    let mut command = node.machine.command("strace");
    command.args(["-ff", "-qq", "-y", "-s", "4096", "-o", &output, "-e", calls]);
    let ran = command.arg(env!("CARGO_BIN_EXE_podnet")).args(words).output().unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let files = std::fs::read_dir(&traces).unwrap().flatten();
    files.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect()
}

/// What was asked of `/proc` and of the kernel's tables, by the namespace that the thread was in.
fn questions(threads: &[String], host: &str) -> BTreeMap<(String, String), usize> {
    let mut asked = BTreeMap::new();
    for thread in threads {
        let mut netns = host.to_owned();
        for line in thread.lines().filter(|line| !line.contains(" = -1 ")) {
            if line.starts_with("setns(") {
                netns = between(line, "<", ">").expect("the netns it enters").to_owned();
            } else if let Some(question) = opened(line).or_else(|| dumped(line)) {
                *asked.entry((netns.clone(), question)).or_default() += 1;
            }
        }
    }
    asked
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.split_once(before)?.1.split_once(after).map(|(between, _)| between)
}

/// The file of `/proc` that `openat(9</proc/7>, "stat", …)` opens, but for links that lead to namespaces and roots.
fn opened(line: &str) -> Option<String> {
    let call = line.strip_prefix("open")?;
    let (folder, name) = (between(call, "<", ">").unwrap_or_default(), between(call, "\"", "\"")?);
    let path = Path::new(folder).join(name);
    let file = path.to_str()?.strip_prefix("/proc/")?.to_owned();
    // A descriptor's number is taken again by what is opened next.
    (!file.starts_with("self/fd/") && !call.contains("O_DIRECTORY")).then_some(file)
}

/// The question for a whole table, without its number: type, family and what else it asks for.
fn dumped(line: &str) -> Option<String> {
    let dump = line.starts_with("send") && (line.contains("NLM_F_REQUEST|0x300") || line.contains("NLM_F_DUMP"));
    let (kind, rest) = (between(line, "nlmsg_type=", ",")?, line.split_once("nlmsg_pid=")?.1);
    dump.then(|| format!("dump {kind} {}", rest.split_once('}').unwrap_or_default().1))
}

#[test]
fn each_file_and_each_table_is_read_once() {
    if !prerequisite::root_and(&["strace"]) {
        return;
    }
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let host = node.machine.run("readlink /proc/self/ns/net");
    for (words, files, tables) in
        [(&["check", "--all", "--grace", "0", "--no-kube"][..], 100, 40), (&["list", "--all"], 10, 6)]
    {
        let asked = questions(&traced(&node, words), host.trim());
        let count = |dump: bool| asked.keys().filter(|(_, question)| question.starts_with("dump ") == dump).count();
        assert!(count(false) > files && count(true) > tables, "{words:?}: {} {}", count(false), count(true));
        let twice: Vec<_> = asked.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{words:?}: {twice:#?}");
    }
}
