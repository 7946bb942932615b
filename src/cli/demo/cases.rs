//! What is tried: each case builds an image of its own, is told what must come of it, and is answered by the webhook, or by an API server.

use super::{
    image,
    keys::Keys,
    pipeline::{self, Built, Layouts, Place, Tamper},
    servers::Servers,
};
use crate::{capture::upload, digest::Digest, envelope::Envelope, publish, reason::Reason};
use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// The first case, and the one whose denial is shown in full.
pub const GOOD: &str = "the pipeline's image";
pub const TAMPERED: &str = "a source file added after the checkout";

/// Where everything is.
pub struct World<'w> {
    pub directory: &'w Path,
    pub keys: &'w Keys,
    pub layouts: &'w Layouts,
    /// `host[:port]/path` of the images.
    pub repository: &'w str,
}
impl World<'_> {
    fn reference(&self, plan: &Plan, image: &Digest) -> String {
        match plan.by_tag {
            true => format!("{}:{}", self.repository, plan.name),
            false => format!("{}@{image}", self.repository),
        }
    }
}

/// An image that was made, to be asked about.
pub struct Prepared {
    /// The case's directory, tag, and pod.
    pub name: &'static str,
    pub case: &'static str,
    pub expected: Option<Reason>,
    /// As a pod names it.
    pub image: String,
}

/// One answer of the webhook beside the expected one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub case: &'static str,
    pub image: String,
    /// `None`: allowed.
    pub expected: Option<Reason>,
    pub allowed: bool,
    /// The word in `status.reason`.
    pub reason: Option<String>,
    /// What the person at kubectl reads.
    pub message: Option<String>,
}
impl Answer {
    /// The verdict is the expected one, for the expected reason.
    pub fn is_expected(&self) -> bool {
        self.allowed == self.expected.is_none() && self.reason.as_deref() == self.expected.map(Reason::as_str)
    }
}

/// Whose signature lies beside the image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signature {
    Release,
    Mallory,
    Nobody,
    /// The release key's, over the good image.
    Copied,
}

/// Where links and layout are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Papers {
    InStore,
    BesideImage,
    /// Those of the good image, beside this one.
    Copied,
    Nowhere,
}

/// One case: how it differs from the good one.
struct Plan {
    /// Tag and directory.
    name: &'static str,
    case: &'static str,
    expected: Option<Reason>,
    signature: Signature,
    papers: Papers,
    layout: fn(&Layouts) -> &Envelope,
    tamper: Tamper,
    built_by_mallory: bool,
    build_link_withheld: bool,
    by_tag: bool,
    store_down: bool,
}

/// The good one. Where something is wrong, its papers are beside the image: the store would not have taken them.
const GOOD_PLAN: Plan = Plan {
    name: "good",
    case: GOOD,
    expected: None,
    signature: Signature::Release,
    papers: Papers::BesideImage,
    layout: |layouts| &layouts.good,
    tamper: Tamper::Nothing,
    built_by_mallory: false,
    build_link_withheld: false,
    by_tag: false,
    store_down: false,
};

