//! Secrets among the words of a command: the value of an option whose name tells it, and of options that only the tool's manual tells
//! of. A script handed to a shell is looked into like the command itself, and so is what a command prints, line by line: shells and CI
//! systems print what they run.

use super::{
    named::{self, Manner},
    rules::{Kind, Rules, Tool},
};
use std::collections::HashSet;

/// A word of an argument: most have one, a script has many.
#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    argument: usize,
    start: usize,
    text: &'a str,
    /// Nothing but separators follows in its argument.
    last: bool,
    /// A command may begin here.
    fresh: bool,
}

/// Where the secrets are in each argument of a command.
pub(super) fn cuts(argv: &[String], rules: &Rules) -> Vec<Vec<(usize, usize)>> {
    let mut cuts = options(argv, rules, false);
    for (at, (argument, cuts)) in argv.iter().zip(&mut cuts).enumerate() {
        // `sh -c`, `bash -ec`
        let option = at.checked_sub(1).and_then(|before| argv.get(before));
        let is_script =
            option.is_some_and(|option| option.starts_with('-') && option.ends_with('c') && option.len() < 5);
        match whole(argument, rules).filter(|_| !is_script) {
            Some(value) => cuts.push(value),
            None if argument.contains(char::is_whitespace) => {
                cuts.extend(named::values(argument, rules, Manner::Script))
            }
            None => cuts.extend(named::values(argument, rules, Manner::Document)),
        }
    }
    cuts
}

/// Where they are in a line that a command printed.
pub(super) fn cuts_of_line(line: &str, rules: &Rules) -> Vec<(usize, usize)> {
    options(&[line.to_owned()], rules, true).pop().unwrap_or_default()
}

/// The value of an argument that is one assignment, spaces and all: `-e "DB_PASSWORD=two words"`, `--build-arg=TOKEN=x`.
fn whole(argument: &str, rules: &Rules) -> Option<(usize, usize)> {
    let (name, value) = argument.split_once('=')?;
    let (name, value) = match value.split_once('=') {
        Some((inner, value)) if is_name(inner) && rules.kind(name).is_none() => (inner, value),
        _ => (name, value),
    };
    let plain = value.trim_matches(['"', '\'']);
    let is_secret = is_name(name) && !value.starts_with('=') && rules.is_secret(name, plain);
    is_secret.then(|| (argument.len() - value.len(), argument.len()))
}

/// The values of options.
fn options(argv: &[String], rules: &Rules, is_prose: bool) -> Vec<Vec<(usize, usize)>> {
    let words: Vec<Word<'_>> = argv.iter().enumerate().flat_map(|(at, text)| split(at, text, is_prose)).collect();
    let mut cuts: Vec<Vec<(usize, usize)>> = vec![Vec::new(); argv.len()];
    let mut cut = |argument: usize, start: usize, end: usize| {
        if let Some(cuts) = cuts.get_mut(argument) {
            cuts.push((start, end));
        }
    };
    let mut tools: Vec<&Tool> = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for (at, word) in words.iter().enumerate() {
        let known = rules.tools.iter().filter(|tool| tool.programs.iter().any(|name| name == base_name(word.text)));
        let known: Vec<&Tool> = known.collect();
        if word.fresh || !known.is_empty() {
            (tools, seen) = (known, HashSet::new());
        }
        seen.insert(word.text);
        // `--pass <phrase>` is of a help's page.
        let is_printed = |at: &(usize, usize, &str)| {
            let before = argv.get(at.0).and_then(|text| text.get(..at.1)).unwrap_or_default();
            is_prose && before.ends_with('<')
        };
        let value = || value_behind(argv, &words, at).filter(|place| !is_printed(place));
        let is_option = word.text.starts_with('-') && !word.text.contains('=');
        if let Some((argument, start, text)) =
            value().filter(|(.., text)| is_option && rules.is_secret(word.text, text))
        {
            cut(argument, start, start + text.len());
        }
        for tool in tools.iter().filter(|tool| tool.with.as_ref().is_none_or(|with| seen.contains(with.as_str()))) {
            for option in &tool.options {
                let behind = word.text.strip_prefix(option.as_str()).unwrap_or_default();
                let attached = match option.len() {
                    2 => Some(behind).filter(|value| tool.attached && !value.is_empty()),
                    _ => behind.strip_prefix('='),
                };
                let place = match attached {
                    Some(rest) => Some((word.argument, word.start + word.text.len() - rest.len(), rest)),
                    None => value().filter(|_| word.text == option),
                };
                let is_harmless = |text: &str| rules.is_harmless(Kind::Secret, text);
                let Some((argument, start, text)) = place.filter(|(.., text)| !is_harmless(text)) else { continue };
                let skip = match tool.behind_colon {
                    true => text.find(':').map(|colon| colon + 1),
                    false => Some(0),
                };
                if let Some(skip) = skip {
                    cut(argument, start + skip, start + text.len());
                }
            }
        }
    }
    cuts
}

/// The value of the option at `at`: the whole next argument where the option ends its own, else the next word of its script.
fn value_behind<'a>(argv: &'a [String], words: &[Word<'a>], at: usize) -> Option<(usize, usize, &'a str)> {
    let option = words.get(at)?;
    if option.last {
        return argv.get(option.argument + 1).map(|text| (option.argument + 1, 0, text.as_str()));
    }
    words.get(at + 1).map(|word| (word.argument, word.start, word.text))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The words of an argument; quotes hold together what is in them, but for the apostrophes of prose.
fn split(argument: usize, text: &str, is_prose: bool) -> Vec<Word<'_>> {
    let last = ['"', '\'', '`'].map(|quote| text.rfind(quote));
    let mut words: Vec<Word<'_>> = Vec::new();
    let (mut start, mut quote, mut fresh) = (None, None, argument == 0 || text.contains([' ', '\n']));
    let mut push = |start: usize, end: usize, fresh: bool| {
        let raw = text.get(start..end).unwrap_or_default();
        let inner = quoted(raw).unwrap_or(raw);
        if !inner.is_empty() {
            words.push(Word {
                argument,
                start: start + (raw.len() - inner.len()) / 2,
                text: inner,
                last: false,
                fresh,
            });
        }
    };
    for (at, character) in text.char_indices() {
        let separator = character.is_whitespace() || matches!(character, ';' | '|' | '(' | ')' | '<' | '>');
        // An `&` between words separates commands, one in a URL does not.
        let separator = separator || character == '&' && start.is_none();
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') if !(last.contains(&Some(at)) || is_prose && begins_within(text, at)) => {
                quote = Some(character);
                start.get_or_insert(at);
            }
            (None, _) if separator => {
                if let Some(start) = start.take() {
                    push(start, at, std::mem::take(&mut fresh));
                }
                fresh |= matches!(character, ';' | '|' | '&' | '(' | '\n');
            }
            (None, _) => {
                start.get_or_insert(at);
            }
        }
    }
    if let Some(start) = start {
        push(start, text.len(), fresh);
    }
    if let Some(word) = words.last_mut() {
        word.last = true;
    }
    words
}

fn begins_within(text: &str, at: usize) -> bool {
    text.get(..at).is_some_and(|before| before.ends_with(char::is_alphanumeric))
}

/// What is between a pair of quotes that hold all of it.
fn quoted(text: &str) -> Option<&str> {
    ['"', '\'', '`'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
}
