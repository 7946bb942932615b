//! The glob of in-toto artifact rules: Python's `fnmatch` on the whole name, in linear time (R28).
//!
//! `*` and `?` match any character, `/` and newline too; `[…]` is a set, `[!…]` its complement; there is no escape.
//! A pattern is cut at its stars. What stands between two stars is looked for once, leftmost, and never again, so a name
//! is walked through once; a piece that holds `?` or sets costs its own length at each place.

mod set;
#[cfg(test)]
mod steps;

use set::Set;

/// security §2.E5.
const BYTES_MAX: usize = 1024;
/// security §2.E5; a run of stars is one.
const WILDCARDS_MAX: usize = 16;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    first: Piece,
    /// The pieces behind each star; none in a pattern without stars.
    rest: Vec<Piece>,
    lint: Option<&'static str>,
}

/// What stands between two stars.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Mixed(Vec<Token>),
}

/// What matches one character.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    Any,
    Set(Set),
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// More than 1,024 bytes or 16 wildcards (security §2.E5); `max` says which.
    #[error("the pattern has {found} bytes or wildcards, more than {max}")]
    TooComplex { found: usize, max: usize },
}

impl Pattern {
    /// Compiles the pattern. Every text means something; only its size can be wrong.
    ///
    /// # Errors
    /// security §2.E5: at most 1 KiB and 16 wildcards.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > BYTES_MAX {
            return Err(PatternError::TooComplex { found: text.len(), max: BYTES_MAX });
        }
        // A layout may name each of a thousand files.
        if !text.contains(['*', '?', '[', '\\', '{']) {
            let first = Piece::Literal(text.to_owned());
            return Ok(Pattern { text: text.to_owned(), first, rest: Vec::new(), lint: None });
        }
        let mut compiler = Compiler::default();
        compiler.run(text);
        let Compiler { pieces, current, wildcards, lint } = compiler;
        if wildcards > WILDCARDS_MAX {
            return Err(PatternError::TooComplex { found: wildcards, max: WILDCARDS_MAX });
        }
        let mut pieces = pieces.into_iter().chain([current]).map(Piece::new);
        let first = pieces.next().unwrap_or(Piece::Literal(String::new()));
        Ok(Pattern { text: text.to_owned(), first, rest: pieces.collect(), lint })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole name matches, case-sensitively.
    pub fn matches(&self, name: &str) -> bool {
        let Some(mut name) = self.first.cut_front(name) else { return false };
        let Some((last, middle)) = self.rest.split_last() else { return name.is_empty() };
        // The last piece is taken away first: whatever the pieces before it find, they must leave it standing.
        let Some(before_last) = last.cut_back(name) else { return false };
        name = before_last;
        for piece in middle {
            match piece.find_behind(name) {
                Some(behind) => name = behind,
                None => return false,
            }
        }
        true
    }

    /// How often a match may look at each character of a name: once, or as often as the longest piece with `?` or sets that is looked
    /// for has characters.
    pub fn weight(&self) -> usize {
        // The last piece is looked at in one place.
        let middle = self.rest.split_last().map(|(_, middle)| middle).unwrap_or_default();
        let of = |piece: &Piece| if let Piece::Mixed(tokens) = piece { tokens.len() } else { 1 };
        middle.iter().map(of).max().unwrap_or(1)
    }

    /// R30: why this pattern can hardly be what was meant (unclosed `[`, empty range, backslash, `[^`, `**`, `{`).
    pub fn lint(&self) -> Option<&'static str> {
        self.lint
    }

    /// What every name begins with that it matches, as far as its first piece says.
    pub fn beginning(&self) -> &str {
        match &self.first {
            Piece::Literal(text) => text,
            // Of a piece with `?` or a set, what stands before them as written.
            Piece::Mixed(_) => self.text.split(['*', '?', '[']).next().unwrap_or_default(),
        }
    }

    /// Whether it matches every name that begins so: `src/*`.
    pub fn is_beginning(&self) -> bool {
        let Piece::Literal(_) = self.first else { return false };
        matches!(self.rest.as_slice(), [Piece::Literal(behind)] if behind.is_empty())
    }

    /// The only name it matches, where it has no wildcard (for binary search instead of matching). `a[*]` matches `a*`.
    pub fn literal(&self) -> Option<&str> {
        match &self.first {
            Piece::Literal(text) if self.rest.is_empty() => Some(text),
            _ => None,
        }
    }
}

