//! `completions/`: what packages install.

use crate::kept;
use crate::support::podnet::Podnet;

#[test]
fn the_files_are_what_podnet_prints() {
    let files = [
        ("bash", "podnet.bash"),
        ("zsh", "_podnet"),
        ("fish", "podnet.fish"),
        ("elvish", "podnet.elv"),
        ("powershell", "podnet.ps1"),
    ];
    let printed = files.map(|(shell, file)| {
        let ran = Podnet::default().run(&["completions", shell]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        (file.to_owned(), ran.stdout)
    });
    kept::folder("completions", &printed.into());
}
