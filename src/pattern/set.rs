//! The sets of a pattern, `[…]`, with every turn that Python's `fnmatch.translate` takes (in-toto §1.11).

use std::cmp::Ordering;

/// A set of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    negated: bool,
    /// First and last, both included; a single character is a range of one. In order and apart from one another.
    ranges: Vec<(char, char)>,
}

/// The content of a set and what follows it, given what follows its `[`. A `]` that comes first (or behind `!`) is content.
pub(super) fn closing(text: &str) -> Option<(&str, &str)> {
    let skipped = text.strip_prefix('!').unwrap_or(text);
    let skipped = skipped.strip_prefix(']').unwrap_or(skipped);
    let at = text.len() - skipped.len() + skipped.find(']')?;
    let (content, behind) = text.split_at_checked(at)?;
    Some((content, behind.strip_prefix(']')?))
}

impl Set {
    /// The set, and whether it has a range whose ends are in the wrong order, which matches nothing.
    pub(super) fn new(content: &str) -> (Self, bool) {
        let (mut chunks, has_empty_range) = chunks(&content.chars().collect::<Vec<_>>());
        // A `!` is looked for after empty ranges have gone, as Python does: `[z-a!b]` is everything but `b`.
        let negated = match chunks.first_mut() {
            Some(first) if first.first() == Some(&'!') => {
                first.remove(0);
                true
            }
            _ => false,
        };
        let mut ranges: Vec<_> = chunks.iter().flatten().map(|c| (*c, *c)).collect();
        for pair in chunks.windows(2) {
            if let [before, after] = pair {
                match (before.last(), after.first()) {
                    (Some(low), Some(high)) => ranges.push((*low, *high)),
                    // What is left of `[z-a!-c]` is `[!-c]`: a hyphen with nothing before it is itself.
                    _ => ranges.push(('-', '-')),
                }
            }
        }
        ranges.sort_unstable();
        ranges.dedup_by(|next, before| {
            let overlaps = next.0 <= before.1;
            if overlaps {
                before.1 = before.1.max(next.1);
            }
            overlaps
        });
        (Set { negated, ranges }, has_empty_range)
    }

    pub(super) fn contains(&self, c: char) -> bool {
        // Searched: a set may have hundreds of ranges, and a match asks it about each character of a name.
        let found = self.ranges.binary_search_by(|(low, high)| match (*high < c, *low > c) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => Ordering::Equal,
        });
        found.is_ok() != self.negated
    }

    /// The only character in the set, if it is one that says so.
    pub(super) fn only(&self) -> Option<char> {
        match self.ranges.as_slice() {
            [(low, high)] if low == high && !self.negated => Some(*low),
            _ => None,
        }
    }
}

/// The content cut at the hyphens that make ranges: each range is from the last of a chunk to the first of the next. A
/// hyphen at an end, or right behind a range, is itself. Empty ranges are taken out, with both their ends.
fn chunks(content: &[char]) -> (Vec<Vec<char>>, bool) {
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let mut start = 0;
    let mut from = if content.first() == Some(&'!') { 2 } else { 1 };
    while let Some(at) = content.iter().skip(from).position(|c| *c == '-').map(|at| from + at) {
        chunks.push(content.get(start..at).unwrap_or_default().to_vec());
        start = at + 1;
        from = at + 3;
    }
    match (content.get(start..).unwrap_or_default(), chunks.last_mut()) {
        ([], Some(last)) => last.push('-'),
        (tail, _) => chunks.push(tail.to_vec()),
    }
    let count = chunks.len();
    let mut kept: Vec<Vec<char>> = Vec::new();
    // From the back, as Python does: taking out one range may join what stands around it.
    for mut chunk in chunks.into_iter().rev() {
        match kept.last_mut() {
            Some(next) if chunk.last() > next.first() => {
                chunk.pop();
                chunk.extend(next.drain(..).skip(1));
                *next = chunk;
            }
            _ => kept.push(chunk),
        }
    }
    kept.reverse();
    let has_empty_range = kept.len() < count;
    (kept, has_empty_range)
}
