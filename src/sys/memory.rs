//! Memory that is no longer needed goes back to the system. glibc keeps what a thread has freed for that thread, so that
//! what was needed once, by one after the other, would stay taken as many times as there are threads. Other C libraries give
//! it back by themselves, and nothing happens here.

/// All threads share two heaps: one that is let go is the next one's.
pub fn share() {
    #[cfg(target_env = "gnu")]
    glibc::few_arenas();
}

/// Gives back what is free. To be called after something large, and not often: it looks through all that is free.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    glibc::trim();
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no crate of ours has a name for mallopt(3) and malloc_trim(3)")]
mod glibc {
    use std::ffi::c_int;

    /// M_ARENA_MAX of malloc.h.
    const ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(keep: usize) -> c_int;
    }

    pub(super) fn few_arenas() {
        // SAFETY: mallopt takes two numbers and may be called at any time.
        unsafe { mallopt(ARENA_MAX, 2) };
    }

    pub(super) fn trim() {
        // SAFETY: malloc_trim touches only what is free, under malloc's own locks.
        unsafe { malloc_trim(0) };
    }
}
