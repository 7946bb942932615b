//! The table of `docs/in-toto.md`: each row with everybody's verdict.

use super::{
    Judged,
    known::{Entry, word},
    peers::Verdict,
};
use std::{fs, path::Path};

const BEGIN: &str = "<!-- written by tests/differential.rs -->\n";
const END: &str = "<!-- end of what is written -->\n";

/// The lines of the table, and what the compatible profile keeps to itself.
pub fn table(rows: &[Judged], entries: &[Entry]) -> String {
    let mut lines = vec![
        "| | case | strict | compat | Python | Go | where they differ from strict |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for Judged { row, strict, compat, peers, explained, .. } in rows {
        let why: Vec<&str> = explained.iter().map(|at| entries[*at].why.as_str()).collect();
        let [python, go, why] = match peers {
            Some([python, go]) => [theirs(python), theirs(go), why.join("; ")],
            None => ["not given", "not given", "they would execute what the layout says"].map(str::to_owned),
        };
        let cells = [ours(strict), ours(compat), python, go, why];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        let number = if row.id.parse::<u32>().is_ok() { row.id } else { "" };
        lines.push(format!("| {number} | {} | {} |", row.what, cells.join(" | ")));
    }
    lines.push("\nThe compatible profile accepts what the strict one and Python accept, but:\n".to_owned());
    let stricter = |entry: &&Entry| entry.compat.iter().any(|word| word != "verified");
    lines.extend(
        entries.iter().filter(stricter).map(|entry| format!("* `{}`: {}", entry.compat.join("`, `"), entry.why)),
    );
    lines.join("\n") + "\n"
}

fn ours(verdict: &Verdict) -> String {
    if verdict.pass { "**verified**".to_owned() } else { format!("`{}`", word(verdict)) }
}

fn theirs(verdict: &Verdict) -> String {
    match verdict.why.as_str() {
        _ if verdict.pass => "accepts".to_owned(),
        "error" => "refuses".to_owned(),
        "panic" => "panics".to_owned(),
        class => format!("`{class}`"),
    }
}

/// Compares the table in the page with this one, or writes it.
pub fn check(table: &str, write: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/in-toto.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the mark of the table's beginning");
    let (written, after) = rest.split_once(END).expect("the page has the mark of the table's end");
    let expected = format!("\n{table}\n");
    if write {
        fs::write(&path, [before, BEGIN, &expected, END, after].concat()).unwrap();
        return;
    }
    let mut differing = written.lines().zip(expected.lines()).filter(|(one, other)| one != other);
    if let Some((written, found)) = differing.next() {
        panic!("docs/in-toto.md says\n{written}\nand this is\n{found}\nTIDEWAITER_DIFFERENTIAL_WRITE=1 writes it");
    }
    assert_eq!(written.lines().count(), expected.lines().count(), "rows of the table of docs/in-toto.md");
}
