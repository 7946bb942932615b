//! `tests/support/oracles/rules.rs` says what must hold.
#![no_main]

#[path = "../../tests/support/oracles/fnmatch.rs"]
mod fnmatch;
#[path = "../../tests/support/oracles/rules.rs"]
mod rules;
#[path = "../../tests/support/stream.rs"]
mod stream;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rules::check(bytes);
});
