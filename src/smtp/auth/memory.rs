//! The work memory of Argon2: taken from the kernel, used for one check after the other, and given back as it was taken.
//!
//! Not from the allocator: freed there, 19 MiB may stay with the process for good, again for every thread that checks.

#![expect(unsafe_code, reason = "rustix maps memory, and what lies in it only the caller can know")]

use argon2::Block;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::ptr::NonNull;

/// Memory for the check of one password.
#[derive(Debug)]
pub struct WorkMemory {
    at: NonNull<Block>,
    blocks: usize,
}

// SAFETY: it is the only one that knows of the mapping, and hands it out by its own borrows alone.
unsafe impl Send for WorkMemory {}

impl WorkMemory {
    /// That many KiB; `None` where the system has them not.
    #[must_use]
    pub fn new(kib: usize) -> Option<Self> {
        let octets = kib.checked_mul(Block::SIZE).filter(|octets| *octets > 0)?;
        // SAFETY: a new mapping at a place that the kernel chooses touches no other memory.
        let at = unsafe {
            mmap_anonymous(std::ptr::null_mut(), octets, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        };
        Some(Self { at: NonNull::new(at.ok()?.cast())?, blocks: kib })
    }

    /// How many KiB it has.
    #[must_use]
    pub fn kib(&self) -> usize {
        self.blocks
    }

    pub(super) fn as_blocks(&mut self) -> &mut [Block] {
        // SAFETY: the mapping has that many blocks, begins at a page and thus aligned, is zero or what was written into it
        // by such a slice (any octets are a block), and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.blocks) }
    }
}

impl Drop for WorkMemory {
    fn drop(&mut self) {
        // SAFETY: it was mapped with that length, and no borrow of it is left.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.blocks * Block::SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_and_empty() {
        let mut memory = WorkMemory::new(64).unwrap();
        assert_eq!((memory.kib(), memory.as_blocks().len()), (64, 64));
        assert!(memory.as_blocks().iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        memory.as_blocks()[63].as_mut().fill(u64::MAX);
        assert!(WorkMemory::new(0).is_none() && WorkMemory::new(usize::MAX).is_none());
    }
}