impl Piece {
    fn new(tokens: Vec<Token>) -> Self {
        let literal: Option<String> =
            tokens.iter().map(|t| if let Token::Char(c) = t { Some(*c) } else { None }).collect();
        literal.map_or(Piece::Mixed(tokens), Piece::Literal)
    }

    /// What follows the piece, where the text begins with it.
    fn cut_front<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(literal) => {
                step(literal.len());
                text.strip_prefix(literal.as_str())
            }
            Piece::Mixed(tokens) => {
                let mut chars = text.chars();
                tokens.iter().all(|token| chars.next().is_some_and(|c| token.matches(c))).then_some(chars.as_str())
            }
        }
    }

    /// What precedes the piece, where the text ends with it.
    fn cut_back<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(literal) => {
                step(literal.len());
                text.strip_suffix(literal.as_str())
            }
            Piece::Mixed(tokens) => {
                let mut chars = text.chars();
                let mut backwards = tokens.iter().rev();
                backwards.all(|token| chars.next_back().is_some_and(|c| token.matches(c))).then_some(chars.as_str())
            }
        }
    }

    /// What follows the leftmost place where the piece stands. Leftmost leaves the most for the pieces behind.
    fn find_behind<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(literal) => {
                let behind = text.split_once(literal.as_str()).map(|(_, behind)| behind);
                step(text.len() - behind.unwrap_or_default().len());
                behind
            }
            Piece::Mixed(_) => {
                let mut chars = text.chars();
                loop {
                    if let Some(behind) = self.cut_front(chars.as_str()) {
                        return Some(behind);
                    }
                    chars.next()?;
                }
            }
        }
    }
}

impl Token {
    fn matches(&self, c: char) -> bool {
        step(1);
        match self {
            Token::Char(only) => *only == c,
            Token::Any => true,
            Token::Set(set) => set.contains(c),
        }
    }
}

/// Counts the characters that were looked at, for the tests (`steps`). Searching for a literal looks at what lies before and in it.
fn step(characters: usize) {
    #[cfg(test)]
    steps::count(characters);
    let _ = characters;
}

#[derive(Default)]
struct Compiler {
    pieces: Vec<Vec<Token>>,
    current: Vec<Token>,
    wildcards: usize,
    lint: Option<&'static str>,
}

impl Compiler {
    fn run(&mut self, text: &str) {
        let mut rest = text.chars();
        let mut after_star = false;
        while let Some(c) = rest.next() {
            match c {
                '*' if after_star => self.note("\"**\" means the same as \"*\", which crosses \"/\" already"),
                '*' => {
                    self.wildcards += 1;
                    self.pieces.push(std::mem::take(&mut self.current));
                }
                '?' => self.wildcard(Token::Any),
                '[' => match set::closing(rest.as_str()) {
                    Some((content, behind)) => {
                        self.set(content);
                        rest = behind.chars();
                    }
                    None => {
                        self.note("\"[\" without \"]\" stands for itself");
                        self.current.push(Token::Char('['));
                    }
                },
                c => {
                    match c {
                        '\\' => self.note("a backslash stands for itself; quote with [*], [?] or [[]"),
                        '{' => self.note("\"{\" stands for itself; there are no alternatives"),
                        _ => {}
                    }
                    self.current.push(Token::Char(c));
                }
            }
            after_star = c == '*';
        }
    }

    fn set(&mut self, content: &str) {
        let (set, has_empty_range) = Set::new(content);
        if has_empty_range {
            self.note("a range whose ends are in the wrong order matches nothing");
        }
        if content.starts_with('^') {
            self.note("\"[^\" is a set that holds \"^\"; the complement is written \"[!\"");
        }
        if content.contains('\\') {
            self.note("a backslash stands for itself; quote with [*], [?] or [[]");
        }
        match set.only() {
            Some(c) => self.wildcard(Token::Char(c)),
            None => self.wildcard(Token::Set(set)),
        }
    }

    fn wildcard(&mut self, token: Token) {
        self.wildcards += 1;
        self.current.push(token);
    }

    fn note(&mut self, why: &'static str) {
        self.lint.get_or_insert(why);
    }
}

#[cfg(test)]
mod tests;
