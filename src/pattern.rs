//! The glob of in-toto artifact rules: Python's `fnmatch` on the whole name, in linear time (R28).

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String, /* + compiled form */
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the pattern has {found} bytes or wildcards, more than {max}")]
    TooComplex { found: usize, max: usize },
}

impl Pattern {
    /// security §2.E5: at most 1 KiB and 16 wildcards.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let _ = text;
        todo!()
    }
    pub fn as_str(&self) -> &str {
        &self.text
    }
    pub fn matches(&self, name: &str) -> bool {
        let _ = name;
        todo!()
    }
    /// R30: why this pattern can hardly be what was meant (unclosed `[`, empty range, backslash, `[^`, `**`, `{`).
    pub fn lint(&self) -> Option<&'static str> {
        todo!()
    }
    /// The text itself where the pattern has no wildcard (for binary search instead of matching).
    pub fn literal(&self) -> Option<&str> {
        todo!()
    }
}
