//! How much memory a thread has got and not given back, for unit tests: they run beside each other, so each thread
//! counts its own.
#![allow(unsafe_code, reason = "an allocator that counts")]

use crate::sync::thread_locals;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_locals! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(layout: Layout, sign: isize) {
    let size = isize::try_from(layout.size()).expect("no layout is larger");
    // A thread whose local state is gone tests nothing any more.
    let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + sign * size));
}

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        // SAFETY: passed on from our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout, -1);
        // SAFETY: passed on from our caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes the calling thread gets in `f` beyond those that it gives back.
pub(crate) fn bytes_kept_by(f: impl FnOnce()) -> isize {
    let before = BYTES.with(Cell::get);
    f();
    BYTES.with(Cell::get) - before
}
