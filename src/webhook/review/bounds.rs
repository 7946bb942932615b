//! What the API server keeps of an answer, and how we stay inside it, so that we and not the API server choose what is left out.
//!
//! * Warnings (`WithWarningRecorder`): beyond 4096 characters in all, it cuts each one at 256 and drops the rest. It puts nothing before a
//!   webhook's warning; kubectl's own `Warning: ` is not counted.
//! * Audit annotations: a key is written as `<webhook>/<key>` and must be a qualified name: at most 63 of `[A-Za-z0-9-_.]`. A value has no
//!   limit of its own, but an event above 100 KiB (`--audit-log-truncate-max-event-size`) is dropped whole, and there are other webhooks.
//! * `status.message` and the values are ours to bound: 1 KiB (security T-66, H6).

use std::collections::BTreeSet;

/// Of one warning, the ellipsis included.
const WARNING_CHARS_MAX: usize = 256;
/// Of all of them.
const WARNINGS_CHARS_MAX: usize = 4096;
/// Of `status.message` and of one audit annotation. With eight keys that is at most a twelfth of an audit event.
pub const TEXT_CHARS_MAX: usize = 1024;

/// The warnings in their order, the most important first, as many as the API server lets through; the last one says how many are not there.
pub fn warnings(all: &[String]) -> Vec<String> {
    // The API server tells equal ones once; so do we, before we count.
    let mut each: Vec<String> = Vec::new();
    for warning in all.iter().map(|warning| printable(warning, WARNING_CHARS_MAX)) {
        if !warning.is_empty() && !each.contains(&warning) {
            each.push(warning);
        }
    }
    let more =
        |count: usize| format!("{count} more warnings are left out; `tidewaiter verify` tells those of one image");
    fitting(each, WARNINGS_CHARS_MAX, 0, more)
}

/// A list as one value: whole items, and how many are not there.
pub fn list(items: &BTreeSet<String>) -> String {
    const BETWEEN: &str = "; ";
    let items = items.iter().map(|item| printable(item, TEXT_CHARS_MAX / 2)).collect();
    fitting(items, TEXT_CHARS_MAX, BETWEEN.len(), |count| format!("and {count} more")).join(BETWEEN)
}

/// All of them where they fit; else the first ones, and `more` with the number of the others.
fn fitting(mut items: Vec<String>, room: usize, between: usize, more: impl Fn(usize) -> String) -> Vec<String> {
    let length = |item: &String| item.len() + between;
    if items.iter().map(length).sum::<usize>() <= room + between {
        return items;
    }
    let (all, mut left) = (items.len(), room.saturating_sub(more(items.len()).len()));
    let kept = items.iter().map(length).take_while(|needed| {
        let fits = *needed <= left;
        left = left.saturating_sub(*needed);
        fits
    });
    let kept = kept.count();
    items.truncate(kept);
    items.push(more(all - kept));
    items
}

/// Printable ASCII in at most `max` characters; everything else (newline, ESC, bidi, zero width) as an escape.
pub fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for char in text.chars() {
        if out.len() > max {
            break;
        }
        match char {
            ' '..='~' => out.push(char),
            other => out.extend(other.escape_unicode()),
        }
    }
    cut(&out, max)
}

/// At most `max` bytes of ASCII, an ellipsis where something was cut.
pub fn cut(ascii: &str, max: usize) -> String {
    match ascii.get(..max) {
        Some(_) if ascii.len() > max => format!("{}...", ascii.get(..max - 3).unwrap_or_default()),
        _ => ascii.to_owned(),
    }
}
