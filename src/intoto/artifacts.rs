//! Artifact tables: what a step found and what it left, by name.

use crate::digest::DigestSet;

/// Artifact name → hashes, sorted by name. The names lie in one text, behind one another, and are looked up by binary search;
/// whoever asks for many in their order uses a [`Cursor`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    names: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Where its name ends in `names`; it begins where the one before it ends.
    end: usize,
    hashes: DigestSet,
}

impl Artifacts {
    /// No artifacts.
    pub fn new() -> Self {
        Artifacts::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes their names have together.
    pub fn name_bytes(&self) -> usize {
        self.names.len()
    }

    /// Whether there is one of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// The hashes under that name.
    pub fn get(&self, name: &str) -> Option<&DigestSet> {
        self.entries.get(self.find(name).ok()?).map(|entry| &entry.hashes)
    }

    /// Puts an artifact in, and gives the hashes that stood under its name. Costs the length of the table where the name is not
    /// the last.
    pub fn insert(&mut self, name: &str, hashes: DigestSet) -> Option<DigestSet> {
        match self.find(name) {
            Ok(at) => self.entries.get_mut(at).map(|entry| std::mem::replace(&mut entry.hashes, hashes)),
            Err(at) => {
                let start = self.start(at);
                self.names.insert_str(start, name);
                self.entries.insert(at, Entry { end: start, hashes });
                self.entries.iter_mut().skip(at).for_each(|entry| entry.end += name.len());
                None
            }
        }
    }

    /// Name and hashes, sorted by name.
    pub fn iter(&self) -> Iter<'_> {
        Iter { artifacts: self, at: 0 }
    }

    /// The same, with hashes that can be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut DigestSet)> {
        let (mut start, names) = (0, self.names.as_str());
        self.entries.iter_mut().map(move |entry| {
            let name = names.get(start..entry.end).unwrap_or_default();
            start = entry.end;
            (name, &mut entry.hashes)
        })
    }

    /// The names, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.iter().map(|(name, _)| name)
    }

    /// Looks up names that come in their order.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { artifacts: self, at: 0 }
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|before| self.entries.get(before)).map_or(0, |before| before.end)
    }

    fn name(&self, at: usize) -> Option<&str> {
        self.names.get(self.start(at)..self.entries.get(at)?.end)
    }

    /// Where the name stands, or would.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.find_within(name, 0, self.len())
    }

    fn find_within(&self, name: &str, mut low: usize, mut high: usize) -> Result<usize, usize> {
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle).unwrap_or_default().cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

/// Artifacts in the order of their names.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    artifacts: &'a Artifacts,
    at: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a DigestSet);

    fn next(&mut self) -> Option<Self::Item> {
        let item = (self.artifacts.name(self.at)?, &self.artifacts.entries.get(self.at)?.hashes);
        self.at += 1;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.artifacts.len().saturating_sub(self.at);
        (left, Some(left))
    }
}

