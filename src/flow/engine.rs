//! Runs steps, keeps the journal, and undoes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::error::Error;
use super::journal::{Journal, Journals, Phase, State};
use super::record::Record;
use super::step::{Change, Step};
use super::steps;
use super::wish::Wish;
use super::work::Work;
use crate::collect::kernel::problem::chain;

/// What became of a step.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub step: &'static str,
    pub purpose: &'static str,
    pub status: Status,
    pub elapsed_ms: f64,
    pub changes: Vec<Change>,
    /// With its causes, when it failed.
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    Failed,
    Undone,
    /// Its undo failed: something is left.
    Left,
}

/// What to do next, as the face that watches decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Go,
    UndoLast,
    Quit,
}

/// A step that is about to run.
pub struct Upcoming<'a> {
    pub step: &'a dyn Step,
    /// From 1.
    pub number: usize,
    pub of: usize,
    pub record: &'a Record,
}

/// A face of the engine: it shows, and it may ask.
pub trait Watch {
    fn before(&mut self, _upcoming: &Upcoming<'_>) -> Decision {
        Decision::Go
    }

    /// Before a step of a deletion is undone; its numbers count the undone ones.
    fn before_undo(&mut self, _upcoming: &Upcoming<'_>) -> Decision {
        Decision::Go
    }

    fn after(&mut self, _outcome: &Outcome) {}

    /// Whether somebody wants it to end (SIGINT, SIGTERM).
    fn interrupted(&mut self) -> bool {
        false
    }
}

/// Watches nothing.
pub struct Unwatched;

impl Watch for Unwatched {}

/// What was created.
#[derive(Debug)]
pub struct Created {
    pub record: Record,
    pub outcomes: Vec<Outcome>,
    pub notes: Vec<String>,
}

/// A creation that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{}", said(*.step, .source, .outcomes))]
pub struct Failed {
    /// None: it was given up before the first.
    pub step: Option<&'static str>,
    pub source: Error,
    pub record: Record,
    /// Of all steps, the undone ones after the failed one.
    pub outcomes: Vec<Outcome>,
}

fn said(step: Option<&str>, source: &Error, outcomes: &[Outcome]) -> String {
    let Some(step) = step else { return "nothing was created".to_owned() };
    let left = outcomes.iter().any(|outcome| outcome.status == Status::Left);
    let end = if left { "not all could be undone (podnet gc --apply tries again)" } else { "all is undone" };
    match source {
        Error::Interrupted => format!("nothing was created: before the step {step} it was given up, and {end}"),
        _ => format!("nothing was created: the step {step} failed, and {end}"),
    }
}

/// What a deletion did. It goes on past errors; what they left stays in the journal.
#[derive(Debug, Default)]
pub struct Deleted {
    pub outcomes: Vec<Outcome>,
    /// The netns that it was in, where that stands still: podnet did not make it.
    pub netns: Option<PathBuf>,
    /// What could not be undone, and the first reason.
    pub error: Option<Error>,
}

#[derive(Clone, Debug)]
pub struct Engine {
    journals: Journals,
    fail_at: Option<String>,
}

impl Engine {
    /// `run` is where podnet keeps its journals, [`super::journal::DEFAULT_RUN`] on a node.
    pub fn new(run: &Path) -> Self {
        Self { journals: Journals::new(run), fail_at: None }
    }

    /// For drills: lets a step fail after it was applied.
    pub fn failing_at(mut self, step: Option<String>) -> Self {
        self.fail_at = step;
        self
    }

    pub fn journals(&self) -> &Journals {
        &self.journals
    }

    /// Applies every step. On an error, and when whoever watches wants it, what was done is undone in reverse.
    pub fn create(&self, mut wish: Wish, watch: &mut dyn Watch) -> Result<Created, Box<Failed>> {
        let record = Record::new(wish.clone());
        let failed = |source| Box::new(Failed { step: None, source, record: record.clone(), outcomes: Vec::new() });
        let mut journal = self.journals.open(&wish.owner).map_err(failed)?;
        match journal.state().cloned() {
            Some(state) if state.phase == Phase::Ready => {
                return Err(failed(exists(&state.record)));
            }
            Some(state) => {
                // The netns that the killed run made goes with its undo, and was to be a new one.
                if state.record.wish.place.path() == wish.place.path() {
                    wish.place = state.record.wish.place;
                }
                self.undo(journal).map_err(failed)?;
                journal = self.journals.open(&wish.owner).map_err(failed)?;
            }
            None => {}
        }
        let run = Run {
            steps: steps::of(&wish),
            work: Work::new(Record::new(wish), self.journals.run()),
            journal,
            begun: Vec::new(),
            outcomes: Vec::new(),
            fail_at: self.fail_at.clone(),
        };
        run.create(watch)
    }

