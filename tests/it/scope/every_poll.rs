//! Fork and join with a stop at each of its polls in turn (feature `testing`).

use super::quicksort::{numbers, sort};
use crate::common::finishes;
use stoppable::testing::{EveryPoll, stop_at_poll};
use stoppable::{Outcome, StopEvent, ThreadPool};

/// A task that sorts, under that event. Whether it told of a sorted list.
fn sorts(pool: &ThreadPool, stop: &StopEvent) -> bool {
    let submitter = pool.submitter();
    let list = numbers(600);
    let mut sorted = list.clone();
    sorted.sort_unstable();
    let task = pool.task().stop_with(stop).submit(move |stop| {
        let mut list = list;
        let result = sort(&submitter, &mut list, stop);
        (result, list)
    });
    match task.outcome() {
        Outcome::Completed((Ok(()), list)) => {
            assert_eq!(list, sorted);
            true
        }
        Outcome::Completed((Err(stopped), _)) => panic!("nobody saw that it is {stopped}"),
        Outcome::Cancelled { partial, .. } => {
            let (result, mut list) = partial.unwrap();
            if result.is_ok() {
                assert_eq!(list, sorted, "not sorted, though it says so");
            }
            list.sort_unstable();
            assert_eq!(list, sorted, "nothing is lost");
            assert!(stop.peek());
            false
        }
        Outcome::NeverStarted(_) => {
            assert!(stop.peek());
            false
        }
        Outcome::Panicked(_) => panic!("it panicked"),
    }
}

/// One thread: it polls in the same order in each run.
#[test]
fn a_sort_on_one_thread_is_stopped_at_each_of_its_polls() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let mut sorted = 0;
        let stop_points = EveryPoll::new().late_polls(200).run(|stop| {
            sorted += u64::from(sorts(&pool, stop));
        });
        assert!(stop_points > 40, "{stop_points}");
        // The last run is the one without a stop, and the only one that may be full.
        assert_eq!(sorted, 1, "of {stop_points}");
    });
}

#[test]
fn a_sort_on_two_threads_is_stopped_at_any_poll() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for k in 0..300 {
            let stop = stop_at_poll(k);
            sorts(&pool, stop.event());
        }
    });
}

/// The pool is under the event, and the scope is opened from outside.
#[test]
fn a_sort_from_outside_is_stopped_with_its_pool() {
    finishes(|| {
        for threads in [1, 2] {
            for k in 0..200 {
                let stop = stop_at_poll(k);
                let pool = ThreadPool::builder().threads(threads);
                let pool = pool.stop_with(stop.event(), stoppable::Shutdown::StopAll);
                let pool = pool.build().unwrap();
                let mut list = numbers(300);
                let mut sorted = list.clone();
                sorted.sort_unstable();
                if sort(&pool.submitter(), &mut list, &pool.stop_event()).is_ok() {
                    assert_eq!(list, sorted, "k = {k}");
                }
                list.sort_unstable();
                assert_eq!(list, sorted);
            }
        }
    });
}