fn plans() -> Vec<Plan> {
    let denied = |name, case, reason| Plan { name, case, expected: Some(reason), ..GOOD_PLAN };
    vec![
        Plan { papers: Papers::InStore, ..GOOD_PLAN },
        Plan { name: "beside", case: "the same, its metadata beside the image", ..GOOD_PLAN },
        Plan { signature: Signature::Nobody, ..denied("unsigned", "not signed", Reason::NoSignature) },
        Plan {
            signature: Signature::Mallory,
            ..denied("stranger", "signed by a stranger", Reason::SignatureUntrusted)
        },
        Plan {
            signature: Signature::Copied,
            ..denied("copied", "another image's signature", Reason::SignatureInvalid)
        },
        Plan { papers: Papers::Nowhere, ..denied("paperless", "signed, but no metadata at all", Reason::NoLayout) },
        Plan { build_link_withheld: true, ..denied("skipped", "the build step is missing", Reason::ThresholdNotMet) },
        Plan {
            built_by_mallory: true,
            ..denied("outsider", "the build step done by a stranger", Reason::ThresholdNotMet)
        },
        Plan { tamper: Tamper::Source, ..denied("source", TAMPERED, Reason::RuleViolation) },
        Plan {
            tamper: Tamper::Program,
            ..denied("program", "the program replaced after the build", Reason::RuleViolation)
        },
        Plan { papers: Papers::Copied, ..denied("foreign", "another image's metadata", Reason::RuleViolation) },
        Plan { layout: |l| &l.loose, ..denied("loose", "a layout that ties no image", Reason::SubjectNotBound) },
        Plan { layout: |l| &l.expired, ..denied("expired", "an expired layout", Reason::LayoutExpired) },
        Plan { layout: |l| &l.by_a_stranger, ..denied("usurped", "a layout by a stranger", Reason::LayoutUntrusted) },
        Plan {
            layout: |l| &l.by_one_owner,
            ..denied("lonely", "a layout by one of two owners", Reason::LayoutUntrusted)
        },
        Plan { by_tag: true, ..denied("tagged", "named by a tag, without a digest", Reason::ImageNotPinned) },
        Plan {
            papers: Papers::InStore,
            store_down: true,
            ..denied("unasked", "the store is down", Reason::StoreUnavailable)
        },
    ]
}

/// Every case in its turn.
pub async fn play(world: World<'_>, mut servers: Servers, tell: &impl Fn(&str)) -> anyhow::Result<Vec<Answer>> {
    let store = servers.store();
    upload::put(&store, &world.layouts.good, &upload::Belongs::default()).await.context("the layout, to the store")?;
    let mut good: Option<Built> = None;
    let mut answers = Vec::new();
    for plan in plans() {
        let built = prepare(&world, Some(&store), &plan, good.as_ref());
        let built = built.await.with_context(|| format!("case \"{}\"", plan.case))?;
        if plan.store_down {
            servers.kill_store();
            tell("store     gone");
        }
        answers.push(review(&servers, &plan, world.reference(&plan, &built.image)).await?);
        if plan.case == GOOD {
            tell(&format!("evidence  {}", servers.evidence(&built.image).await?));
        }
        good.get_or_insert(built);
    }
    Ok(answers)
}

/// The cases that need no store of ours, made and not asked about: for a cluster. `pinned`: it has a webhook that pins tags.
pub async fn make(world: &World<'_>, pinned: bool) -> anyhow::Result<Vec<Prepared>> {
    let mut good: Option<Built> = None;
    let mut made = Vec::new();
    for plan in cluster_plans(pinned) {
        let built = prepare(world, None, &plan, good.as_ref());
        let built = built.await.with_context(|| format!("case \"{}\"", plan.case))?;
        let image = world.reference(&plan, &built.image);
        made.push(Prepared { name: plan.name, case: plan.case, expected: plan.expected, image });
        good.get_or_insert(built);
    }
    Ok(made)
}

fn cluster_plans(pinned: bool) -> Vec<Plan> {
    let needs_no_store = |plan: &Plan| plan.papers != Papers::InStore && plan.name != "beside";
    let rest = plans().into_iter().filter(needs_no_store).map(|plan| match plan.by_tag && pinned {
        true => Plan { case: "named by a tag, which is pinned", expected: None, ..plan },
        false => plan,
    });
    std::iter::once(GOOD_PLAN).chain(rest).collect()
}