    /// Undoes whatever there is of an attachment. `wish` says where to look when no journal does.
    pub fn delete(&self, wish: Wish, watch: &mut dyn Watch) -> Result<Deleted, Error> {
        let journal = self.journals.open(&wish.owner)?;
        let state = match journal.state().cloned() {
            Some(state) => state,
            None => recovered(wish)?,
        };
        let mut run = Run::resumed(journal, state, self.journals.run());
        let error = if run.undo_asked(watch) { run.undo_all(watch) } else { Some(Error::Interrupted) };
        let Run { journal, begun, outcomes, work, .. } = run;
        if begun.is_empty() {
            journal.remove()?;
        }
        let netns = Some(work.record.netns_path()).filter(|path| error.is_none() && path.exists());
        Ok(Deleted { outcomes, netns, error })
    }

    /// Finishes the undo that the journal of a killed run, or of what has gone, leaves to do; gives what changed.
    pub fn undo(&self, journal: Journal) -> Result<Vec<Change>, Error> {
        let Some(state) = journal.state().cloned() else { return journal.remove().map(|()| Vec::new()) };
        let mut run = Run::resumed(journal, state, self.journals.run());
        let error = run.undo_all(&mut Unwatched);
        let changes = run.outcomes.into_iter().flat_map(|outcome| outcome.changes).collect();
        match error {
            Some(error) => Err(error),
            None => run.journal.remove().map(|()| changes),
        }
    }

    /// What the steps would be for a wish, the plan alone: nothing is changed.
    pub fn plan(&self, wish: Wish) -> Result<(Work, Vec<&'static dyn Step>), Error> {
        let steps = steps::of(&wish);
        let mut work = Work::new(Record::new(wish), self.journals.run());
        // The first step only looks.
        if let Some(first) = steps.first() {
            first.apply(&mut work)?;
        }
        Ok((work, steps))
    }
}

fn exists(record: &Record) -> Error {
    Error::Exists {
        container: record.wish.owner.container_id().to_owned(),
        ifname: record.wish.owner.ifname().to_owned(),
        addresses: record.addresses.iter().map(|leased| leased.address.addr()).collect(),
    }
}

/// Without a journal: what the names of the attachment lead to.
fn recovered(wish: Wish) -> Result<State, Error> {
    let begun = steps::of(&wish).iter().map(|step| step.name().to_owned()).collect();
    let mut record = Record::new(wish);
    record.addresses = crate::ipam::Store::open(&record.wish.store).lease(&record.wish.owner)?.addresses;
    Ok(State::new(Phase::Undoing, begun, record))
}

/// One run over the steps of one attachment.
struct Run {
    steps: Vec<&'static dyn Step>,
    work: Work,
    journal: Journal,
    begun: Vec<String>,
    outcomes: Vec<Outcome>,
    fail_at: Option<String>,
}

impl Run {
    fn resumed(journal: Journal, state: State, run: &Path) -> Self {
        Self {
            steps: Vec::new(),
            work: Work::new(state.record, run),
            journal,
            begun: state.begun,
            outcomes: Vec::new(),
            fail_at: None,
        }
    }

    fn create(mut self, watch: &mut dyn Watch) -> Result<Created, Box<Failed>> {
        let mut next = 0;
        while let Some(step) = self.steps.get(next).copied() {
            let upcoming = Upcoming { step, number: next + 1, of: self.steps.len(), record: &self.work.record };
            let decision = if watch.interrupted() { Decision::Quit } else { watch.before(&upcoming) };
            let result = match decision {
                Decision::Go => self.apply(step, watch).map(|()| next += 1),
                Decision::UndoLast if next == 0 => Ok(()),
                Decision::UndoLast => {
                    next -= 1;
                    self.undo_last(watch).map_or(Ok(()), Err)
                }
                Decision::Quit => Err(Error::Interrupted),
            };
            if let Err(source) = result {
                return Err(self.give_up(Some(step.name()), source, watch));
            }
        }
        if let Err(source) = self.write(Phase::Ready) {
            return Err(self.give_up(None, source, watch));
        }
        Ok(Created { record: self.work.record, outcomes: self.outcomes, notes: self.work.notes })
    }

