//! What the search for secrets costs, counted: the bytes that are read beyond the first pass over a text. A command chooses what it prints,
//! so the tests hold that no output makes this grow faster than itself. Outside of them nothing is counted.

#[cfg(test)]
thread_local! {
    static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// So many bytes were read once more.
#[cfg_attr(not(test), allow(unused_variables))]
pub(super) fn looked(bytes: usize) {
    #[cfg(test)]
    LOOKED.set(LOOKED.get() + bytes);
}

/// The bytes that were read since the last time it was asked, on this thread.
#[cfg(test)]
pub(super) fn spent() -> usize {
    LOOKED.take()
}
