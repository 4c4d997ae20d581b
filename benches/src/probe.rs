//! Which mode the machine is in.
//!
//! The virtual processors of a shared machine may be cores that share a cache at one moment and
//! cores far apart at the next, and every pool's figures change with that by a factor of two to
//! four. What tells the two apart is the time that one cache line takes from one processor to
//! another and back.

use crate::kit::median;
use core_affinity::CoreId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Round trips before the time.
const WARM_UP: u64 = 1_000;
/// Round trips that are timed together.
const TRIPS: u64 = 100;
/// How often that many are timed. The median counts, since a thread that loses its processor for a
/// moment would outweigh all else.
const TIMINGS: usize = 40;
/// After so many looks a thread offers its processor: the other one may have none.
const LOOKS: u32 = 10_000;

/// Even: the asking thread has the line. Odd: it is the other one's turn.
#[repr(align(128))]
struct Line(AtomicU64);

impl Line {
    /// Waits until the line says `turn`, and passes it on.
    fn pass(&self, turn: u64) {
        self.wait(turn);
        self.0.store(turn + 1, Ordering::Release);
    }

    fn wait(&self, turn: u64) {
        let mut looks = 0;
        while self.0.load(Ordering::Acquire) != turn {
            looks += 1;
            if looks % LOOKS == 0 {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// The nanoseconds of one cache line's way from a thread on the first processor to one on the last
/// and back, while both spin. Takes some milliseconds at most, unless others have the processors.
pub fn line_round_trip() -> f64 {
    let line = Line(AtomicU64::new(0));
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    thread::scope(|scope| {
        scope.spawn(|| {
            stay_on(processors.last());
            answer(&line);
        });
        let asking = scope.spawn(|| {
            stay_on(processors.first());
            ask(&line)
        });
        asking.join().expect("it does not panic")
    })
}

/// Where a thread cannot be kept anywhere, the two may still be on two processors.
fn stay_on(processor: Option<&CoreId>) {
    if let Some(processor) = processor {
        core_affinity::set_for_current(*processor);
    }
}

fn answer(line: &Line) {
    let trips = WARM_UP + TRIPS * TIMINGS as u64;
    (0..trips).for_each(|trip| line.pass(2 * trip + 1));
}

fn ask(line: &Line) -> f64 {
    let mut next = 0;
    let mut go = |trips: u64| {
        for _ in 0..trips {
            line.pass(next);
            next += 2;
        }
        line.wait(next);
    };
    go(WARM_UP);
    let timings = [(); TIMINGS].map(|()| {
        let start = Instant::now();
        go(TRIPS);
        start.elapsed().as_nanos() as f64 / TRIPS as f64
    });
    median(&timings)
}

/// Whether round trips that took so long are those of one mode.
pub fn are_of_one_mode(round_trips: &[f64]) -> bool {
    let (least, most) = range(round_trips);
    most <= 2.0 * least
}

/// The smallest and the largest.
pub fn range(round_trips: &[f64]) -> (f64, f64) {
    let least = round_trips.iter().copied().fold(f64::INFINITY, f64::min);
    (least, round_trips.iter().copied().fold(0.0, f64::max))
}
