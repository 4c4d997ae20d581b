//! What runs: the real things.

pub(crate) use crossbeam_deque::{Injector, Steal};
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::thread::{ThreadId, yield_now};
pub(crate) use std::thread_local as thread_locals;

use std::sync::PoisonError;
use std::time::Instant;

/// The standard `UnsafeCell` with loom's interface.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    /// Calls `f` with a pointer that nobody else uses meanwhile: which is for the caller to
    /// know, and for loom to check.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }

    /// Calls `f` with a pointer to which nobody writes meanwhile.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }
}

/// Tells the calling thread from all others.
pub(crate) fn current_thread() -> ThreadId {
    std::thread::current().id()
}

/// A flag that one thread waits for, under the standard library's lock: on most systems that is the
/// shortest way to sleep and be woken.
#[derive(Debug)]
pub(crate) struct Token {
    present: std::sync::Mutex<bool>,
    arrived: std::sync::Condvar,
}

impl Token {
    pub(crate) fn new() -> Self {
        Token {
            present: std::sync::Mutex::new(false),
            arrived: std::sync::Condvar::new(),
        }
    }

    /// Makes the token present.
    pub(crate) fn put(&self) {
        // No code that may panic runs under the lock, so it is never poisoned.
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        *present = true;
        // Let go, then notify: the woken thread does not run into a lock that we hold. None is
        // lost: a thread that has looked and not yet slept held the lock until it slept.
        drop(present);
        self.arrived.notify_one();
    }

    /// Takes the token, waiting for it until `deadline`, and for as long as it takes if there is
    /// none. Says whether it came; false never comes early.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> bool {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        while !*present {
            present = match deadline {
                None => self.arrived.wait(present),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let waited = self.arrived.wait_timeout(present, left);
                    Ok(waited.unwrap_or_else(PoisonError::into_inner).0)
                }
            }
            .unwrap_or_else(PoisonError::into_inner);
        }
        *present = false;
        true
    }
}

/// Waits on `condvar` until it is notified (true) or `deadline` has passed (false).
pub(crate) fn wait_deadline<T>(
    condvar: &Condvar,
    guard: &mut MutexGuard<'_, T>,
    deadline: Option<Instant>,
) -> bool {
    match deadline {
        None => {
            condvar.wait(guard);
            true
        }
        Some(at) => !condvar.wait_until(guard, at).timed_out(),
    }
}

/// What `f` returns, called on another thread while the caller holds that lock. For tests of what takes no lock: it
/// panics if `f` waits for this one.
#[cfg(test)]
pub(crate) fn without<T, R: Send>(held: MutexGuard<'_, T>, f: impl FnOnce() -> R + Send) -> R {
    use std::sync::mpsc;
    use std::time::Duration;
    let (returned, has_returned) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || returned.send(f()));
        let result = has_returned.recv_timeout(Duration::from_secs(20));
        drop(held);
        result.expect("it waits for the lock")
    })
}
