//! `podnet list` as a table, without lines, as kubectl prints it. Where a terminal is too narrow for that, the pod
//! stands in a line of its own above its containers: names and ids are never cut.

use std::io::{self, Write};

use super::inspection::spelling;
use super::page::{columns, columns_of, flow, sentence};
use super::source::sources;
use super::words::{short, state};
use super::{Page, Show, harmless};
use crate::model::netns::{HolderKind, Netns};
use crate::model::source::Status;
use crate::model::workload::{Pod, Role, State};
use crate::view::list::{Item, List};

const NOTHING: &str = "–";
const GAP: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Namespace,
    Pod,
    Name,
    Id,
    Pid,
    Netns,
    Processes,
    Address,
    HostInterface,
    State,
    Runtime,
    Image,
}

use Column::*;

impl Show for List {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            let what = if self.chosen { "no such workload" } else { "no workload" };
            writeln!(out, "{what} has a network of its own here")?;
        } else {
            self.rows(page, out)?;
        }
        let silent = self.sources.iter().any(|source| source.status == Status::Failed);
        if silent || page.wide { sources(page, out, &self.sources) } else { Ok(()) }
    }

    fn names(&self) -> Vec<String> {
        let netns = |item: &Item| item.netns.as_ref().map(|netns| format!("netns:{}", netns.inode));
        self.items.iter().filter_map(|item| item.workload.as_ref().and_then(spelling).or_else(|| netns(item))).collect()
    }

    fn has_header(&self) -> bool {
        !self.items.is_empty()
    }
}

impl List {
    fn rows(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let unseen = self.sources.iter().any(|source| source.name == "proc" && source.status == Status::Failed);
        let nobody = if unseen { "process hidden" } else { "no process" };
        let mut manners = self.manners(page, nobody);
        let last = manners.pop();
        // Where only namespaces are shown the notes are what tells them apart; else they are for a few rows.
        let notes = self.items.iter().all(|item| item.workload.is_none());
        let tabled = |manner: Manner| {
            let table = manner.table(&self.items);
            (manner, table)
        };
        let fits =
            |(_, table): &(Manner, Vec<Vec<String>>)| page.width.is_none_or(|limit| width(table, notes) <= limit);
        let fitting = manners.into_iter().map(tabled).find(fits);
        let Some((manner, mut table)) = fitting.or_else(|| last.map(tabled)) else { return Ok(()) };
        // A note that reaches over the edge has a line of its own.
        let room = page.width.map(|limit| limit.saturating_sub(width(&table, false) + GAP));
        let below: Vec<_> = table.iter_mut().map(|row| room.and_then(|room| overlong(row, room))).collect();
        let mut text = Vec::new();
        columns(&mut text, 0, &table)?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        writeln!(out, "{}", page.bold(lines.next().unwrap_or_default()))?;
        let mut above = None;
        for ((item, line), note) in self.items.iter().zip(lines).zip(below.into_iter().skip(1)) {
            let heading = manner.heading(item);
            if let Some(heading) = heading.as_ref().filter(|_| heading != above) {
                flow(page, out, 0, heading)?;
            }
            above = heading;
            writeln!(out, "{line}")?;
            if let Some(note) = note {
                sentence(page, out, 2 * GAP, &note)?;
            }
        }
        Ok(())
    }

    /// The ways to show it, the fullest first.
    fn manners(&self, page: &Page, nobody: &'static str) -> Vec<Manner> {
        let manner =
            |grouped, columns: &[Column]| Manner { columns: columns.to_vec(), grouped, wide: page.wide, nobody };
        if self.items.iter().all(|item| item.workload.is_none()) {
            return [false, true].map(|grouped| manner(grouped, &[Netns, Processes, Address, HostInterface])).into();
        }
        let pods: &[Column] =
            if self.items.iter().any(|item| pod_of(item).is_some()) { &[Namespace, Pod] } else { &[] };
        let base = [Name, Id, Pid, Netns, Address, HostInterface];
        let more: &[Column] = if page.wide { &[State, Runtime, Image] } else { &[State, Runtime] };
        let mut manners = vec![manner(false, &[pods, &base, more].concat())];
        if !page.wide {
            manners.push(manner(false, &[pods, &base].concat()));
            manners.push(manner(true, &base));
            manners.push(manner(true, &[Name, Id, Pid, Address, HostInterface]));
            manners.push(manner(true, &[Name, Id, Address, HostInterface]));
        }
        manners
    }
}

