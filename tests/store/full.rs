//! Full disks: a store on a small one, and one whose objects are. Nothing that does not fit is acknowledged, what is there is read, and
//! writing goes on when there is room again (security §4.3 F8).

use super::{
    bodies::{big_link, envelopes, image},
    program::Program,
    shop::*,
};
use std::path::{Path, PathBuf};

/// The program, with a disk of its own of 8 MiB on this directory.
struct Small {
    program: Program,
    http: reqwest::Client,
    keys: Keys,
    /// The directory as the program sees it.
    disk: PathBuf,
    acknowledged: Vec<(usize, Record)>,
}

impl Small {
    /// `database` and `objects` are directories; one of them is the disk.
    async fn start(dir: &Path, disk: &str) -> Self {
        let keys = Keys::new();
        for name in ["database", "objects"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        std::fs::write(dir.join("chains.yaml"), documents(&keys)).unwrap();
        let database = format!("sqlite:{}", dir.join("database/store.db").display());
        let program = Program::on_small_disk(dir, &database, &["--objects", &objects_url(dir)], &dir.join(disk), "8m");
        let disk = program.root().join(dir.join(disk).strip_prefix("/").unwrap());
        let http = client();
        let layout = seal(&layout(&keys, FUTURE, ""), &[&keys.alice, &keys.bob]);
        assert_eq!(program.put(&http, LAPTOP, &layout).await, Some(201));
        Small { program, http, keys, disk, acknowledged: Vec::new() }
    }

    fn record(&self, number: usize) -> Record {
        seal(&big_link("build", &image(number), 3_000, &number.to_string(), number), &[&self.keys.ci])
    }

    /// Writes until the disk is full, and how it was told.
    async fn fill(&mut self) -> (u16, String) {
        std::fs::write(self.disk.join("filler"), vec![1; 5 << 20]).unwrap();
        for number in self.acknowledged.len().. {
            let record = self.record(number);
            let url = format!("{}/v1/records/{}", self.program.url, record.name);
            let put = self.http.put(url).bearer_auth(CI).body(record.bytes.clone());
            let answer = answer(put.send().await.unwrap()).await;
            if answer != yes(201) {
                return answer;
            }
            self.acknowledged.push((number, record));
        }
        unreachable!()
    }

    async fn evidence(&self, number: usize) -> Vec<Vec<u8>> {
        let url = format!("{}/v1/evidence/{}", self.program.url, image(number));
        let answer = self.http.get(url).bearer_auth(CLUSTER).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        envelopes(&answer.json().await.unwrap())
    }

    /// Full, read from, and written to again when there is room.
    async fn goes_through(&mut self) {
        assert_eq!(self.fill().await, no(507, "storage_full"));
        let refused = self.acknowledged.len();
        assert!(refused > 0);
        assert_eq!(self.evidence(refused).await.len(), 0, "what was refused is not there");
        for (number, record) in &self.acknowledged {
            assert_eq!(self.evidence(*number).await.last(), Some(&record.bytes));
        }
        let known = &self.acknowledged[0].1;
        assert_eq!(self.program.put(&self.http, CI, known).await, Some(200));
        std::fs::remove_file(self.disk.join("filler")).unwrap();
        let record = self.record(refused);
        assert_eq!(self.program.put(&self.http, CI, &record).await, Some(201));
        assert_eq!(self.evidence(refused).await.last(), Some(&record.bytes));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_serves_on() {
    let dir = tempfile::tempdir().unwrap();
    Small::start(dir.path(), "database").await.goes_through().await;
}

#[tokio::test]
async fn a_full_disk_of_objects_refuses_and_serves_on() {
    let dir = tempfile::tempdir().unwrap();
    Small::start(dir.path(), "objects").await.goes_through().await;
}
