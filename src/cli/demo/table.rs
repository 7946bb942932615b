//! The answers as a table for a person, and as JSON.

use super::cases::{Answer, TAMPERED};
use owo_colors::OwoColorize as _;
use std::fmt::Write as _;

/// Columns as wide as they need to be; colours are taken out where nobody would see them.
pub fn text(answers: &[Answer]) -> String {
    let rows: Vec<[String; 4]> = answers.iter().map(row).collect();
    let head = ["case", "expected", "got", "reason"].map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |row: &[String; 4]| -> [String; 4] { std::array::from_fn(|at| format!("{:<1$}", row[at], widths[at])) };

    let mut text = String::from("\n");
    let _ = writeln!(text, "  {}", line(&head).join("  ").trim_end().bold());
    for (answer, row) in answers.iter().zip(&rows) {
        let [case, expected, got, reason] = line(row);
        let got = if answer.allowed { got.green().to_string() } else { got.red().to_string() };
        let mark = if answer.is_expected() { " ".to_owned() } else { "!".red().to_string() };
        let _ = writeln!(text, "{mark} {case}  {expected}  {got}  {}", reason.trim_end());
    }
    if let Some(message) =
        answers.iter().find(|answer| answer.case == TAMPERED).and_then(|answer| answer.message.as_ref())
    {
        let _ = writeln!(text, "\n{}", format!("What kubectl says of \"{TAMPERED}\":").bold());
        for line in message.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    let expected = answers.iter().filter(|answer| answer.is_expected()).count();
    let _ = writeln!(text, "\n{expected} of {} answers as expected", answers.len());
    for answer in answers.iter().filter(|answer| !answer.is_expected()) {
        let _ = writeln!(
            text,
            "{} {}",
            format!("not as expected: {}:", answer.case).red(),
            answer.message.as_deref().unwrap_or("allowed")
        );
    }
    text
}

fn row(answer: &Answer) -> [String; 4] {
    let verdict = |allowed: bool| if allowed { "allowed" } else { "denied" }.to_owned();
    let expected = match answer.expected {
        None => verdict(true),
        Some(reason) => format!("denied {}", reason.as_str()),
    };
    [answer.case.to_owned(), expected, verdict(answer.allowed), answer.reason.clone().unwrap_or_default()]
}

/// One object.
pub fn json(answers: &[Answer]) -> String {
    let passed = answers.iter().all(Answer::is_expected);
    serde_json::json!({ "passed": passed, "answers": answers }).to_string()
}
