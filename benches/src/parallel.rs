//! What it costs a parallel loop of rayon's that a stop can end it, while none does.
//!
//! Two loops over integers, on two threads: one whose body takes some 50 ns, and a bare sum, where there is nothing but the
//! look. Beside ours stand the same loop without any look, and one with an `AtomicBool` and `try_fold`, which is what one would
//! write by hand (`try_for_each` is the same without a sum).

use crate::kit::Class::{Limit, Ours, Plain};
use crate::kit::Contender;
use crate::pools;
use rayon::prelude::*;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stoppable::StopEvent;
use stoppable::interop::rayon::ParallelUntilStopped;

/// How many items one look is for, where it is not for each.
const EVERY: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// Some 50 ns of work for one thread, though a processor works at several items at a time; the compiler cannot make less of it.
#[inline]
pub fn mix(n: u64) -> u64 {
    (0..60).fold(n, |mixed, round| {
        (mixed ^ (mixed >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ round)
    })
}

/// All who run the long body; ours looks before each item.
pub fn bodies() -> Vec<Contender> {
    contenders(mix, [Looks::Each, Looks::Seldom])
}

/// The same; ours looks before each so many items.
pub fn bodies_seldom() -> Vec<Contender> {
    contenders(mix, [Looks::Seldom, Looks::Each])
}

/// All who add integers up; ours looks before each item.
pub fn sums() -> Vec<Contender> {
    contenders(|n| n, [Looks::Each, Looks::Seldom])
}

/// The same; ours looks before each so many items.
pub fn sums_seldom() -> Vec<Contender> {
    contenders(|n| n, [Looks::Seldom, Looks::Each])
}

/// How often ours looks.
#[derive(Clone, Copy)]
enum Looks {
    Each,
    Seldom,
}

impl Looks {
    fn name(self) -> &'static str {
        match self {
            Looks::Each => "ours, until_stopped",
            Looks::Seldom => "ours, every(1024)",
        }
    }

    fn every(self) -> NonZeroUsize {
        match self {
            Looks::Each => NonZeroUsize::MIN,
            Looks::Seldom => EVERY,
        }
    }
}

/// The first of ours is the one that is compared.
fn contenders(
    body: impl Fn(u64) -> u64 + Copy + Sync + Send + 'static,
    ours: [Looks; 2],
) -> Vec<Contender> {
    let ours = ours.map(|looks| {
        Contender::new(looks.name(), Ours, move |n| {
            // As deep as the event of a task.
            let all = StopEvent::new();
            let stop = all.child();
            passes(n, body, |items| {
                let items = items.par_iter().until_stopped(&stop).every(looks.every());
                let sum =
                    items.run(|items| items.map(|&n| body(n)).reduce(|| 0, u64::wrapping_add));
                sum.expect("nobody stops it")
            })
        })
    });
    let by_hand = Contender::new("AtomicBool and try_fold", Plain, move |n| {
        let flag = AtomicBool::new(false);
        passes(n, body, |items| {
            let add = |sum: u64, &n: &u64| {
                if flag.load(Ordering::Relaxed) {
                    Err(())
                } else {
                    Ok(sum.wrapping_add(body(n)))
                }
            };
            let sums = items.par_iter().try_fold(|| 0, add);
            let sum = sums.try_reduce(|| 0, |a, b| Ok(a.wrapping_add(b)));
            sum.expect("nobody stops it")
        })
    });
    let plain = Contender::new("no look at all", Limit, move |n| {
        passes(n, body, |items| {
            items
                .par_iter()
                .map(|&n| body(n))
                .reduce(|| 0, u64::wrapping_add)
        })
    });
    ours.into_iter().chain([by_hand, plain]).collect()
}

/// How long `sum` takes for `n` items in all, on rayon's threads; so many at a time that they stay in the caches.
fn passes(n: usize, body: impl Fn(u64) -> u64, sum: impl Fn(&[u64]) -> u64 + Sync) -> Duration {
    const MOST: usize = 1 << 18;
    let items: Vec<u64> = (0..n.min(MOST) as u64).collect();
    let expected = items
        .iter()
        .fold(0, |sum: u64, &n| sum.wrapping_add(body(n)));
    let pool = pools::rayon();
    let mut left = n;
    pool.install(|| {
        assert_eq!(sum(&items), expected, "every item, once");
        let from = Instant::now();
        while left > 0 {
            let now = left.min(items.len());
            // So that no pass can be taken for another one.
            black_box(sum(black_box(&items[..now])));
            left -= now;
        }
        from.elapsed()
    })
}
