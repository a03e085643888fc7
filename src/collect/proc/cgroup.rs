//! From a process's cgroup to its container, for every runtime and both cgroup drivers.
//!
//! cgroupfs: `/kubepods/burstable/podUID/ID`, `/docker/ID`; systemd: `…-podUID.slice/cri-containerd-ID.scope`. Nested
//! (kind, Docker-in-Docker) only puts more in front; the innermost container counts.

/// The container that a cgroup path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits, or the free name that plain containerd allows.
    pub id: String,
    /// docker, containerd, cri-o, podman, where the path says so.
    pub runtime: Option<&'static str>,
    pub pod_uid: Option<String>,
}

/// Unit prefixes of systemd's scopes and of CRI-O's cgroupfs folders.
const PREFIXES: [(&str, &str); 5] = [
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("docker-", "docker"),
    ("libpod-", "podman"),
];
/// Folders of the cgroupfs driver outside of Kubernetes.
const FOLDERS: [(&str, &str); 4] =
    [("docker", "docker"), ("libpod_parent", "podman"), (FREELY_NAMED, "containerd"), ("cri-containerd", "containerd")];
/// containerd's namespace of that name, where `ctr` puts what it runs.
const FREELY_NAMED: &str = "default";
const ID_LENGTH: usize = 64;

/// Reads `/proc/PID/cgroup`: lines `ID:CONTROLLERS:PATH`, one with v2, several with v1.
pub fn container(cgroups: &str) -> Option<Container> {
    // Nearly all that processes outside of containers are in, told without taking it apart.
    let freely_named = cgroups.contains(FREELY_NAMED);
    let lines = cgroups.split('\n').filter(|line| freely_named || line.len() > ID_LENGTH);
    let paths = lines.filter_map(|line| line.splitn(3, ':').nth(2));
    paths.filter_map(in_path).max_by_key(|container| container.pod_uid.is_some())
}

fn in_path(path: &str) -> Option<Container> {
    // Where its systemd driver is not told of systemd, containerd makes one folder of slice, prefix and id:
    // `kubepods-podUID.slice:cri-containerd:ID`.
    let parts: Vec<&str> = path.split(['/', ':']).collect();
    let (at, id, runtime) = parts.iter().enumerate().rev().find_map(|(at, part)| {
        let above = at.checked_sub(1).and_then(|above| parts.get(above)).copied().unwrap_or_default();
        let (id, runtime) = in_part(part).map_or_else(|| in_folder(part, above, at), Some)?;
        Some((at, id, runtime))
    })?;
    let pod_uid = parts.iter().take(at).rev().find_map(|part| pod_uid(part));
    Some(Container { id: id.to_owned(), runtime, pod_uid })
}

/// A name that says both, as `crio-ID.scope`.
fn in_part(part: &str) -> Option<(&str, Option<&'static str>)> {
    let unit = part.strip_suffix(".scope").unwrap_or(part);
    PREFIXES.iter().find_map(|(prefix, runtime)| {
        let id = unit.strip_prefix(prefix).filter(|id| is_id(id))?;
        Some((id, Some(*runtime)))
    })
}

/// A bare id, in a folder `above` that may say the runtime.
fn in_folder<'a>(part: &'a str, above: &str, at: usize) -> Option<(&'a str, Option<&'static str>)> {
    let runtime = FOLDERS.iter().find(|(name, _)| *name == above).map(|(_, runtime)| *runtime);
    // `ctr run`: `/default/NAME`.
    let free_name = above == FREELY_NAMED && at == 2 && is_free_name(part);
    (is_id(part) || free_name).then_some((part, runtime))
}

/// All runtimes but bare containerd give ids of 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// containerd's rule for ids (`pkg/identifiers`).
fn is_free_name(text: &str) -> bool {
    let fits = (1..=76).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) && !text.starts_with('.')
}

