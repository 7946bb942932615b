//! Trouble that lasts is told when it begins, when it becomes another one, and now and then; not at every try.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Between two times the same is told.
const REMIND: Duration = Duration::from_secs(600);

/// What was told about each subject, and when.
#[derive(Default)]
pub(crate) struct Complaints(BTreeMap<&'static str, (String, Instant)>);

impl Complaints {
    /// `what` is wrong about the subject now (`None`: nothing); `say` is called where that should be told.
    pub(crate) fn tell(&mut self, about: &'static str, what: Option<String>, say: impl FnOnce(&str)) {
        let Some(what) = what else {
            self.0.remove(about);
            return;
        };
        let told = self.0.get(about).is_some_and(|(before, at)| *before == what && at.elapsed() < REMIND);
        if !told {
            say(&what);
            self.0.insert(about, (what, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_until_it_has_been_well() {
        let (mut complaints, mut said) = (Complaints::default(), Vec::new());
        for what in [Some("a"), Some("a"), Some("b"), None, Some("b")] {
            complaints.tell("it", what.map(ToOwned::to_owned), |what| said.push(what.to_owned()));
            complaints.tell("another", Some("x".into()), |_| ());
        }
        assert_eq!(said, ["a", "b", "b"]);
    }
}
