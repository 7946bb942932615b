//! `tidewaiter review [FILE]`: an AdmissionReview in, the answering AdmissionReview out.

use super::{
    ui::{self, Credentials, DocumentArgs, JudgeArgs, Output},
    verify::read_namespace,
};
use crate::{
    file,
    json::Limits,
    webhook::{
        admit, config, images,
        review::{self, Answer, Unreadable},
    },
};
use jiff::Timestamp;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Answer an AdmissionReview as the webhook would
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 allowed   1 denied, the evidence or the review is invalid   2 usage or configuration
  3 denied, evidence is missing   4 denied, we could not look

Examples:
  tidewaiter review review.json --policy policies/
  tidewaiter review --policy policies/ < review.json
  tidewaiter review review.json --policy policies/ --mutate
  tidewaiter review review.json --policy policies/ \\
      --namespace-object ns.json --at 2026-11-23T12:00:00Z")]
pub struct Args {
    /// The review, JSON; `-` is stdin
    #[arg(default_value = "-", value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub documents: DocumentArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// The namespace's object, for the exceptions in its annotations (`kubectl get namespace N -o json`)
    #[arg(long, value_name = "FILE")]
    pub namespace_object: Option<PathBuf>,
    /// Answer as the mutating webhook
    #[arg(long)]
    pub mutate: bool,
    /// Judge as of this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
    /// What is printed: the answering review, or its verdict and message
    #[arg(long, short, value_enum, default_value = "json")]
    pub output: Output,
}

pub async fn run(args: Args) -> anyhow::Result<u8> {
    let Args { file, documents, judge, namespace_object, mutate, at, timeout, output } = args;
    anyhow::ensure!(
        file != Path::new("-") || documents.policy != Path::new("-"),
        "the review and the policy cannot both come from stdin"
    );
    let namespace = namespace_object.map(|path| read_namespace(&path)).transpose()?;
    let bytes = file::read_cut(&file, Limits::REVIEW.bytes_max)?;
    let settings = judge.settings(Credentials::OfThePerson)?;
    let snapshot = config::load(&documents.policy, &settings)?;
    let now = at.unwrap_or_else(Timestamp::now);
    let deadline = Instant::now() + Duration::from_secs(timeout);

    let request = match review::parse(&bytes) {
        Ok(request) => request,
        Err(Unreadable::NotAReview(why)) => anyhow::bail!("{}: {why}", file.display()),
        Err(Unreadable::Denied { uid, fault }) => {
            print(output, &uid, &Answer::refused(&fault));
            return Ok(fault.reason.class().exit_code());
        }
    };
    if let Some(object) = &namespace
        && object.name != request.namespace
    {
        anyhow::bail!("the namespace object is of \"{}\", the review of \"{}\"", object.name, request.namespace);
    }
    let judge = &snapshot.judge;
    let subject = images::subject(&request);
    let (answer, code) = if mutate {
        match admit::mutate(judge, &snapshot.set, subject, deadline).await {
            Ok(answer) => (answer, 0),
            Err(fault) => (Answer::refused(&fault), fault.reason.class().exit_code()),
        }
    } else {
        match admit::validate(judge, &snapshot.set, &request.namespace, subject, namespace.as_ref(), deadline, now)
            .await
        {
            Ok(outcome) => (outcome.answer(), outcome.exit_code()),
            Err(fault) if settings.audit_only => (Answer::watched(&fault), 0),
            Err(fault) => (Answer::refused(&fault), fault.reason.class().exit_code()),
        }
    };
    print(output, &request.uid, &answer);
    Ok(code)
}

fn print(output: Output, uid: &str, answer: &Answer) {
    if output == Output::Json {
        anstream::println!("{}", String::from_utf8_lossy(&review::respond(uid, answer)));
        return;
    }
    anstream::println!("{}", ui::verdict(answer.allowed));
    if let Some((_, message)) = &answer.denial {
        anstream::println!("{message}");
    }
    answer.warnings.iter().for_each(|warning| anstream::println!("warning: {warning}"));
    answer.patch.iter().for_each(|operation| anstream::println!("patch: {operation}"));
}
