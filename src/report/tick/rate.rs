//! How long a tick is.
//!
//! Nobody says, so it is measured, and nobody waits for that: what both clocks say is noted when the first pool is built
//! that wants to know, and compared with what they say when a duration is asked for, again when twice that time has
//! passed since, and so on, up to once in some seconds. What is measured over a longer time replaces what was over
//! a shorter one; what does not agree with it has to be found twice, so that it is not the measurement during which the
//! machine was suspended. A look at both clocks is exact to some 50 ns, and the first durations are no longer than a few of the
//! times over which was measured: so they are wrong by some hundred nanoseconds, and later ones by as much as the system
//! corrects its own clock.

use super::counter;
use crate::stop::clock::Stamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
// Lengths of what is measured publish nothing, so the models need not look at them.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How long a tick is, as far as that is known.
pub(super) struct Rate {
    /// In nanoseconds, in units of [`ONE`].
    length: AtomicU64,
    /// From this tick on it can be known better.
    until: AtomicU64,
    measured: Mutex<Option<Measured>>,
}

/// One nanosecond.
const ONE: u64 = 1 << 32;

impl Rate {
    pub(super) const fn new() -> Rate {
        Rate {
            length: AtomicU64::new(ONE),
            until: AtomicU64::new(u64::MAX),
            measured: Mutex::new(None),
        }
    }

    pub(super) fn begin(&self, base: Pair) {
        *self.lock() = Some(Measured::since(base));
        // Release: partner is the Acquire in `nanos`. (Who has ticks of the counter has seen this by way of `IS_COUNTED`.)
        self.until.store(0, Ordering::Release);
    }

    /// So many ticks, until a moment that is close to this one.
    #[inline]
    pub(super) fn nanos(&self, ticks: u64, at: u64) -> u64 {
        // Acquire: partner is the Release in `improve`; with the limit comes the length, or a later one.
        if at >= self.until.load(Ordering::Acquire) {
            self.improve(Pair::now);
        }
        // Relaxed: as above; each that was measured was good when it was.
        let length = self.length.load(Ordering::Relaxed);
        let nanos = (u128::from(ticks) * u128::from(length)) / u128::from(ONE);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    #[cold]
    fn improve(&self, look: impl FnOnce() -> Pair) {
        if let Some(measured) = &mut *self.lock() {
            let now = look();
            // Relaxed: written under this lock. Another may have looked meanwhile, and from that on little
            // time has passed.
            if now.ticks < self.until.load(Ordering::Relaxed) {
                return;
            }
            let until = measured.improve(now);
            // Relaxed: published by the next line.
            self.length.store(measured.length, Ordering::Relaxed);
            // Release: partner is the Acquire in `nanos`.
            self.until.store(until, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Measured>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What both clocks say at one moment.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    ticks: u64,
    nanos: u64,
}

impl Pair {
    pub(super) fn now() -> Pair {
        // The thread may lose its processor between the looks. That is seen, and another try is likely to be better.
        let tries = (0..3).map(|_| {
            let before = counter::read();
            let now = Instant::now();
            // One that went back took long, and so is not the best.
            let took = counter::read().wrapping_sub(before);
            (took, before, now)
        });
        let (took, before, now) = tries.min().expect("there are three");
        Pair {
            ticks: before.wrapping_add(took / 2),
            nanos: Stamp::of(now).bits(),
        }
    }
}

/// What is known of the length of a tick. Lengths are in nanoseconds, in units of [`ONE`].
struct Measured {
    length: u64,
    /// Over how many ticks that was measured; over none if it was not yet.
    over: u64,
    /// What was found last, if it did not agree with that.
    other: Option<u64>,
    /// Where the next measurement begins.
    base: Pair,
}

impl Measured {
    /// Some ten microseconds.
    const SHORT: u64 = 1 << 15;
    /// About a second.
    const LONG: u64 = 1 << 31;
    /// What looks at both clocks may be wrong by, in nanoseconds, if the thread loses its processor; mostly it is less.
    const ERROR: u64 = 2_000;
    /// What the system may correct its clock by: one part in so many.
    const CORRECTION: u64 = 512;

    fn since(base: Pair) -> Measured {
        Measured {
            length: ONE,
            over: 0,
            other: None,
            base,
        }
    }

    /// Measures again. Says from which tick on that is worth while once more.
    fn improve(&mut self, now: Pair) -> u64 {
        let ticks = now.ticks.saturating_sub(self.base.ticks);
        let nanos = now.nanos.saturating_sub(self.base.nanos);
        self.base = now;
        let after = |ticks: u64| {
            let ticks = ticks.clamp(Measured::SHORT, 2 * Measured::LONG);
            now.ticks.saturating_add(ticks)
        };
        if ticks == 0 || nanos == 0 {
            return after(0);
        }
        let length = |nanos: u64| {
            let length = u128::from(nanos) * u128::from(ONE) / u128::from(ticks);
            u64::try_from(length).unwrap_or(u64::MAX)
        };
        let (found, error) = (length(nanos), length(Measured::ERROR));
        let agrees = |known: u64| found.abs_diff(known) <= error.max(known / Measured::CORRECTION);
        if self.over > 0 && agrees(self.length) {
            self.other = None;
            if ticks >= self.over {
                self.keep(found, ticks);
            }
            return after(ticks.saturating_mul(2));
        }
        if self.over == 0 {
            self.keep(found, ticks);
            return after(0);
        }
        let other = self.other.replace(found);
        if other.is_some_and(agrees) {
            self.keep(found, ticks);
        }
        // Over a shorter time it could not be told from what is known.
        after(ticks)
    }

    fn keep(&mut self, length: u64, ticks: u64) {
        self.length = length;
        // What is longer than that is no better.
        self.over = ticks.min(Measured::LONG);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
