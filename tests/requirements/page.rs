//! `docs/requirements.md`: a row for each requirement and advisory.

use super::citations::{Citations, is_id};
use std::{fs, path::Path};

/// Tests that a row names; there may be many more.
const NAMED_MAX: usize = 6;

const PAGE: &str = "docs/requirements.md";

pub struct Page {
    text: String,
    pub rows: Vec<Row>,
}

/// `| R1 | what is asked | what holds it |`; an advisory may have several ids.
pub struct Row {
    pub ids: Vec<String>,
    pub what: String,
    pub held_by: String,
}

impl Page {
    pub fn read(root: &Path) -> Self {
        let text = fs::read_to_string(root.join(PAGE)).unwrap();
        let rows = text.lines().filter_map(Row::read).collect();
        Page { text, rows }
    }

    /// The same page with the tests that cite each row's ids now.
    pub fn write(&self, root: &Path, citations: &Citations) {
        let line = |line: &str| match Row::read(line) {
            Some(row) if !citations.of_any(&row.ids).is_empty() => {
                let tests = citations.of_any(&row.ids);
                // What has no name of its own says least, and so comes last.
                let (mut named, whole): (Vec<&str>, Vec<&str>) =
                    tests.into_iter().partition(|test| !test.ends_with(".rs"));
                named.extend(whole);
                let cells: Vec<String> = named.iter().take(NAMED_MAX).map(|test| format!("`{test}`")).collect();
                let more = named.len().saturating_sub(NAMED_MAX);
                let more = if more == 0 { String::new() } else { format!(" and {more} more") };
                format!("| {} | {} | {}{more} |", row.ids.join(", "), row.what, cells.join(", "))
            }
            _ => line.to_owned(),
        };
        let lines: Vec<String> = self.text.lines().map(line).collect();
        fs::write(root.join(PAGE), lines.join("\n") + "\n").unwrap();
    }
}

impl Row {
    fn read(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [ids, what, held_by] = <[&str; 3]>::try_from(cells).ok()?;
        let ids: Vec<String> = ids.split(", ").filter(|word| is_id(word)).map(str::to_owned).collect();
        (!ids.is_empty()).then(|| Row { ids, what: what.to_owned(), held_by: held_by.to_owned() })
    }

    pub fn id(&self) -> &str {
        &self.ids[0]
    }

    /// Those it names.
    pub fn tests(&self) -> Vec<&str> {
        self.held_by.split('`').skip(1).step_by(2).collect()
    }
}
