//! The tags of an XML document in their order: enough to count what a report lists, and nothing that could be made to fetch or to swell.

/// Tags of one document; a report with more has no facts.
const TAGS_MAX: usize = 200_000;

/// One tag. `<a/>` opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'x> {
    /// Without its prefix.
    pub name: &'x str,
    pub opens: bool,
    pub closes: bool,
    attributes: &'x str,
}

impl<'x> Tag<'x> {
    /// An attribute as it is written: entities are not resolved.
    pub fn attribute(&self, name: &str) -> Option<&'x str> {
        let mut rest = self.attributes;
        loop {
            let (key, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let (value, after) = after.get(1..)?.split_once(quote)?;
            if key.trim() == name {
                return Some(value);
            }
            rest = after;
        }
    }
}

/// The tags of a document; `None` when it is no well-formed one, declares a document type (entities come from there), or has too many.
pub(super) fn tags(text: &str) -> Option<Vec<Tag<'_>>> {
    let mut tags = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        rest = if let Some(comment) = after.strip_prefix("!--") {
            comment.split_once("-->")?.1
        } else if let Some(data) = after.strip_prefix("![CDATA[") {
            data.split_once("]]>")?.1
        } else if let Some(instruction) = after.strip_prefix('?') {
            instruction.split_once("?>")?.1
        } else if after.starts_with('!') {
            return None;
        } else {
            let end = end(after)?;
            let tag = tag(after.get(..end)?)?;
            match (tag.opens, tag.closes) {
                (true, false) => open.push(tag.name),
                (false, true) if open.pop() != Some(tag.name) => return None,
                _ => {}
            }
            tags.push(tag);
            after.get(end + 1..)?
        };
        if tags.len() > TAGS_MAX {
            return None;
        }
    }
    open.is_empty().then_some(tags)
}

/// Where a tag ends: at a `>` that is in no attribute's value.
fn end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn tag(text: &str) -> Option<Tag<'_>> {
    let (text, ends) = match text.strip_prefix('/') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let (text, empty) = match text.strip_suffix('/') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (name, attributes) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let name = name.rsplit(':').next().filter(|name| !name.is_empty())?;
    Some(Tag { name, opens: !ends, closes: ends || empty, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_in_order_and_text_is_none() {
        let text = "<?xml version='1.0'?><a x=\"1>2\" y='b'><!-- <no/> --><n:b/><![CDATA[<no/>]]>text</a>";
        let tags = tags(text).unwrap();
        let seen: Vec<_> = tags.iter().map(|tag| (tag.name, tag.opens, tag.closes)).collect();
        assert_eq!(seen, [("a", true, false), ("b", true, true), ("a", false, true)]);
        assert_eq!((tags[0].attribute("x"), tags[0].attribute("y")), (Some("1>2"), Some("b")));
        assert_eq!(tags[0].attribute("z"), None);
    }

    #[test]
    fn what_is_not_well_formed_or_declares_entities_is_none() {
        for text in
            ["<a>", "<a></b>", "</a>", "<a", "<a x=\"1>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a/>", "<!-- a", "<>"]
        {
            assert_eq!(tags(text), None, "{text}");
        }
    }
}
