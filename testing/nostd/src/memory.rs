//! Memory: a block that is handed out from its start, and never taken back.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// More than two stacks and a short conversation need.
const BYTES_MAX: usize = 64 << 20;

#[repr(align(4096))]
struct Block {
    bytes: UnsafeCell<[u8; BYTES_MAX]>,
    used: AtomicUsize,
}

// SAFETY: every byte is handed out once, by a counter that only grows.
unsafe impl Sync for Block {}

#[global_allocator]
static MEMORY: Block = Block { bytes: UnsafeCell::new([0; BYTES_MAX]), used: AtomicUsize::new(0) };

// SAFETY: what is returned is inside the block, aligned, and overlaps nothing returned before.
unsafe impl GlobalAlloc for Block {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut start = 0;
        let claim = |used: usize| {
            start = used.next_multiple_of(layout.align());
            start.checked_add(layout.size()).filter(|end| *end <= BYTES_MAX)
        };
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim) {
            // SAFETY: `start` and the size after it were just found to be inside the block.
            Ok(_) => unsafe { self.bytes.get().cast::<u8>().add(start) },
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
