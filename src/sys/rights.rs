//! What this process has and its children must not have.

use rustix::fs::{Gid, Uid};
use rustix::io::FdFlags;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid, set_thread_uid,
};
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

/// With these a process becomes another user.
const CHANGE: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// Whether this process may become any user.
#[must_use]
pub fn may_change_user() -> bool {
    capabilities(None).is_ok_and(|sets| sets.permitted.contains(CHANGE))
}

/// Lets programs that this process starts change their user too. Root's may anyway.
///
/// # Errors
/// This process may not itself.
pub fn hand_down_change_of_user() -> std::io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let sets = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: sets.inheritable | CHANGE, ..sets })?;
    for one in [CapabilitySet::SETUID, CapabilitySet::SETGID] {
        configure_capability_in_ambient_set(one, true)?;
    }
    Ok(())
}

/// Gives up the right to change the user, for this process and all that it will start. Root has it as root.
///
/// # Errors
/// It could not be given up.
pub fn give_up_change_of_user() -> std::io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let sets = capabilities(None)?;
    let without = |set: CapabilitySet| set.difference(CHANGE);
    // What is neither permitted nor inheritable leaves the ambient set by itself.
    let (effective, permitted) = (without(sets.effective), without(sets.permitted));
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable: without(sets.inheritable) })?;
    Ok(())
}

/// Becomes a user, with these groups, for good, and without any capability. To be called before threads begin.
///
/// # Errors
/// It did not become that user; what it is then is not told.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> std::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    let is = capabilities(None)?;
    let free = is.permitted.is_empty() && is.inheritable.is_empty();
    match free && !rustix::process::geteuid().is_root() && set_thread_uid(Uid::ROOT).is_err() {
        true => Ok(()),
        false => Err(std::io::ErrorKind::PermissionDenied.into()),
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
