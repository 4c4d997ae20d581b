//! What runs in models: loom's things with the interface of the real ones, and what loom does not have.
#![allow(unsafe_code, reason = "the stand-in of a queue without locks")]

mod atomics;

pub(crate) use self::atomics::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::hint::spin_loop;
pub(crate) use loom::sync::atomic::{Ordering, fence};
pub(crate) use loom::thread::{ThreadId, yield_now};

/// Tries all that the threads in `body` can do to each other, with as many preemptions as `LOOM_MAX_PREEMPTIONS` says.
#[cfg(test)]
pub(crate) fn model(body: impl Fn() + Sync + Send + 'static) {
    builder().check(body);
}

/// With so many preemptions.
#[cfg(test)]
pub(crate) fn bounded(preemptions: usize) -> loom::model::Builder {
    let mut model = builder();
    model.preemption_bound = Some(preemptions);
    model
}

/// A model of three threads that all do much: with a preemption less than others, or it takes minutes.
#[cfg(test)]
pub(crate) fn large_model() -> loom::model::Builder {
    let mut model = builder();
    model.preemption_bound = model.preemption_bound.map(|most| most.saturating_sub(1));
    model
}

/// What loom finds it tells by a panic, in the middle of a task's closure as well, or of a drop, and there the library
/// contains it and goes on; so would it after an assertion. No model is about panics. So each of them ends the process. (Those by
/// which loom's own threads are unwound have a hook before this one, since that is set when the first of them begins.)
#[cfg(test)]
fn builder() -> loom::model::Builder {
    static HEARD: std::sync::Once = std::sync::Once::new();
    HEARD.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("a model");
            // Past the capture of what tests print, which would be lost.
            let _ = writeln!(std::io::stderr(), "\n{name}: {info}");
            std::process::abort();
        }));
    });
    let mut model = loom::model::Builder::new();
    // Against runs that never end; loom allows for fewer than there are with every order.
    model.max_branches = model.max_branches.max(10_000);
    model
}

/// As the real one.
pub(crate) fn current_thread() -> ThreadId {
    loom::thread::current().id()
}

/// loom's `thread_local!` with the standard one's `const` initialisers.
macro_rules! thread_locals {
    ($($(#[$meta:meta])* static $name:ident: $type:ty = const { $init:expr };)*) => {
        loom::thread_local! { $($(#[$meta])* static $name: $type = $init;)* }
    };
}
pub(crate) use thread_locals;

#[cfg(test)]
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// loom's mutex with the interface of `parking_lot`'s.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().expect("loom's locks are not poisoned")))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref().expect("the guard is here between waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("the guard is here between waits")
    }
}

/// loom's condition variable with the interface of `parking_lot`'s.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Condvar(loom::sync::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let inner = guard.0.take().expect("the guard is here between waits");
        guard.0 = Some(self.0.wait(inner).expect("loom's locks are not poisoned"));
    }
}

/// As the real one.
#[derive(Debug)]
pub(crate) struct Token {
    present: Mutex<bool>,
    arrived: Condvar,
}

impl Token {
    pub(crate) fn new() -> Self {
        Token {
            present: Mutex::new(false),
            arrived: Condvar::new(),
        }
    }

    pub(crate) fn put(&self) {
        *self.present.lock() = true;
        self.arrived.notify_one();
    }

    pub(crate) fn take(&self, deadline: Option<Instant>) -> bool {
        let mut present = self.present.lock();
        while !*present {
            wait_deadline(&self.arrived, &mut present, deadline);
        }
        *present = false;
        true
    }
}

/// Time does not pass in a model, so a deadline is never reached.
pub(crate) fn wait_deadline<T>(
    condvar: &Condvar,
    guard: &mut MutexGuard<'_, T>,
    _deadline: Option<Instant>,
) -> bool {
    condvar.wait(guard);
    true
}

/// The life of something that is made by one, used by many and freed by one of them. A use that does not come after it was
/// made, or not before it is freed, fails the model.
#[derive(Debug)]
pub(crate) struct Life(UnsafeCell<()>);

// SAFETY: there is nothing in it; loom alone looks at the order.
unsafe impl Send for Life {}
// SAFETY: as above.
unsafe impl Sync for Life {}

impl Life {
    pub(crate) fn new() -> Self {
        let life = Life(UnsafeCell::new(()));
        life.is_alone();
        life
    }

    pub(crate) fn is_used(&self) {
        self.0.with(|_| ());
    }

    /// Nobody else uses it.
    pub(crate) fn is_alone(&self) {
        self.0.with_mut(|_| ());
    }
}

/// Stands in for `crossbeam_deque::Injector`, which loom cannot see into. It orders no more than that one
/// does: who takes a value sees what its pusher did before, and who finds nothing need not have seen anything.
#[derive(Debug)]
pub(crate) struct Injector<T> {
    head: AtomicUsize,
    tail: AtomicUsize,
    slots: [Slot<T>; SLOTS],
}

/// No model pushes more than this.
const SLOTS: usize = 4;

#[derive(Debug)]
struct Slot<T> {
    written: AtomicBool,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: a value is put into a slot by the one who was given the place, and taken by the one who has moved the
// head past it and has seen it written.
unsafe impl<T: Send> Sync for Slot<T> {}

pub(crate) enum Steal<T> {
    Empty,
    Success(T),
    Retry,
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Injector {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            slots: std::array::from_fn(|_| Slot {
                written: AtomicBool::new(false),
                value: UnsafeCell::new(None),
            }),
        }
    }

    pub(crate) fn push(&self, value: T) {
        let slot = &self.slots[self.tail.fetch_add(1, Ordering::AcqRel)];
        // SAFETY: the place was given to this thread only, and nobody reads it before it is written.
        slot.value.with_mut(|place| unsafe { *place = Some(value) });
        slot.written.store(true, Ordering::Release);
    }

    pub(crate) fn steal(&self) -> Steal<T> {
        let head = self.head.load(Ordering::Acquire);
        if head == self.tail.load(Ordering::Relaxed) {
            return Steal::Empty;
        }
        let moved = self
            .head
            .compare_exchange(head, head + 1, Ordering::AcqRel, Ordering::Relaxed);
        if moved.is_err() {
            // Another has it; who looks again is to see that.
            yield_now();
            return Steal::Retry;
        }
        let slot = &self.slots[head];
        while !slot.written.load(Ordering::Acquire) {
            yield_now();
        }
        // SAFETY: the head was moved by this thread only, and it is written.
        let value = slot.value.with_mut(|place| unsafe { (*place).take() });
        Steal::Success(value.expect("each is taken once"))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        let head = self.head.load(Ordering::Acquire);
        self.tail.load(Ordering::Acquire) - head
    }
}
