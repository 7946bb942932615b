//! What the in-toto core costs, beside Python in-toto and in-toto-golang on the same chains in one run: CPU time of the library call
//! and of whole processes. Then how it grows.
//!
//! Pure library alone: `cargo bench --no-default-features --bench in_toto`. The peers are looked for where `TIDEWAITER_TOOLS_DIR` points,
//! which `make bench` sets. `-- --write DIR` leaves the chains in a directory and `-- --verify DIR/ed25519` verifies one, for a profile:
//! `valgrind --tool=callgrind`.

#[path = "support/chain.rs"]
mod chain;
#[path = "support/peers.rs"]
mod peers;

use chain::{Chain, Rules, Shape};
use peers::{Peer, peers, python_call};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tidewaiter::{
    key::{PublicKey, Scheme},
    verify::{self, Piece},
};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is asked of a chain: CPU of the library call at most, and so many times what each peer takes.
struct Bar {
    what: &'static str,
    shape: Shape,
    call_max: Option<Duration>,
    faster: Option<f64>,
}

impl Bar {
    fn dir(&self, within: &Path) -> PathBuf {
        within.join(self.what.replace(", ", "-").replace(' ', "-"))
    }
}

const fn bar(what: &'static str, shape: Shape, call_max_us: u64, faster: u32) -> Bar {
    let call_max = if call_max_us == 0 { None } else { Some(Duration::from_micros(call_max_us)) };
    Bar { what, shape, call_max, faster: if faster == 0 { None } else { Some(faster as f64) } }
}

const BARS: [Bar; 10] = [
    bar("ed25519", Shape::USUAL, 15_000, 20),
    bar("threshold 3", Shape { threshold: 3, ..Shape::USUAL }, 0, 15),
    bar("RSA-3072", Shape { scheme: Scheme::RsaPssSha256, ..Shape::USUAL }, 0, 15),
    bar("RSA-3072, threshold 3", Shape { scheme: Scheme::RsaPssSha256, threshold: 3, ..Shape::USUAL }, 0, 15),
    bar("ECDSA P-256", Shape { scheme: Scheme::EcdsaP256, ..Shape::USUAL }, 0, 15),
    bar("DSSE", Shape { dsse: true, ..Shape::USUAL }, 0, 15),
    bar("10,000 artifacts", Shape { artifacts: 10_000, ..Shape::USUAL }, 150_000, 0),
    bar("1,000 literal rules a list", Shape { rules: Rules::Literals, ..Shape::USUAL }, 0, 50),
    bar("100 artifacts", Shape { artifacts: 100, ..Shape::USUAL }, 0, 0),
    bar("3 steps, 10 artifacts", Shape { steps: 3, artifacts: 10, ..Shape::USUAL }, 500, 0),
];
/// Resident memory of a process that verifies 21 MB.
const PEAK_MIB_MAX: f64 = 100.0;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    if let Some(dir) = value("--verify") {
        verify_directory(Path::new(dir));
    } else if let Some(dir) = value("--write") {
        BARS.iter().for_each(|bar| Chain::new(bar.shape).write(&bar.dir(Path::new(dir))));
    } else if !arguments.iter().any(|argument| argument == "--list") {
        let scratch = Scratch::new();
        compare(&scratch.0);
        grow();
    }
}

/// CPU time of this thread while `work` is done.
fn cpu(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.try_into().expect("seconds"), time.tv_nsec.try_into().expect("nanoseconds"))
    };
    let start = now();
    work();
    now() - start
}

/// Of several calls, each from the bytes alone, the median.
fn call(chain: &Chain) -> Duration {
    let demand = chain.demand();
    let once = || cpu(|| drop(chain.verify(&demand).expect("the chain holds")));
    let first = once();
    let runs = (500_000 / first.as_micros().max(1)).clamp(7, 201) | 1;
    let mut times: Vec<Duration> = (0..runs).map(|_| once()).collect();
    times.sort();
    times[times.len() / 2]
}

