//! BPF programs on links: tc filters (`RTM_GETTFILTER`), tcx and netkit (`BPF_PROG_QUERY`); XDP came with the link.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};

use super::netlink::Netlink;
use super::{bpf, problem};
use crate::model::bpf::{Attachment, Hook};
use crate::model::link::Link;

/// `TC_H_CLSACT` with `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS` (linux/pkt_sched.h).
const CLSACT: u16 = 0xffff;
const SIDES: [(u16, Hook); 2] = [(0xfff2, Hook::TcIngress), (0xfff3, Hook::TcEgress)];

/// Adds to each link what is attached to it. The calling thread must be in the netns of the links:
/// `BPF_PROG_QUERY` looks an ifindex up in the caller's own.
pub fn read_into<'a>(links: impl Iterator<Item = &'a mut Link>, netlink: &mut Netlink, problems: &mut Vec<String>) {
    let filtered = links_with_clsact(netlink, problems);
    let mut refused = None;
    for link in links {
        if filtered.contains(&link.ifindex) {
            link.programs.extend(filters(netlink, problems, link.ifindex));
        }
        match bpf::attached(link.ifindex) {
            Ok(found) => link.programs.extend(found),
            Err(error) => refused = Some(error),
        }
        for program in &mut link.programs {
            name(program);
        }
    }
    if let Some(error) = refused {
        problems.push(format!("BPF programs by tcx and netkit: {error} (needs CAP_BPF and CAP_NET_ADMIN)"));
    }
}

/// A filter needs a clsact or ingress qdisc to hang on; one dump tells who has one.
fn links_with_clsact(netlink: &mut Netlink, problems: &mut Vec<String>) -> Vec<u32> {
    let question = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    let messages = problem::dump(netlink, problems, "qdiscs", question);
    let hooked = messages.iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewQueueDiscipline(qdisc) if qdisc.header.handle.major == CLSACT => {
            u32::try_from(qdisc.header.index).ok()
        }
        _ => None,
    });
    hooked.collect()
}

fn filters(netlink: &mut Netlink, problems: &mut Vec<String>, ifindex: u32) -> Vec<Attachment> {
    let mut found = Vec::new();
    let Ok(index) = i32::try_from(ifindex) else { return found };
    for (minor, hook) in SIDES {
        let mut question = TcMessage::with_index(index);
        question.header.parent = TcHandle { major: CLSACT, minor };
        let messages = problem::dump(netlink, problems, "tc filters", RouteNetlinkMessage::GetTrafficFilter(question));
        found.extend(messages.iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewTrafficFilter(filter) => convert(filter, hook),
            _ => None,
        }));
    }
    found
}

/// None for filters of other kinds and for the line that opens each preference.
fn convert(filter: &TcMessage, hook: Hook) -> Option<Attachment> {
    let options = filter.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    })?;
    let (mut id, mut name, mut tag) = (None, None, None);
    for option in options {
        match option {
            TcOption::Bpf(TcFilterBpfOption::ProgId(number)) => id = Some(*number),
            TcOption::Bpf(TcFilterBpfOption::ProgName(text)) => name = Some(text.clone()),
            TcOption::Bpf(TcFilterBpfOption::ProgTag(bytes)) => tag = Some(bpf::hexadecimal(bytes)),
            _ => {}
        }
    }
    // tcm_info: preference above, protocol below (TC_H_MAKE).
    let preference = u16::try_from(filter.header.info >> 16).ok();
    Some(Attachment { hook, name, id: id?, tag, preference })
}

/// The kernel's name and tag, where it may be asked for them; a longer name of the filter's stays.
fn name(program: &mut Attachment) {
    let Ok((name, tag)) = bpf::name_and_tag(program.id) else { return };
    program.tag.get_or_insert(tag);
    if program.name.as_ref().is_none_or(String::is_empty) {
        program.name = Some(name).filter(|name| !name.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::collect::kernel::bpf::loading::{attach_tcx, load, pin};

    /// `BPF_PROG_TYPE_SCHED_CLS` and `_XDP`.
    const CLASSIFIER: u32 = 3;
    const XDP: u32 = 6;

    fn run(command: &str) {
        let status = Command::new("sh").args(["-c", command]).status().unwrap();
        assert!(status.success(), "{command}");
    }

    /// On a thread in namespaces of its own, which end with it.
    fn isolated(test: impl FnOnce() + Send) {
        use nix::sched::{CloneFlags, unshare};
        std::thread::scope(|scope| {
            let body = || {
                if unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).is_err() {
                    assert!(std::env::var_os("PODNET_TESTS_REQUIRE_ALL").is_none(), "no namespaces could be made");
                    return eprintln!("skipped: no namespaces could be made (needs root)");
                }
                run("mount --make-rprivate /");
                test();
            };
            scope.spawn(body).join().unwrap();
        });
    }

    #[test]
    fn programs_on_every_hook_are_named() {
        isolated(|| {
            let folder = tempfile::tempdir().unwrap();
            let place = folder.path().to_str().unwrap();
            run(&format!("mount -t bpf bpf {place} && ip link add pbpf0 type veth peer name pbpf1"));
            let classifier = load(CLASSIFIER, "podnet_cls", 0);
            let xdp = load(XDP, "podnet_xdp", 2);
            pin(&classifier, &format!("{place}/cls"));
            pin(&xdp, &format!("{place}/xdp"));
            run("tc qdisc add dev pbpf0 clsact");
            run(&format!("tc filter add dev pbpf0 ingress prio 7 bpf da object-pinned {place}/cls"));
            run(&format!("ip link set dev pbpf0 xdpgeneric pinned {place}/xdp"));
            let _link = attach_tcx(&classifier, nix::net::if_::if_nametoindex("pbpf0").unwrap());
            let mut netlink = Netlink::open(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
            let mut problems = Vec::new();
            let links = crate::collect::kernel::link::read(&mut netlink, &mut problems, false, false);
            let mut links: Vec<_> = links.into_iter().map(|(link, _)| link).collect();
            read_into(links.iter_mut(), &mut netlink, &mut problems);
            assert_eq!(problems, Vec::<String>::new());
            let link = links.iter().find(|link| link.name == "pbpf0").unwrap();
            let found: Vec<_> = link
                .programs
                .iter()
                .map(|program| (program.hook, program.name.as_deref(), program.preference))
                .collect();
            let expected = [
                (Hook::Xdp, Some("podnet_xdp"), None),
                (Hook::TcIngress, Some("cls:[*fsobj]"), Some(7)), // as tc(8) names a pinned one
                (Hook::TcxIngress, Some("podnet_cls"), None),
            ];
            assert_eq!(found, expected);
            assert!(link.programs.iter().all(|program| program.tag.as_ref().is_some_and(|tag| tag.len() == 16)));
            run(&format!("umount {place}"));
        });
    }
}
