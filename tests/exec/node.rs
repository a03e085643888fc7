//! A node where nobody lives but whom the test puts there: then it knows what podnet has to choose from.

use crate::support::podnet::Podnet;

/// The arguments up to `--` are the names of processes, each in a netns of its own with a link of that name. When all
/// are there, the rest is run.
const SETTLE: &str = r#"
while [ "$1" != -- ]; do
  unshare --net sh -c 'ip link add "$0" type veth peer name other && printf "$0" >/proc/self/comm && sleep 1000; :' "$1" </dev/null &
  until [ "$(cat /proc/$!/comm)" = "$1" ]; do kill -0 $! && sleep 0.02 || exit; done
  shift
done
shift
"$@"
exit $?
"#;

/// podnet on such a node, with those processes.
pub fn alone(names: &[&str]) -> Podnet {
    let own = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
    let settle = ["--mount-proc", "sh", "-c", SETTLE, "sh"];
    Podnet::default().through(&[&own[..], &settle, names, &["--"]].concat())
}
