//! Judging every pod of a node, and keeping all of it in a file, beside listing the pods.

use std::time::Duration;

use crate::installed::podnet;
use crate::measure::{Argv, median, side_by_side, time};
use crate::row;
use crate::support::machine::Machine;
use crate::support::prerequisite;

const SIZES: [usize; 2] = [110, 500];

/// `$1` pods on a bridge, each a process in a netns of its own, which have all that a pod needs.
const PODS: &str = r#"
ip link add br0 type bridge
ip addr add 10.88.0.1/16 dev br0
ip link set br0 up
pids=
while [ "$(echo $pids | wc -w)" -lt "$1" ]; do
  unshare --net sleep infinity </dev/null >/dev/null 2>&1 &
  pids="$pids $!"
done
number=1
for pid in $pids; do
  until [ "$(cat "/proc/$pid/comm")" = sleep ]; do sleep 0.01; done
  number=$((number + 1))
  ip -batch - <<END
link add v$number type veth peer name eth0 netns $pid
link set v$number master br0 up
END
  nsenter -t "$pid" -n ip -batch - <<END
link set lo up
addr add 10.88.$((number / 250)).$((number % 250 + 2))/16 dev eth0
link set eth0 up
route add default via 10.88.0.1
END
done
"#;

pub fn rows() {
    if !prerequisite::root_and(&["unshare", "nsenter", "ip", "sysctl"]) {
        return;
    }
    let times = SIZES.map(of);
    let growth = times[1].as_secs_f64() / times[0].as_secs_f64();
    let pods = SIZES[1] as f64 / SIZES[0] as f64;
    println!("{:<34} {growth:>9.1} ×  {:<29} {pods:>9.1} ×", "check --all, 500 / 110 pods", "pods");
}

/// How long it takes to judge so many.
fn of(size: usize) -> Duration {
    let machine = Machine::boot();
    machine.run(&format!("set -- {size}\n{PODS}"));
    let judge = ["check", "--all", "--grace", "0", "--runtime", "none"];
    // What is wrong is looked at twice.
    let found = machine.podnet(&[&judge[..], &["-o", "name"]].concat());
    assert_eq!((found.status, found.stdout.as_str()), (0, ""), "{}", found.stderr);
    let (check, list) = side_by_side(&on(&machine, &judge), &on(&machine, &["list", "--runtime", "none"]));
    let ratio = check.as_secs_f64() / list.as_secs_f64();
    row(&format!("check --all, {size} pods"), check, "podnet list", list, &format!("{ratio:.2} ×"), "≤ 3 ×");
    let file = machine.scratch().text("node.json");
    let save = on(&machine, &["snapshot", "save", "--force", "--runtime", "none", &file]);
    let saved = median((0..5).map(|_| time(&save)).collect());
    let megabytes = std::fs::metadata(&file).unwrap().len() as f64 / 1e6;
    println!(
        "{:<34} {:>8.0} ms  {megabytes:.1} MB",
        format!("snapshot save, {size} pods"),
        saved.as_secs_f64() * 1000.0
    );
    check
}

/// podnet on that machine.
fn on(machine: &Machine, words: &[&str]) -> Argv {
    let mut command = machine.command(podnet());
    command.args(words);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_str().unwrap().to_owned()).collect()
}
