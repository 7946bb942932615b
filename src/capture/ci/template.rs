//! `{NAME}` in a text, conditions over variables, and files of properties.

use super::Variables;

/// The value of a variable; one that is empty is missing.
pub fn given<'a>(name: &str, known: &'a Variables) -> Option<&'a str> {
    known.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// The text with its variables put in; `None` where one of them is missing.
pub fn fill(text: &str, known: &Variables) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        filled.push_str(before);
        filled.push_str(given(name, known)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// The variables a text names.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name)
}

/// Whether every word of the condition holds: `NAME` that is set, `NAME=VALUE`, `NAME=PREFIX*`.
pub fn holds(words: &str, known: &Variables) -> bool {
    !words.is_empty()
        && words.split(' ').all(|word| match word.split_once('=') {
            None => given(word, known).is_some(),
            Some((name, wanted)) => given(name, known).is_some_and(|value| match wanted.strip_suffix('*') {
                Some(prefix) => value.starts_with(prefix),
                None => value == wanted,
            }),
        })
}

/// `name=value` lines of a Java properties file or of the downward API, whose values are quoted; comments and the rest are skipped.
pub fn properties(text: &str) -> Variables {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (unescaped(name.trim()), value_of(value)))
        .collect()
}

fn value_of(value: &str) -> String {
    let value = value.trim();
    unescaped(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
}

/// Backslashes before `:`, `=`, `\` and `"` go; `\n` becomes the character.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => out.extend(characters.next().map(|next| if next == 'n' { '\n' } else { next })),
            (plain, false) => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_missing_or_empty_variable_makes_the_whole_missing() {
        let known = known(&[("A", "1"), ("EMPTY", "")]);
        assert_eq!(fill("x{A}/{A}", &known).as_deref(), Some("x1/1"));
        assert_eq!(fill("plain", &known).as_deref(), Some("plain"));
        for text in ["{B}", "{A}{EMPTY}", "{A"] {
            assert_eq!(fill(text, &known), None, "{text}");
        }
        assert_eq!(names("{A}/{tekton.dev/b}").collect::<Vec<_>>(), ["A", "tekton.dev/b"]);
    }

    #[test]
    fn conditions() {
        let known = known(&[("CI", "woodpecker"), ("REF", "refs/tags/1"), ("EMPTY", "")]);
        for (words, expected) in [
            ("CI", true),
            ("CI=woodpecker", true),
            ("CI REF=refs/tags/*", true),
            ("CI=wood", false),
            ("REF=refs/heads/*", false),
            ("CI EMPTY", false),
            ("MISSING", false),
            ("", false),
        ] {
            assert_eq!(holds(words, &known), expected, "{words}");
        }
    }

    #[test]
    fn properties_of_both_kinds() {
        let text = "#Build\nteamcity.build.id=77\nteamcity.serverUrl=https\\://tc.example.com\ntekton.dev/taskRun=\"build-x\"\nno value\n";
        let expected = known(&[
            ("teamcity.build.id", "77"),
            ("teamcity.serverUrl", "https://tc.example.com"),
            ("tekton.dev/taskRun", "build-x"),
        ]);
        assert_eq!(properties(text), expected);
    }
}
