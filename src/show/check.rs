//! `podnet check` for a person: by target, the worst first, each finding with its evidence below it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::page::{columns, flow, sentence};
use super::{Page, Show, harmless};
use crate::check::rule::{Explanation, RuleList};
use crate::check::watch::{Change, CheckChange};
use crate::check::{CheckReport, Evidence, Finding, Severity, Summary};
use crate::model::count::counted;

impl Show for CheckReport {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        findings(page, out, &self.findings)?;
        for ignored in &self.ignored {
            sentence(page, out, 0, &format!("ignored: {} {}: {}", ignored.target, ignored.code, ignored.reason))?;
        }
        self.not_judged(page, out)?;
        let own = self.targets.iter().filter(|target| *target != "node").count();
        let judged = counted(own, "pod", "pods");
        sentence(page, out, 0, &format!("{judged}: {}{}", counts(&self.summary), self.why_not_run()))?;
        if page.wide {
            self.not_run(page, out)?;
        }
        self.when_again(page, out)
    }

    fn names(&self) -> Vec<String> {
        self.findings.iter().map(|finding| format!("{} {}", finding.code, finding.target)).collect()
    }
}

/// By target, as they are sorted.
pub fn findings(page: &Page, out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    let mut rest = findings;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|finding| finding.target == first.target).count();
        let (own, others) = rest.split_at(count);
        target(page, out, &first.target, own)?;
        rest = others;
    }
    Ok(())
}

fn target(page: &Page, out: &mut dyn Write, name: &str, findings: &[Finding]) -> io::Result<()> {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counts = [Severity::Error, Severity::Warning, Severity::Info].map(|severity| number(count(severity), severity));
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    writeln!(out, "{}   {}", page.bold(harmless(name)), counts.join(", "))?;
    for finding in findings {
        writeln!(out)?;
        show(page, out, finding)?;
    }
    writeln!(out)
}

/// `2 errors`; nothing for none.
fn number(count: usize, severity: Severity) -> Option<String> {
    let word = match (severity, count) {
        (Severity::Info, _) => "for information",
        (severity, 1) => severity.word(),
        (Severity::Error, _) => "errors",
        (Severity::Warning, _) => "warnings",
    };
    (count > 0).then(|| format!("{count} {word}"))
}

fn show(page: &Page, out: &mut dyn Write, finding: &Finding) -> io::Result<()> {
    let head = format!("{} {}", mark(finding.severity), finding.code);
    let mut lines = Vec::new();
    sentence(page, &mut lines, 0, &format!("{head}  {}", finding.message))?;
    let lines = String::from_utf8_lossy(&lines);
    let rest = lines.strip_prefix(&head).unwrap_or(&lines);
    let head = match finding.severity {
        Severity::Error => page.bad(&head),
        Severity::Warning | Severity::Info => page.bold(&head),
    };
    write!(out, " {head}{}", indented(rest))?;
    evidence(page, out, &finding.evidence)?;
    sentence(page, out, 5, &format!("cause  {}", finding.cause))?;
    // A command is pasted: it stays in one piece, however long.
    if finding.fix_is_command {
        flow(page, out, 5, &[format!("fix    {}", finding.fix)])?;
    } else {
        sentence(page, out, 5, &format!("fix    {}", finding.fix))?;
    }
    if finding.explains.is_empty() {
        return Ok(());
    }
    sentence(page, out, 5, &format!("explains  {}", finding.explains.join(", ")))
}

/// Lines after the first stand under the message.
fn indented(text: &str) -> String {
    text.replace("\n  ", "\n     ")
}

/// The source stands behind each, in a column where there is room.
fn evidence(page: &Page, out: &mut dyn Write, evidence: &[Evidence]) -> io::Result<()> {
    use unicode_width::UnicodeWidthStr;
    let rows: Vec<Vec<String>> =
        evidence.iter().map(|each| vec![format!("{}: {}", each.what, each.value), each.source.clone()]).collect();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0);
    if 5 + width(0) + 2 + width(1) <= page.columns() {
        return columns(out, 5, &rows);
    }
    rows.iter().try_for_each(|row| flow(page, out, 5, row))
}

fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "✖",
        Severity::Warning => "!",
        Severity::Info => "i",
    }
}

