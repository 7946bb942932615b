//! What `--exclude` leaves out: gitignore patterns, as in-toto understands them.
//!
//! in-toto asks Python's pathspec, which translates each pattern to a regular expression over the whole path and answers by the last
//! pattern that fits. So do we, with the same expressions: another library of gitignore patterns would agree nearly always, and a link
//! that is nearly the one of `in-toto-run` is another link.

use regex::{Regex, RegexSet};
use std::fmt::Write as _;

/// The part of a translation that fits behind an excluded directory: what it finds is excluded less firmly.
const BELOW: &str = "(?P<below>/)";
/// Behind a last component. Python's `$` stands before a final newline too.
const AT_END: &str = "(?:(?P<below>/)|\\n?\\z)";

/// Compiled patterns, in their order.
#[derive(Clone, Debug)]
pub struct Excludes {
    any: RegexSet,
    patterns: Vec<(Regex, bool)>,
}

impl Excludes {
    /// # Errors
    /// The pattern that is malformed, and why. in-toto drops one whose bracket never closes; who wrote it meant something by it.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, (String, String)> {
        let mut compiled = Vec::new();
        for pattern in patterns.iter().map(AsRef::as_ref) {
            let malformed = |why: String| (pattern.to_owned(), why);
            let Some((expression, leaves_out)) = translate(pattern).map_err(|why| malformed(why.to_owned()))? else {
                continue;
            };
            compiled.push((Regex::new(&expression).map_err(|error| malformed(error.to_string()))?, leaves_out));
        }
        let any = RegexSet::new(compiled.iter().map(|(regex, _)| regex.as_str()));
        Ok(Excludes { any: any.map_err(|error| (String::new(), error.to_string()))?, patterns: compiled })
    }

    /// Whether the path is left out; directories are asked about without a slash at their end, as in-toto does.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').or_else(|| path.strip_prefix("./")).unwrap_or(path);
        if !self.any.is_match(path) {
            return false;
        }
        let mut by_directory = None;
        for (regex, leaves_out) in self.patterns.iter().rev() {
            let Some(found) = regex.captures(path) else { continue };
            match found.name("below") {
                None => return *leaves_out,
                Some(_) => by_directory = by_directory.or(Some(*leaves_out)),
            }
        }
        by_directory.unwrap_or(false)
    }
}

/// The regular expression of a pattern, and whether it leaves out or (`!`) takes back in. `None`: a comment, or nothing.
fn translate(pattern: &str) -> Result<Option<(String, bool)>, &'static str> {
    let pattern = if pattern.ends_with("\\ ") { pattern } else { pattern.trim_end() };
    if pattern.is_empty() || pattern.starts_with('#') || pattern == "/" {
        return Ok(None);
    }
    let (pattern, leaves_out) = pattern.strip_prefix('!').map_or((pattern, true), |rest| (rest, false));
    let is_directory = pattern.ends_with('/');
    let segments = segments(pattern)?;
    let expression = match segments.as_slice() {
        ["**"] | ["**", "*", "**"] if is_directory => BELOW.to_owned(),
        ["**"] | ["**", "*"] => ".".to_owned(),
        ["**", "*", "**"] => "/".to_owned(),
        _ => path(&segments, is_directory)?,
    };
    Ok(Some((expression, leaves_out)))
}

/// The components of a pattern, `**` put in where gitignore implies it, and never twice in a row.
fn segments(pattern: &str) -> Result<Vec<&str>, &'static str> {
    let mut segments: Vec<&str> = pattern.split('/').collect();
    match segments.as_slice() {
        // Anchored by its first slash, or by one within.
        ["", ..] => drop(segments.remove(0)),
        [one] | [one, ""] if *one != "**" => segments.insert(0, "**"),
        _ => {}
    }
    match segments.last_mut() {
        None => return Err("it is empty"),
        Some(last) if last.is_empty() => *last = "**",
        Some(_) => {}
    }
    segments.dedup_by(|next, before| *next == "**" && *before == "**");
    Ok(segments)
}

fn path(segments: &[&str], is_directory: bool) -> Result<String, &'static str> {
    let mut expression = String::from("^");
    let last = segments.len() - 1;
    let mut needs_slash = false;
    for (at, segment) in segments.iter().enumerate() {
        if *segment == "**" {
            expression.push_str(match at {
                0 => "(?:.+/)?",
                _ if at < last => "(?:/.+)?",
                _ if is_directory => BELOW,
                _ => "/",
            });
            needs_slash = at > 0;
            continue;
        }
        if needs_slash {
            expression.push('/');
        }
        match *segment {
            "*" => expression.push_str("[^/]+"),
            glob => component(glob, &mut expression)?,
        }
        if at == last {
            expression.push_str(AT_END);
        }
        needs_slash = true;
    }
    Ok(expression)
}

