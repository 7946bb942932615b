//! One judgement, many verifiers: the same signed chains given to ours, to the Python reference and to the Go implementation.
//!
//! Chains come by hand (`differential/rows`) and from a seed (`differential/generate.rs`). Where a verdict differs from ours,
//! `differential/disagreements.yaml` must say why; anything else fails, with the seed, the directory and all verdicts.
//!
//! * `TIDEWAITER_DIFFERENTIAL_CHAINS` and `…_SEED`: how many generated chains, and from which seed on (`make differential`);
//! * `TIDEWAITER_DIFFERENTIAL_WRITE=1` writes the table of `docs/in-toto.md` instead of comparing it.
#![cfg(feature = "programs")]

#[path = "differential/case.rs"]
mod case;
#[path = "differential/foreign.rs"]
mod foreign;
#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/globs.rs"]
mod globs;
#[path = "differential/keys.rs"]
mod keys;
#[path = "differential/known.rs"]
mod known;
#[path = "differential/mutate.rs"]
mod mutate;
#[allow(dead_code)] // these take the parts that chains need
#[path = "support/openpgp.rs"]
mod openpgp;
#[path = "differential/peers.rs"]
mod peers;
#[path = "support/people.rs"]
mod people;
#[path = "differential/rows.rs"]
mod rows;
#[path = "differential/table.rs"]
mod table;
#[path = "differential/theirs.rs"]
mod theirs;
#[allow(dead_code)]
#[path = "real/tools.rs"]
mod tools;
#[path = "differential/traits.rs"]
mod traits;

use case::Case;
use known::Entry;
use peers::{Python, Verdict, Verdicts};
use rows::Row;
use std::{
    collections::BTreeSet,
    fmt::Write,
    path::PathBuf,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
use tidewaiter::intoto::Profile;

/// The chains that every run of the tests judges, from a fixed seed.
const CHAINS: u64 = 2_000;
const SEED: u64 = 20_261_125;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(format!("TIDEWAITER_DIFFERENTIAL_{name}")).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("TIDEWAITER_DIFFERENTIAL_{name} is {text:?}")))
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(known::entries);

/// Judges the case in a directory, which is kept where nothing explains the verdicts. Gives the verdicts, the entries that explain them,
/// and the finding.
fn judge(name: &str, case: &Case, python: &mut Python) -> (Verdicts, Vec<usize>, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    let verdicts = peers::judge(case, folder.path(), python);
    let (used, unexplained) = known::explain(&ENTRIES, case, &verdicts);
    let finding = (!unexplained.is_empty()).then(|| {
        let kept: PathBuf = folder.keep();
        let mut text = format!("{name} {:?}: nothing explains {unexplained:?}; kept in {}\n", case.did, kept.display());
        for (who, verdict) in [
            ("strict", &verdicts.strict),
            ("compat", &verdicts.compat),
            ("Python", &verdicts.python),
            ("Go", &verdicts.go),
        ] {
            writeln!(text, "  {who:7}{verdict}").unwrap();
        }
        text
    });
    (verdicts, used, finding)
}

/// A row and what was said to it.
struct Judged {
    row: Row,
    strict: Verdict,
    compat: Verdict,
    /// Python's and Go's verdict; none where they would execute something.
    peers: Option<[Verdict; 2]>,
    explained: Vec<usize>,
    finding: Option<String>,
}

static ROWS: LazyLock<Vec<Judged>> = LazyLock::new(|| {
    let mut python = Python::start("verify");
    let judged = |row: Row| {
        if row.executes {
            let folder = tempfile::tempdir().unwrap();
            row.case.write(folder.path());
            let [strict, compat] =
                [Profile::Strict, Profile::Compat].map(|profile| peers::ours(folder.path(), profile));
            return Judged { row, strict, compat, peers: None, explained: Vec::new(), finding: None };
        }
        let (Verdicts { strict, compat, python, go }, explained, finding) = judge(row.id, &row.case, &mut python);
        Judged { row, strict, compat, peers: Some([python, go]), explained, finding }
    };
    rows::all().into_iter().map(judged).collect()
});

#[test]
fn every_row_gets_its_verdict_and_differences_are_known() {
    let mut failures = Vec::new();
    for Judged { row, strict, finding, .. } in ROWS.iter() {
        if known::word(strict) != row.strict {
            failures.push(format!("{} ({}): expected {}, found {strict}", row.id, row.what, row.strict));
        }
        failures.extend(finding.clone());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_page_shows_every_row() {
    table::check(&table::table(&ROWS, &ENTRIES), setting("WRITE").is_some());
}

#[test]
fn generated_chains_are_judged_alike() {
    let (chains, seed) = (setting("CHAINS").unwrap_or(CHAINS), setting("SEED").unwrap_or(SEED));
    println!("TIDEWAITER_DIFFERENTIAL_CHAINS={chains} TIDEWAITER_DIFFERENTIAL_SEED={seed}");
    let next = AtomicU64::new(0);
    let work = || {
        let mut python = Python::start("verify");
        let (mut used, mut findings, mut counts) = (BTreeSet::new(), Vec::new(), [0; 4]);
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= chains {
                return (used, findings, counts);
            }
            let seed = seed + at;
            let (verdicts, entries, finding) = judge(&format!("seed {seed}"), &generate::chain(seed), &mut python);
            used.extend(entries);
            findings.extend(finding);
            for (count, verdict) in
                counts.iter_mut().zip([&verdicts.strict, &verdicts.compat, &verdicts.python, &verdicts.go])
            {
                *count += u64::from(verdict.pass);
            }
        }
    };
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut used: BTreeSet<usize> = ROWS.iter().flat_map(|judged| judged.explained.clone()).collect();
    let (mut findings, mut passed) = (Vec::new(), [0; 4]);
    for (entries, more, counts) in results {
        used.extend(entries);
        findings.extend(more);
        passed.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    println!(
        "of {chains} chains strict verified {}, compat {}, Python {}, Go {}",
        passed[0], passed[1], passed[2], passed[3]
    );
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
    // A generator that makes nothing but good or bad chains would find nothing.
    if chains >= CHAINS {
        assert!(
            passed.iter().all(|passed| (chains / 5..chains * 4 / 5).contains(passed)),
            "{passed:?} of {chains} pass"
        );
    }
    // Other seeds may miss what is rare.
    if (chains, seed) == (CHAINS, SEED) {
        let idle: Vec<&str> =
            (0..ENTRIES.len()).filter(|at| !used.contains(at)).map(|at| ENTRIES[at].why.as_str()).collect();
        assert!(idle.is_empty(), "these disagreements did not occur: {idle:#?}");
    }
}
