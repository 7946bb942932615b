//! Honest chains with one to three edits, from a seed: as long as a chain is verified, everything it stands on is as it was signed, and
//! the verdict is the same; what is edited where nothing is trusted denies nothing.
//!
//! The chains are those of `vectors/chains.json`, and every change of them that must be allowed: keys of each kind, OpenPGP, certificates,
//! layouts inside layouts, parameters, statements. `fuzz/targets/verify_end_to_end.rs` does the same with a fuzzer's edits.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/chains.rs"]
#[allow(dead_code)] // the vectors ask for more
mod chains;
#[path = "support/edits.rs"]
mod edits;
#[allow(dead_code)] // these take the parts that chains need
#[path = "support/openpgp.rs"]
mod openpgp;
#[path = "support/people.rs"]
mod people;
#[path = "support/stream.rs"]
mod stream;

use chains::{Chain, File, folder, read};
use edits::Trusted;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use stream::Stream;
use tidewaiter::{intoto::Profile, verify::VerifiedStep};

const CASES: u64 = 2_400;
const SEED: u64 = 20_261_129;

/// A chain that is verified, and what it stands on.
struct Honest {
    name: String,
    chain: Chain,
    /// The files without which it is denied.
    needed: Vec<(File, Trusted)>,
    verdict: Verdict,
}

/// What a verified chain says: whose layout it is, and who did which step.
#[derive(Debug, PartialEq)]
struct Verdict {
    layout: String,
    owners: Vec<String>,
    steps: Vec<VerifiedStep>,
}

impl Verdict {
    /// The same, by the same people or some of them.
    fn is_within(&self, original: &Verdict) -> bool {
        let within = |some: &[String], all: &[String]| !some.is_empty() && some.iter().all(|one| all.contains(one));
        let steps = self.steps.iter().zip(&original.steps);
        self.layout == original.layout
            && within(&self.owners, &original.owners)
            && self.steps.len() == original.steps.len()
            && steps.into_iter().all(|(one, other)| one.name == other.name && within(&one.signers, &other.signers))
    }
}

fn verdict(chain: &Chain, files: &[File]) -> Result<Verdict, &'static str> {
    let verified = chain.judge(files, Profile::Strict).map_err(|rejection| rejection.reason().as_str())?;
    Ok(Verdict {
        layout: verified.layout().to_string(),
        owners: verified.owners().to_vec(),
        steps: verified.steps().to_vec(),
    })
}

impl Honest {
    fn new(name: String, chain: Chain) -> Self {
        let verdict = verdict(&chain, &chain.files).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let without = |at: usize| {
            let mut files = chain.files.clone();
            let file = files.remove(at);
            let needed = self::verdict(&chain, &files).is_err();
            needed.then(|| {
                let trusted = Trusted::of(&file.bytes).unwrap_or_else(|| panic!("{name}: no envelope is needed"));
                (file, trusted)
            })
        };
        let needed: Vec<(File, Trusted)> = (0..chain.files.len()).filter_map(without).collect();
        assert!(!needed.is_empty(), "{name} stands on nothing");
        Honest { name, needed, verdict, chain }
    }
}

/// Whose key is of another kind here.
const OF_ANOTHER_KIND: [(&str, [&str; 4]); 3] = [
    ("ECDSA", ["p256-olga", "p384-fred", "p521-bea", "p256-ben"]),
    ("RSA", ["rsa-olga", "rsa-fred", "rsa-bea", "rsa-ben"]),
    ("of several kinds", ["olga", "p256-fred", "rsa-bea", "ben"]),
];

fn honest() -> Vec<Honest> {
    let chains = read(folder().join("chains.json"));
    let mut all: Vec<Honest> = Vec::new();
    for base in chains.as_object().unwrap().keys() {
        all.push(Honest::new(base.clone(), Chain::new(&chains, base, &json!({}))));
    }
    for (kind, names) in OF_ANOTHER_KIND {
        for container in ["dsse", "metablock"] {
            let renamed = ["olga", "fred", "bea", "ben"].iter().zip(names).fold(
                chains["steps"].to_string(),
                |text, (from, to)| {
                    text.replace(&format!("\"{from}\""), &format!("\"{to}\""))
                        .replace(&format!(":{from}\""), &format!(":{to}\""))
                },
            );
            let set =
                ["layout", "fetch", "build"].map(|file| (format!("/envelopes/{file}/container"), json!(container)));
            let case = json!({"set": set.into_iter().collect::<BTreeMap<_, _>>()});
            let chains = json!({"steps": serde_json::from_str::<Value>(&renamed).unwrap()});
            all.push(Honest::new(format!("{kind}, {container}"), Chain::new(&chains, "steps", &case)));
        }
    }
    for entry in std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let (name, file) = (entry.file_name().unwrap().to_string_lossy().into_owned(), read(entry.join("case.json")));
        if let Some(allowed) = file.get("allowed") {
            let base = file["chain"].as_str().unwrap_or("steps");
            all.push(Honest::new(name, Chain::new(&chains, base, allowed)));
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

#[test]
fn no_edit_of_what_is_trusted_is_verified() {
    let honest = honest();
    let (mut denied, mut harmless) = (BTreeMap::<&str, u64>::new(), BTreeSet::<&str>::new());
    for seed in SEED..SEED + CASES {
        let Honest { name, chain, needed, verdict: original } = &honest[(seed % honest.len() as u64) as usize];
        let bytes = stream::of_seed(seed, 64);
        let stream = &mut Stream::new(&bytes);
        let mut files: Vec<edits::File> =
            chain.files.iter().map(|file| (file.name.clone(), file.bytes.clone())).collect();
        let did: Vec<&str> = (0..=stream.below(3)).map(|_| edits::edit(&mut files, stream)).collect();
        let intact = needed.iter().all(|(_, trusted)| files.iter().any(|(_, bytes)| trusted.is_in(bytes)));
        let files: Vec<File> = files.into_iter().map(|(name, bytes)| File { name, bytes }).collect();
        // Two that are not needed may be needed together.
        let gone: Vec<&File> = chain.files.iter().filter(|file| !files.contains(file)).collect();
        let untouched = gone.len() <= 1 && needed.iter().all(|(file, _)| !gone.contains(&file));
        let what = format!("seed {seed}, {name}: {did:?}");
        match verdict(chain, &files) {
            Ok(found) => {
                assert!(intact, "{what}: verified, and it is not what was signed");
                assert!(found.is_within(original), "{what}: {found:?} of {original:?}");
                let compatibly = chain.judge(&files, Profile::Compat);
                assert!(compatibly.is_ok(), "{what}: verified strictly, and not compatibly: {compatibly:?}");
                harmless.extend(did);
            }
            Err(reason) => {
                assert!(!untouched, "{what}: {reason}, and all that is needed is there");
                *denied.entry(reason).or_default() += 1;
            }
        }
    }
    println!("harmless now and then: {harmless:?}; denied: {denied:?}");
    let verified = CASES - denied.values().sum::<u64>();
    assert!((CASES / 10..CASES * 2 / 3).contains(&verified), "{verified} of {CASES} are verified");
}
