//! Results, ids and starts of a batch, whatever the iterator says of itself.

use super::{Log, MANY, ids, lengthen_runs};
use crate::common::{Gate, Stuck, finishes};
use std::array;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::{iter, thread};
use stoppable::{Shutdown, StopEvent, TaskHandle, ThreadPool};

fn join_all<T>(handles: Vec<TaskHandle<T>>) -> Vec<T> {
    handles.into_iter().map(|h| h.join().unwrap()).collect()
}

#[test]
fn results_come_in_order_for_any_number_of_tasks() {
    finishes(|| {
        for threads in [1, 3] {
            let pool = ThreadPool::new(threads);
            let mut submitted = 0;
            for count in [0, 1, 2, 7, 63, 64, 65, 129, 1_000, 100_000_u64] {
                let handles = pool.submit_all((0..count).map(|n| move |_: &StopEvent| n * 3));
                assert_eq!(
                    ids(&handles),
                    (submitted..submitted + count).collect::<Vec<_>>()
                );
                let results = join_all(handles);
                assert_eq!(results, (0..count).map(|n| n * 3).collect::<Vec<_>>());
                submitted += count;
                let stats = pool.stats();
                assert_eq!((stats.submitted, stats.completed), (submitted, submitted));
            }
        }
    });
}

/// So many closures, and a hint that may be wrong.
struct Hinted {
    next: usize,
    len: usize,
    hint: (usize, Option<usize>),
}

impl Iterator for Hinted {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.next += 1;
        (self.next <= self.len).then_some(self.next - 1)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.hint
    }
}

#[test]
fn an_iterator_may_say_what_it_likes_of_its_length() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for len in [0, 1, 64, MANY, 5_000] {
            let hints = [
                (len, Some(len)),
                (len / 2, None),
                (0, None),
                // These lie.
                (0, Some(0)),
                (1, Some(1)),
                (len + 1, Some(len + 1)),
                (2 * len + 70, None),
                (1 << 20, Some(3)),
                (usize::MAX, None),
                (usize::MAX, Some(usize::MAX)),
            ];
            for hint in hints {
                let it = Hinted { next: 0, len, hint };
                let handles = pool.submit_all(it.map(|n| move |_: &StopEvent| n));
                assert_eq!(join_all(handles), (0..len).collect::<Vec<_>>(), "{hint:?}");
            }
        }
        // And those of the standard library.
        let closures: Vec<_> = (0..MANY).map(|n| move |_: &StopEvent| n).collect();
        let all = (0..MANY).collect::<Vec<_>>();
        assert_eq!(join_all(pool.submit_all(closures.clone())), all);
        let filtered = closures.into_iter().filter(|_| true);
        assert_eq!(join_all(pool.submit_all(filtered)), all);
        let plain: [fn(&StopEvent) -> bool; 2] = [|stop| stop.is_set(), |_| true];
        assert_eq!(join_all(pool.submit_all(plain)), [false, true]);
        assert!(pool.submit_all(iter::empty::<fn(&StopEvent)>()).is_empty());
    });
}

#[test]
fn an_iterator_is_not_asked_again_after_its_end() {
    let pool = ThreadPool::new(1);
    for len in [0, 1, 7, 64, MANY] {
        let mut asked = 0;
        let closures = iter::from_fn(|| {
            asked += 1;
            (asked != len + 1).then_some(|_: &StopEvent| ())
        });
        // If it is asked again, it goes on.
        let handles = pool.submit_all(closures.take(2 * len + 2));
        assert_eq!(handles.len(), len);
        assert_eq!(asked, len + 1);
    }
}

#[test]
fn ids_are_dense_and_rise_among_those_of_single_tasks() {
    let pool = ThreadPool::new(2);
    let submitter = pool.submitter();
    let mut all = Vec::new();
    for round in 0..20 {
        all.push(pool.submit(|_| ()).id().as_u64());
        let batch = pool.submit_all((0..round * 9).map(|_| |_: &StopEvent| ()));
        all.extend(ids(&batch));
        all.push(pool.task().name("named").submit(|_| ()).id().as_u64());
        let batch = submitter.submit_all((0..round).map(|_| |_: &StopEvent| ()));
        all.extend(ids(&batch));
        all.push(pool.execute(|_| ()).unwrap().as_u64());
    }
    assert_eq!(all, (0..all.len() as u64).collect::<Vec<_>>());
    assert_eq!(pool.shutdown(Shutdown::Drain).completed(), all.len() as u64);
}

/// Submits batches and single tasks in turn, each of which logs its number. Says how many.
fn submit_in_turn(pool: &ThreadPool, log: &Log) -> usize {
    let mut next = 0;
    let mut closure = || {
        let (n, log) = (next, log.clone());
        next += 1;
        move |_: &StopEvent| log.add(n)
    };
    for len in [MANY, 1, 64, 2, 65, 1_000] {
        let batch: Vec<_> = (0..len).map(|_| closure()).collect();
        drop(pool.submit_all(batch));
        drop(pool.submit(closure()));
        drop(pool.submit(closure()));
    }
    next
}

#[test]
fn one_worker_starts_batches_and_single_tasks_in_order() {
    finishes(|| {
        for warm in [false, true] {
            // All of it is there before the first starts, or it comes in meanwhile.
            for stuck in [false, true] {
                let it = Stuck::new(1);
                let log = Log::default();
                if warm || !stuck {
                    it.release();
                }
                if warm {
                    lengthen_runs(&it.pool);
                }
                let gate = Gate::new();
                if stuck {
                    let gate = Arc::clone(&gate);
                    drop(it.pool.submit(move |_| gate.pass()));
                }
                let count = submit_in_turn(&it.pool, &log);
                gate.open();
                it.release();
                it.pool.shutdown(Shutdown::Drain);
                assert_eq!(log.numbers(), (0..count).collect::<Vec<_>>());
            }
        }
    });
}

