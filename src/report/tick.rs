//! When a task was submitted, began and ended: as the processor counts, where that can be trusted.
//!
//! Looks at the system's clock would be most of what timings cost. The processor's own counter says in less than half
//! that time what it has counted. So a tick is that, and becomes a duration beside another tick only.
//!
//! # When the counter is trusted
//!
//! On x86-64 under Linux, if the system takes its own time from it: then the system has found that it runs at
//! one rate, on all processors alike, whatever they do meanwhile. Elsewhere a tick is a nanosecond of [`Instant`](std::time::Instant). That
//! is decided once, as ticks of two kinds cannot be compared: should the system find out later that it was wrong, as it
//! may with several processors on a board, times are wrong from then on, and so they are for what was under way while the
//! machine was suspended, when the counter went on, or began anew.
//!
//! # What a time may be off by
//!
//! The counter is read when the processor comes to it, while it may still wait for what came before: for memory, above all.
//! It looks ahead over some hundred instructions, and if each waits for the one before, that is many microseconds: a task
//! that ends with a chain of 32 loads from memory would seem to have taken nothing instead of ten microseconds. So the tick
//! at which a task ends is [`Tick::at_end`], which waits: 16 ns instead of 10. Only what the task wrote may still
//! be on its way to memory.
//!
//! The others do not wait, as they would each cost as much, and stand beside less: before a start is what the
//! worker does to fetch a task, some hundred nanoseconds, as the task before has been waited for. By so much a task
//! may seem to have begun too early: to have run for longer, and waited for less. Before a submission is whatever the submitter does,
//! and before the start of a task inside of another what that other one does. If these wait for a chain of loads, it is
//! by microseconds that a task may seem to have waited, or that inner one to have run, for longer than it did.
//!
//! How long a tick is: `tick/rate.rs`.

#![allow(unsafe_code, reason = "an instruction of the processor")]

mod rate;

use crate::stop::clock::Stamp;
use rate::{Length, Pair, Rate};
use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::Duration;

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

    /// Now, for what ends: once the processor is done with it.
    #[inline]
    pub(crate) fn at_end() -> Tick {
        if IS_COUNTED.get() == Some(&true) {
            counter::wait();
        }
        // Where nothing is counted, `Instant` waits by itself.
        Tick::now()
    }

    /// How long after `earlier` it is; nothing if it is not.
    pub(crate) fn since(self, earlier: Tick) -> Duration {
        self.since_by(earlier, RATE.length(self.bits()))
    }

    fn since_by(self, earlier: Tick, length: Length) -> Duration {
        let ticks = self.bits().saturating_sub(earlier.bits());
        Duration::from_nanos(length.nanos(ticks))
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
    /// Of a tick, as it is known at that moment: another thread may know better a moment later.
    #[cfg(feature = "timeline")]
    length: Length,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let (stamp, tick) = (Stamp::now(), Tick::now());
        Moment {
            stamp,
            tick,
            #[cfg(feature = "timeline")]
            length: RATE.length(tick.bits()),
        }
    }

    /// An earlier tick as a time of the system's clock: the less exact, the longer it is ago, but in order with others
    /// of which the same moment was asked.
    #[cfg(feature = "timeline")]
    pub(crate) fn stamp_of(self, earlier: Tick) -> Stamp {
        self.stamp.before(self.tick.since_by(earlier, self.length))
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

    /// Waits until the processor is done with all that comes before, and holds back what comes after. What was written
    /// may still be on its way to memory.
    #[inline]
    pub(super) fn wait() {
        // SAFETY: each x86-64 processor has this instruction, which changes nothing. (On AMD's it holds back what comes after
        // because Linux tells them so, for its own looks at the counter.)
        unsafe { std::arch::x86_64::_mm_lfence() }
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

    pub(super) fn wait() {
        unreachable!("as above")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Instant;

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

    /// Lines of a cache, each of which says where the next one is, in no order, so that each has to be waited for.
    fn lines() -> Vec<Line> {
        // Far more than fits into a cache: 64 MiB.
        let mut order: Vec<usize> = (0..1 << 20).collect();
        let mut seed = 1_u64;
        for last in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // That makes one circle of all.
            order.swap(last, (seed >> 33) as usize % last);
        }
        order.into_iter().map(Line).collect()
    }

    #[repr(align(64))]
    struct Line(usize);

    /// Six, as the processor does not look far ahead in what is not optimised.
    #[inline(always)]
    fn chase(lines: &[Line], at: usize) -> usize {
        let at = lines[at].0;
        let at = lines[at].0;
        let at = lines[at].0;
        let at = lines[at].0;
        let at = lines[at].0;
        lines[at].0
    }

    #[test]
    #[cfg_attr(miri, ignore = "it would take Miri minutes to fill the memory")]
    fn what_ends_has_been_waited_for() {
        Tick::begin();
        let lines = lines();
        let mut at = 0;
        let mut tries: Vec<(Duration, Duration)> = (0..101)
            .map(|_| {
                let clock = Instant::now();
                at = chase(&lines, at);
                // That waits for it. So the next chase has to be another.
                let known = clock.elapsed();
                let first = Tick::now();
                at = chase(&lines, at);
                (Tick::at_end().since(first), known)
            })
            .collect();
        assert!(at < lines.len());
        let mut median = |of: fn(&(Duration, Duration)) -> Duration| {
            tries.sort_unstable_by_key(of);
            of(&tries[tries.len() / 2])
        };
        let (found, known) = (median(|it| it.0), median(|it| it.1));
        assert!(found > known / 2, "{found:?}, {known:?}");
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

    #[cfg(feature = "timeline")]
    #[test]
    fn a_moment_takes_all_ticks_to_be_of_one_length() {
        Tick::begin();
        let now = Moment {
            stamp: Stamp::from_bits(1_000_000).unwrap(),
            tick: Tick::from_bits(5_000).unwrap(),
            // Whatever else is known.
            length: Length::of_nanos(7),
        };
        let earlier = Tick::from_bits(4_000).unwrap();
        assert_eq!(now.stamp_of(earlier).bits(), 1_000_000 - 7_000);
    }
}
