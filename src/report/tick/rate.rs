//! How long a tick is.
//!
//! Nobody says, so it is measured, and mostly nobody waits for that: what both clocks say is noted when the first pool is built
//! that wants to know, and compared with what they say when a duration is asked for, again when twice that time has
//! passed since, and so on, up to once in some seconds. What is measured over a longer time replaces what was over
//! a shorter one. A look at both clocks is exact to some 50 ns, and the first durations are no longer than a few of the
//! times over which was measured: so they are wrong by some hundred nanoseconds, and later ones by as much as the system
//! corrects its own clock.
//!
//! If a measurement does not agree with what is known, the machine may have been suspended meanwhile, and may be so in each
//! to come; or what is known is wrong. So it is measured on the spot, over 50 µs: that contains no suspend, and
//! whichever of the two it agrees with, and better, is taken, or what it says itself. So it is if the counter began anew before anything was known, and if the first
//! measurement is over seconds already. But if the machine was suspended for less than that, before the first look, durations are
//! wrong until the second one, some 10 µs later.

use super::counter;
use crate::stop::clock::Stamp;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
// Lengths of what is measured publish nothing, so the models need not look at them.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How long a tick is, as far as that is known.
pub(super) struct Rate {
    length: AtomicU64,
    /// When both clocks were looked at last.
    last: AtomicU64,
    /// So many ticks before or after that it can be known better. Zero until something has been measured.
    window: AtomicU64,
    measured: Mutex<Option<Measured>>,
}

/// How long a tick is: in nanoseconds, in units of [`ONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length(u64);

/// One nanosecond.
const ONE: u64 = 1 << 32;

impl Length {
    /// So many ticks, in nanoseconds.
    #[inline]
    pub(super) fn nanos(self, ticks: u64) -> u64 {
        let nanos = (u128::from(ticks) * u128::from(self.0)) / u128::from(ONE);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    #[cfg(all(test, feature = "timeline", not(loom)))]
    pub(super) fn of_nanos(nanos: u64) -> Length {
        Length(nanos * ONE)
    }
}

impl Rate {
    pub(super) const fn new() -> Rate {
        Rate {
            length: AtomicU64::new(ONE),
            last: AtomicU64::new(0),
            window: AtomicU64::new(u64::MAX),
            measured: Mutex::new(None),
        }
    }

    pub(super) fn begin(&self, base: Pair) {
        *self.wait_for_lock() = Some(Measured::since(base));
        // Relaxed: published by the next line.
        self.last.store(base.ticks, Ordering::Relaxed);
        // Release: partner is the Acquire in `length`. (Who has ticks of the counter has seen this by way of `IS_COUNTED`.)
        self.window.store(0, Ordering::Release);
    }

    /// As good as it is known at a moment that is close to this one.
    #[inline]
    pub(super) fn length(&self, at: u64) -> Length {
        if self.is_due(at) {
            self.improve(Pair::now, on_the_spot);
        }
        // Relaxed: as above; each that was measured was good when it was.
        Length(self.length.load(Ordering::Relaxed))
    }

    /// Whether it can be known better at that moment.
    #[inline]
    fn is_due(&self, at: u64) -> bool {
        // Acquire: partner is the Release in `improve`; who sees that something has been measured has the length, or a
        // later one.
        let window = self.window.load(Ordering::Acquire);
        // Relaxed: with the window of another look it is due once too often, or a little later.
        // Before the last look, too: if the counter began anew, it may be years until it is there again. (Not by less than
        // the window: then it is there soon, or who asks was late.)
        at.abs_diff(self.last.load(Ordering::Relaxed)) >= window
    }

    #[cold]
    fn improve(&self, look: impl FnOnce() -> Pair, spot: impl FnOnce() -> [Pair; 2]) {
        // Acquire: as in `is_due`; who goes on without the lock has seen what was measured.
        let measured = if self.window.load(Ordering::Acquire) == 0 {
            Some(self.wait_for_lock())
        } else {
            // Somebody else is about to know better, and may have lost its processor: what is known will do.
            self.try_lock()
        };
        let Some(mut measured) = measured else { return };
        let Some(measured) = &mut *measured else {
            return;
        };
        let now = look();
        // Both are written under this lock. Another may have looked meanwhile, and from that on little time has passed.
        if !self.is_due(now.ticks) {
            return;
        }
        let window = measured.improve(now, spot);
        // Relaxed, both: published by the next line.
        self.length.store(measured.length, Ordering::Relaxed);
        self.last.store(measured.base.ticks, Ordering::Relaxed);
        // Release: partner is the Acquire in `length`.
        self.window.store(window, Ordering::Release);
    }