fn counts(summary: &Summary) -> String {
    let plural = |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let infos = if summary.infos > 0 { format!(", {} for information", summary.infos) } else { String::new() };
    let ignored = if summary.ignored > 0 { format!(", {} ignored", summary.ignored) } else { String::new() };
    let idle =
        if summary.without_pod > 0 { format!(", {} had no pod to judge", summary.without_pod) } else { String::new() };
    format!(
        "{}, {}{infos}{ignored}, {} held{idle}, {} not run",
        plural(summary.errors, "error"),
        plural(summary.warnings, "warning"),
        plural(summary.held, "rule"),
        summary.not_run
    )
}

impl CheckReport {
    /// Targets of which nothing is known, and rules that lacked something for one target.
    fn not_judged(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let of_targets = self.skipped.iter().filter(|skipped| skipped.target.is_some());
        for skipped in of_targets.filter(|skipped| skipped.code == "*" || page.wide) {
            let target = skipped.target.as_deref().unwrap_or_default();
            let what = if skipped.code == "*" { "not judged".to_owned() } else { format!("{} not run", skipped.code) };
            sentence(page, out, 0, &format!("{target} {what}: {}", skipped.why))?;
        }
        Ok(())
    }

    /// Each reason once.
    fn why_not_run(&self) -> String {
        let reasons = self.reasons();
        if reasons.is_empty() {
            return String::new();
        }
        format!(" ({})", reasons.into_keys().collect::<Vec<_>>().join("; "))
    }

    /// Each reason with the codes of the rules that did not run for it.
    fn not_run(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        self.reasons()
            .into_iter()
            .try_for_each(|(why, codes)| sentence(page, out, 0, &format!("not run ({why}): {}", codes.join(" "))))
    }

    /// Of rules that did not run for anybody.
    fn reasons(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for skipped in self.skipped.iter().filter(|skipped| skipped.target.is_none()) {
            reasons.entry(&skipped.why).or_default().push(&skipped.code);
        }
        reasons
    }

    /// When those that were too young can be judged.
    fn when_again(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let young: Vec<u64> = self.skipped.iter().filter_map(|skipped| skipped.again_in_seconds).collect();
        let Some(seconds) = young.iter().max() else { return Ok(()) };
        let passed_over = counted(young.len(), "pod was", "pods were");
        let text = format!("{passed_over} passed over as too young: ask again in {seconds} s, or with --grace 0");
        sentence(page, out, 0, &text)
    }
}

impl Show for CheckChange {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let finding = &self.finding;
        let mark = match self.change {
            Change::Appeared => "+",
            Change::Went => "-",
        };
        let severity = finding.severity.word();
        let head = format!("{:.0} {mark} {severity}", self.at);
        let line = format!("{head} {} {}: {}", finding.code, finding.target, finding.message);
        let mut lines = Vec::new();
        sentence(page, &mut lines, 0, &line)?;
        let lines = String::from_utf8_lossy(&lines);
        let rest = lines.strip_prefix(&head).unwrap_or(&lines);
        let head = match (self.change, finding.severity) {
            (Change::Appeared, Severity::Error) => page.bad(head),
            (Change::Appeared, _) => page.bold(head),
            (Change::Went, _) => page.good(head),
        };
        write!(out, "{head}{rest}")
    }

    fn names(&self) -> Vec<String> {
        vec![format!("{} {}", self.finding.code, self.finding.target)]
    }
}

impl Show for RuleList {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        for rule in &self.items {
            sentence(page, out, 0, &format!("{}  {:<7}  {}", rule.code, rule.severity.word(), rule.sentence))?;
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|rule| rule.code.clone()).collect()
    }
}

impl Show for Explanation {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}  {}", page.bold(&self.code), self.severity.word())?;
        sentence(page, out, 2, &self.sentence)?;
        let parts = [
            ("What it means", &self.meaning),
            ("How it comes about", &self.origin),
            ("What confirms it", &self.confirm),
            ("What mends it", &self.fix),
        ];
        for (title, text) in parts {
            writeln!(out, "\n{}", page.bold(title))?;
            sentence(page, out, 2, text)?;
        }
        if self.explained_by.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{}", page.bold("Not told where one of these is found, which explains it"))?;
        flow(page, out, 2, &self.explained_by)
    }

    fn names(&self) -> Vec<String> {
        vec![self.code.clone()]
    }
}