    fn apply(&mut self, step: &'static dyn Step, watch: &mut dyn Watch) -> Result<(), Error> {
        self.begun.push(step.name().to_owned());
        let begin = Instant::now();
        let mut result = self.write(Phase::Creating).and_then(|()| step.apply(&mut self.work));
        if result.is_ok() && self.fail_at.as_deref() == Some(step.name()) {
            result = Err(Error::Drill);
        }
        // What the step found out (ifindexes, addresses) is what an undo needs.
        let result = result.and_then(|changes| self.write(Phase::Creating).map(|()| changes));
        if result.as_ref().is_err_and(Error::left_nothing) {
            self.begun.pop();
        }
        self.tell(step, begin, Status::Done, Status::Failed, result, watch)
    }

    /// Undoes everything and removes the journal, unless something is left.
    fn give_up(mut self, step: Option<&'static str>, source: Error, watch: &mut dyn Watch) -> Box<Failed> {
        // Each failure is told in its outcome; the first error is why it is given up.
        let _ = self.undo_all(watch);
        if self.begun.is_empty() {
            let _ = self.journal.remove();
        }
        Box::new(Failed { step, source, record: self.work.record, outcomes: self.outcomes })
    }

    /// Undoes step after step as long as whoever watches says so; `false` when they want it to end here. A step that
    /// cannot be undone is left to [`Run::undo_all`], which tries it again.
    fn undo_asked(&mut self, watch: &mut dyn Watch) -> bool {
        let of = self.begun.len();
        while let Some(step) = self.begun.last().and_then(|name| steps::named(name)) {
            let number = of - self.begun.len() + 1;
            let upcoming = Upcoming { step, number, of, record: &self.work.record };
            if watch.interrupted() || watch.before_undo(&upcoming) == Decision::Quit {
                return false;
            }
            let name = step.name().to_owned();
            if self.undo_last(watch).is_some() {
                self.begun.push(name);
                return true;
            }
        }
        true
    }

    /// In reverse, and past errors; gives the first.
    fn undo_all(&mut self, watch: &mut dyn Watch) -> Option<Error> {
        let mut left = Vec::new();
        let mut first = None;
        while !self.begun.is_empty() {
            let name = self.begun.last().cloned();
            if let Some(error) = self.undo_last(watch) {
                left.extend(name);
                first.get_or_insert(error);
            }
        }
        left.reverse();
        self.begun = left;
        if !self.begun.is_empty()
            && let Err(error) = self.write(Phase::Undoing)
        {
            first.get_or_insert(error);
        }
        first
    }

    /// Undoes the step that was begun last, and counts it as not begun.
    fn undo_last(&mut self, watch: &mut dyn Watch) -> Option<Error> {
        let name = self.begun.pop()?;
        let step = steps::named(&name)?;
        let begin = Instant::now();
        let undone = step.undo(&mut self.work);
        // A journal that names a step too many only makes its undo run again, which finds nothing to do.
        let _ = self.write(Phase::Undoing);
        self.tell(step, begin, Status::Undone, Status::Left, undone, watch).err()
    }

    fn write(&mut self, phase: Phase) -> Result<(), Error> {
        self.journal.write(State::new(phase, self.begun.clone(), self.work.record.clone()))
    }

    fn tell(
        &mut self,
        step: &'static dyn Step,
        begin: Instant,
        good: Status,
        bad: Status,
        result: Result<Vec<Change>, Error>,
        watch: &mut dyn Watch,
    ) -> Result<(), Error> {
        let elapsed_ms = begin.elapsed().as_secs_f64() * 1000.0;
        let (status, changes, result) = match result {
            Ok(changes) => (good, changes, Ok(())),
            Err(error) => (bad, Vec::new(), Err(error)),
        };
        let error = result.as_ref().err().map(|error| chain(error));
        tracing::info!(step = step.name(), ?status, elapsed_ms, error, "step");
        let outcome = Outcome { step: step.name(), purpose: step.purpose(), status, elapsed_ms, changes, error };
        watch.after(&outcome);
        self.outcomes.push(outcome);
        result
    }
}
