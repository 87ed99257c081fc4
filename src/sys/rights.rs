//! What this process has and its children must not have.

use rustix::io::FdFlags;
use std::os::fd::BorrowedFd;

/// Keeps descriptors that whoever started this process left open, and rights that a service manager gave it
/// (AmbientCapabilities=), to this process: the programs of rules and the helpers that print passwords have no use for
/// them. What the process itself may do does not change. To be called before threads begin, which inherit the rights.
///
/// # Errors
/// What the kernel says; one that has no such rights has nothing to keep either.
pub fn keep_to_itself() -> std::io::Result<()> {
    close_on_exec();
    match rustix::thread::clear_ambient_capability_set() {
        Err(rustix::io::Errno::INVAL) => Ok(()),
        done => Ok(done?),
    }
}

/// Standard input, output and error are chosen anew for every child; all else is closed there. Without /proc, what this
/// process opens itself is closed all the same.
fn close_on_exec() {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let all: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in all.into_iter().filter(|number| *number > 2) {
        mark(number);
    }
}

#[expect(unsafe_code, reason = "descriptors of unknown origin have no owner in this program that could lend them")]
fn mark(number: i32) {
    // SAFETY: it was open a moment ago and no other thread closes any. The one that listed them is closed by now: the
    // kernel refuses that number, and nothing else is done with it.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let _ = rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC);
}
