//! What each object came to, from the view that decisions are made by.

use super::{Finding, Holds, Why};
use crate::{
    cluster::{
        referenced::Problem,
        resources::{Judged, View},
    },
    resource::{FieldError, Resource},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// The findings of each view, and of each change in its problems; for as long as there are views.
pub fn follow(
    mut views: watch::Receiver<Option<Arc<View>>>,
    mut problems: watch::Receiver<Arc<Vec<Problem>>>,
) -> watch::Receiver<Arc<Vec<Finding>>> {
    let (found, findings) = watch::channel(Arc::default());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                changed = problems.changed() => if changed.is_err() { return },
            }
            let (view, problems) = (views.borrow_and_update().clone(), problems.borrow_and_update().clone());
            if let Some(view) = view {
                found.send_replace(Arc::new(of(&view, &problems)));
            }
        }
    });
    findings
}

/// One finding an object.
pub fn of(view: &View, problems: &[Problem]) -> Vec<Finding> {
    // The TrustRoots that decide, with how many keys.
    let roots: BTreeMap<&str, usize> = view
        .documents
        .iter()
        .filter_map(|(.., resource)| match resource {
            Resource::TrustRoot(root) => Some((root.metadata.name.as_str(), root.spec.keys.len())),
            _ => None,
        })
        .collect();
    let mut findings: Vec<Finding> = view.judged.iter().map(|judged| finding(judged, &roots, view)).collect();
    for problem in problems {
        let about = |it: &&mut Finding| it.why == Why::Loaded && it.kind == problem.kind && it.name == problem.name;
        for finding in findings.iter_mut().filter(about) {
            (finding.why, finding.message) = (problem.why, format!("{}: {}", problem.field, problem.message));
        }
    }
    findings
}

fn finding(judged: &Judged, roots: &BTreeMap<&str, usize>, view: &View) -> Finding {
    let (why, message) = match &judged.outcome {
        Err(errors) if judged.in_use => {
            (Why::LastGoodInUse, format!("the version before it goes on deciding: {}", told(errors)))
        }
        Err(errors) => (Why::Invalid, told(errors)),
        Ok(resource) => of_good(judged, resource, roots, view),
    };
    let holds = match judged.outcome.as_deref() {
        Ok(Resource::TrustRoot(root)) => Some(Holds {
            names: root.spec.keys.iter().map(|key| key.name.clone()).collect(),
            // OpenPGP certificates have an end; a bare public key has none.
            expires: root.spec.keys.iter().filter_map(|key| key.read(0).ok()?.expires()).min(),
        }),
        _ => None,
    };
    Finding {
        kind: judged.kind.as_str().into(),
        namespace: judged.namespace.clone(),
        name: judged.name.clone(),
        generation: judged.generation,
        why,
        message,
        holds,
    }
}

fn of_good(judged: &Judged, resource: &Resource, roots: &BTreeMap<&str, usize>, view: &View) -> (Why, String) {
    match resource {
        Resource::ClusterImagePolicy(policy) | Resource::ImagePolicy(policy) => {
            let names = policy.spec.trust_roots();
            let missing = names.into_iter().find_map(|name| match roots.get(name) {
                None => Some(format!("TrustRoot \"{name}\" does not exist, or is in error")),
                Some(0) => Some(format!("TrustRoot \"{name}\" holds no key")),
                Some(_) => None,
            });
            match missing {
                Some(why) => {
                    (Why::TrustRootMissing, format!("{why}: the images it selects are denied with no_trust_root"))
                }
                None => (Why::Loaded, String::new()),
            }
        }
        Resource::RegistryConfig(config) if !judged.in_use => {
            let host = config.spec.canonical_host().unwrap_or_default();
            let other = view.registries().get(&host).map(|name| (*name).to_owned()).unwrap_or_default();
            (Why::DuplicateHost, format!("spec.host: RegistryConfig \"{other}\" is about {host} already, and is older"))
        }
        _ => (Why::Loaded, String::new()),
    }
}