fn compare(scratch: &Path) {
    let (ours, peers) = (Peer::ours(), peers());
    println!(
        "CPU ms: of the library call from bytes (median), and of whole processes; in brackets how many times ours"
    );
    print!("{:>27} {:>7} {:>9} {:>9} {:>17}", "10 steps × 1,000 artifacts", "MB", "call", "process", "Python call");
    peers.iter().for_each(|peer| print!(" {:>17}", format!("{} process", peer.name)));
    println!();
    let mut missed = Vec::new();
    for bar in BARS {
        let chain = Chain::new(bar.shape);
        let dir = bar.dir(scratch);
        chain.write(&dir);
        let call = call(&chain);
        let process = ours.cpu(&dir, 20);
        print!("{:>27} {:>7.2} {:>9.2} {:>9.2}", bar.what, chain.bytes() as f64 / 1e6, ms(call), ms(process));
        if bar.call_max.is_some_and(|max| call > max) {
            missed.push(format!("{}: {:.2} ms a call", bar.what, ms(call)));
        }
        let mut beside = |name: &str, theirs: Duration, mine: Duration| {
            let ratio = theirs.as_secs_f64() / mine.as_secs_f64();
            print!(" {:>17}", format!("{:.0} ({ratio:.1})", ms(theirs)));
            if bar.faster.is_some_and(|least| ratio < least) {
                missed.push(format!("{}: {ratio:.1} times as fast as {name}", bar.what));
            }
        };
        match python_call(&dir) {
            Some(theirs) => beside("the call of Python", theirs, call),
            None => print!(" {:>17}", "-"),
        }
        peers.iter().for_each(|peer| beside(peer.name, peer.cpu(&dir, 1), process));
        println!();
        if bar.shape.artifacts == 10_000 {
            let peak = ours.peak_mib(&dir);
            print!("{:>27} {peak:.0}", "peak MiB of a process:");
            peers.iter().for_each(|peer| print!(", {} {:.0}", peer.name, peer.peak_mib(&dir)));
            println!();
            if peak > PEAK_MIB_MAX {
                missed.push(format!("{}: {peak:.0} MiB", bar.what));
            }
        }
    }
    match missed.is_empty() {
        true => println!("every bar is met\n"),
        false => println!("missed: {}\n", missed.join("; ")),
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What one unit more costs, at sizes that double: the same, if growth is linear. Behind each series, how many times as much the last one
/// costs as the first, for each time the size has doubled: twice as much, or less where there is something else to pay for.
fn grow() {
    let usual = Shape::USUAL;
    let hard = |count| Shape { steps: 2, artifacts: 500, rules: Rules::Hard(count), ..usual };
    let rows = |what, unit: usize, shape: &dyn Fn(usize) -> Shape, sizes: &[usize]| {
        print!("{what:>44}");
        let mut times = Vec::new();
        for size in sizes {
            let time = call(&Chain::new(shape(*size))).as_secs_f64();
            print!(" {:>16}", format!("{size}: {:.3}", time * 1e6 / (size * unit) as f64));
            times.push(time);
        }
        let doublings = times.len().saturating_sub(1) as f64;
        let growth = times.last().zip(times.first()).map_or(0.0, |(last, first)| (last / first).powf(1.0 / doublings));
        println!("   × {growth:.2} a doubling");
    };
    println!("CPU us each, as their number grows");
    let sizes = [500, 1_000, 2_000, 4_000, 8_000];
    rows("artifacts", 20, &|artifacts| Shape { artifacts, ..usual }, &sizes);
    rows("globs with 10 stars, on 500 artifacts", 4, &hard, &[15, 30, 60, 120, 240]);
    rows(
        "literal rules and artifacts",
        20,
        &|artifacts| Shape { artifacts, rules: Rules::Literals, ..usual },
        &[125, 250, 500, 1_000],
    );
    rows("artifacts, by 30 globs with 10 stars", 4, &|artifacts| Shape { artifacts, ..hard(30) }, &sizes);
    rows("steps", 1, &|steps| Shape { steps, artifacts: 100, ..usual }, &[8, 16, 32, 64, 128]);
    rows(
        "links of a step",
        1,
        &|threshold| Shape { steps: 2, artifacts: 100, threshold: threshold as u32, ..usual },
        &[4, 8, 16, 32, 64],
    );
    rows(
        "envelopes of strangers",
        1,
        &|spare| Shape { steps: 2, artifacts: 100, spare, ..usual },
        &[64, 128, 256, 512, 1_024],
    );
    rows("signatures of a link", 10, &|strangers| Shape { artifacts: 10, strangers, ..usual }, &[4, 8, 16, 32, 63]);
}

/// What the peers do: read a directory and verify it.
fn verify_directory(dir: &Path) {
    let read = |path: PathBuf| fs::read(path).expect("a file");
    let pem = String::from_utf8(read(dir.join("owner.pub"))).expect("PEM");
    let demand = chain::demand(PublicKey::from_pem(&pem).expect("a key"));
    let files = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let links: Vec<Vec<u8>> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "link")).map(read).collect();
    let pieces: Vec<Piece<'_>> = links.iter().map(|link| Piece::of(link)).collect();
    let layout = read(dir.join("root.layout"));
    let verdict = verify::verify_given(&demand, None, &layout, &pieces, jiff::Timestamp::now());
    assert!(verdict.is_ok(), "{verdict:?}");
}

/// A directory that goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("tidewaiter-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a scratch directory");
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
