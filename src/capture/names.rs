//! Artifact names as in-toto records them: normalised, forward slashes, prefixes stripped (in-toto §1.15).

use crate::image;

/// How an artifact is recorded, which the scheme of its path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Each file at or below the path; a `file:` that was written stays in the names.
    Files { prefix: &'static str },
    /// `dir:`, one artifact for a whole directory.
    Directory,
    /// `ostree:`, the commit a branch of an OSTree repository names.
    OsTree,
}

/// The scheme of a path, and the path. Images are recorded by `--image`: a file called `oci:…` is hardly what was meant.
pub fn split_scheme(path: &str) -> anyhow::Result<(Scheme, &str)> {
    for (prefix, scheme) in
        [("file:", Scheme::Files { prefix: "file:" }), (DIRECTORY, Scheme::Directory), (OSTREE, Scheme::OsTree)]
    {
        if let Some(rest) = path.strip_prefix(prefix) {
            return Ok((scheme, rest));
        }
    }
    anyhow::ensure!(
        !path.starts_with(image::ARTIFACT_SCHEME),
        "\"{path}\": images are not recorded from paths; see --image"
    );
    Ok((Scheme::Files { prefix: "" }, path))
}

/// The scheme of [`Scheme::Directory`].
pub const DIRECTORY: &str = "dir:";
/// The scheme of [`Scheme::OsTree`].
pub const OSTREE: &str = "ostree:";

/// Python's `posixpath.normpath`: lexical, no look at the disk; an empty path is `.`.
pub fn normalise(path: &str) -> String {
    // POSIX leaves exactly two leading slashes to the implementation, and Python keeps them.
    let root = match path.chars().take_while(|c| *c == '/').count() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            ("..", None) if !root.is_empty() => {}
            _ => parts.push(part),
        }
    }
    match (root, parts.is_empty()) {
        ("", true) => ".".to_owned(),
        _ => format!("{root}{}", parts.join("/")),
    }
}

/// The name of what is at `path`: slashes turned, the first matching prefix stripped, the scheme put in front.
pub fn mangle(path: &str, lstrip: &[String], scheme: &str) -> String {
    let path = path.replace('\\', "/");
    let stripped = lstrip.iter().find_map(|prefix| path.strip_prefix(prefix.as_str())).unwrap_or(&path);
    format!("{scheme}{stripped}")
}

/// A step's name is part of a file name, so it must be one.
pub fn check_step(step: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!step.is_empty(), "the step has no name");
    let plain =
        step.len() <= 200 && !step.starts_with('.') && !step.chars().any(|c| c == '/' || c == '\\' || c.is_control());
    anyhow::ensure!(plain, "\"{}\" can not be the name of a step: it becomes a file name", step.escape_debug());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_python_does() {
        for (path, expected) in [
            ("", "."),
            (".", "."),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("../../a/..", "../.."),
            ("/../a", "/a"),
            ("//a", "//a"),
            ("///a", "/a"),
            ("/", "/"),
            ("a/..", "."),
        ] {
            assert_eq!(normalise(path), expected, "{path}");
        }
    }

    #[test]
    fn strips_strings_not_components_and_the_first_match_wins() {
        let prefixes = ["src".to_owned(), "lib/".to_owned()];
        assert_eq!(mangle("srcx/a", &prefixes, ""), "x/a");
        assert_eq!(mangle("lib/a", &prefixes, "file:"), "file:a");
        assert_eq!(mangle("other\\a", &prefixes, ""), "other/a");
    }

    #[test]
    fn a_step_name_is_a_file_name() {
        assert!(check_step("build-1.0 é").is_ok());
        for bad in ["", "a/b", "..", ".hidden", "a\nb", "a\\b"] {
            assert!(check_step(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_scheme_says_how() {
        assert_eq!(split_scheme("file:a").unwrap(), (Scheme::Files { prefix: "file:" }, "a"));
        assert_eq!(split_scheme("foo:a").unwrap(), (Scheme::Files { prefix: "" }, "foo:a"));
        assert_eq!(split_scheme("dir:a").unwrap(), (Scheme::Directory, "a"));
        assert_eq!(split_scheme("ostree:a").unwrap(), (Scheme::OsTree, "a"));
        assert!(split_scheme("oci:a").is_err());
    }
}
