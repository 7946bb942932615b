//! The words for the person at kubectl (design §7): bounded, printable ASCII, whatever the cluster's users and registries sent.

use super::decision::{Cause, Decision, ImageDecision, RequirementDecision};
use crate::{reason::Class, reference::Reference};
use std::fmt::Write as _;

/// Most bytes of a denial (security T-66).
pub const DENIAL_MAX: usize = 1024;
/// Most characters of one warning: what the API server keeps of it.
pub const WARNING_MAX: usize = 256;
/// Most warnings of one decision.
pub const WARNINGS_MAX: usize = 64;
/// Most that are gathered, of which the most important stay.
pub const WARNINGS_GATHERED_MAX: usize = 512;
/// Most bytes kept of a reference as written; a valid one has at most 255 for its name, 128 for its tag and 71 for its digest.
pub const REFERENCE_MAX: usize = 512;

/// Widest text before a `[reason]` that is still aligned to the widest of its image.
const COLUMN_MAX: usize = 100;
/// Most bytes of one cause, and of the line that names the image.
const LINE_MAX: usize = 280;
/// Where header and reproducing command together are longer, the command gives way to the causes.
const FRAME_MAX: usize = 720;

/// What a warning is about, the most important first: the API server leaves out what comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Would be denied where its policy is enforced.
    WouldDeny,
    /// An exception that somebody counts on does not count.
    Ignored,
    /// Admitted by an exception.
    Excepted,
    /// No policy selects the image.
    Unjudged,
    /// Said beside a verdict.
    Note,
}

/// The warnings by rank, each rank in the order it came.
pub fn in_order(mut warnings: Vec<(Rank, String)>) -> Vec<String> {
    warnings.sort_by_key(|(rank, _)| *rank);
    warnings.into_iter().take(WARNINGS_MAX).map(|(_, text)| text).collect()
}

/// The text, printable ASCII, everything else as `\u{…}`.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ' '..='~') { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    out
}

/// At most `max` bytes (of a text that may be anything), an ellipsis where something was cut.
pub fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub(3);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    format!("{}...", text.get(..end).unwrap_or_default())
}

/// Printable ASCII, at most `max` bytes of it.
pub fn clean(text: &str, max: usize) -> String {
    clip(&printable(text), max)
}

/// One warning.
pub fn warning(text: &str) -> String {
    clean(text, WARNING_MAX)
}

/// `ClusterImagePolicy "shop"`, from `ClusterImagePolicy/shop`.
pub fn policy(label: &str) -> String {
    match label.split_once('/') {
        Some((kind, name)) => format!("{kind} \"{name}\""),
        None => label.to_owned(),
    }
}

/// `spec.containers[0] "api"`.
pub fn place(image: &ImageDecision) -> String {
    let field = image.field.strip_suffix(".image.reference").or_else(|| image.field.strip_suffix(".image"));
    let field = field.unwrap_or(&image.field);
    if image.name.is_empty() { field.to_owned() } else { format!("{field} \"{}\"", image.name) }
}

/// `released: missing: no cosign signature by "release-keys" [no_signature]`.
pub fn requirement(item: &RequirementDecision) -> String {
    let mut text = item.name.clone();
    if let (Some(class), Some(reason)) = (item.class, item.reason) {
        let message = item.message.as_deref().unwrap_or_default();
        let _ = write!(text, ": {}: {message} [{}]", class_word(class), reason.as_str());
    }
    text
}

pub fn class_word(class: Class) -> &'static str {
    match class {
        Class::Invalid => "invalid",
        Class::Missing => "missing",
        Class::Unavailable => "unavailable",
    }
}

/// The denial, whole.
pub fn denial(decision: &Decision) -> String {
    if decision.allowed {
        return String::new();
    }
    let images = decision.denied_images();
    let mut policies: Vec<&str> = Vec::new();
    for (image, _) in &images {
        for policy in image.denying() {
            if !policies.contains(&policy.policy.as_str()) {
                policies.push(&policy.policy);
            }
        }
    }
    let header = header(&policies);
    let mut reproduce = images.first().map(|(image, _)| reproduce(image, &decision.namespace)).unwrap_or_default();
    if header.len() + reproduce.len() > FRAME_MAX {
        reproduce.clear();
    }
    // What follows the causes is written last and so is reserved first; `more` is the longest it gets.
    let more = |count: usize| format!("\n  and {count} more");
    let room = DENIAL_MAX.saturating_sub(reproduce.len() + more(999_999).len());
    let mut text = header;
    let mut left_out = 0;
    for (image, causes) in &images {
        let lines = lines(image, causes, policies.len() > 1);
        let mut lines = lines.iter();
        // An image's name without a cause under it says nothing: both, or neither.
        let (name, first) = (lines.next().cloned().unwrap_or_default(), lines.next().cloned().unwrap_or_default());
        if left_out > 0 || text.len() + name.len() + first.len() > room {
            left_out += causes.len();
            continue;
        }
        text.push_str(&name);
        text.push_str(&first);
        for line in lines {
            if left_out > 0 || text.len() + line.len() > room {
                left_out += 1;
            } else {
                text.push_str(line);
            }
        }
    }
    if left_out > 0 {
        text.push_str(&more(left_out));
    }
    text.push_str(&reproduce);
    text
}

