//! When a task was submitted, began and ended: as the processor counts, where that can be trusted.
//!
//! Looks at the system's clock would be most of what timings cost: each waits until the processor is done with all
//! that came before it. Its own counter says at once what it has counted. So a tick is that, and becomes a duration
//! beside another tick only.
//!
//! # When the counter is trusted
//!
//! On x86-64 under Linux, if the system takes its own time from it: then the system has found that it runs at
//! one rate, on all processors alike, whatever they do meanwhile. Elsewhere a tick is a nanosecond of [`Instant`]. That
//! is decided once, as ticks of two kinds cannot be compared: should the system find out later that it was wrong, as it
//! may with several processors on a board, times are wrong from then on, and so they are for what was under way while the
//! machine was suspended, when the counter went on, or began anew.
//!
//! The counter is read a little before or after its turn: before what the processor still waits for, some hundred
//! nanoseconds at most.
//!
//! # How long a tick is
//!
//! Nobody says, so it is measured, and nobody waits for that: what both clocks say is noted when the first pool is built
//! that wants to know, and compared with what they say when a duration is asked for, again when twice that time has
//! passed since, and so on, up to once in some seconds. What is measured over a longer time replaces what was over
//! a shorter one; what does not agree with it has to be found twice, so that it is not the measurement during which the
//! machine was suspended. A look at both clocks is exact to some 50 ns, and the first durations are no longer than a few of the
//! times over which was measured: so they are wrong by some hundred nanoseconds, and later ones by as much as the system
//! corrects its own clock.

#![allow(unsafe_code, reason = "an instruction of the processor")]

use crate::stop::clock::Stamp;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
// Lengths of what is measured publish nothing, so the models need not look at them.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A moment of a task's life, to be compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick(NonZeroU64);

impl Tick {
    /// Finds out what is counted, if nobody has. Called before there is any tick that is compared with others.
    pub(crate) fn begin() {
        IS_COUNTED.get_or_init(|| {
            let is_trusted = counter::is_trusted();
            if is_trusted {
                RATE.begin(Pair::now());
            }
            is_trusted
        });
    }

    #[inline]
    pub(crate) fn now() -> Tick {
        let bits = if IS_COUNTED.get() == Some(&true) {
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

    /// As a number that is not zero.
    pub(crate) fn bits(self) -> u64 {
        self.0.get()
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Tick> {
        NonZeroU64::new(bits).map(Tick)
    }
}

/// The same moment as both clocks have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) stamp: Stamp,
    pub(crate) tick: Tick,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Moment {
            stamp: Stamp::now(),
            tick: Tick::now(),
        }
    }

    /// An earlier tick as a time of the system's clock: the less exact, the longer it is ago, but in order with others
    /// of which the same moment was asked.
    #[cfg(feature = "timeline")]
    pub(crate) fn stamp_of(self, earlier: Tick) -> Stamp {
        self.stamp.before(self.tick.since(earlier))
    }
}

/// Whether ticks are what the processor counts, once somebody has found out.
static IS_COUNTED: OnceLock<bool> = OnceLock::new();
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
        // SAFETY: each x86-64 processor has this instruction, which reads a register and touches no memory. A process
        // that has forbidden it to itself is ended by it, as it most often is by its next look at the system's clock, for
        // which the C library uses the same instruction where the counter is trusted.
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

    fn begin(&self, base: Pair) {
        *self.lock() = Some(Measured::since(base));
        // Release: partner is the Acquire in `nanos`. (Who has ticks of the counter has seen this by way of `IS_COUNTED`.)
        self.until.store(0, Ordering::Release);
    }

