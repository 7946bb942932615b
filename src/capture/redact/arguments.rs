//! Secrets among the words of a command: the value of an option or an assignment whose name tells it, and of options that only the
//! tool's manual tells of. A script handed to a shell is looked into like the command itself.

use super::{
    Findings, patterns,
    rules::{Rules, Tool},
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

/// The command with its secrets replaced.
pub(super) fn redact(argv: &[String], rules: &Rules, found: &mut Findings) -> Vec<String> {
    let words: Vec<Word<'_>> = argv.iter().enumerate().flat_map(|(at, text)| split(at, text)).collect();
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
        for (start, end) in assigned(word.text, rules) {
            cut(word.argument, word.start + start, word.start + end);
        }
        let value = || value_behind(argv, &words, at);
        let named = word.text.starts_with('-') && !word.text.contains('=') && rules.is_secret_name(word.text);
        if let Some((argument, start, text)) = value().filter(|(.., text)| named && !rules.is_harmless(text)) {
            cut(argument, start, start + text.len());
        }
        for tool in tools.iter().filter(|tool| tool.with.as_ref().is_none_or(|with| seen.contains(with.as_str()))) {
            for option in &tool.options {
                let attached = word.text.strip_prefix(option.as_str()).filter(|rest| tool.attached && !rest.is_empty());
                let place = match attached {
                    Some(rest) if option.len() == 2 => Some((word.argument, word.start + option.len(), rest)),
                    _ => value().filter(|_| word.text == option),
                };
                let Some((argument, start, text)) = place.filter(|(.., text)| !rules.is_harmless(text)) else {
                    continue;
                };
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
    argv.iter().zip(cuts).map(|(text, cuts)| patterns::replace(text, cuts, "option", found)).collect()
}

/// The value of the option at `at`: the whole next argument where the option ends its own, else the next word of its script.
fn value_behind<'a>(argv: &'a [String], words: &[Word<'a>], at: usize) -> Option<(usize, usize, &'a str)> {
    let option = words.get(at)?;
    if option.last {
        return argv.get(option.argument + 1).map(|text| (option.argument + 1, 0, text.as_str()));
    }
    words.get(at + 1).map(|word| (word.argument, word.start, word.text))
}

/// Where the values of `NAME=value` are in a word, of each parameter where it is a URL's query.
fn assigned(word: &str, rules: &Rules) -> Vec<(usize, usize)> {
    let query = word.contains('?') || word.contains("://");
    let parts: Vec<&str> = if query { word.split(['?', '&', ';', '#']).collect() } else { vec![word] };
    let mut found = Vec::new();
    let mut start = 0;
    for part in parts {
        if let Some((name, value)) = part.split_once('=') {
            // `--build-arg=TOKEN=x`: the last name counts, as long as it is one.
            let (name, value) = match value.split_once('=') {
                Some((inner, value)) if is_name(inner) && !rules.is_secret_name(name) => (inner, value),
                _ => (name, value),
            };
            let plain = value.trim_matches(['"', '\'']);
            if rules.is_secret_name(name) && !rules.is_harmless(plain) {
                found.push((start + part.len() - value.len(), start + part.len()));
            }
        }
        start += part.len() + 1;
    }
    found
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The words of an argument; quotes hold together what is in them.
fn split(argument: usize, text: &str) -> Vec<Word<'_>> {
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
            (None, '"' | '\'' | '`') => {
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

/// What is between a pair of quotes that hold all of it.
fn quoted(text: &str) -> Option<&str> {
    ['"', '\'', '`'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
}