/// With or without the notes, which stand in the last column.
fn width(table: &[Vec<String>], notes: bool) -> usize {
    let count = table.first().map_or(0, |header| header.len().saturating_sub(usize::from(!notes)));
    let widest = |at: usize| table.iter().filter_map(|row| row.get(at)).map(|cell| columns_of(&harmless(cell))).max();
    (0..count).filter_map(widest).map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// Takes the note of a row away where it is wider than that.
fn overlong(row: &mut Vec<String>, room: usize) -> Option<String> {
    let wide = row.last().is_some_and(|note| columns_of(&harmless(note)) > room);
    if wide { row.pop() } else { None }
}

fn pod_of(item: &Item) -> Option<&Pod> {
    item.workload.as_ref()?.pod.as_ref()
}

/// Which columns there are, and how what is not there is called.
struct Manner {
    columns: Vec<Column>,
    /// A pod has a line of its own above its containers, and so has the mount of a namespace that stands alone.
    grouped: bool,
    wide: bool,
    nobody: &'static str,
}

impl Manner {
    /// The header and a row for each item, with a note at its end.
    fn table(&self, items: &[Item]) -> Vec<Vec<String>> {
        let title = |column: &Column| {
            let title = match column {
                Namespace => "NAMESPACE",
                Pod => "POD",
                Name if items.iter().any(|item| pod_of(item).is_some()) => "CONTAINER",
                Name => "NAME",
                Id => "ID",
                Pid => "PID",
                Netns => "NETNS",
                Processes => "PROCESSES",
                Address => "ADDRESS",
                HostInterface => "HOST IF",
                State => "STATE",
                Runtime => "RUNTIME",
                Image => "IMAGE",
            };
            title.to_owned()
        };
        let header = self.columns.iter().map(title).chain([String::new()]).collect();
        let mut above: Option<&Item> = None;
        let row = |item| {
            let inode = |item: &Item| item.netns.as_ref().map(|netns| netns.inode);
            let repeated = above.is_some_and(|above| {
                pod_of(item).is_some()
                    && pod_of(above).is_some()
                    && inode(item).is_some()
                    && inode(item) == inode(above)
            });
            above = Some(item);
            self.row(item, repeated)
        };
        std::iter::once(header).chain(items.iter().map(row)).collect()
    }

    /// What stands in the line above already, for another container of the pod, is left out.
    fn row(&self, item: &Item, repeated: bool) -> Vec<String> {
        let cell = |column: &Column| {
            let of_pod = matches!(column, Namespace | Pod | Netns | Address | HostInterface);
            if repeated && of_pod { String::new() } else { self.cell(item, *column) }
        };
        let mut row: Vec<String> = self.columns.iter().map(cell).chain([self.note(item)]).collect();
        if let Some(first) = row.first_mut().filter(|_| self.heading(item).is_some()) {
            first.insert_str(0, "  ");
        }
        row
    }

    fn cell(&self, item: &Item, column: Column) -> String {
        let workload = item.workload.as_ref();
        let text = match column {
            Namespace => pod_of(item).map(|pod| pod.namespace.clone()),
            Pod => pod_of(item).map(|pod| pod.name.clone()),
            Name => return self.name(item),
            Id => workload.and_then(|workload| workload.id.as_deref()).map(|id| short(id).to_owned()),
            Pid => workload.and_then(|workload| workload.pid).map(|pid| pid.to_string()),
            Netns => item.netns.as_ref().map(|netns| called(netns, workload.is_some())),
            Processes => item.netns.as_ref().filter(|netns| !netns.is_host).map(|netns| inhabitants(netns).to_string()),
            Address => {
                let shown = if self.wide { usize::MAX } else { 1 };
                let addresses: Vec<String> = item.addresses.iter().take(shown).map(ToString::to_string).collect();
                Some(addresses.join(" ")).filter(|text| !text.is_empty())
            }
            HostInterface => item.host_interface.clone(),
            State => workload.map(|_| state(item.state).to_owned()),
            Runtime => workload.and_then(|workload| workload.runtime.clone()),
            Image => workload.and_then(|workload| workload.image.clone()),
        };
        text.unwrap_or_else(|| NOTHING.to_owned())
    }

    /// The container of a pod, else whatever it is called.
    fn name(&self, item: &Item) -> String {
        let Some(workload) = &item.workload else { return NOTHING.to_owned() };
        let container = pod_of(item).and_then(|pod| pod.container.clone());
        let sandbox = (workload.role == Role::Sandbox).then(|| "(sandbox)".to_owned());
        let name = container.or(sandbox).or_else(|| workload.name.clone()).or_else(|| workload.process.clone());
        name.unwrap_or_else(|| NOTHING.to_owned())
    }

    /// What has a line of its own.
    fn heading(&self, item: &Item) -> Option<Vec<String>> {
        if !self.grouped {
            return None;
        }
        if let Some(pod) = pod_of(item) {
            return Some(vec![format!("{}/{}", pod.namespace, pod.name)]);
        }
        let netns = item.netns.as_ref().filter(|netns| item.workload.is_none() && !netns.is_host)?;
        let nobody = if inhabitants(netns) == 0 { self.nobody } else { "" };
        Some(vec![netns.paths.first()?.clone(), nobody.to_owned()])
    }

    /// How a pod stands of which nothing runs; what does not run; how else to know a netns that stands alone: by its
    /// mount, and whether anybody is in it.
    fn note(&self, item: &Item) -> String {
        if let Some(standing) = &item.standing {
            return format!("kubernetes: {standing}");
        }
        if item.workload.is_some() {
            let told = self.columns.contains(&State) || item.state == State::Running;
            return if told { String::new() } else { state(item.state).to_owned() };
        }
        let Some(netns) = &item.netns else { return String::new() };
        if netns.is_host {
            return "the host".to_owned();
        }
        if self.heading(item).is_some() {
            return String::new();
        }
        let name = netns.paths.first().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
        let nobody = (inhabitants(netns) == 0).then(|| self.nobody.to_owned());
        name.into_iter().chain(nobody).collect::<Vec<_>>().join(", ")
    }
}

fn called(netns: &Netns, by_workload: bool) -> String {
    if netns.is_host && by_workload { "host".to_owned() } else { netns.inode.to_string() }
}

fn inhabitants(netns: &Netns) -> usize {
    netns.holders.iter().filter(|holder| holder.kind == HolderKind::Process).count()
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn list(pod: &str) -> List {
        let workload = |name: &str, pod: Option<(&str, &str)>, netns: u64, state: &str| {
            let pod = pod.map(
                |(pod, container)| serde_json::json!({"namespace": "default", "name": pod, "container": container}),
            );
            let workload = serde_json::json!({
                "runtime": "containerd", "id": name.repeat(64), "name": name, "pod": pod, "pid": 27219, "netns": netns,
                "state": state, "role": "container", "image": "registry.example/web:1.4",
            });
            let netns = serde_json::json!({"inode": netns, "paths": [], "holders": [], "isHost": false});
            serde_json::json!({"workload": workload, "netns": netns, "addresses": ["10.216.136.178", "fd00::17"],
                "hostInterface": "lxc4f1c0d77a2b1", "state": state})
        };
        let lone = serde_json::json!({"netns": {"inode": 4026532544u64, "paths": ["/run/netns/cni-1be1"], "holders": [], "isHost": false},
            "addresses": [], "state": "unknown"});
        let items = serde_json::json!([
            workload("a", Some((pod, "app")), 4026532281, "running"),
            workload("b", Some((pod, "envoy")), 4026532281, "running"),
            workload("c", None, 4026532190, "stopped"),
            lone,
        ]);
        serde_json::from_value(serde_json::json!({
            "apiVersion": "podnet/v1", "kind": "List", "node": "n", "collectedAt": "2026-11-24T00:00:00Z",
            "items": items, "sources": [],
        }))
        .unwrap()
    }

    fn shown(list: &List, width: Option<usize>, wide: bool) -> String {
        let mut text = Vec::new();
        list.table(&Page { width, colour: false, wide }, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_pod_too_wide_for_a_column_stands_above_its_containers() {
        let pod = "ingress-nginx-controller-7d9f8b6c5-x2x9z";
        let expected = "\
CONTAINER  ID            PID    NETNS       ADDRESS         HOST IF
default/ingress-nginx-controller-7d9f8b6c5-x2x9z
  app      aaaaaaaaaaaa  27219  4026532281  10.216.136.178  lxc4f1c0d77a2b1
  envoy    bbbbbbbbbbbb  27219
c          cccccccccccc  27219  4026532190  10.216.136.178  lxc4f1c0d77a2b1
    stopped
/run/netns/cni-1be1   no process
  –        –             –      4026532544  –               –
";
        assert_eq!(shown(&list(pod), Some(80), false), expected);
    }

    #[test]
    fn what_has_room_is_a_table() {
        let list = list("web-0");
        let lines = |width| shown(&list, width, false).lines().map(str::to_owned).collect::<Vec<_>>();
        let expected = "default    web-0  app        aaaaaaaaaaaa  27219  4026532281  10.216.136.178  lxc4f1c0d77a2b1";
        assert_eq!(lines(Some(100))[1], expected);
        assert_eq!(lines(Some(130))[1], format!("{expected}  running  containerd"));
        assert_eq!(lines(Some(130)).last().unwrap(), "    cni-1be1, no process");
        assert!(lines(Some(160)).last().unwrap().ends_with("–           cni-1be1, no process"));
        assert_eq!(lines(None), lines(Some(160)), "a pipe has no width");
        let wide = shown(&list, Some(80), true);
        assert!(wide.contains("fd00::17") && wide.contains("registry.example/web:1.4"), "{wide}");
    }

    #[test]
    fn a_narrow_terminal_keeps_the_handles() {
        let text = shown(&list("web-0"), Some(60), false);
        assert!(text.lines().take(4).all(|line| line.width() <= 60), "{text}");
        assert!(text.contains("aaaaaaaaaaaa") && text.contains("lxc4f1c0d77a2b1") && !text.contains("NETNS"), "{text}");
    }

    #[test]
    fn wide_and_escaping_letters_keep_the_columns() {
        for pod in ["größe-漢字", "a\u{1b}[31mb", "e\u{301}", "web-👍"] {
            let text = shown(&list(pod), None, false);
            let place = |id: &str| text.lines().find_map(|line| line.split_once(id)).unwrap().0.width();
            assert_eq!(place("aaaaaaaaaaaa"), place("cccccccccccc"), "{text}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}
