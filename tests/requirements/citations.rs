//! Which test cites which requirement or advisory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Number or id → the tests that cite it: `tests/vectors/NAME`, `tests/attacks/NAME`, `PATH::function`, or a whole file.
#[derive(Default)]
pub struct Citations(pub BTreeMap<String, BTreeSet<String>>);

impl Citations {
    pub fn of(root: &Path) -> Self {
        let mut citations = Citations::default();
        for folder in ["tests", "src", "fuzz/targets"] {
            for path in files(&root.join(folder)) {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                let read = || fs::read_to_string(&path).unwrap();
                // What is said here about citing is no citation.
                if name.starts_with("tests/requirements") {
                    continue;
                }
                match path.file_name().unwrap().to_str().unwrap() {
                    "case.json" | "case.yaml" | "resource.yaml" => citations.case(name, &read()),
                    file if !file.ends_with(".rs") => {}
                    file if folder != "src" || file == "tests.rs" || name.contains("/tests/") => {
                        citations.rust(name, &read());
                    }
                    _ => citations.rust(name, read().split_once("#[cfg(test)]").map_or("", |(_, tests)| tests)),
                }
            }
        }
        citations
    }

    /// Those that cite one of these.
    pub fn of_any(&self, ids: &[String]) -> BTreeSet<&str> {
        ids.iter().filter_map(|id| self.0.get(id)).flatten().map(String::as_str).collect()
    }

    /// A vector or an attack, by its `source`.
    fn case(&mut self, path: &str, text: &str) {
        let folder = path.rsplit_once('/').unwrap().0;
        let sources =
            text.lines().map(str::trim).filter(|line| line.starts_with("\"source\"") || line.starts_with("source:"));
        sources.for_each(|line| self.cite(line, folder));
    }

    /// Comments in front of a test and in it; a file's own comment is all of its tests'.
    pub fn rust(&mut self, path: &str, text: &str) {
        let (mut before, mut is_test) = (String::new(), false);
        let mut current = None;
        for line in text.lines().map(str::trim) {
            if line.starts_with("//!") {
                self.cite(line, path);
            } else if line.starts_with("///") {
                before += line;
            } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(name) = function(line) {
                current = is_test.then(|| format!("{path}::{name}"));
                if let Some(test) = &current {
                    self.cite(&before, test);
                }
                (before, is_test) = (String::new(), false);
            } else if let (Some(test), Some((_, comment))) = (&current, line.split_once("//")) {
                self.cite(comment, test);
            } else if !line.starts_with('#') && !line.starts_with("//") {
                before.clear();
            }
        }
    }

    fn cite(&mut self, text: &str, test: &str) {
        for id in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| is_id(word)) {
            self.0.entry(id.to_owned()).or_default().insert(test.to_owned());
        }
    }
}

/// `R1`, `R42`, or an advisory's.
pub fn is_id(word: &str) -> bool {
    let number =
        word.strip_prefix('R').filter(|digits| !digits.starts_with('0')).and_then(|digits| digits.parse().ok());
    matches!(number, Some(1..=super::REQUIREMENTS))
        || ["GHSA-", "CVE-", "GO-"].iter().any(|kind| word.starts_with(kind))
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let words = line.strip_prefix("pub ").unwrap_or(line);
    let rest = words.strip_prefix("async ").unwrap_or(words).strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}
