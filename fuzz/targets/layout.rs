//! `tests/support/oracles/layout.rs` says what must hold.
#![no_main]

#[path = "../../tests/support/oracles/layout.rs"]
mod layout;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    layout::check(bytes);
});
