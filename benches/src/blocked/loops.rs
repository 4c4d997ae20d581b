//! Code that computes, and looks at the event now and then.

use super::stage::{Blocked, Stage, Started};
use super::{Row, Sides};
use rayon::prelude::*;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::panic::{catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stoppable::interop::rayon::ParallelUntilStopped;
use stoppable::{StopReader, StopWriter, UntilStopped, current, unwind_if_stopped};

pub(super) const ROWS: &[Row] = &[
    Row {
        key: "poll",
        title: "a loop with `stop.is_set()`",
        by_hand: "an `AtomicBool`",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Busy, |stop, started| {
                    started.tell();
                    while !stop.is_set() {}
                })
            };
            Sides::new(ours, flagged(by, |flag| while !is_up(flag) {}))
        },
    },
    Row {
        key: "until_stopped",
        title: "`iter.until_stopped`",
        by_hand: "`take_while` on an `AtomicBool`",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Busy, |stop, started| {
                    started.tell();
                    (0_u64..).until_stopped(stop).for_each(touch);
                })
            };
            let by_hand =
                |flag: &AtomicBool| (0_u64..).take_while(|_| !is_up(flag)).for_each(touch);
            Sides::new(ours, flagged(by, by_hand))
        },
    },
    Row {
        key: "current",
        title: "`stoppable::current().is_set()` in deep code",
        by_hand: "an `AtomicBool` that was handed down",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Busy, |_stop, started| {
                    started.tell();
                    while !current().is_set() {}
                })
            };
            Sides::new(ours, flagged(by, |flag| while !is_up(flag) {}))
        },
    },
    Row {
        key: "unwind",
        title: "`unwind_if_stopped`, until it is caught",
        by_hand: "an `AtomicBool` and `resume_unwind`",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Busy, |_stop, started| {
                    started.tell();
                    catch_unwind(|| {
                        loop {
                            unwind_if_stopped();
                        }
                    })
                })
            };
            let by_hand = |flag: &AtomicBool| {
                let left = catch_unwind(|| {
                    while !is_up(flag) {}
                    resume_unwind(Box::new(()));
                });
                drop(left);
            };
            Sides::new(ours, flagged(by, by_hand))
        },
    },
    Row {
        key: "rayon",
        title: "`par_iter().until_stopped` on one thread, until it has returned",
        by_hand: "`try_for_each` on an `AtomicBool`",
        share: 1,
        sides: rayon,
    },
    Row {
        key: "reader",
        title: "`io::copy` from a `StopReader`",
        by_hand: "`read` and `write`, and an `AtomicBool`",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Busy, |stop, started| {
                    started.tell();
                    io::copy(&mut StopReader::new(io::repeat(7), stop), &mut io::sink())
                        .expect_err("it was stopped")
                })
            };
            Sides::new(ours, flagged(by, copy))
        },
    },
    Row {
        key: "writer",
        title: "`io::copy` to a `StopWriter`",
        by_hand: "`read` and `write`, and an `AtomicBool`",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Busy, |stop, started| {
                    started.tell();
                    io::copy(&mut io::repeat(7), &mut StopWriter::new(io::sink(), stop))
                        .expect_err("it was stopped")
                })
            };
            Sides::new(ours, flagged(by, copy))
        },
    },
];

fn is_up(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

fn touch(n: u64) {
    black_box(n);
}

/// Rounds of what runs until a flag is up.
fn flagged(
    stage: Stage,
    block: impl Fn(&AtomicBool) + Copy + Send + 'static,
) -> impl FnMut() -> Duration {
    move || {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let block = move |started: &Started| {
            started.tell();
            block(&seen);
        };
        stage.by_hand(Blocked::Busy, block, || flag.store(true, Ordering::Relaxed))
    }
}

/// As `io::copy` does, with as large a buffer.
fn copy(flag: &AtomicBool) {
    let mut buffer = [0; 8 * 1024];
    while !is_up(flag) {
        let read = io::repeat(7).read(&mut buffer).expect("it never fails");
        io::sink()
            .write_all(&buffer[..read])
            .expect("it never fails");
    }
}

/// More items than there is time for.
const ITEMS: std::ops::Range<u64> = 0..1 << 40;

fn rayon(stage: Stage) -> Sides {
    let pool = Arc::new(stage.rayon());
    let (by, threads) = (stage.clone(), Arc::clone(&pool));
    let ours = move || {
        let pool = Arc::clone(&pool);
        stage.ours(Blocked::Busy, move |stop, started| {
            let items = ITEMS.into_par_iter().until_stopped(stop);
            let ended = pool.install(|| items.run(|items| items.for_each(|n| body(n, started))));
            ended.expect_err("it was stopped")
        })
    };
    let by_hand = move || {
        let pool = Arc::clone(&threads);
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let block = move |started: &Started| {
            let each = |n| {
                body(n, started);
                if is_up(&seen) { Err(()) } else { Ok(()) }
            };
            let ended = pool.install(|| ITEMS.into_par_iter().try_for_each(each));
            ended.expect_err("it was stopped");
        };
        by.by_hand(Blocked::Busy, block, || flag.store(true, Ordering::Relaxed))
    };
    Sides::new(ours, by_hand)
}

fn body(n: u64, started: &Started) {
    started.tell_once();
    black_box(crate::parallel::mix(n));
}