    /// So many ticks, until a moment that is close to this one.
    #[inline]
    fn nanos(&self, ticks: u64, at: u64) -> u64 {
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
mod tests {
    use super::*;

    /// Three ticks a nanosecond, and what the clocks say so many nanoseconds after the beginning.
    fn pair(nanos: u64) -> Pair {
        Pair {
            ticks: 1_000 + 3 * nanos,
            nanos: 5 + nanos,
        }
    }

    /// Looks every ten microseconds, if that is worth while, for eight seconds. Says how often it looked, and for how
    /// many of these ten microseconds a tick was taken to have another length than it has.
    fn measure(clocks: impl Fn(u64) -> Pair) -> (Measured, u32, u32) {
        let mut measured = Measured::since(clocks(0));
        let (mut looks, mut wrong, mut until) = (0, 0, 0);
        for nanos in (10_000..8_000_000_000).step_by(10_000) {
            let now = clocks(nanos);
            if now.ticks >= until {
                until = measured.improve(now);
                looks += 1;
            }
            wrong += u32::from(measured.length.abs_diff(ONE / 3) > ONE / 100);
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
    fn a_machine_that_was_suspended_does_not_make_it_wrong() {
        const TENTH: u64 = 100_000_000;
        const HOUR: u64 = 36_000 * TENTH;
        for suspended in [5_000, 2_000_000, 500_000_000, 1_500_000_000] {
            for (ticks_before, ticks_after) in [
                // The counter went on, and the clock did not.
                (0, 3 * HOUR),
                (0, 3 * TENTH),
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
                // If it was suspended before the first look, nothing better is known at first.
                let most = if suspended < 10_000 { 5 } else { 0 };
                assert!(wrong <= most, "{wrong}");
                assert!(looks < 60, "{looks}");
            }
        }
    }

    #[test]
    fn a_long_measurement_is_not_replaced_by_a_short_one() {
        let mut measured = Measured::since(pair(0));
        measured.improve(pair(10_000_000_000));
        let length = measured.length;
        let soon = pair(10_000_011_000);
        measured.improve(Pair {
            nanos: soon.nanos + 200,
            ..soon
        });
        assert_eq!(measured.length, length);
        // But one over some seconds is as good as one over minutes, and newer: the clock has been corrected.
        for late in 1..3 {
            let now = pair(10_000_000_000 + late * 2_000_000_000);
            measured.improve(Pair {
                nanos: now.nanos + late * 2_000_000,
                ..now
            });
        }
        assert!(measured.length.abs_diff(length + length / 1_000) < ONE / 1_000_000);
    }

    #[test]
    fn a_clock_that_is_corrected_is_followed() {
        // By a twelfth, after two seconds: more than what goes for an error.
        let (measured, ..) = measure(|nanos| {
            let now = pair(nanos);
            Pair {
                nanos: now.nanos + nanos.saturating_sub(2_000_000_000) / 12,
                ..now
            }
        });
        let corrected = ONE / 3 * 13 / 12;
        assert!(measured.length.abs_diff(corrected) < ONE / 1_000_000);
    }

    #[test]
    fn of_a_crowd_one_looks() {
        let rate = Rate::new();
        rate.begin(pair(0));
        rate.improve(|| pair(10_000));
        rate.improve(|| pair(100_000));
        let until = rate.until.load(Ordering::Relaxed);
        // As if it had come for the lock before.
        rate.improve(|| pair(100_100));
        assert_eq!(rate.until.load(Ordering::Relaxed), until);
        let measured = rate.lock();
        assert!(
            measured
                .as_ref()
                .is_some_and(|it| it.base.nanos == pair(100_000).nanos)
        );
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
    fn as_times_of_the_clock_ticks_are_about_where_they_were_and_in_order() {
        Tick::begin();
        let before = Stamp::now();
        let ticks = [Tick::now(), Tick::now()];
        let after = Stamp::now();
        let now = Moment::now();
        let [first, second] = ticks.map(|tick| now.stamp_of(tick));
        let error = Duration::from_millis(1);
        assert!(before.since(first) < error);
        assert!(first <= second);
        assert!(second.since(after) < error);
    }
}
