//! `podnet install-cni` and `uninstall-cni` for a person.

use std::io::{self, Write};

use super::page::{columns, sentence};
use super::{Page, Show};
use crate::view::installation::{FileAction, Installation};

impl Show for Installation {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let word = |action: FileAction| match action {
            FileAction::Written => "written",
            FileAction::Replaced => "replaced",
            FileAction::Kept => "kept, it was there",
            FileAction::Removed => "removed",
            FileAction::Absent => "was not there",
        };
        let row = |(path, action): (&String, FileAction)| vec![path.clone(), word(action).to_owned()];
        let rows: Vec<_> = self.files.iter().map(|file| row((&file.path, file.action))).collect();
        columns(out, 0, &rows)?;
        self.remarks.iter().try_for_each(|remark| sentence(page, out, 0, &format!("! {remark}")))
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }
}
