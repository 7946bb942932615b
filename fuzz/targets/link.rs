//! `tests/support/oracles/link.rs` says what must hold.
#![no_main]

#[path = "../../tests/support/oracles/link.rs"]
mod link;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    link::check(bytes);
});
