//! Times as a person writes them: `90d` from now, or an instant.

use crate::resource::Span;
use jiff::{SignedDuration, Timestamp};

/// `90d`, `12h`, `1h30m`, or RFC 3339; in whole seconds, and not in the past.
pub fn until(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let instant = from(text, now)?;
    anyhow::ensure!(instant > now, "{instant} is in the past");
    Ok(instant)
}

/// The same, which may be in the past.
pub fn from(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let instant = match (text.parse::<Span>(), text.parse::<Timestamp>()) {
        (Ok(span), _) => now.checked_add(span.duration())?,
        (_, Ok(instant)) => instant,
        (Err(error), Err(_)) => {
            anyhow::bail!("\"{text}\" is neither a time such as 2030-01-31T12:00:00Z nor a length of time: {error}")
        }
    };
    Ok(Timestamp::from_second(instant.as_second())?)
}

/// How long until then: `89d 4h`, or `expired 3h ago`.
pub fn left(until: Timestamp, now: Timestamp) -> String {
    let duration = until.duration_since(now);
    match duration.is_negative() || duration.is_zero() {
        true => format!("expired {} ago", roughly(duration.abs())),
        false => format!("{} left", roughly(duration)),
    }
}

/// The two largest units.
fn roughly(duration: SignedDuration) -> String {
    let minutes = duration.as_mins();
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-25T12:00:00.5Z".parse().unwrap()
    }

    #[test]
    fn a_length_or_an_instant() {
        assert_eq!(until("90d", now()).unwrap().to_string(), "2027-02-23T12:00:00Z");
        assert_eq!(until("2027-01-01T00:00:00Z", now()).unwrap().to_string(), "2027-01-01T00:00:00Z");
        assert_eq!(until("2027-01-01T01:00:00+01:00", now()).unwrap().to_string(), "2027-01-01T00:00:00Z");
        for bad in ["", "soon", "90", "2027-01-01", "2020-01-01T00:00:00Z"] {
            assert!(until(bad, now()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_left() {
        assert_eq!(left("2027-02-23T16:00:01Z".parse().unwrap(), now()), "90d 4h left");
        assert_eq!(left("2026-11-25T14:30:01Z".parse().unwrap(), now()), "2h 30m left");
        assert_eq!(left("2026-11-25T11:00:00Z".parse().unwrap(), now()), "expired 1h 0m ago");
    }
}
