//! `tests/support/oracles/glob.rs` says what must hold.
#![no_main]

#[path = "../../tests/support/oracles/fnmatch.rs"]
mod fnmatch;
#[path = "../../tests/support/oracles/glob.rs"]
mod glob;
#[path = "../../tests/support/stream.rs"]
mod stream;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    glob::check(bytes);
});
