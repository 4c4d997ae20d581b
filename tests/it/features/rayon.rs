//! Parallel iterators that end when an event is set.

use crate::common::{DropCounter, Gate, OpenOnDrop, finishes, quiet_panic};
use rayon::iter::{self, ParallelBridge};
use rayon::prelude::*;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stoppable::interop::rayon::{Items, ParallelUntilStopped, UntilStopped};
use stoppable::{StopEvent, StopReason, Stopped, TaskStatus, ThreadPool};

const MANY: u64 = 100_000;

/// Runs `code` on `items`, of which there are so many, as far as they are let through.
fn whole<I: ParallelIterator>(items: I) -> usize {
    let stop = StopEvent::new();
    let count = items.until_stopped(&stop).run(|items| items.count());
    count.unwrap()
}

#[test]
fn an_unset_event_leaves_nothing_out() {
    let numbers: Vec<u64> = (0..MANY).collect();
    let stop = StopEvent::new();
    let until = || numbers.par_iter().copied().until_stopped(&stop);

    let sum = until().run(|numbers| numbers.sum::<u64>());
    assert_eq!(sum, Ok(MANY * (MANY - 1) / 2));
    let same: Result<Vec<u64>, Stopped> = until().run(|items| items.collect());
    assert_eq!(same.as_ref(), Ok(&numbers), "in order");
    let even = until().run(|numbers| numbers.filter(|n| n % 2 == 0).map(|n| n / 2).max());
    assert_eq!(even, Ok(Some(MANY / 2 - 1)));
    let found = until().run(|numbers| numbers.find_any(|&n| n == 77));
    assert_eq!(found, Ok(Some(77)));
    let first = until().run(|numbers| numbers.find_first(|&n| n > 77));
    assert_eq!(first, Ok(Some(78)));
    let set: Result<HashSet<u64>, Stopped> = until().run(|items| items.collect());
    assert_eq!(set.map(|set| set.len()), Ok(numbers.len()));
    let failed =
        until().run(|numbers| numbers.try_for_each(|n| if n == 99 { Err(n) } else { Ok(()) }));
    assert_eq!(
        failed,
        Ok(Err(99)),
        "the error of a body is a result of the run"
    );
}

#[test]
fn every_kind_of_source_comes_through_whole() {
    let squares = (0..1_000_usize).map(|n| n * n);
    assert_eq!(whole(iter::empty::<u8>()), 0);
    assert_eq!(whole(iter::once(1)), 1);
    assert_eq!(whole(iter::repeat_n(1, 1_000)), 1_000);
    assert_eq!(whole(squares.clone().par_bridge()), 1_000);
    assert_eq!(
        whole(squares.collect::<HashSet<_>>().into_par_iter()),
        1_000
    );
    assert_eq!(whole("parallel".par_chars().filter(|c| *c != 'l')), 5);
    assert_eq!(whole((0..100).into_par_iter().flat_map(|n| 0..n)), 4_950);
    assert_eq!(whole((0..100).into_par_iter().chain(0..100)), 200);
    let halves = iter::split(0..1_000_usize, |range: std::ops::Range<usize>| {
        let middle = range.start.midpoint(range.end);
        if range.len() < 2 {
            (range, None)
        } else {
            (range.start..middle, Some(middle..range.end))
        }
    });
    assert_eq!(whole(halves.flat_map_iter(|range| range)), 1_000);
}

#[test]
fn an_event_that_is_set_before_lets_nothing_through() {
    let stop = StopEvent::new();
    stop.set_with(StopReason::custom("too late"));
    fn stays_out(items: impl ParallelIterator<Item = u64>, stop: &StopEvent) {
        let (count, ended) = items.until_stopped(stop).partial(|items| items.count());
        assert_eq!(count, 0);
        assert_eq!(ended.unwrap_err().reason(), StopReason::custom("too late"));
    }
    stays_out(iter::empty(), &stop);
    stays_out(iter::once(1), &stop);
    stays_out((0..MANY).into_par_iter(), &stop);
    stays_out((0..MANY).par_bridge(), &stop);
    stays_out((0..MANY).into_par_iter().filter(|n| n % 2 == 0), &stop);
    stays_out((0..MANY).into_par_iter().flat_map(|n| 0..n), &stop);
    stays_out(iter::once(1).chain(iter::once(2)), &stop);
    stays_out(iter::walk_tree(1, |_| []), &stop);
}

