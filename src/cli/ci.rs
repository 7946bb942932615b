//! `tidewaiter ci`: what would be recorded and sent from here, and as whom (store §5.1).

use super::{
    store_args::{StoreArgs, Who},
    ui::Output,
};
use crate::capture::{
    Surroundings,
    facts::{Fact, Facts},
    git, identity,
    redact::{Findings, OnSecret},
};
use std::path::Path;

/// Show which CI system this is, what would be recorded of it, and as whom it would be sent
///
/// Facts are shown as they would be signed, without secrets. Of the identity token its claims are shown, never the token.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter ci
  tidewaiter ci --store https://store.example.com --output json")]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// A variable of the environment to record; may be repeated
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What is shown.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    system: Option<String>,
    run: Option<String>,
    chain: Option<String>,
    store: Option<String>,
    spool: Option<Waiting>,
    identity: Identity,
    facts: serde_json::Value,
    redactions: u64,
}

#[derive(serde::Serialize)]
struct Waiting {
    directory: String,
    records: usize,
}

#[derive(Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    /// Where the token is from.
    source: String,
    #[serde(flatten)]
    claims: Option<identity::Claims>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<u8> {
    let around = args.store.surroundings()?;
    let run = args.store.run(&around);
    let redactor = around.redactor(args.store.secrets(&around), OnSecret::Redact)?;
    let mut found = Findings::default();
    let facts = around.facts(Path::new("."), run.as_deref(), &args.env, None).await.redacted(&redactor, &mut found);
    let spool = args.store.spool(&around).map(|spool| Waiting {
        directory: spool.directory().display().to_string(),
        records: spool.waiting().map(|(entries, _)| entries.len()).unwrap_or_default(),
    });
    let shown = Shown {
        system: around.detected.as_ref().map(|detected| detected.system.clone()),
        run: run.map(|run| redactor.text(&run, &mut Findings::default())),
        chain: args.store.chain().map(str::to_owned),
        store: args.store.url().map(git::without_userinfo),
        spool,
        identity: who(&args.store, &around).await,
        facts: serde_json::Value::from(&facts.to_value()).get("facts").cloned().unwrap_or_default(),
        redactions: found.count(),
    };
    match args.output {
        Output::Json => anstream::println!("{}", serde_json::to_string_pretty(&shown)?),
        Output::Text => anstream::print!("{}", text(&shown, &facts)),
    }
    Ok(0)
}

async fn who(store: &StoreArgs, around: &Surroundings) -> Identity {
    let source = match store.who(around) {
        Who::Nobody => return Identity { source: "none".into(), ..Identity::default() },
        Who::Token(source) => return Identity { source: source.into(), ..Identity::default() },
        Who::Job(source) => source,
    };
    let described = source.described();
    match identity::token(&source, store.audience().unwrap_or("tidewaiter")).await {
        Ok(token) => Identity { source: described, claims: identity::claims(&token), error: None },
        Err(error) => Identity { source: described, claims: None, error: Some(format!("{error:#}")) },
    }
}

fn text(shown: &Shown, facts: &Facts) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: &str| lines.push(format!("{name:<10}{value}"));
    line("system", shown.system.as_deref().unwrap_or("none that is known"));
    line("run", shown.run.as_deref().unwrap_or("none; give one with --run"));
    line("chain", shown.chain.as_deref().unwrap_or("as the store finds it"));
    line("store", shown.store.as_deref().unwrap_or("none; links stay on disk"));
    match &shown.spool {
        Some(spool) => line("spool", &format!("{} ({} waiting)", spool.directory, spool.records)),
        None => line("spool", "none"),
    }
    line("identity", &shown.identity.source);
    let claims = shown.identity.claims.clone().unwrap_or_default();
    let audience = (!claims.audience.is_empty()).then(|| claims.audience.join(", "));
    let known =
        [("issuer", claims.issuer), ("subject", claims.subject), ("audience", audience), ("expires", claims.expires)];
    for (name, value) in known.into_iter().chain([("error", shown.identity.error.clone())]) {
        if let Some(value) = value {
            line("", &format!("{name} {}", value.escape_debug()));
        }
    }
    line("secrets", &format!("{} replaced", shown.redactions));
    line("facts", "");
    for (name, fact) in facts.iter() {
        let value = match fact {
            Fact::Text(text) => text.escape_debug().to_string(),
            Fact::Number(number) => number.to_string(),
            Fact::Truth(truth) => truth.to_string(),
        };
        line("", &format!("{name} = {value}"));
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n") + "\n"
}
