//! Sizes in bytes as people write them: `8KiB`, `256MiB`, `4096`.

/// # Errors
/// It is no such size, or more than 64 bits hold.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err("expected a size such as 8KiB or 256MiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a size such as 8KiB or 256MiB".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "it is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(
            [parse("0"), parse("8KiB"), parse("256 MiB"), parse("1g")],
            [Ok(0), Ok(8_192), Ok(256 << 20), Ok(1 << 30)]
        );
        for wrong in ["", "KiB", "8XB", "-1", "99999999999999999999", "99999999999G"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
