//! Lengths of time as policies write them: `30d`, `12h`, `1h30m`.

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The longest one we take: more is a typing error, or no limit at all.
const SECONDS_MAX: i64 = 366 * 24 * 3600;

/// A positive length of time in whole seconds, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    text: String,
    seconds: i64,
}

impl Span {
    /// In seconds; a day is 24 hours.
    pub fn duration(&self) -> SignedDuration {
        SignedDuration::from_secs(self.seconds)
    }
}

/// Why a text is no length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not numbers with units.
    #[error("expected a length of time such as 30d, 12h or 1h30m")]
    Malformed,
    /// Zero, or longer than a year.
    #[error("expected more than nothing and at most 366d")]
    OutOfRange,
}

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let mut seconds: i64 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(SpanError::Malformed)?;
            let (number, tail) = rest.split_at_checked(end).ok_or(SpanError::Malformed)?;
            let unit = match tail.chars().next() {
                Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3600,
                Some('d') => 24 * 3600,
                _ => return Err(SpanError::Malformed),
            };
            let number: i64 = number.parse().map_err(|_| SpanError::Malformed)?;
            seconds =
                number.checked_mul(unit).and_then(|part| seconds.checked_add(part)).ok_or(SpanError::OutOfRange)?;
            rest = tail.get(1..).unwrap_or_default();
        }
        match seconds {
            1..=SECONDS_MAX => Ok(Span { text: text.to_owned(), seconds }),
            _ if text.is_empty() => Err(SpanError::Malformed),
            _ => Err(SpanError::OutOfRange),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("\"{text}\": {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        for (text, seconds) in [("30d", 30 * 86400), ("1h30m", 5400), ("90s", 90), ("366d", SECONDS_MAX)] {
            assert_eq!(text.parse::<Span>().map(|s| s.seconds), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "d", "30", "-1d", "1w", "1.5h", "30 d", "99999999999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::Malformed), "{text}");
        }
        for text in ["0s", "367d", "9223372036854775807d"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::OutOfRange), "{text}");
        }
    }
}
