//! Fork and join: a quicksort whose halves are tasks.

use crate::common::*;
use stoppable::{StopEvent, Stopped, Submitter, ThreadPool};

/// Sorts, or is stopped on the way.
pub(super) fn sort(pool: &Submitter, list: &mut [u32], stop: &StopEvent) -> Result<(), Stopped> {
    stop.check()?;
    if list.len() <= 16 {
        list.sort_unstable();
        return Ok(());
    }
    let pivot = list[list.len() / 2];
    let (mut at, mut low, mut high) = (0, 0, list.len());
    while at < high {
        match list[at].cmp(&pivot) {
            std::cmp::Ordering::Less => {
                list.swap(at, low);
                at += 1;
                low += 1;
            }
            std::cmp::Ordering::Equal => at += 1,
            std::cmp::Ordering::Greater => {
                high -= 1;
                list.swap(at, high);
            }
        }
    }
    let (left, rest) = list.split_at_mut(low);
    let right = &mut rest[high - low..];
    pool.try_scope(|s| {
        s.submit(|stop| sort(pool, left, stop));
        s.submit(|stop| sort(pool, right, stop));
        Ok(())
    })
}

pub(super) fn numbers(count: u32) -> Vec<u32> {
    let mut seed = 7_u32;
    let next = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 8
    };
    (0..count).map(next).collect()
}

#[test]
fn sorts_on_pools_of_one_two_and_sixteen_threads() {
    finishes(|| {
        for threads in [1, 2, 16] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let mut list = numbers(100_000);
            let mut sorted = list.clone();
            sorted.sort_unstable();
            // From outside, and from inside a task.
            let mut twin = list.clone();
            sort(&submitter, &mut twin, &StopEvent::new()).unwrap();
            assert_eq!(twin, sorted);
            let inside = pool.submit(move |stop| {
                sort(&submitter, &mut list, stop).unwrap();
                list
            });
            assert_eq!(inside.join().unwrap(), sorted);
        }
    });
}
