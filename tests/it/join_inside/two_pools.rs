//! Tasks of two pools that join each other.

use crate::common::{Gate, finishes, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use stoppable::{Shutdown, Submitter, TaskHandle, ThreadPool};

/// To and fro: a task of the one submits to the other and joins, with a free thread for each of
/// those that wait.
fn to_and_fro(here: &Submitter, there: &Submitter, left: usize) -> usize {
    if left == 0 {
        return 0;
    }
    let (next, back) = (there.clone(), here.clone());
    let inner = there.submit(move |_| to_and_fro(&next, &back, left - 1));
    1 + inner.join().unwrap()
}

#[test]
fn they_end_where_no_circle_is_closed() {
    finishes(|| {
        const DEPTH: usize = 6;
        // Half of a chain waits in each pool.
        let pools = [(); 2].map(|()| ThreadPool::new(DEPTH / 2 + 1));
        let [a, b] = pools.each_ref().map(ThreadPool::submitter);
        for _ in 0..200 {
            let (here, there) = (a.clone(), b.clone());
            let outer = pools[0].submit(move |_| to_and_fro(&here, &there, DEPTH));
            assert_eq!(outer.join().unwrap(), DEPTH);
        }
        // From both sides at once, one task each.
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for n in 0..2 {
                let (here, there, sum) = (&pools[n], &pools[1 - n], &sum);
                scope.spawn(move || {
                    for _ in 0..500 {
                        let there = there.submitter();
                        let outer = here.submit(move |_| there.submit(|_| 1).join().unwrap());
                        sum.fetch_add(outer.join().unwrap(), SeqCst);
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 1_000);
        for pool in pools {
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!(report.completed(), report.submitted());
        }
    });
}

/// The one worker of each waits for a task that is pending in the other: no library sees that
/// circle. It ends when one of the tasks is cancelled, or its pool is shut down.
#[test]
fn a_circle_through_two_pools_is_broken_by_a_cancel_or_a_shutdown() {
    type Break = fn(&ThreadPool);
    let breaks: [Break; 3] = [
        |pool| assert_eq!(pool.cancel_pending(), 1),
        |pool| pool.begin_shutdown(Shutdown::CancelPending),
        |pool| {
            pool.stop_event().set();
        },
    ];
    for way in breaks {
        finishes(move || {
            let pools = [(); 2].map(|()| ThreadPool::new(1));
            let (gate, submitted) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
            let outers = [0, 1].map(|n| {
                let (there, gate) = (pools[1 - n].submitter(), Arc::clone(&gate));
                let submitted = Arc::clone(&submitted);
                let outer = pools[n].submit(move |_| {
                    gate.pass();
                    let inner = there.submit(|_| ());
                    submitted.fetch_add(1, SeqCst);
                    inner.join().is_ok()
                });
                outer.wait_started();
                outer
            });
            gate.open();
            // Both workers are in their outer task, so both inner ones stay pending.
            until(|| submitted.load(SeqCst) == 2);
            assert!(pools.iter().all(|pool| pool.stats().pending == 1));
            assert!(outers.iter().all(TaskHandle::is_running));
            way(&pools[1]);
            let [first, second] = outers.map(|outer| outer.outcome().into_value());
            // What the first one waited for never started; the second one then had its turn.
            assert_eq!((first, second), (Some(false), Some(true)));
        });
    }
}
