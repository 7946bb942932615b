//! `tidewaiter except`: exceptions of a namespace, sealed by who may make them (design §6).

use super::ui::Output;
use crate::{
    author::time,
    policy::exception::{self, Exception},
    signer,
};
use anyhow::Context as _;
use jiff::Timestamp;
use std::path::PathBuf;

/// Make exceptions from policies
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Sign(Sign),
}

/// Seal an exception for one namespace, and print the annotations that carry it
///
/// The namespace's UID is part of the seal, so that the annotations mean nothing anywhere else, nor in a namespace made anew under the
/// same name. The policy says whose keys count and how long an exception may last.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter except sign --namespace shop-test \\
      --uid \"$(kubectl get namespace shop-test \\
      -o jsonpath={.metadata.uid})\" \\
      --policy shop --requirement scanned \\
      --images 'registry.example.com/shop/**' \\
      --until 7d --reason 'INC-42: scanner is down' --key security.pem | sh
  tidewaiter except sign … --output json > patch.json; \\
      kubectl patch namespace shop-test --patch-file patch.json")]
pub struct Sign {
    /// The namespace it holds in
    #[arg(long, short = 'n', value_name = "NAME")]
    namespace: String,
    /// The namespace's metadata.uid
    #[arg(long, value_name = "UID")]
    uid: String,
    /// The ClusterImagePolicy it is from
    #[arg(long, value_name = "NAME")]
    policy: String,
    /// Image patterns it holds for
    #[arg(long, value_name = "PATTERN", num_args = 1.., required_unless_present = "digests", conflicts_with = "digests")]
    images: Vec<String>,
    /// Image digests it holds for, sha256:…
    #[arg(long, value_name = "DIGEST", num_args = 1..)]
    digests: Vec<String>,
    /// Names of the policy's requirements that are waived
    #[arg(long, value_name = "NAME", num_args = 1.., required = true)]
    requirement: Vec<String>,
    /// When it ends: 7d, 12h, or 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    until: String,
    /// Why, for those who read the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// An exception signer's private key
    #[arg(long, env = "TIDEWAITER_KEY", value_name = "FILE")]
    key: PathBuf,
    /// A kubectl command to run, or a metadata patch
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Always 0; what fails is an error.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Sign(args) => sign(args, Timestamp::now()),
    }
}

fn sign(args: Sign, now: Timestamp) -> anyhow::Result<u8> {
    let key = signer::from_file(&args.key)?;
    let exception = Exception {
        images: args.images,
        digests: args.digests,
        policy: args.policy,
        requirements: args.requirement,
        until: time::until(&args.until, now).context("--until")?,
        reason: args.reason,
    };
    let text = exception::write(&[exception])?;
    let sealed_at = Timestamp::from_second(now.as_second())?;
    let seal = exception::seal(&args.namespace, &args.uid, &text, sealed_at, &[&key])?;
    let seal = String::from_utf8(seal.to_bytes()).context("the seal is no text")?;
    match args.output {
        Output::Text => anstream::println!(
            "kubectl annotate --overwrite namespace {} {} {}",
            shell(&args.namespace),
            shell(&format!("{}={text}", exception::ANNOTATION)),
            shell(&format!("{}={seal}", exception::SEAL_ANNOTATION)),
        ),
        Output::Json => anstream::println!(
            "{}",
            serde_json::json!({ "metadata": { "annotations": { exception::ANNOTATION: text, exception::SEAL_ANNOTATION: seal } } })
        ),
    }
    Ok(0)
}

/// One word for a POSIX shell, whatever is in it.
fn shell(text: &str) -> String {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@".contains(c)) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(shell("shop-test"), "shop-test");
        assert_eq!(shell("it's $HOME\n`id`"), "'it'\\''s $HOME\n`id`'");
        assert_eq!(shell(""), "''");
    }
}