#[test]
fn after_a_stop_nothing_is_split() {
    let (stop, splits) = (StopEvent::new(), AtomicUsize::new(0));
    stop.set();
    let halves = iter::split(MANY, |n| {
        splits.fetch_add(1, Ordering::SeqCst);
        (n / 2, (n > 1).then_some(n - n / 2))
    });
    let result = halves.until_stopped(&stop).run(|items| items.count());
    assert!(result.is_err());
    assert_eq!(splits.into_inner(), 0);
}

/// Such a source hands over single items.
#[test]
fn a_stop_ends_a_bridge_that_would_not_end() {
    finishes(|| {
        let stop = StopEvent::new();
        let endless = (0_u64..).par_bridge().until_stopped(&stop);
        let result = endless.run(|items| {
            items.for_each(|n| {
                if n == 1_000 {
                    stop.set();
                }
            });
        });
        assert!(result.is_err());
    });
}

/// Each thread of the pool is in the middle of an item when the stop comes, and begins no other.
#[test]
fn after_a_stop_each_thread_ends_with_the_item_it_has() {
    finishes(|| {
        let threads = 3;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().unwrap();
        let (stop, begun, all_in) = (StopEvent::new(), AtomicUsize::new(0), Gate::new());
        let _open = OpenOnDrop(Arc::clone(&all_in));
        let result = pool.install(|| {
            (0..MANY).into_par_iter().until_stopped(&stop).run(|items| {
                items.for_each(|_| {
                    // The last one to come in sets the event, with the others in the middle of an item.
                    if begun.fetch_add(1, Ordering::SeqCst) + 1 == threads {
                        stop.set();
                        all_in.open();
                    }
                    all_in.pass();
                });
            })
        });
        assert!(result.is_err());
        assert_eq!(begun.into_inner(), threads);
    });
}

#[test]
fn a_stop_ends_what_would_not_end() {
    finishes(|| {
        let stop = StopEvent::new();
        let begun = Gate::new();
        let setter = std::thread::spawn({
            let (stop, begun) = (stop.clone(), Arc::clone(&begun));
            move || {
                begun.pass();
                stop.set();
            }
        });
        let endless = iter::repeat(1_u64).until_stopped(&stop);
        let result = endless.run(|ones| ones.for_each(|_| begun.open()));
        assert!(result.is_err());
        setter.join().unwrap();
    });
}

#[test]
fn what_was_cut_short_comes_back_by_name_only() {
    let drops = DropCounter::new();
    let stop = StopEvent::new();
    let cut = |n: &u64| {
        if *n == 1 {
            stop.set();
        }
    };
    let until = || (0..MANY).into_par_iter().until_stopped(&stop);
    let token = |_| drops.token();
    let (tokens, ended) =
        until().partial(|numbers| numbers.inspect(cut).map(token).collect::<Vec<_>>());
    assert_eq!(ended.unwrap_err().cause(), &stop.cause().unwrap());
    assert!((1..MANY as usize).contains(&tokens.len()));
    assert_eq!(drops.count(), 0);
    drop(tokens);

    let (drops, stop) = (DropCounter::new(), StopEvent::new());
    let result = (0..MANY)
        .into_par_iter()
        .until_stopped(&stop)
        .run(|numbers| {
            let tokens = numbers.map(|n| {
                if n == 1 {
                    stop.set();
                }
                drops.token()
            });
            let tokens: Vec<_> = tokens.collect();
            assert_eq!(drops.count(), 0);
            tokens.len()
        });
    assert!(result.is_err());
    assert!(drops.count() > 0);
}