/// Runs the pipeline, signs the image, and puts the metadata where the case wants it.
async fn prepare(
    world: &World<'_>,
    store: Option<&upload::Store>,
    plan: &Plan,
    good: Option<&Built>,
) -> anyhow::Result<Built> {
    let (directory, keys, repository) = (world.directory, world.keys, world.repository);
    let store = match plan.papers {
        Papers::InStore => Some(store.context("a case without its store")?),
        _ => None,
    };
    let builder = if plan.built_by_mallory { "mallory" } else { "ci" };
    let built = pipeline::run(&Place { directory, repository, name: plan.name, store }, plan.tamper, builder).await?;
    let other = good.unwrap_or(&built);
    let registry = directory.join("registry");
    let sign = |image: &Digest, key| image::sign(&registry, repository, image, &built.image, key);
    match plan.signature {
        Signature::Release => sign(&built.image, &keys.release)?,
        Signature::Mallory => sign(&built.image, &keys.mallory)?,
        Signature::Copied => sign(&other.image, &keys.release)?,
        Signature::Nobody => {}
    }
    let links = |built: &Built| {
        let withheld = plan.build_link_withheld;
        [Some(&built.checkout), Some(&built.build).filter(|_| !withheld), Some(&built.package)]
            .into_iter()
            .flatten()
            .map(Envelope::to_bytes)
            .collect::<Vec<_>>()
    };
    let beside = |mut envelopes: Vec<Vec<u8>>| {
        envelopes.push((plan.layout)(world.layouts).to_bytes());
        publish::publish_to_layout(&registry, &built.image, &envelopes).map(drop)
    };
    match plan.papers {
        // Each step has sent its own.
        Papers::InStore => {}
        Papers::BesideImage => beside(links(&built))?,
        Papers::Copied => beside(links(other))?,
        Papers::Nowhere => {}
    }
    Ok(built)
}

async fn review(servers: &Servers, plan: &Plan, reference: String) -> anyhow::Result<Answer> {
    let uid = format!("00000000-0000-4000-8000-{:012x}", reference.bytes().map(u64::from).sum::<u64>());
    let answer = servers.review(&pod_review(&uid, plan.name, &reference)).await?;
    let response = &answer["response"];
    anyhow::ensure!(response["uid"] == uid.as_str(), "the answer is to another review");
    let status = |field: &str| response["status"][field].as_str().map(str::to_owned);
    Ok(Answer {
        case: plan.case,
        image: reference,
        expected: plan.expected,
        allowed: response["allowed"].as_bool().context("an answer that neither allows nor denies")?,
        reason: status("reason"),
        message: status("message"),
    })
}

/// What the API server sends when somebody creates a pod.
fn pod_review(uid: &str, name: &str, image: &str) -> serde_json::Value {
    let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
    let resource = json!({ "group": "", "version": "v1", "resource": "pods" });
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": kind, "requestKind": kind,
            "resource": resource, "requestResource": resource,
            "name": name,
            "namespace": "shop-demo",
            "operation": "CREATE",
            "userInfo": { "username": "demo", "groups": ["system:authenticated"] },
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": name, "namespace": "shop-demo" },
                "spec": { "containers": [{ "name": "api", "image": image }] },
            },
            "oldObject": null,
            "dryRun": false,
            "options": { "apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_expected_only_with_its_reason() {
        let answer = |expected, allowed, reason: Option<&str>| Answer {
            case: "",
            image: String::new(),
            expected,
            allowed,
            reason: reason.map(str::to_owned),
            message: None,
        };
        assert!(answer(None, true, None).is_expected());
        assert!(!answer(None, false, Some("no_layout")).is_expected());
        assert!(answer(Some(Reason::NoLayout), false, Some("no_layout")).is_expected());
        assert!(!answer(Some(Reason::NoLayout), false, Some("no_signature")).is_expected());
        assert!(!answer(Some(Reason::NoLayout), true, None).is_expected());
    }

    #[test]
    fn every_case_has_a_name_of_its_own_and_most_are_denied() {
        let plans = plans();
        let names: std::collections::BTreeSet<_> = plans.iter().map(|plan| plan.name).collect();
        assert_eq!(names.len(), plans.len());
        assert!(plans.iter().filter(|plan| plan.expected.is_some()).count() >= 8);
    }

    #[test]
    fn a_cluster_is_asked_all_that_needs_no_store() {
        for pinned in [true, false] {
            let plans = cluster_plans(pinned);
            assert_eq!(plans.first().map(|plan| (plan.case, plan.expected)), Some((GOOD, None)));
            assert!(plans.iter().all(|plan| plan.papers != Papers::InStore && !plan.store_down));
            let names: std::collections::BTreeSet<_> = plans.iter().map(|plan| plan.name).collect();
            assert_eq!((names.len(), plans.len()), (15, 15));
            let by_tag = plans.iter().find(|plan| plan.by_tag).map(|plan| plan.expected.is_none());
            assert_eq!(by_tag, Some(pinned));
            assert!(plans.iter().any(|plan| plan.case == TAMPERED));
        }
    }
}
