//! What the process has: memory, by an allocator that counts, threads and open files.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// Wrapping: what one thread allocates another may free.
#[repr(align(128))]
struct Counters {
    bytes: AtomicUsize,
    blocks: AtomicUsize,
}

/// One for some threads each, so that they do not slow each other down.
static COUNTERS: [Counters; 64] = [const {
    Counters {
        bytes: AtomicUsize::new(0),
        blocks: AtomicUsize::new(0),
    }
}; 64];

/// Those of this thread, by where its stack is.
fn counters() -> &'static Counters {
    let here = 0_u8;
    &COUNTERS[((&raw const here).addr() >> 21) % COUNTERS.len()]
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let counters = counters();
        counters.bytes.fetch_add(layout.size(), Relaxed);
        counters.blocks.fetch_add(1, Relaxed);
        // SAFETY: passed on from our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let counters = counters();
        counters.bytes.fetch_sub(layout.size(), Relaxed);
        counters.blocks.fetch_sub(1, Relaxed);
        // SAFETY: passed on from our caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alive {
    pub(crate) bytes: usize,
    pub(crate) blocks: usize,
    /// As far as the system tells.
    pub(crate) threads: Option<usize>,
    pub(crate) files: Option<usize>,
}

fn entries(folder: &str) -> Option<usize> {
    Some(fs::read_dir(folder).ok()?.count())
}

pub(crate) fn threads() -> Option<usize> {
    entries("/proc/self/task")
}

/// At a moment when nobody else runs.
pub(crate) fn alive() -> Alive {
    let sum = |counter: fn(&Counters) -> &AtomicUsize| {
        let counts = COUNTERS.iter().map(|it| counter(it).load(Relaxed));
        counts.fold(0, usize::wrapping_add)
    };
    Alive {
        bytes: sum(|it| &it.bytes),
        blocks: sum(|it| &it.blocks),
        threads: threads(),
        files: entries("/proc/self/fd"),
    }
}

/// Until there are no more threads than this: the end of a thread is told shortly before the system has taken it down.
/// One that stays makes this hang, which the watchdog ends.
pub(crate) fn await_threads(most: Option<usize>) {
    while most.is_some() && threads() > most {
        thread::yield_now();
    }
}

/// A value of `/proc/self/status` in KiB.
pub(crate) fn kib(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
