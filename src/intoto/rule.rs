//! Artifact rules: specification 4.3.3. Its grammar; `verify::rules` applies them.
use crate::pattern::Pattern;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    Materials,
    Products,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Create(Pattern),
    Delete(Pattern),
    Modify(Pattern),
    Allow(Pattern),
    Disallow(Pattern),
    Require(String),
    Match {
        pattern: Pattern,
        source_prefix: Option<String>,
        side: Side,
        destination_prefix: Option<String>,
        from: String,
    },
}
// impl Rule: parse(&[Value]), Display as written (`MATCH foo IN src WITH PRODUCTS FROM build`)
