//! Query parameters, and the headers that stand for them.

use super::problem::Problem;
use crate::digest::{Algorithm, Digest};
use axum::http::HeaderMap;
use std::collections::BTreeSet;

/// Images that may be named beside one record.
pub const DECLARED_MAX: usize = 64;
const WORD_BYTES_MAX: usize = 512;

/// What a request says beside its body.
#[derive(Debug, Default)]
pub struct Parameters {
    pub chain: Option<String>,
    pub run: Option<String>,
    pub step: Option<String>,
    pub subjects: BTreeSet<Digest>,
}

impl Parameters {
    /// # Errors
    /// 400: an unknown parameter, one given twice, or a value that is none.
    pub fn read(query: Vec<(String, String)>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut parameters = Parameters::default();
        for (name, value) in query {
            match name.as_str() {
                "chain" => set(&mut parameters.chain, "chain", value)?,
                "run" => set(&mut parameters.run, "run", value)?,
                "step" => set(&mut parameters.step, "step", value)?,
                "subject" => {
                    parameters.subjects.insert(image(&value)?);
                }
                other => return Err(Problem::bad_request(format!("unknown parameter \"{}\"", other.escape_default()))),
            }
        }
        for (name, slot) in [("tidewaiter-chain", &mut parameters.chain), ("tidewaiter-run", &mut parameters.run)] {
            if let Some(value) = headers.get(name) {
                let value =
                    value.to_str().map_err(|_| Problem::bad_request(format!("{name} is not printable ASCII")))?;
                set(slot, name, value.to_owned())?;
            }
        }
        parameters.check()
    }

    /// As of one record of a batch.
    ///
    /// # Errors
    /// 400: a value that is none.
    pub fn of(
        chain: Option<String>,
        run: Option<String>,
        step: Option<String>,
        subjects: &[String],
    ) -> Result<Self, Problem> {
        let mut parameters = Parameters::default();
        let words = [("chain", chain, &mut parameters.chain), ("run", run, &mut parameters.run)];
        for (name, value, slot) in words.into_iter().chain([("step", step, &mut parameters.step)]) {
            if let Some(value) = value {
                set(slot, name, value)?;
            }
        }
        for subject in subjects {
            parameters.subjects.insert(image(subject)?);
        }
        parameters.check()
    }

    fn check(self) -> Result<Self, Problem> {
        if self.subjects.len() > DECLARED_MAX {
            return Err(Problem::bad_request(format!("more than {DECLARED_MAX} subjects")));
        }
        Ok(self)
    }
}

/// Whether a text may name a run, a chain or a step in a request.
pub fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= WORD_BYTES_MAX && !text.chars().any(char::is_control)
}

fn set(slot: &mut Option<String>, name: &str, value: String) -> Result<(), Problem> {
    if !is_word(&value) {
        let detail = format!("{name} has between 1 and {WORD_BYTES_MAX} printable characters");
        return Err(Problem::bad_request(detail));
    }
    match slot.replace(value.clone()) {
        Some(other) if other != value => Err(Problem::bad_request(format!("{name} is given twice, differently"))),
        _ => Ok(()),
    }
}

/// `sha256:<hex>`, or the hex alone.
///
/// # Errors
/// 400: something else.
pub fn image(text: &str) -> Result<Digest, Problem> {
    let digest: Option<Digest> =
        if text.contains(':') { text.parse().ok() } else { format!("sha256:{text}").parse().ok() };
    digest
        .filter(|digest| digest.algorithm() == Algorithm::Sha256)
        .ok_or_else(|| Problem::bad_request("expected sha256:<64 lower-case hex digits>"))
}