/// So many are cancelled that the queue tidies itself up around what is left.
#[test]
fn what_is_left_of_batches_keeps_its_order() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let log = Log::default();
        let mut expected = Vec::new();
        for round in 0..40 {
            let closure = |k| {
                let (n, log) = (round * 1_000 + k, log.clone());
                move |_: &StopEvent| log.add(n)
            };
            let handles = stuck.pool.submit_all((0..300).map(closure));
            for (k, handle) in handles.iter().enumerate() {
                // Of some slabs one is left, of others none.
                if k % 150 != round % 150 {
                    handle.cancel();
                } else {
                    expected.push(round * 1_000 + k);
                }
            }
            drop(stuck.pool.submit(closure(999)));
            expected.push(round * 1_000 + 999);
        }
        assert_eq!(stuck.pool.stats().pending, expected.len() as u64);
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(log.numbers(), expected);
        assert_eq!(report.never_started(), 40 * 298);
    });
}

#[test]
fn the_first_tasks_run_while_the_iterator_goes_on() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let handles = pool.submit_all((0..MANY).map(|n| {
            if n + 1 == MANY {
                gate.pass();
            }
            let gate = Arc::clone(&gate);
            move |_: &StopEvent| {
                if n == 0 {
                    gate.open();
                }
                n
            }
        }));
        assert_eq!(join_all(handles), (0..MANY).collect::<Vec<_>>());
    });
}

#[test]
fn an_iterator_may_use_the_pool() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let inner = pool.submitter();
            let handles = pool.submit_all((0..MANY).map(|n| {
                let single = pool.submit(move |_| n);
                let batch = pool.submit_all([0, 1].map(|k| move |_: &StopEvent| n + k));
                let sum = single.join().unwrap() + join_all(batch).iter().sum::<usize>();
                let inner = inner.clone();
                // So may the tasks.
                move |_: &StopEvent| {
                    let all = inner.submit_all((0..3).map(|k| move |_: &StopEvent| sum * k));
                    join_all(all).iter().sum::<usize>()
                }
            }));
            for (n, result) in join_all(handles).into_iter().enumerate() {
                assert_eq!(result, 3 * (3 * n + 1));
            }
        }
    });
}

#[test]
fn several_threads_submit_batches_at_once() {
    finishes(|| {
        let pool = ThreadPool::new(4);
        let start = Barrier::new(4);
        let mut all = thread::scope(|scope| {
            let threads: [_; 4] = array::from_fn(|thread| {
                let (pool, start) = (&pool, &start);
                scope.spawn(move || {
                    start.wait();
                    let mut all = Vec::new();
                    for round in 0..50 {
                        let base = (thread * 1_000 + round) * 1_000;
                        let len = [1, 10, 63, 300][round % 4];
                        let handles =
                            pool.submit_all((0..len).map(|n| move |_: &StopEvent| base + n));
                        all.extend(ids(&handles));
                        let single = pool.submit(move |_| base);
                        all.push(single.id().as_u64());
                        assert_eq!(single.join().unwrap(), base);
                        let right = (base..base + len).collect::<Vec<_>>();
                        assert_eq!(join_all(handles), right);
                    }
                    assert!(all.is_sorted(), "the ids of one thread rise");
                    all
                })
            });
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        all.sort_unstable();
        assert_eq!(all, (0..all.len() as u64).collect::<Vec<_>>());
        assert_eq!(pool.stats().completed, all.len() as u64);
    });
}

/// What was written before the submit is seen by each task, and what a task wrote by its joiner,
/// without any ordering of the data's own.
#[test]
fn submit_happens_before_the_runs_and_each_run_before_its_join() {
    const LEN: usize = 40;
    finishes(|| {
        let rounds = if cfg!(debug_assertions) { 500 } else { 10_000 };
        let pool = ThreadPool::new(2);
        let before = Arc::new(AtomicUsize::new(0));
        let after: Arc<[AtomicUsize; LEN]> = Arc::new(array::from_fn(|_| AtomicUsize::new(0)));
        for round in 1..=rounds {
            before.store(round, Relaxed);
            let handles = pool.submit_all((0..LEN).map(|n| {
                let (before, after) = (Arc::clone(&before), Arc::clone(&after));
                move |_: &StopEvent| {
                    after[n].store(round, Relaxed);
                    before.load(Relaxed)
                }
            }));
            for (n, handle) in handles.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap(), round);
                assert_eq!(after[n].load(Relaxed), round);
            }
        }
    });
}

/// A submitter neither keeps the pool alive nor differs from it.
#[test]
fn a_submitter_submits_batches_too() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let handles = submitter.submit_all((0..MANY).map(|n| move |_: &StopEvent| n));
        assert_eq!(join_all(handles), (0..MANY).collect::<Vec<_>>());
        drop(pool);
        let canary = Arc::new(());
        let handles = submitter.submit_all((0..MANY).map(|_| {
            let canary = Arc::clone(&canary);
            move |_: &StopEvent| drop(canary)
        }));
        assert_eq!(Arc::strong_count(&canary), 1, "dropped at once");
        assert_eq!(handles.len(), MANY);
        for handle in handles {
            assert!(handle.join().unwrap_err().is_never_started());
        }
    });
}

#[test]
fn a_vector_of_handles_is_as_long_as_the_iterator_says() {
    let pool = ThreadPool::new(1);
    let handles = pool.submit_all((0..1_000).map(|n| move |_: &StopEvent| n));
    assert_eq!(handles.capacity(), 1_000);
}