fn told(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::resources::Kind, resource};

    fn judged(kind: Kind, text: &str) -> Judged {
        let resource = resource::parse("f", text).unwrap().remove(0);
        let name = resource.metadata().name.clone();
        Judged { kind, namespace: None, name, generation: 3, outcome: Ok(Arc::new(resource)), in_use: true }
    }

    fn view(judged: Vec<Judged>) -> View {
        let good = judged.iter().filter(|it| it.in_use).filter_map(|it| it.outcome.as_ref().ok().cloned());
        let documents = good.map(|it| (it.kind().to_owned(), 1, (*it).clone())).collect();
        View { judged, documents, broken: Vec::new() }
    }

    fn policy() -> Judged {
        judged(
            Kind::ClusterImagePolicy,
            "{apiVersion: tidewaiter.dev/v1alpha1, kind: ClusterImagePolicy, metadata: {name: shop}, spec: {images: [\"r.example.com/**\"], \
             require: {all: [{name: a, signature: {cosign: {trust: release}}}]}}}",
        )
    }

    #[test]
    fn a_policy_waits_for_its_trust_root() {
        let found = of(&view(vec![policy()]), &[]);
        assert_eq!((found[0].why, found[0].generation), (Why::TrustRootMissing, 3));
        let empty = "{apiVersion: tidewaiter.dev/v1alpha1, kind: TrustRoot, metadata: {name: release}, spec: {}}";
        let found = of(&view(vec![policy(), judged(Kind::TrustRoot, empty)]), &[]);
        assert_eq!(found[0].why, Why::TrustRootMissing);
        assert!(found[0].message.contains("holds no key"), "{}", found[0].message);
        assert_eq!(found[1].holds, Some(Holds::default()));
    }

    #[test]
    fn an_error_says_whether_anything_still_decides() {
        let error = vec![FieldError::new("spec.images[0]", "is no pattern")];
        let broken = Judged { outcome: Err(error.clone()), in_use: false, ..policy() };
        let kept = Judged { outcome: Err(error), in_use: true, ..policy() };
        let found = of(&view(vec![broken, kept]), &[]);
        assert_eq!((found[0].why, found[0].message.as_str()), (Why::Invalid, "spec.images[0]: is no pattern"));
        assert_eq!(found[1].why, Why::LastGoodInUse);
        assert!(found[1].message.ends_with("spec.images[0]: is no pattern"), "{}", found[1].message);
    }

    #[test]
    fn the_second_of_a_host_is_told_of_the_first() {
        let config = |name: &str| {
            let text = "{apiVersion: tidewaiter.dev/v1alpha1, kind: RegistryConfig, metadata: {name: NAME}, spec: {host: r.example.com}}";
            judged(Kind::RegistryConfig, &text.replace("NAME", name))
        };
        let found = of(&view(vec![config("first"), Judged { in_use: false, ..config("second") }]), &[]);
        assert_eq!((found[0].why, found[1].why), (Why::Loaded, Why::DuplicateHost));
        assert!(found[1].message.contains("\"first\""), "{}", found[1].message);
    }

    #[test]
    fn a_problem_is_told_by_its_own_reason_and_on_no_one_else() {
        let config = |name: &str| {
            let text = "{apiVersion: tidewaiter.dev/v1alpha1, kind: RegistryConfig, metadata: {name: NAME}, spec: {host: NAME.example.com}}";
            judged(Kind::RegistryConfig, &text.replace("NAME", name))
        };
        let problem = |name: &str, field: &str, why, message: &str| {
            let (kind, name) = ("RegistryConfig", name.to_owned());
            Problem { kind, name, field: field.into(), why, message: message.into() }
        };
        let missing = "Secret \"pull\": it is not there";
        let problems = [
            problem("a", "spec.credentials.secretRef", Why::SecretMissing, missing),
            problem("b", "spec", Why::NotHonoured, "docker configuration /d: not found"),
        ];
        let found = of(&view(["a", "b", "c"].map(config).into()), &problems);
        let told: Vec<_> = found.iter().map(|it| (it.why, it.message.as_str())).collect();
        let missing = format!("spec.credentials.secretRef: {missing}");
        assert_eq!(
            told,
            [
                (Why::SecretMissing, missing.as_str()),
                (Why::NotHonoured, "spec: docker configuration /d: not found"),
                (Why::Loaded, "")
            ]
        );
    }
}
