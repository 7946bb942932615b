//! The name of a run, made of claims: `{repository}/{run_id}`.

use std::str::FromStr;

const NAMES_MAX: usize = 8;

/// Texts and claims' names, in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Claim(String),
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected text with 1 to 8 names of claims in braces, such as {{repository}}/{{run_id}}")]
pub struct RunTemplateError;

impl FromStr for RunTemplate {
    type Err = RunTemplateError;

    fn from_str(text: &str) -> Result<Self, RunTemplateError> {
        let (mut parts, mut names, mut rest) = (Vec::new(), 0, text);
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or(RunTemplateError)?;
            if name.is_empty() || name.contains('{') || before.contains('}') {
                return Err(RunTemplateError);
            }
            parts.extend([Part::Text(before.to_owned()), Part::Claim(name.to_owned())]);
            (names, rest) = (names + 1, behind);
        }
        if !(1..=NAMES_MAX).contains(&names) || rest.contains('}') || text.chars().any(char::is_control) {
            return Err(RunTemplateError);
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(RunTemplate { parts })
    }
}

impl RunTemplate {
    /// The claims it is made of.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Claim(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The run's name; `None` where a claim is missing.
    pub fn render(&self, claim: impl Fn(&str) -> Option<String>) -> Option<String> {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Claim(name) => claim(name),
        };
        self.parts.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_take_the_place_of_their_names() {
        let template: RunTemplate = "gh:{repository}/{run_id}".parse().unwrap();
        let claim = |name: &str| (name != "missing").then(|| format!("<{name}>"));
        assert_eq!(template.render(claim).as_deref(), Some("gh:<repository>/<run_id>"));
        assert_eq!(template.claims().collect::<Vec<_>>(), ["repository", "run_id"]);
        assert_eq!("{missing}".parse::<RunTemplate>().unwrap().render(claim), None);
    }

    #[test]
    fn what_names_no_claim_is_no_template() {
        for text in ["", "run", "{}", "{a", "a}", "{a}}", "{{a}}", "{a}\n", &"{a}".repeat(9)] {
            assert_eq!(text.parse::<RunTemplate>(), Err(RunTemplateError), "{text}");
        }
    }
}