/// Owned items that are not let through are dropped, each once.
#[test]
fn items_that_stay_out_are_dropped() {
    let (drops, stop) = (DropCounter::new(), StopEvent::new());
    let tokens: Vec<_> = (0..1_000).map(|_| drops.token()).collect();
    let result = tokens.into_par_iter().until_stopped(&stop).run(|tokens| {
        tokens.for_each(|token| {
            stop.set();
            drop(token);
        });
    });
    assert!(result.is_err());
    assert_eq!(drops.count(), 1_000);
}

#[test]
fn a_stop_that_nobody_polls_changes_nothing() {
    let stop = StopEvent::new();
    let result = (0..10).into_par_iter().until_stopped(&stop).run(|items| {
        let sum = items.sum::<i32>();
        stop.set();
        sum
    });
    assert_eq!(result, Ok(45));
    // Not even if the items are never asked for.
    let result = (0..10).into_par_iter().until_stopped(&stop).run(|_| 3);
    assert_eq!(result, Ok(3));
}

#[test]
fn a_thread_does_so_many_items_between_two_polls() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    let pool = pool.build().unwrap();
    for every in [1, 2, 7, 64] {
        let done = pool.install(|| {
            let stop = StopEvent::new();
            // In one piece, of which the first item sets the event.
            let items = (0..1_000).into_par_iter().with_min_len(1_000);
            let until = items.until_stopped(&stop);
            let until = until.every(NonZeroUsize::new(every).unwrap());
            let done = AtomicUsize::new(0);
            let (_, ended) = until.partial(|items| {
                items.for_each(|_| {
                    stop.set();
                    done.fetch_add(1, Ordering::SeqCst);
                });
            });
            assert!(ended.is_err());
            done.into_inner()
        });
        assert_eq!(done, every);
    }
    for (every, items) in [(1, 1_000), (3, 1_000), (1_000, 999), (1_000, 1_000), (7, 0)] {
        let stop = StopEvent::new();
        let until = (0..items).into_par_iter().until_stopped(&stop);
        let until = until.every(NonZeroUsize::new(every).unwrap());
        let sum = until.clone().run(|items| items.sum::<u64>());
        assert_eq!(sum, Ok((0..items).sum()));
        let vec = until.run(|items| items.collect::<Vec<u64>>());
        assert_eq!(vec, Ok((0..items).collect()));
    }
}

#[test]
fn runs_may_be_nested() {
    let (all, inner) = (StopEvent::new(), StopEvent::new());
    inner.set();
    let rows = vec![vec![1, 2], vec![3], vec![]];
    let sums = |stop: &StopEvent| {
        let rows = rows.par_iter().until_stopped(&all);
        rows.run(|rows| {
            rows.map(|row| row.par_iter().until_stopped(stop).run(|row| row.sum()))
                .collect::<Result<Vec<i32>, Stopped>>()
        })
    };
    assert_eq!(sums(&all), Ok(Ok(vec![3, 3, 0])));
    assert!(sums(&inner).unwrap().is_err());
}

#[test]
fn a_panic_in_a_body_goes_through() {
    let stop = StopEvent::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        (0..100).into_par_iter().until_stopped(&stop).run(|items| {
            items.for_each(|n| {
                if n == 50 {
                    quiet_panic("fifty");
                }
            });
        })
    }));
    let payload = panicked.unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"fifty"));
}

/// The task's event, polled on rayon's threads, has been seen by the task.
#[test]
fn a_task_that_gives_its_event_has_seen_its_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let begun = Gate::new();
        let task = pool.submit({
            let begun = Arc::clone(&begun);
            move |stop| {
                let endless = iter::repeat(()).until_stopped(stop);
                endless.run(|items| items.for_each(|()| begun.open()))
            }
        });
        begun.pass();
        task.cancel();
        task.wait();
        assert_eq!(task.status(), TaskStatus::Cancelled);
    });
}

#[test]
fn the_types_can_be_sent_and_printed() {
    fn shared<T: Send + Sync + std::fmt::Debug>() {}
    shared::<UntilStopped<rayon::range::Iter<u64>>>();
    shared::<Items<'static, rayon::range::Iter<u64>>>();
    let stop = StopEvent::new();
    let until = (0..3).into_par_iter().until_stopped(&stop);
    assert!(format!("{until:?}").contains("every: 1"));
}
