//! When a task was submitted, began and ended: as the processor counts, where that can be trusted.
//!
//! Looks at the system's clock would be most of what timings cost: each waits until the processor is done with all
//! that came before it. Its own counter says at once what it has counted. So a tick is that, and becomes a duration
//! beside another tick only.
//!
//! # When the counter is trusted
//!
//! On x86-64 under Linux, if the system takes its own time from it: then the system has found that it runs at
//! one rate, on all processors alike, whatever they do meanwhile. Elsewhere a tick is a nanosecond of [`Instant`].
//!
//! A suspended machine may have counted on, or have begun anew: a task that was interrupted like that may seem to have
//! taken no time, or longer than by [`Instant`]. And a counter is read a little before or after its turn:
//! some ten nanoseconds.
//!
//! # How long a tick is
//!
//! Nobody says, so it is measured, and nobody waits for that: what both clocks say is noted when the first pool is built
//! that wants to know, and compared with what they say when a duration is asked for, again when twice that time has
//! passed since, and so on up to a second. A look at both is exact to some 50 ns, and the early durations are no longer
//! than a few of these times: so they are wrong by a few hundred nanoseconds, and after the first seconds by one in
//! some ten million.

#![allow(unsafe_code, reason = "an instruction of the processor")]

use crate::stop::clock::Stamp;
use std::num::NonZeroU64;
use std::sync::Mutex;
// Lengths of what is measured publish nothing, so the models need not look at them.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A moment of a task's life, to be compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick(NonZeroU64);

impl Tick {
    /// Finds out what is counted. Called before there is any tick that is kept.
    pub(crate) fn begin() {
        RATE.begin();
    }

    #[inline]
    pub(crate) fn now() -> Tick {
        // Relaxed: who keeps ticks was built after `begin`, and knows by what made it known to this thread.
        let bits = if IS_COUNTED.load(Ordering::Relaxed) {
            counter::read()
        } else {
            Stamp::now().bits()
        };
        Tick(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// How long after `earlier` it is; nothing if it is not.
    pub(crate) fn since(self, earlier: Tick) -> Duration {
        let ticks = self.bits().saturating_sub(earlier.bits());
        Duration::from_nanos(RATE.nanos(ticks, self.bits()))
    }

    /// As a time of the system's clock. That is less exact, the longer it is ago.
    #[cfg(feature = "timeline")]
    pub(crate) fn stamp(self) -> Stamp {
        Stamp::now().before(Tick::now().since(self))
    }

    /// As a number that is not zero.
    pub(crate) fn bits(self) -> u64 {
        self.0.get()
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Tick> {
        NonZeroU64::new(bits).map(Tick)
    }
}

/// Whether ticks are what the processor counts.
static IS_COUNTED: AtomicBool = AtomicBool::new(false);
static RATE: Rate = Rate::new();

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(any(loom, miri))))]
mod counter {
    /// Whether the system takes its time from the counter.
    pub(super) fn is_trusted() -> bool {
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        std::fs::read_to_string(path).is_ok_and(|name| name.trim_end() == "tsc")
    }

    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: each x86-64 processor has this instruction, which reads a register and nothing else. A process
        // may forbid it to itself, and is ended then; but so it is by each look at the system's clock, which is the
        // same instruction if the counter is trusted, and it is not called if it is not.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(any(loom, miri)))))]
mod counter {
    pub(super) fn is_trusted() -> bool {
        false
    }

    pub(super) fn read() -> u64 {
        unreachable!("it is not trusted")
    }
}

/// How long a tick is, as far as that is known.
struct Rate {
    /// In nanoseconds, in units of [`ONE`].
    length: AtomicU64,
    /// From this tick on it can be known better.
    until: AtomicU64,
    measured: Mutex<Option<Measured>>,
}

/// One nanosecond.
const ONE: u64 = 1 << 32;

impl Rate {
    const fn new() -> Rate {
        Rate {
            length: AtomicU64::new(ONE),
            until: AtomicU64::new(u64::MAX),
            measured: Mutex::new(None),
        }
    }

    fn begin(&self) {
        let mut measured = self.lock();
        if measured.is_none() && counter::is_trusted() {
            *measured = Some(Measured::since(Pair::now()));
            // Relaxed: see `Tick::now`. What `since` finds before this is nanoseconds.
            self.until.store(0, Ordering::Relaxed);
            IS_COUNTED.store(true, Ordering::Relaxed);
        }
    }

