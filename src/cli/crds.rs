//! `tidewaiter crds`: our CustomResourceDefinitions, for clusters that are not set up by the chart.

use crate::cluster::crd;
use anyhow::Context;
use std::io::Write;

/// Print the CustomResourceDefinitions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewaiter crds | kubectl apply --server-side -f -
  tidewaiter crds --only trustroots
  tidewaiter crds --output json | jq -r '.[].metadata.name'")]
pub struct Args {
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Output::Yaml)]
    pub output: Output,
    /// One of them, by its plural name
    #[arg(long, value_name = "PLURAL")]
    pub only: Option<String>,
}

/// `--output yaml|json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// One document a kind
    Yaml,
    /// One array
    Json,
}

pub async fn run(args: Args) -> anyhow::Result<u8> {
    let mut definitions = crd::all().context("make the schemas")?;
    if let Some(only) = args.only {
        definitions.retain(|it| it.spec.names.plural == only);
        let plurals = crd::Kind::ALL.map(crd::Kind::plural).join(", ");
        anyhow::ensure!(!definitions.is_empty(), "there is no \"{only}\", only {plurals}");
    }
    let text = match args.output {
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&definitions)?),
        Output::Yaml => {
            let documents = definitions.iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>();
            documents.context("write YAML")?.join("---\n")
        }
    };
    std::io::stdout().write_all(text.as_bytes()).context("write to stdout")?;
    Ok(0)
}
