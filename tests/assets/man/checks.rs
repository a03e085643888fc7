//! podnet-checks(7): every rule that `podnet check` judges by.

use podnet::check::RULES;
use podnet::check::rule::family;
use roff::{bold, roman};

use super::page::Page;

pub fn page() -> String {
    let mut page = Page::new("podnet-checks", 7, "the rules that podnet check judges by");
    page.heading("DESCRIPTION").text(
        "Each rule has a code, PN-FAMILY-NUMBER, which means the same for ever. It is judged only where everything that it needs could be read; which rules were not, and why, podnet check says too. podnet explain CODE shows what stands here.",
    );
    let mut last = String::new();
    for rule in RULES {
        let family = family(rule.code);
        if family != last {
            page.heading(&family);
            last = family;
        }
        page.subheading(&format!("{} ({})", rule.code, rule.severity.word())).text(rule.sentence);
        for (title, text) in
            [("Means", rule.meaning), ("Comes about", rule.origin), ("Confirm", rule.confirm), ("Fix", rule.fix)]
        {
            page.item(vec![bold(title)], text);
        }
        if !rule.follows.is_empty() {
            page.item(vec![bold("Explained by")], &rule.follows.join(", "));
        }
    }
    page.heading("FILES")
        .item(vec![bold("/etc/podnet/check.yaml")], "Findings to leave out, with reasons: podnet-check(1).");
    page.heading("EXIT STATUS").inlines(vec![roman("podnet check ends with 6 when it found an error.")]);
    page.see_also(&[("podnet-check".to_owned(), 1), ("podnet-explain".to_owned(), 1), ("podnet".to_owned(), 1)]);
    page.finished()
}
