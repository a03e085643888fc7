//! The faces of the engine: silent for programs, a line a step for a pipe, a dialogue on a terminal.

use std::io::Write;

use super::key;
use super::signals::Signals;
use super::terminal;
use crate::flow::{Decision, Outcome, Upcoming, Watch};
use crate::show::{self, Page};
use crate::view::creation as view;

/// How much is shown while the steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing: the document at the end tells all.
    Silent,
    /// A line a step.
    Lines,
    /// A dialogue before each.
    Dialogue,
}

/// Shows on standard output as the steps run, and asks where it is to.
pub struct Face {
    pub manner: Manner,
    page: Page,
    signals: Signals,
    /// The operator chose to run all the rest.
    unasked: bool,
}

impl Face {
    pub fn new(manner: Manner, page: Page) -> Self {
        Self { manner, page, signals: Signals::collect(), unasked: false }
    }

    /// Writes for a person as soon as it is known. Who reads may have gone; the work goes on.
    pub fn write(&self, lines: impl Fn(&Page, &mut dyn Write) -> std::io::Result<()>) {
        let mut text = Vec::new();
        if self.manner != Manner::Silent && lines(&self.page, &mut text).is_ok() {
            let _ = terminal::print(&String::from_utf8_lossy(&text));
        }
    }

    fn ask(&mut self, upcoming: &Upcoming<'_>) -> Decision {
        let mut step = view::planned(upcoming.step, upcoming.record);
        step.undo.truncate(1);
        self.write(|page, out| {
            writeln!(out)?;
            show::creation::planned(page, out, upcoming.number, upcoming.of, &step)?;
            let keys = "[enter] run  [a] all the rest  [d] details  [u] undo last  [q] quit, roll back";
            show::sentence(page, out, 1, keys)
        });
        loop {
            let key = key::read(self.signals.descriptor()).ok().flatten();
            match key {
                Some(b'\n' | b'\r' | b' ') => return Decision::Go,
                Some(b'a') => {
                    self.unasked = true;
                    return Decision::Go;
                }
                Some(b'u') if upcoming.number > 1 => return Decision::UndoLast,
                Some(b'u') => self.write(|_, out| writeln!(out, " nothing was done yet")),
                Some(b'd') => self.write(|page, out| details(page, out, upcoming)),
                // Ctrl-C and Ctrl-D as keys, the end of input, a signal.
                Some(b'q' | 3 | 4) | None => return Decision::Quit,
                Some(_) => {}
            }
        }
    }
}

impl Watch for Face {
    fn before(&mut self, upcoming: &Upcoming<'_>) -> Decision {
        if self.manner == Manner::Dialogue && !self.unasked { self.ask(upcoming) } else { Decision::Go }
    }

    fn before_undo(&mut self, upcoming: &Upcoming<'_>) -> Decision {
        if self.manner != Manner::Dialogue || self.unasked {
            return Decision::Go;
        }
        let step = view::planned(upcoming.step, upcoming.record);
        self.write(|page, out| {
            writeln!(out)?;
            show::creation::to_undo(page, out, upcoming.number, upcoming.of, &step)?;
            show::sentence(page, out, 1, "[enter] undo  [a] all the rest  [q] stop here")
        });
        loop {
            match key::read(self.signals.descriptor()).ok().flatten() {
                Some(b'\n' | b'\r' | b' ') => return Decision::Go,
                Some(b'a') => {
                    self.unasked = true;
                    return Decision::Go;
                }
                Some(b'q' | 3 | 4) | None => return Decision::Quit,
                Some(_) => {}
            }
        }
    }

    fn after(&mut self, outcome: &Outcome) {
        let step = view::report(outcome);
        match self.manner {
            Manner::Dialogue if !self.unasked => self.write(|page, out| show::creation::outcome(page, out, &step)),
            _ => self.write(|page, out| show::creation::finished(page, out, &step)),
        }
    }

    fn interrupted(&mut self) -> bool {
        self.signals.have_come()
    }
}

/// What the step is in Cilium's code, and all that it knows.
fn details(page: &Page, out: &mut dyn Write, upcoming: &Upcoming<'_>) -> std::io::Result<()> {
    let record = upcoming.record;
    let mac = |end: &crate::flow::record::End| end.mac.map_or("–".to_owned(), |mac| mac.to_string());
    show::sentence(page, out, 7, &format!("in Cilium: {}", upcoming.step.in_cilium()))?;
    for undo in upcoming.step.undo_preview(record) {
        show::sentence(page, out, 7, &format!("undo: {undo}"))?;
    }
    let (host, pod) = (&record.host, &record.pod);
    show::sentence(page, out, 7, &format!("host  {}  ifindex {}  mac {}", host.name, host.ifindex, mac(host)))?;
    show::sentence(
        page,
        out,
        7,
        &format!("pod   {}  ifindex {}  mac {}  mtu {}", pod.name, pod.ifindex, mac(pod), record.mtu),
    )?;
    for leased in &record.addresses {
        let text = format!("address  {}  gateway {}  pool {}", leased.address, leased.gateway, leased.pool);
        show::sentence(page, out, 7, &text)?;
    }
    Ok(())
}