impl<'a> IntoIterator for &'a Artifacts {
    type Item = (&'a str, &'a DigestSet);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Of a name that comes twice the last counts.
impl<S: AsRef<str> + Ord> FromIterator<(S, DigestSet)> for Artifacts {
    fn from_iter<I: IntoIterator<Item = (S, DigestSet)>>(artifacts: I) -> Self {
        let mut all: Vec<(S, DigestSet)> = artifacts.into_iter().collect();
        if !all.is_sorted_by(|(a, _), (b, _)| a < b) {
            all.reverse();
            all.sort_by(|(a, _), (b, _)| a.cmp(b));
            all.dedup_by(|(a, _), (b, _)| a == b);
        }
        Artifacts::of_sorted(all)
    }
}

impl Artifacts {
    /// The table of these, which are sorted by name.
    pub(super) fn of_sorted<S: AsRef<str>>(all: Vec<(S, DigestSet)>) -> Self {
        let mut table = Artifacts {
            names: String::with_capacity(all.iter().map(|(name, _)| name.as_ref().len()).sum()),
            entries: Vec::with_capacity(all.len()),
        };
        for (name, hashes) in all {
            table.names.push_str(name.as_ref());
            table.entries.push(Entry { end: table.names.len(), hashes });
        }
        table
    }
}

impl<S: AsRef<str> + Ord, const N: usize> From<[(S, DigestSet); N]> for Artifacts {
    fn from(artifacts: [(S, DigestSet); N]) -> Self {
        artifacts.into_iter().collect()
    }
}

/// Behind where the last name was found, or would be: the next one is looked for from there.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    artifacts: &'a Artifacts,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The hashes under that name, which comes behind every name asked for before (in the order of the table).
    pub fn seek(&mut self, name: &str) -> Option<&'a DigestSet> {
        let at = if self.artifacts.name(self.at) == Some(name) { self.at } else { self.search(name)? };
        self.at = at + 1;
        self.artifacts.entries.get(at).map(|entry| &entry.hashes)
    }

    /// Steps that double, then a binary search within the last one: what is near costs little, and nothing costs more than twice a
    /// binary search.
    fn search(&mut self, name: &str) -> Option<usize> {
        let (mut low, mut step) = (self.at, 1);
        while let Some(at) = low.checked_add(step - 1).filter(|at| *at < self.artifacts.len()) {
            if self.artifacts.name(at).is_some_and(|there| there >= name) {
                break;
            }
            low = at + 1;
            step *= 2;
        }
        let found = self.artifacts.find_within(name, low, (low + step).min(self.artifacts.len()));
        let (Ok(at) | Err(at)) = found;
        self.at = at;
        found.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use std::collections::BTreeMap;

    fn hashes(content: &str) -> DigestSet {
        DigestSet::of(&Digest::sha256(content.as_bytes()))
    }

    fn table(names: &[&str]) -> Artifacts {
        names.iter().map(|name| (*name, hashes(name))).collect()
    }

    #[test]
    fn names_are_sorted_and_found() {
        let table = table(&["b", "a/b", "", "a", "é", "b/c", "a b"]);
        let mut sorted = vec!["b", "a/b", "", "a", "é", "b/c", "a b"];
        sorted.sort_unstable();
        assert_eq!(table.keys().collect::<Vec<_>>(), sorted);
        for name in sorted {
            assert_eq!(table.get(name), Some(&hashes(name)));
        }
        for name in ["c", "a/", "b/", "aa", "\u{0}", "éé"] {
            assert!(!table.contains_key(name), "{name}");
        }
        assert_eq!((table.len(), table.is_empty(), Artifacts::new().is_empty()), (7, false, true));
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_counts() {
        let table = Artifacts::from([("b", hashes("1")), ("a", hashes("2")), ("b", hashes("3"))]);
        assert_eq!((table.len(), table.get("b")), (2, Some(&hashes("3"))));
    }

    #[test]
    fn inserting_is_as_into_a_map() {
        let (mut ours, mut theirs) = (Artifacts::new(), BTreeMap::new());
        for (n, name) in ["m", "z", "a", "m", "", "zz", "a", "b"].into_iter().enumerate() {
            let content = hashes(&n.to_string());
            assert_eq!(ours.insert(name, content.clone()), theirs.insert(name, content));
        }
        assert!(ours.iter().eq(theirs.iter().map(|(name, hashes)| (*name, hashes))));
        assert_eq!(ours, theirs.into_iter().collect());
    }

    #[test]
    fn a_cursor_finds_what_a_search_finds() {
        let names: Vec<String> = (0..200).map(|n| format!("{n:03}")).collect();
        for every in 1..40 {
            let table: Artifacts = names.iter().step_by(every).map(|name| (name, hashes(name))).collect();
            for stride in 1..50 {
                let mut cursor = table.cursor();
                for name in names.iter().step_by(stride) {
                    assert_eq!(cursor.seek(name), table.get(name), "{every} {stride} {name}");
                }
            }
        }
        assert_eq!(Artifacts::new().cursor().seek("a"), None);
    }
}
