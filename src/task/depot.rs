//! Memory of cells, to be used again.
//!
//! A cell is allocated by the thread that submits, and freed by the one that runs the task or joins
//! it. For a general allocator that is the worst case: its caches by thread are always empty on the one
//! side and always full on the other, and the two meet on its locks. So each thread keeps the places of
//! freed cells on a [`Shelf`], in magazines, and full magazines are passed on through the pool's
//! [`Depot`]: one lock for every [`MAGAZINE`] cells.
//!
//! What it keeps: two magazines for each size on each thread, and [`MOST`] of them for each size in the depot, which is
//! emptied when the pool's threads have ended. What is more goes back to the allocator.
#![allow(unsafe_code, reason = "memory is kept between one cell and the next")]

use crate::sync::{AtomicU32, Mutex, Ordering};
use std::alloc::{self, Layout};
use std::mem;
use std::ptr::NonNull;

/// How many places a magazine has.
const MAGAZINE: usize = 32;
/// How many full magazines of one size a depot keeps.
const MOST: usize = 16;

/// Sizes are multiples of this.
const STEP: usize = 8;
/// The least size that is kept.
const LEAST: usize = 64;
/// How many sizes are kept.
const CLASSES: usize = 25;

/// One of the sizes that are kept.
#[derive(Clone, Copy)]
pub(super) struct Class(usize);

impl Class {
    /// `None`: it is not kept. (In a model nothing is: each lock would multiply what is to be tried.)
    #[inline]
    pub(super) fn of(layout: Layout) -> Option<Class> {
        let fits = layout.align() == STEP && layout.size() % STEP == 0 && !cfg!(loom);
        let class = layout.size().wrapping_sub(LEAST) / STEP;
        (fits && class < CLASSES).then_some(Class(class))
    }

    fn layout(self) -> Layout {
        Layout::from_size_align(LEAST + self.0 * STEP, STEP).expect("sizes are small")
    }

    fn bit(self) -> u32 {
        1 << self.0
    }
}

/// Memory that is not in use.
///
/// Invariant: it came from the global allocator with the layout of the class under which it is kept,
/// and is nobody else's.
struct Place(NonNull<u8>);

// SAFETY: memory that is nobody else's may be used and freed on any thread.
unsafe impl Send for Place {}

impl Place {
    fn free(self, class: Class) {
        // SAFETY: by the invariant it was allocated with this layout, and is not used again.
        unsafe { alloc::dealloc(self.0.as_ptr(), class.layout()) };
    }
}

type Magazine = Vec<Place>;

fn free_all(magazine: &mut Magazine, class: usize) {
    for place in magazine.drain(..) {
        place.free(Class(class));
    }
}

/// Full magazines, for all threads of a pool.
pub(crate) struct Depot {
    /// The classes of which there is a full magazine: a hint that is read without the lock.
    filled: AtomicU32,
    inner: Mutex<Inner>,
}

struct Inner {
    full: [Vec<Magazine>; CLASSES],
    empty: Vec<Magazine>,
    closed: bool,
}

impl Depot {
    pub(crate) fn new() -> Self {
        Depot {
            filled: AtomicU32::new(0),
            inner: Mutex::new(Inner {
                full: [const { Vec::new() }; CLASSES],
                empty: Vec::new(),
                closed: false,
            }),
        }
    }

    /// Whether there most likely is a full magazine.
    #[inline]
    fn has(&self, class: Class) -> bool {
        // Relaxed: a hint.
        self.filled.load(Ordering::Relaxed) & class.bit() != 0
    }

    /// A full magazine for an empty one, if there is one.
    fn take(&self, class: Class, magazine: &mut Magazine) {
        let mut inner = self.inner.lock();
        if let Some(full) = inner.full[class.0].pop() {
            let empty = mem::replace(magazine, full);
            if empty.capacity() > 0 && inner.empty.len() < MOST {
                inner.empty.push(empty);
            }
        }
        if inner.full[class.0].is_empty() {
            // Relaxed: as above; changed under the lock.
            self.filled.fetch_and(!class.bit(), Ordering::Relaxed);
        }
    }

    /// An empty magazine for a full one. False: there are enough of these.
    fn put(&self, class: Class, magazine: &mut Magazine) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed || inner.full[class.0].len() >= MOST {
            return false;
        }
        let empty = inner.empty.pop().unwrap_or_default();
        inner.full[class.0].push(mem::replace(magazine, empty));
        // Relaxed: as above.
        self.filled.fetch_or(class.bit(), Ordering::Relaxed);
        true
    }

    /// Gives all memory back, and keeps none from now on.
    pub(crate) fn close(&self) {
        let (mut full, empty) = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            self.filled.store(0, Ordering::Relaxed);
            let full = mem::replace(&mut inner.full, [const { Vec::new() }; CLASSES]);
            (full, mem::take(&mut inner.empty))
        };
        drop(empty);
        for (class, magazines) in full.iter_mut().enumerate() {
            magazines
                .iter_mut()
                .for_each(|magazine| free_all(magazine, class));
        }
    }
}

impl Drop for Depot {
    fn drop(&mut self) {
        self.close();
    }
}

/// Two magazines of each size, of one thread.
pub(super) struct Shelf {
    pairs: [Pair; CLASSES],
}

struct Pair {
    current: Magazine,
    /// Full or empty.
    other: Magazine,
}

impl Shelf {
    pub(super) fn new() -> Self {
        const PAIR: Pair = Pair {
            current: Vec::new(),
            other: Vec::new(),
        };
        Shelf {
            pairs: [PAIR; CLASSES],
        }
    }

    /// Memory of that size, if there is some.
    #[inline]
    pub(super) fn take(&mut self, class: Class, depot: &Depot) -> Option<NonNull<u8>> {
        let pair = &mut self.pairs[class.0];
        if pair.current.is_empty() && (!pair.other.is_empty() || depot.has(class)) {
            pair.refill(class, depot);
        }
        pair.current.pop().map(|place| place.0)
    }

    /// Keeps memory, or gives it back.
    ///
    /// # Safety
    ///
    /// The place came from the global allocator with a layout of that class, and is the caller's
    /// alone, who gives it up.
    #[inline]
    pub(super) unsafe fn give(&mut self, class: Class, place: NonNull<u8>, depot: &Depot) {
        let pair = &mut self.pairs[class.0];
        if pair.current.len() >= MAGAZINE {
            pair.make_room(class, depot);
        }
        pair.current.push(Place(place));
    }
}

impl Pair {
    #[cold]
    fn refill(&mut self, class: Class, depot: &Depot) {
        mem::swap(&mut self.current, &mut self.other);
        if self.current.is_empty() {
            depot.take(class, &mut self.current);
        }
    }

    #[cold]
    fn make_room(&mut self, class: Class, depot: &Depot) {
        if !self.other.is_empty() && !depot.put(class, &mut self.other) {
            free_all(&mut self.other, class.0);
        }
        mem::swap(&mut self.current, &mut self.other);
        self.current.reserve_exact(MAGAZINE);
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for (class, pair) in self.pairs.iter_mut().enumerate() {
            free_all(&mut pair.current, class);
            free_all(&mut pair.other, class);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
