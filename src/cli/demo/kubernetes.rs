//! `tidewaiter demo --kubernetes`: the same cases, answered by the API server of the current cluster.
//!
//! What is made: a namespace; in it a Service, a ConfigMap with an OCI layout, and a Pod of tidewaiter's own image that serves it; beside it
//! two TrustRoots, a RegistryConfig and a ClusterImagePolicy, which holds in that namespace alone. What is asked: server-side dry-run creates.
//! Nothing else in the cluster is touched, and all of it is taken away again, whatever happens (but for SIGKILL; everything has a label).

use super::{super::ui::Output, cases, keys, pipeline, registry, table};
use crate::cluster::Cluster;
use anyhow::Context as _;
use installed::Installed;
use kube::Client;
use objects::Objects;
use std::{path::Path, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

mod ask;
mod installed;
mod objects;

/// For the registry to be up, its image pulled.
const POD_PATIENCE: Duration = Duration::from_secs(180);

/// 0 where every answer is the expected one, 1 otherwise; an error where it could not be asked.
pub async fn run(image: Option<String>, keep: bool, output: Output) -> anyhow::Result<u8> {
    let client = Cluster::connect(None).await?.client;
    let installed = Installed::find(&client, image).await?;
    let mut random = [0u8; 3];
    aws_lc_rs::rand::fill(&mut random)?;
    let objects = Objects::new(client.clone(), format!("tidewaiter-demo-{}", hex::encode(random)));
    let tell = |text: &str| {
        if matches!(output, Output::Text) {
            anstream::eprintln!("{text}");
        }
    };
    let played = tokio::select! {
        played = play(&client, &installed, &objects, &tell) => played,
        () = interrupted() => Err(anyhow::anyhow!("interrupted")),
    };
    let left = match keep {
        true => Ok(()),
        false => {
            tell("cleaning  what was made is taken away");
            objects.remove().await
        }
    };
    if keep || left.is_err() {
        tell(&format!("left      {}\n", objects.how_to_remove()));
    }
    let answers = played?;
    if keep && let Some(image) = answers.iter().find(|it| it.case == cases::TAMPERED).map(|it| &it.image) {
        tell(&format!("to try    kubectl run again --namespace {} --image {image} --dry-run=server\n", objects.name()));
    }
    match output {
        Output::Text => anstream::print!("{}", table::text(&answers)),
        Output::Json => anstream::println!("{}", table::json(&answers)),
    }
    left?;
    Ok(u8::from(!answers.iter().all(cases::Answer::is_expected)))
}

async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn play(
    client: &Client,
    installed: &Installed,
    objects: &Objects,
    tell: &impl Fn(&str),
) -> anyhow::Result<Vec<cases::Answer>> {
    tell(&format!("cluster   tidewaiter {}, image {}", installed.place, installed.image));
    let address = objects.namespace_and_service().await?;
    let host = format!("{address}:{}", registry::PORT);
    tell(&format!("namespace {}, its registry will be {host}", objects.name()));

    let directory = tempfile::Builder::new().prefix("tidewaiter-demo-").tempdir().context("a temporary directory")?;
    let (keys, made) = make(directory.path(), &format!("{host}/shop/api"), installed.pins).await?;
    tell(&format!(
        "pipelines {} images, each with its own checkout, build and package, recorded and signed",
        made.len()
    ));

    objects.registry(installed, &directory.path().join("registry")).await?;
    objects.ready(POD_PATIENCE).await?;
    tell("registry  serves the images and what is known of them");
    objects.policies(&host, &keys).await?;
    let asking = ask::Asking { client: client.clone(), namespace: objects.name().to_owned() };
    asking.until_in_force(&host).await?;
    tell("policy    in force in that namespace alone");
    let mut answers = Vec::new();
    for prepared in &made {
        answers.push(asking.about(prepared).await?);
    }
    Ok(answers)
}

/// The images, in an OCI layout in `registry/` of the directory.
async fn make(directory: &Path, repository: &str, pins: bool) -> anyhow::Result<(keys::Keys, Vec<cases::Prepared>)> {
    let keys = keys::Keys::new(&directory.join("keys"))?;
    let layouts = pipeline::Layouts::new(directory, &keys, repository)?;
    super::image::create(&directory.join("registry"))?;
    let made = cases::make(&cases::World { directory, keys: &keys, layouts: &layouts, repository }, pins).await?;
    Ok((keys, made))
}
