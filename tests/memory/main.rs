//! What tasks, cancels and events cost in memory, counted by the allocator itself. A binary of its
//! own with one test, so that nobody else allocates meanwhile.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![expect(
    clippy::unwrap_used,
    reason = "tests, in functions that one test calls"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;
use std::{process, thread};
use stoppable::ThreadPool;

/// A function to call, and its name.
type Test = (&'static str, fn());

/// The functions of these names.
macro_rules! tests {
    ($($test:ident,)*) => { &[$((stringify!($test), $test as fn())),*] };
}

mod batches;
mod events;
mod tasks;

/// Counts what is alive, its peak, and the allocations of a size.
struct Counting;

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Allocations that may be a task's, and those that are too big for one.
static SMALL: AtomicUsize = AtomicUsize::new(0);
static LARGE: AtomicUsize = AtomicUsize::new(0);
/// The largest of the small ones.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// More than a task of a small closure may take, and less than a block of the queue does.
const SMALL_MOST: usize = 512;

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let alive = ALIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(alive, Relaxed);
        if layout.size() <= SMALL_MOST {
            SMALL.fetch_add(1, Relaxed);
            LARGEST.fetch_max(layout.size(), Relaxed);
        } else {
            LARGE.fetch_add(1, Relaxed);
        }
        // SAFETY: passed on from our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on from our caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// All counters from zero.
fn restart() {
    PEAK.store(ALIVE.load(Relaxed), Relaxed);
    for counter in [&SMALL, &LARGE, &LARGEST] {
        counter.store(0, Relaxed);
    }
}

/// Runs `f` and says by how much the memory grew at its peak, and how much of that stayed.
fn growth(f: impl FnOnce()) -> (usize, usize) {
    restart();
    let before = ALIVE.load(Relaxed);
    f();
    let stayed = ALIVE.load(Relaxed).saturating_sub(before);
    (PEAK.load(Relaxed) - before, stayed)
}

const fn rounds(debug: usize, release: usize) -> usize {
    if cfg!(debug_assertions) {
        debug
    } else {
        release
    }
}

/// A pool whose only worker is stuck until this is dropped. To be stuck allocates nothing.
struct Stuck {
    gate: Arc<(Mutex<bool>, Condvar)>,
    pool: ThreadPool,
}

fn stuck() -> Stuck {
    let pool = ThreadPool::new(1);
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let blocker = pool.submit({
        let gate = Arc::clone(&gate);
        move |_| {
            let (open, opened) = &*gate;
            drop(opened.wait_while(open.lock().unwrap(), |open| !*open));
        }
    });
    blocker.wait_started();
    Stuck { gate, pool }
}

impl Stuck {
    fn release(&self) {
        let (open, opened) = &*self.gate;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.release();
    }
}

const MIB: usize = 1024 * 1024;
#[test]
fn everything_in_turn() {
    // Ends a test that hangs.
    let (_ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        let guard = end.recv_timeout(Duration::from_secs(300));
        if guard == Err(mpsc::RecvTimeoutError::Timeout) {
            println!("it hangs");
            process::exit(1);
        }
    });
    for (name, test) in [tasks::TESTS, batches::TESTS, events::TESTS].concat() {
        println!("{name}");
        test();
    }
}
