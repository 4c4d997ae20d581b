//! A global allocator that counts, for as long as somebody asks it to.
//!
//! A binary installs it with `#[global_allocator] static ALLOC: Counting = Counting;`. While nobody
//! counts it costs one relaxed load a call.
#![allow(
    unsafe_code,
    reason = "an allocator cannot be written without; every call goes to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, with a count.
#[derive(Debug)]
pub struct Counting;

fn note(allocations: u64, bytes: i64) {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
        LIVE.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).expect("a layout is at most isize::MAX")
}

// SAFETY: every call is passed on to the system's allocator, with what the caller promised for it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, size(layout));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, size(layout));
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(0, -size(layout));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note(1, bytes as i64 - size(layout));
        // SAFETY: as the caller promised.
        unsafe { System.realloc(place, layout, bytes) }
    }
}

/// What was allocated, from the whole process.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Calls that gave memory, those that grew a block among them.
    pub allocations: u64,
    /// Bytes asked for and not given back.
    pub live: i64,
}

/// Counts from the beginning of this call. Only one may count at a time.
#[derive(Debug)]
pub struct Counter(());

impl Counter {
    /// Begins to count.
    ///
    /// # Panics
    ///
    /// If the binary has not installed [`Counting`].
    pub fn start() -> Counter {
        ALLOCATIONS.store(0, Ordering::SeqCst);
        LIVE.store(0, Ordering::SeqCst);
        COUNTS.store(true, Ordering::SeqCst);
        let counter = Counter(());
        drop(std::hint::black_box(Box::new(0_u64)));
        let seen = counter.read().allocations;
        assert!(seen > 0, "this binary does not count its allocations");
        ALLOCATIONS.store(0, Ordering::SeqCst);
        counter
    }

    /// What was allocated since.
    pub fn read(&self) -> Count {
        Count {
            allocations: ALLOCATIONS.load(Ordering::SeqCst),
            live: LIVE.load(Ordering::SeqCst),
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        COUNTS.store(false, Ordering::SeqCst);
    }
}
