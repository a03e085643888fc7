//! Running the command with less than podnet has.

use crate::resident::{Resident, text};

#[test]
fn less_privilege_is_less() {
    let Some(resident) = Resident::start() else { return };
    let shown = text(
        &resident
            .exec(&["--user", "nobody", "--drop-caps", "--", "sh", "-c", "id -u; grep CapBnd /proc/self/status"])
            .stdout,
    );
    let mut lines = shown.lines();
    assert_ne!(lines.next(), Some("0"));
    assert_eq!(lines.next(), Some("CapBnd:\t0000000000000000"));
    let unknown = resident.exec(&["--user", "no-such-user", "--", "true"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn root_without_capabilities_has_none_either() {
    let Some(resident) = Resident::start() else { return };
    let shown = text(&resident.exec(&["--drop-caps", "--", "sh", "-c", "id -u; grep Cap /proc/self/status"]).stdout);
    let (user, capabilities) = shown.split_once('\n').unwrap();
    assert_eq!(user, "0");
    assert!(capabilities.lines().all(|line| line.ends_with("\t0000000000000000")), "{capabilities}");
}

#[test]
fn a_group_may_be_named_too() {
    let Some(resident) = Resident::start() else { return };
    let ran = resident.exec(&["--user", "65534:12345", "--", "sh", "-c", "id -u; id -g; id -G"]);
    assert_eq!(text(&ran.stdout), "65534\n12345\n12345\n", "{}", text(&ran.stderr));
}
