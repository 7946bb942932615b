//! Trees and flags from a seed.

use super::trees::{Case, Node};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const NAMES: [&str; 18] = [
    "a", "b", "ab", "a.c", "b.c", "a.link", ".git", ".a", "x.pyc", "a~", "é", "a b", "[a]", "a\nb", "-a", "foo:a", "A",
    "aa",
];
const GLOBS: [&str; 22] = [
    "a", "b", "a*", "*.c", "?", "[ab]", "[!a]", "[^b]*", "**", "ab", "é", "a?", ".?*", "\\a", "[a-c]", "*a*", "*~",
    "[]a]", "a\\*", "A", "*b", "?b",
];

/// The tree of a seed. No directory is linked to from below, no name has a backslash, and no pattern leaves out `.`: what comes of those is
/// listed by hand.
pub fn case(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let mut nodes: Vec<Node> = Vec::new();
    let mut paths: Vec<String> = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    for _ in 0..2 + dice.below(10) {
        let depth = 1 + dice.below(4);
        let path = (0..depth).map(|_| dice.pick(&NAMES)).collect::<Vec<_>>().join("/");
        // A file is no directory, and no directory a file.
        let clashes = taken.iter().any(|other| {
            *other == path || other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"))
        });
        if clashes {
            continue;
        }
        taken.push(path.clone());
        nodes.push(match dice.below(12) {
            0 => Node::Directory(path.clone()),
            1 => Node::Link(path.clone(), "nothing".into()),
            2 => Node::Link(path.clone(), "{root}/key.pem.pub".into()),
            3 => Node::Link(path.clone(), "{root}/outside".into()),
            n => Node::File(path.clone(), ["", "1", "a\r\nb", "\r"][n % 4].into()),
        });
        paths.push(path);
    }
    let mut flags = Vec::new();
    for side in ["-m", "-p"] {
        flags.push(side.to_owned());
        flags.extend((0..1 + dice.below(2)).map(|_| argument(&mut dice, &paths)));
    }
    if dice.one_in(2) {
        flags.push("--exclude".to_owned());
        flags.extend((0..1 + dice.below(3)).map(|_| pattern(&mut dice)));
    }
    if dice.one_in(5) {
        // Nothing begins so but what a path of `{tree}` names.
        flags.extend(["--lstrip-paths".to_owned(), "{tree}/".to_owned()]);
    }
    let command = ["true", "echo x > made; rm -rf a", "mv b c; mkdir -p a; echo y > a/new", "exit 1"][dice.below(4)];
    Case { name: format!("seed {seed}"), nodes, flags, command: command.into(), normalise: dice.one_in(4) }
}

fn argument(dice: &mut Dice, paths: &[String]) -> String {
    let path = match dice.below(4) {
        0 => ".".to_owned(),
        _ => paths[dice.below(paths.len())].clone(),
    };
    let top = path.split('/').next().unwrap_or_default().to_owned();
    match dice.below(8) {
        0 => format!("file:{path}"),
        1 => format!("./{path}/"),
        _ if path.starts_with('-') => format!("./{path}"),
        2 => format!("{top}/../{path}"),
        3 => top,
        _ => path,
    }
}

fn pattern(dice: &mut Dice) -> String {
    let mut pattern = (0..1 + dice.below(3)).map(|_| dice.pick(&GLOBS)).collect::<Vec<_>>().join("/");
    // What fits any single character, or any path, leaves out `.`.
    if pattern.split('/').all(|segment| ["**", "?", "[!a]", "[^b]*"].contains(&segment)) {
        pattern.insert(0, 'a');
    }
    if dice.one_in(5) {
        pattern.insert(0, '/');
    }
    if dice.one_in(5) {
        pattern.push('/');
    }
    if dice.one_in(6) {
        pattern.insert(0, '!');
    }
    pattern
}
