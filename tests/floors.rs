//! The floor plan of `src/lib.rs` is the architecture: a module uses its own floor and the floors above it in the list.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Module → floor, read from the list in `lib.rs`: a comment `// Floor N, …` heads each group.
fn floors(lib: &str) -> BTreeMap<String, usize> {
    let mut floor = None;
    let mut found = BTreeMap::new();
    for line in lib.lines() {
        if let Some(rest) = line.strip_prefix("// Floor ") {
            floor = rest.chars().next().and_then(|c| c.to_digit(10)).map(|n| n as usize);
        }
        if let (Some(floor), Some(name)) = (floor, line.strip_prefix("pub mod ").and_then(|l| l.strip_suffix(';'))) {
            found.insert(name.to_owned(), floor);
        }
    }
    found
}

fn files(path: &Path, into: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            files(&entry.unwrap().path(), into);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        into.push(path.to_owned());
    }
}

/// The top-level modules that a source text names by `crate::…`, `use crate::{…}` included. Tests may look anywhere.
fn named(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let mut found = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let rest = &source[at + "crate::".len()..];
        let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && depth == 0 && (c.is_alphabetic() || c == '_') => {
                            found.push(word(&list[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

#[test]
fn no_module_looks_up() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = floors(&fs::read_to_string(src.join("lib.rs")).unwrap());
    assert!(floors.len() > 20, "lib.rs lists the modules under their floors");
    let mut wrong = Vec::new();
    let mut looked = 0;
    for (module, floor) in &floors {
        let mut paths = Vec::new();
        for path in [src.join(format!("{module}.rs")), src.join(module)] {
            if path.exists() {
                files(&path, &mut paths);
            }
        }
        for path in paths.into_iter().filter(|p| !p.ends_with("tests.rs")) {
            looked += 1;
            for other in named(&fs::read_to_string(&path).unwrap()) {
                if floors.get(&other).is_some_and(|f| f > floor) {
                    let path = path.strip_prefix(&src).unwrap().display();
                    wrong.push(format!("{path} (floor {floor}) names crate::{other} (floor {})", floors[&other]));
                }
            }
        }
    }
    assert!(looked >= floors.len(), "every module has a file");
    assert!(wrong.is_empty(), "these look up:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_names_sees_through_a_group() {
    let source = "use crate::{digest::{Digest, Algorithm}, webhook};\nfn f() { crate::store::x() }\n#[cfg(test)]\nuse crate::cli;";
    assert_eq!(named(source), ["digest", "webhook", "store"]);
}