    /// So many ticks, until a moment that is close to this one.
    #[inline]
    fn nanos(&self, ticks: u64, at: u64) -> u64 {
        // Relaxed, both: whichever lengths have been found, each was good when it was.
        if at >= self.until.load(Ordering::Relaxed) {
            self.improve();
        }
        let length = self.length.load(Ordering::Relaxed);
        let nanos = (u128::from(ticks) * u128::from(length)) / u128::from(ONE);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    #[cold]
    fn improve(&self) {
        if let Some(measured) = &mut *self.lock() {
            let until = measured.improve(Pair::now());
            // Relaxed, both: as above.
            self.length.store(measured.length, Ordering::Relaxed);
            self.until.store(until, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Measured>> {
        let locked = self.measured.lock();
        locked.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What both clocks say at one moment.
#[derive(Clone, Copy)]
struct Pair {
    ticks: u64,
    nanos: u64,
}

impl Pair {
    fn now() -> Pair {
        // The thread may lose its processor between the looks. That is seen, and another try is likely to be better.
        let tries = (0..3).map(|_| {
            let before = counter::read();
            let now = Instant::now();
            let took = counter::read().saturating_sub(before);
            (took, before, now)
        });
        let (took, before, now) = tries.min().expect("there are three");
        Pair {
            ticks: before + took / 2,
            nanos: Stamp::of(now).bits(),
        }
    }
}

/// What is known of the length of a tick.
struct Measured {
    /// In nanoseconds, in units of [`ONE`].
    length: u64,
    /// Where the next measurement begins.
    base: Pair,
}

impl Measured {
    /// Over so many ticks, some ten microseconds, a measurement is wrong by less than one in 100.
    const SHORT: u64 = 1 << 15;
    /// After one over so many, about a second, there is no better one.
    const LONG: u64 = 1 << 31;

    fn since(base: Pair) -> Measured {
        Measured { length: ONE, base }
    }

    /// Measures again. Says from which tick on that is worth while once more.
    fn improve(&mut self, now: Pair) -> u64 {
        let ticks = now.ticks.saturating_sub(self.base.ticks);
        let nanos = now.nanos.saturating_sub(self.base.nanos);
        self.base = now;
        if ticks == 0 || nanos == 0 {
            return now.ticks.saturating_add(Measured::SHORT);
        }
        let length = u128::from(nanos) * u128::from(ONE) / u128::from(ticks);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        // A machine that was suspended meanwhile had one clock that stood still, or a counter that began anew. So two
        // measurements, that have no moment in common, have to agree; and the last of them was not made overnight.
        let agrees = length.abs_diff(self.length) <= length / 8;
        self.length = length;
        if agrees && (Measured::LONG..16 * Measured::LONG).contains(&ticks) {
            return u64::MAX;
        }
        let next = if agrees {
            2 * ticks.min(Measured::LONG)
        } else {
            0
        };
        now.ticks.saturating_add(next.max(Measured::SHORT))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Three ticks a nanosecond, and what the clocks say so many nanoseconds after the beginning.
    fn pair(nanos: u64) -> Pair {
        Pair {
            ticks: 1_000 + 3 * nanos,
            nanos: 5 + nanos,
        }
    }

    /// Looks every ten microseconds, if that is worth while, until it is known for good, or for five seconds. Says after
    /// how many looks, and for how many of these ten microseconds a tick was taken to have another length than it has.
    fn measure(clocks: impl Fn(u64) -> Pair) -> (Measured, u32, u32) {
        let mut measured = Measured::since(clocks(0));
        let (mut looks, mut wrong, mut until) = (0, 0, 0);
        for nanos in (10_000..5_000_000_000).step_by(10_000) {
            let now = clocks(nanos);
            if now.ticks >= until {
                until = measured.improve(now);
                looks += 1;
            }
            wrong += u32::from(measured.length.abs_diff(ONE / 3) > ONE / 100);
            if until == u64::MAX {
                return (measured, looks, wrong);
            }
        }
        (measured, looks, wrong)
    }

    #[test]
    fn the_length_of_a_tick_is_found_in_few_looks() {
        let (measured, looks, wrong) = measure(pair);
        assert_eq!(measured.length, ONE / 3);
        assert_eq!(wrong, 0);
        assert!((10..30).contains(&looks), "{looks}");
    }

    #[test]
    fn looks_that_are_not_exact_give_a_length_that_is() {
        let (measured, ..) = measure(|nanos| {
            let now = pair(nanos);
            let error = nanos / 10_000 * 7_919 % 50;
            Pair {
                nanos: now.nanos + error,
                ..now
            }
        });
        assert!(measured.length.abs_diff(ONE / 3) < ONE / 10_000_000);
    }

    #[test]
    fn a_machine_that_was_suspended_makes_it_wrong_for_a_moment_only() {
        const HOUR: u64 = 3_600_000_000_000;
        for suspended in [5_000, 2_000_000, 500_000_000, 900_000_000] {
            for (ticks_before, ticks_after) in [
                // The counter went on, and the clock did not.
                (0, 3 * HOUR),
                // It began anew, and will be where the next look is due in some hours.
                (3 * HOUR, 0),
            ] {
                let (measured, looks, wrong) = measure(|nanos| {
                    let now = pair(nanos);
                    let more = if nanos < suspended {
                        ticks_before
                    } else {
                        ticks_after
                    };
                    Pair {
                        ticks: now.ticks + more,
                        ..now
                    }
                });
                assert!(measured.length.abs_diff(ONE / 3) < ONE / 1_000_000);
                assert!(wrong < 5, "{wrong}");
                assert!(looks < 60, "{looks}");
            }
        }
    }

    #[test]
    fn a_duration_lies_between_what_the_clock_says_inside_and_outside() {
        Tick::begin();
        let outside = Instant::now();
        let first = Tick::now();
        let inside = Instant::now();
        let mut last = inside.elapsed();
        while last < Duration::from_millis(20) {
            last = inside.elapsed();
        }
        let took = Tick::now().since(first);
        let outside = outside.elapsed();
        assert!(took >= last - last / 50, "{took:?}, {last:?}");
        assert!(took <= outside + outside / 50, "{took:?}, {outside:?}");
        assert_eq!(first.since(Tick::now()), Duration::ZERO);
    }

    #[cfg(feature = "timeline")]
    #[test]
    fn as_a_time_of_the_clock_it_is_about_when_it_was() {
        Tick::begin();
        let before = Stamp::now();
        let tick = Tick::now();
        let after = Stamp::now();
        let error = Duration::from_millis(1);
        assert!(before.since(tick.stamp()) < error);
        assert!(tick.stamp().since(after) < error);
    }
}