/// `denied by ClusterImagePolicy "shop"`.
fn header(policies: &[&str]) -> String {
    let names: Vec<String> = policies.iter().take(2).map(|label| clean(&policy(label), 140)).collect();
    match (names.is_empty(), policies.len().saturating_sub(names.len())) {
        (true, _) => "denied by tidewaiter".into(),
        (false, 0) => format!("denied by {}", names.join(" and ")),
        (false, more) => format!("denied by {} and {more} more", names.join(", ")),
    }
}

/// The image's line and one for each cause, each with the line feed before it.
fn lines(image: &ImageDecision, causes: &[Cause<'_>], several: bool) -> Vec<String> {
    let texts: Vec<String> = causes
        .iter()
        .map(|cause| {
            let mut text = String::new();
            if let (true, Some(policy)) = (several, cause.policy) {
                let _ = write!(text, "{policy} ");
            }
            if let Some(requirement) = cause.requirement {
                let _ = write!(text, "{requirement}: ");
            }
            let _ = write!(text, "{}: {}", class_word(cause.class), cause.message);
            clean(&text, LINE_MAX)
        })
        .collect();
    let column = texts.iter().map(String::len).filter(|length| *length <= COLUMN_MAX).max().unwrap_or_default();
    let name = format!("{} {}", place(image), shown(image));
    let mut lines = vec![format!("\n  {}", clean(&name, LINE_MAX))];
    lines.extend(
        causes.iter().zip(&texts).map(|(cause, text)| format!("\n    {text:<column$}   [{}]", cause.reason.as_str())),
    );
    lines
}

/// The reference with the digest that was judged, shortened for reading.
fn shown(image: &ImageDecision) -> String {
    match (image.reference.parse::<Reference>(), &image.digest) {
        (Ok(reference), Some(digest)) => format!("{}@{}...", reference.name(), clip_digest(digest)),
        _ => image.reference.clone(),
    }
}

/// `sha256:` and the first twelve digits.
fn clip_digest(digest: &str) -> &str {
    let end = digest.find(':').map_or(12, |colon| colon + 13);
    digest.get(..end).unwrap_or(digest)
}

/// The command that says all of it. What comes from outside is quoted for the shell it will be pasted into.
fn reproduce(image: &ImageDecision, namespace: &str) -> String {
    let reference = match (image.reference.parse::<Reference>(), &image.digest) {
        (Ok(reference), Some(digest)) => format!("{}@{digest}", reference.name()),
        _ => image.reference.clone(),
    };
    let policy = image.denying().next().and_then(|policy| policy.policy.rsplit('/').next()).unwrap_or("DIR");
    let mut text = format!("\n  reproduce: tidewaiter verify {} --policy {} --explain", word(&reference), word(policy));
    if !namespace.is_empty() && namespace != "default" {
        let _ = write!(text, " --namespace {}", word(namespace));
    }
    text
}

/// One word of a shell's command line.
fn word(text: &str) -> String {
    let text = printable(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@-".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::{Rank, WARNINGS_MAX, in_order};

    #[test]
    fn what_would_be_denied_is_said_before_notes_however_many_there_are() {
        let mut all: Vec<_> = (0..WARNINGS_MAX).map(|at| (Rank::Note, format!("note {at}"))).collect();
        for (rank, text) in [(Rank::Excepted, "excepted"), (Rank::WouldDeny, "would deny"), (Rank::Ignored, "ignored")]
        {
            all.push((rank, text.into()));
        }
        let told = in_order(all);
        assert_eq!(told.len(), WARNINGS_MAX);
        assert_eq!(told[..4], ["would deny", "ignored", "excepted", "note 0"]);
    }
}