/// `*`, `?`, `[…]` and `\` within one component.
fn component(glob: &str, expression: &mut String) -> Result<(), &'static str> {
    let mut rest = glob.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => rest = class(rest.as_str(), expression)?.chars(),
            '\\' => literal(rest.next().ok_or("it ends in a backslash")?, expression),
            c => literal(c, expression),
        }
    }
    Ok(())
}

/// What stands behind a `[`; gives what stands behind its `]`. A backslash is a backslash here, and a slash may fit, as in Python.
fn class<'a>(text: &'a str, expression: &mut String) -> Result<&'a str, &'static str> {
    let inner = text.strip_prefix(['!', '^']);
    let set = inner.unwrap_or(text);
    // The first bracket is one of the set.
    let from = usize::from(set.starts_with(']'));
    let end = set.get(from..).and_then(|set| set.find(']')).ok_or("its bracket is not closed")? + from;
    let (set, behind) = set.split_at(end);
    expression.push_str(if inner.is_some() { "[^" } else { "[" });
    let mut rest = set.chars();
    while let Some(first) = rest.next() {
        literal(first, expression);
        let mut ahead = rest.clone();
        if let (Some('-'), Some(last)) = (ahead.next(), ahead.next()) {
            if last < first {
                return Err("its range is empty");
            }
            expression.push('-');
            literal(last, expression);
            rest = ahead;
        }
    }
    expression.push(']');
    Ok(behind.get(1..).unwrap_or_default())
}

fn literal(c: char, expression: &mut String) {
    match c.is_ascii_alphanumeric() {
        true => expression.push(c),
        // Writing to a text does not fail.
        false => drop(write!(expression, "\\x{{{:x}}}", u32::from(c))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], left_out: &[&str], kept: &[&str]) {
        let excludes = Excludes::new(patterns).unwrap();
        for path in left_out {
            assert!(excludes.matches(path), "{patterns:?} leaves out {path:?}");
        }
        for path in kept {
            assert!(!excludes.matches(path), "{patterns:?} keeps {path:?}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_to_in_toto() {
        check(&["*.link*"], &["a.link", "x/y.link-unfinished", "d.link/inside"], &["link", "a.lnk"]);
        check(&["out/"], &["out/made", "sub/out/made"], &["out", "sub/out"]);
        check(&["/sub"], &["sub", "sub/a", "/sub"], &["x/sub", "subx"]);
        check(&["a/b"], &["a/b", "a/b/c"], &["x/a/b"]);
        check(&["a/**/b"], &["a/b", "a/x/b", "a/x/y/b/c"], &["b", "x/a/b"]);
        check(&["a/**"], &["a/b", "a/b/c"], &["a"]);
        check(&["**/b"], &["b", "x/b", "x/b/c"], &["xb"]);
        check(&["*"], &["a", "a/b"], &[]);
        check(&["*/"], &["a/b"], &["a"]);
        check(&["?.[co]", "\\#x", "# comment", "", "  "], &["a.c", "b.o", "#x"], &["ab.c", "a.x", " "]);
        check(&["[!a]b", "[]x]", "[a-c-]z"], &["cb", "]", "x", "bz", "-z"], &["ab", "y", "dz"]);
        check(&["é?"], &["éü"], &["é"]);
        check(&["a ", "b\\ "], &["a", "b "], &["a ", "b"]);
    }

    #[test]
    fn the_last_that_fits_decides_and_a_directory_less_than_a_file() {
        check(&["*", "!*.c"], &["a.h", "sub"], &["a.c", "sub/a.c"]);
        check(&["!*.c", "*"], &["a.c"], &[]);
        check(&["sub/", "!sub/a"], &["sub/b"], &["sub/a", "sub"]);
        check(&["!sub/a", "sub/"], &["sub/b"], &["sub/a"]);
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        for (pattern, why) in [("[a", "not closed"), ("a\\", "backslash"), ("[b-a]", "range"), ("!", "empty")] {
            let (named, error) = Excludes::new(&[pattern]).unwrap_err();
            assert!(named == pattern && error.contains(why), "{pattern}: {error}");
        }
    }
}