    fn wait_for_lock(&self) -> MutexGuard<'_, Option<Measured>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Measured>>> {
        match self.measured.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
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

/// Looks twice, so shortly one after the other that the machine was not suspended meanwhile, but not so shortly that the looks' own
/// errors are more than some hundredth.
#[cold]
fn on_the_spot() -> [Pair; 2] {
    const LONG_ENOUGH: u64 = 50_000;
    let first = Pair::now();
    loop {
        let last = Pair::now();
        if last.nanos.saturating_sub(first.nanos) >= LONG_ENOUGH {
            return [first, last];
        }
        std::hint::spin_loop();
    }
}

/// What passed by both clocks between two looks at them.
#[derive(Clone, Copy)]
struct Passed {
    ticks: u64,
    nanos: u64,
}

impl Passed {
    /// What looks at both clocks may be wrong by, in nanoseconds, if the thread loses its processor; mostly it is less.
    const ERROR: u64 = 2_000;
    /// What the system may correct its clock by: one part in so many.
    const CORRECTION: u64 = 512;

    /// None, if one of them stood still or began anew.
    fn between(first: Pair, last: Pair) -> Option<Passed> {
        let ticks = last.ticks.checked_sub(first.ticks)?;
        let nanos = last.nanos.checked_sub(first.nanos)?;
        (ticks > 0 && nanos > 0).then_some(Passed { ticks, nanos })
    }

    /// How long a tick was.
    fn length(self) -> u64 {
        self.length_if(self.nanos)
    }

    fn length_if(self, nanos: u64) -> u64 {
        let length = u128::from(nanos) * u128::from(ONE) / u128::from(self.ticks);
        u64::try_from(length).unwrap_or(u64::MAX)
    }

    /// Whether a tick may have had that length.
    fn agrees(self, known: u64) -> bool {
        let error = self.length_if(Passed::ERROR);
        self.length().abs_diff(known) <= error.max(known / Passed::CORRECTION)
    }
}

/// What is known of the length of a tick. Lengths are in nanoseconds, in units of [`ONE`].
struct Measured {
    length: u64,
    /// Over how many ticks that was measured; over none if it was not yet.
    over: u64,
    /// Where the next measurement begins.
    base: Pair,
}

impl Measured {
    /// Some ten microseconds.
    const SHORT: u64 = 1 << 15;
    /// About a second.
    const LONG: u64 = 1 << 31;

    fn since(base: Pair) -> Measured {
        Measured {
            length: ONE,
            over: 0,
            base,
        }
    }

    /// Measures again, on the spot if the measurement cannot be trusted. Says in how many ticks that is worth while once more.
    fn improve(&mut self, now: Pair, spot: impl FnOnce() -> [Pair; 2]) -> u64 {
        let passed = Passed::between(self.base, now);
        self.base = now;
        let ticks = passed.map_or(0, |it| it.ticks);
        let is_known = self.over > 0;
        let window = match passed {
            Some(passed) if is_known && passed.agrees(self.length) => {
                if ticks >= self.over {
                    self.keep(passed);
                }
                ticks.saturating_mul(2)
            }
            // The first one, over a short time.
            Some(passed) if !is_known && ticks < Measured::LONG => {
                self.keep(passed);
                0
            }
            // It tells nothing of what is known.
            None if is_known => 0,
            _ => {
                self.settle(passed, spot());
                // Over a shorter time it could not be told from what is known.
                ticks
            }
        };
        window.clamp(Measured::SHORT, 2 * Measured::LONG)
    }

    /// What has been found is not what is known, or nothing is: what is measured on the spot says which of them is right, if any is.
    fn settle(&mut self, found: Option<Passed>, [first, last]: [Pair; 2]) {
        self.base = last;
        let Some(spot) = Passed::between(first, last) else {
            return;
        };
        let is_known = self.over > 0 && spot.agrees(self.length);
        let off = |length: u64| spot.length().abs_diff(length);
        match found.filter(|found| spot.agrees(found.length())) {
            // What was measured over a longer time is better. If both may be right, the clock may have been corrected.
            Some(found) if !is_known || off(found.length()) < off(self.length) => self.keep(found),
            _ if is_known => {}
            _ => self.keep(spot),
        }
    }

    fn keep(&mut self, passed: Passed) {
        self.length = passed.length();
        // What is longer than that is no better.
        self.over = passed.ticks.min(Measured::LONG);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
