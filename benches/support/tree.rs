//! A tree of the size of a large checkout: many small files, a few large ones.

use std::{fs, path::Path};

/// How many files.
pub const FILES: usize = 50_000;
/// Of so many files one is large.
const LARGE_EVERY: usize = 500;
/// 49,900 times 6 KB and 100 times 728 KB are 372 MB.
const SMALL_BYTES: usize = 6_000;
const LARGE_BYTES: usize = 728_000;

/// Writes the tree; how many bytes it holds.
pub fn plant(root: &Path) -> usize {
    let mut content = vec![0_u8; LARGE_BYTES];
    let mut total = 0;
    for n in 0..FILES {
        let (module, package) = (n / 20, n / 400);
        let directory = root.join(format!("packages/package-{package:03}/module-{module:04}"));
        if n % 20 == 0 {
            fs::create_dir_all(&directory).expect("a directory");
        }
        let bytes = if n % LARGE_EVERY == 0 { LARGE_BYTES } else { SMALL_BYTES };
        content[..8].copy_from_slice(&(n as u64).to_le_bytes());
        fs::write(directory.join(format!("source-file-{n:05}.rs")), &content[..bytes]).expect("a file");
        total += bytes;
    }
    total
}
