//! The whole life of a task of ours, in a form whose instructions can be counted: two counts of one
//! program agree within a percent, however busy the machine is.
//!
//! Under valgrind one thread runs at a time, and when it changes is a matter of chance. What a
//! thread does while it waits for another (it looks, it spins, it parks, it is woken) is then the
//! noise of a count. So here nobody waits for anybody, task by task:
//!
//! 1. The pool has one worker, and it is blocked while tasks come in. No submit finds a sleeper.
//! 2. The worker is let go, and runs all of them; meanwhile this thread is parked, and is woken
//!    once, by the last of them.
//! 3. Results are taken from tasks that have ended.
//!
//! Where such a count still varied it was the C library's allocator that did, so what happens in
//! shared libraries is best left out; how many calls of it there are, `memory` counts.
//!
//! What wake-ups, contention and spinning cost is therefore not in these figures. A program's start
//! and a pool's are not either, if one takes the difference of two counts with different numbers of
//! tasks.

use crate::kit::Class::Ours;
use crate::kit::{Contender, Gate, OpenOnDrop, Tally, expected, work};
use crate::{poll, pools};
use std::hint::black_box;
use std::time::{Duration, Instant};
use stoppable::{CancelOutcome, Outcome, Shutdown, TaskHandle, TaskStatus, ThreadPool};

/// What is counted.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("submit_collect", Ours, submit_collect),
        Contender::new("submit_all", Ours, submit_all),
        Contender::new("execute", Ours, execute),
        Contender::new("poll", Ours, poll::ours_argument),
        Contender::new("cancel_each", Ours, cancel_each),
        Contender::new("shutdown_pending", Ours, shutdown_pending),
    ]
}

/// A pool whose one worker is blocked.
fn blocked_pool() -> (ThreadPool, Gate) {
    let pool = pools::ours_of(1);
    let gate = Gate::block_all(1, |gate| {
        pool.execute(move |_stop| gate.pass()).expect("it is open");
    });
    (pool, gate)
}

/// Lets the worker do all that is queued.
fn let_go(pool: &ThreadPool, gate: &Gate) {
    let done = Tally::new(1);
    let last = done.clone();
    pool.execute(move |_stop| last.add(0)).expect("it is open");
    gate.open();
    done.wait();
}

fn submit_one_by_one(pool: &ThreadPool, n: usize) -> Vec<TaskHandle<u64>> {
    (0..n as u64)
        .map(|i| pool.submit(move |_stop| work(i)))
        .collect()
}

fn submit_collect(n: usize) -> Duration {
    drained(n, submit_one_by_one)
}

fn submit_all(n: usize) -> Duration {
    drained(n, |pool, n| {
        pool.submit_all((0..n as u64).map(|i| move |_stop: &_| work(i)))
    })
}

fn drained(n: usize, submit: impl FnOnce(&ThreadPool, usize) -> Vec<TaskHandle<u64>>) -> Duration {
    let (pool, gate) = blocked_pool();
    let start = Instant::now();
    let handles = submit(&pool, n);
    let_go(&pool, &gate);
    let sum = handles.into_iter().fold(0_u64, |sum, handle| {
        sum.wrapping_add(handle.join().expect("it completed"))
    });
    assert_eq!(sum, expected(n), "every result, once");
    start.elapsed()
}

fn execute(n: usize) -> Duration {
    let (pool, gate) = blocked_pool();
    let start = Instant::now();
    for i in 0..n as u64 {
        pool.execute(move |_stop| {
            black_box(work(i));
        })
        .expect("it is open");
    }
    let_go(&pool, &gate);
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(report.completed(), n as u64 + 2);
    start.elapsed()
}

fn cancel_each(n: usize) -> Duration {
    let (pool, gate) = blocked_pool();
    let start = Instant::now();
    let handles = submit_one_by_one(&pool, n);
    for handle in &handles {
        assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
    }
    for handle in handles {
        assert!(matches!(handle.outcome(), Outcome::NeverStarted(_)));
    }
    let_go(&pool, &gate);
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(report.never_started(), n as u64);
    start.elapsed()
}

/// One pending task captures what lets the worker go, so that it is let go when none will start.
fn shutdown_pending(n: usize) -> Duration {
    let (pool, gate) = blocked_pool();
    let start = Instant::now();
    let handles = submit_one_by_one(&pool, n);
    let open = OpenOnDrop(gate);
    pool.execute(move |_stop| drop(open)).expect("it is open");
    let report = pool.shutdown(Shutdown::CancelPending);
    for handle in handles {
        assert_eq!(handle.status(), TaskStatus::NeverStarted);
    }
    assert_eq!(report.never_started(), n as u64 + 1);
    start.elapsed()
}
