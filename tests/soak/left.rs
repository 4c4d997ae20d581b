//! Nothing is left of a pool that has been shut down: its memory is freed with the last handle.

use std::sync::Arc;
use std::thread;
use stoppable::{Shutdown, StopEvent, ThreadPool};

/// Of how many of so many pools something is left, after this was done with each.
fn left(pools: usize, life: impl Fn(ThreadPool) + Send + Copy + 'static) -> usize {
    let names: Vec<Arc<str>> = (0..pools).map(|n| n.to_string().into()).collect();
    for name in &names {
        let name = Arc::clone(name);
        // On a thread of its own, which takes what it has in store with it.
        let life = thread::spawn(move || {
            life(ThreadPool::builder().threads(1).name(name).build().unwrap());
        });
        life.join().unwrap();
    }
    let names = names.iter();
    names.filter(|name| Arc::strong_count(name) > 1).count()
}

const POOLS: usize = 500;

#[test]
fn nothing_is_left_of_a_pool_with_a_batch() {
    let left = left(POOLS, |pool| {
        let tasks = pool.submit_all((0..10).map(|n| move |_: &StopEvent| n));
        drop(pool.shutdown(Shutdown::StopAll));
        drop(tasks);
    });
    assert_eq!(left, 0, "of {POOLS} pools");
}

#[test]
fn nothing_is_left_of_a_pool_with_tasks() {
    let left = left(POOLS, |pool| {
        let tasks: Vec<_> = (0..10).map(|n| pool.submit(move |_| n)).collect();
        drop(pool.shutdown(Shutdown::StopAll));
        drop(tasks);
    });
    assert_eq!(left, 0, "of {POOLS} pools");
}

#[test]
fn nothing_is_left_of_a_pool_that_refuses() {
    let left = left(POOLS, |pool| {
        pool.begin_shutdown(Shutdown::StopAll);
        drop(pool.submit_all((0..10).map(|n| move |_: &StopEvent| n)));
        drop(pool.submit(|_| ()));
    });
    assert_eq!(left, 0, "of {POOLS} pools");
}

#[test]
fn nothing_is_left_of_a_pool_whose_event_is_set() {
    let left = left(POOLS, |pool| {
        let tasks = pool.submit_all((0..10).map(|n| move |_: &StopEvent| n));
        pool.stop_event().set();
        drop(pool.submit_all((0..10).map(|n| move |_: &StopEvent| n)));
        drop(tasks);
    });
    assert_eq!(left, 0, "of {POOLS} pools");
}

#[test]
fn nothing_is_left_of_a_pool_that_is_shut_down_meanwhile() {
    let pools = 2 * POOLS;
    let left = left(pools, |pool| {
        thread::scope(|scope| {
            let submit = [(); 2].map(|()| {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let tasks = pool.submit_all((0..10).map(|n| move |_: &StopEvent| n));
                        tasks.iter().for_each(|task| {
                            task.cancel();
                        });
                        drop(pool.submit(StopEvent::is_set));
                    }
                })
            });
            let close = scope.spawn(|| drop(pool.shutdown(Shutdown::CancelPending)));
            // Unlike the scope's end, a join waits until the thread has given up what it has in store.
            for thread in submit.into_iter().chain([close]) {
                thread.join().unwrap();
            }
        });
    });
    assert_eq!(left, 0, "of {pools} pools");
}
