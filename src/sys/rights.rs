//! What this process has and its children must not have.

use rustix::io::FdFlags;
use std::os::fd::BorrowedFd;
use std::sync::Once;

/// The descriptors that are tried where nobody lists them.
const NUMBERS: i32 = 4096;

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

/// Keeps secrets from those who look at the process from outside: no core dump, no tracer of the same user, and its memory
/// and environment in /proc are root's alone.
pub fn hide() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    // Where the kernel refuses either, the process is no worse off than before.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Standard input, output and error are chosen anew for every child; all else that whoever started this process left open
/// is closed there. What this process opens itself is closed all the same, so that once is enough. Without /proc every
/// number is tried.
pub(super) fn close_on_exec() {
    static DONE: Once = Once::new();
    DONE.call_once(mark_all);
}

fn mark_all() {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let mut all: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    if all.is_empty() {
        all = (3..NUMBERS).collect();
    }
    for number in all.into_iter().filter(|number| *number > 2) {
        mark(number);
    }
}

#[expect(unsafe_code, reason = "descriptors of unknown origin have no owner in this program that could lend them")]
fn mark(number: i32) {
    // SAFETY: nothing but one flag is set, and only where it is open at all. What this process opens has it already, and the
    // one that listed them is closed by now: the kernel refuses that number.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let _ = rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC);
}