/// `pod<uid>`, `kubepods-burstable-pod<uid with _>.slice`; a static pod's uid is a hash of 32 digits.
fn pod_uid(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let (before, uid) = part.rsplit_once("pod")?;
    let starts = before.is_empty() || before.ends_with('-');
    let uid = uid.replace('_', "-");
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let only = uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (starts && only && digits == 32).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a91c04d5e3f2a91c04d5e3f2a91c04d5e3f2a91c04d5e3f2a91c04d5e0123";
    const UID: &str = "de1a6329-6418-6796-dab8-4fcfae4d6c12";

    #[test]
    fn every_runtime_and_driver() {
        let underscored = UID.replace('-', "_");
        let cases = [
            (format!("/kubepods/burstable/pod{UID}/{ID}"), None, true),
            (format!("/kubepods/pod{UID}/crio-{ID}"), Some("cri-o"), true),
            (
                format!(
                    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{underscored}.slice/cri-containerd-{ID}.scope"
                ),
                Some("containerd"),
                true,
            ),
            (format!("/kubepods.slice/kubepods-pod{underscored}.slice/crio-{ID}.scope/container"), Some("cri-o"), true),
            (
                format!(
                    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{underscored}.slice/cri-containerd-{ID}.scope"
                ),
                Some("containerd"),
                true,
            ),
            (format!("/docker/{}/kubepods/pod{UID}/{ID}", ID.replace('3', "4")), None, true),
            (
                format!(
                    "/system.slice/containerd.service/kubepods-burstable-pod{underscored}.slice:cri-containerd:{ID}"
                ),
                Some("containerd"),
                true,
            ),
            (format!("/../cri-containerd-{ID}.scope"), Some("containerd"), false),
            (format!("/system.slice/docker-{ID}.scope"), Some("docker"), false),
            (format!("/docker/{ID}"), Some("docker"), false),
            (format!("/machine.slice/libpod-{ID}.scope/container"), Some("podman"), false),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
                Some("podman"),
                false,
            ),
            (format!("/libpod_parent/libpod-{ID}"), Some("podman"), false),
            (format!("/default/{ID}"), Some("containerd"), false),
        ];
        for (path, runtime, in_pod) in cases {
            let found = container(&format!("0::{path}\n")).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((found.id.as_str(), found.runtime), (ID, runtime), "{path}");
            assert_eq!(found.pod_uid.as_deref(), in_pod.then_some(UID), "{path}");
        }
    }

    #[test]
    fn names_of_plain_containerd() {
        let found = container("5:cpu:/default/my-box\n0::/\n").unwrap();
        assert_eq!((found.id.as_str(), found.runtime), ("my-box", Some("containerd")));
    }

    #[test]
    fn a_static_pods_uid_is_a_hash() {
        let hash = UID.replace('-', "");
        let path = format!("/kubepods.slice/kubepods-pod{hash}.slice/cri-containerd-{ID}.scope");
        assert_eq!(container(&format!("0::{path}\n")).unwrap().pod_uid, Some(hash));
    }

    #[test]
    fn of_several_hierarchies_the_one_that_names_the_pod() {
        let cgroups = format!("12:pids:/kubepods/pod{UID}/{ID}\n4:misc:/\n0::/{ID}\n");
        assert_eq!(container(&cgroups).unwrap().pod_uid.as_deref(), Some(UID));
    }

    #[test]
    fn what_is_no_container() {
        for path in [
            "/".to_owned(),
            "/init.scope".to_owned(),
            "/system.slice/ssh.service".to_owned(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/kubepods.slice/crio-conmon-{ID}.scope"),
            format!("/docker/{}", &ID[1..]),
            "/default/../../etc".to_owned(),
            "/user.slice/default/my-box".to_owned(),
            format!("/kubepods/pod{UID}"),
            format!("/docker/{}", ID.to_uppercase()),
            "/default/a\u{1b}[31m".to_owned(),
        ] {
            assert_eq!(container(&format!("0::{path}\n")), None, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            container(&text);
        }
    }
}
