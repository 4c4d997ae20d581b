//! A function over items: in order, lazily, with a bounded number of them in flight.

use crate::common::{DropCounter, Gate, Stuck, finishes, poll, quiet_panic};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use stoppable::{Shutdown, StopReason, ThreadPool};

#[test]
fn results_come_in_order_of_the_items_each_once() {
    finishes(|| {
        for (threads, items) in [(1, 0), (1, 1), (2, 2), (2, 100), (3, 20_000)] {
            let pool = ThreadPool::new(threads);
            let twice = pool.map(0..items, |n: usize, _| 2 * n);
            let results = twice.map(Result::unwrap);
            assert!(results.eq((0..items).map(|n| 2 * n)));
            let stats = pool.stats();
            assert_eq!(stats.submitted, items as u64);
        }
    });
}

#[test]
fn it_is_lazy_and_bounded() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let fetched = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&fetched);
        let items = (0_usize..).inspect(move |_| {
            counts.fetch_add(1, Ordering::Relaxed);
        });
        let mut all = pool.map(items, |n, _| n);
        assert_eq!(fetched.load(Ordering::Relaxed), 0);
        for n in 0..100_000 {
            assert_eq!(all.next().unwrap().unwrap(), n);
            let ahead = fetched.load(Ordering::Relaxed) - n;
            assert!((1..=10_000).contains(&ahead), "{ahead}");
        }
    });
}

/// Never more than so many are fetched and not yielded, and at first as many.
#[test]
fn so_many_are_in_flight() {
    finishes(|| {
        for most in [1, 2, 3, 7, 64, 65, 300] {
            let pool = ThreadPool::new(2);
            let yielded = Arc::new(AtomicUsize::new(0));
            let in_flight = Arc::new(AtomicUsize::new(0));
            let items = (0..1_000_usize).inspect({
                let (yielded, in_flight) = (Arc::clone(&yielded), Arc::clone(&in_flight));
                move |n| {
                    let now = n + 1 - yielded.load(Ordering::Relaxed);
                    in_flight.fetch_max(now, Ordering::Relaxed);
                }
            });
            let mut all = pool.map(items, |n, _| n).in_flight(most);
            assert_eq!(all.size_hint(), (0, Some(1_000)));
            for n in 0..1_000 {
                assert_eq!(all.next().unwrap().unwrap(), n);
                yielded.fetch_add(1, Ordering::Relaxed);
                assert_eq!(in_flight.load(Ordering::Relaxed), most);
                let (least, left) = all.size_hint();
                assert!(least < most && left == Some(999 - n));
                if n == 0 {
                    assert_eq!(least, most - 1);
                }
            }
            assert!(all.next().is_none());
        }
        assert_eq!(
            ThreadPool::new(1).map(0.., |_: u64, _| ()).size_hint().1,
            None
        );
    });
}

#[test]
fn one_that_fails_is_an_error_and_the_others_go_on() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let all = pool.map(0..1_000, |n, _| {
            if n % 10 == 3 {
                quiet_panic("on purpose");
            }
            n
        });
        for (n, result) in all.enumerate() {
            match result {
                Ok(value) => assert_eq!(value, n),
                Err(error) => assert!(error.is_panicked() && n % 10 == 3),
            }
        }
        assert_eq!(pool.stats().panicked, 100);
    });
}

#[test]
fn dropped_it_cancels_what_is_in_flight() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let items = std::iter::repeat_with({
            let drops = drops.clone();
            move || drops.token()
        });
        let pool = &stuck.pool;
        let mut all = pool.map(items.take(50), |token, _| drop(token));
        std::thread::scope(|threads| {
            let first = threads.spawn(|| all.next().unwrap().is_ok());
            crate::common::until(|| pool.stats().pending > 0);
            stuck.release();
            assert!(first.join().unwrap());
        });
        drop(all);
        stuck.pool.shutdown(Shutdown::Drain);
        let stats = stuck.pool.stats();
        assert_eq!(
            stats.completed + stats.never_started + stats.cancelled,
            stats.submitted
        );
        // One was submitted that was stuck, and had no token.
        assert_eq!(drops.count() as u64, stats.submitted - 1);
    });
}

/// The one that runs, and those that are pending.
#[test]
fn dropped_it_stops_each_of_those_in_flight() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (started, (say, said)) = (Gate::new(), mpsc::channel());
        let starts = Arc::clone(&started);
        let mut all = pool
            .map(0..10, move |n, stop| {
                if n == 1 {
                    starts.open();
                    poll(stop);
                    say.send(stop.cause().unwrap().reason).unwrap();
                }
            })
            .in_flight(5);
        all.next().unwrap().unwrap();
        started.pass();
        drop(all);
        assert_eq!(said.recv().unwrap(), StopReason::Dropped);
        let stats = pool.shutdown(Shutdown::Drain).stats();
        assert_eq!((stats.submitted, stats.never_started), (5, 3));
    });
}

#[test]
fn after_a_shutdown_one_error_is_the_last() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let mut all = pool.map(0.., |n: u32, _| n);
        assert_eq!(all.next().unwrap().unwrap(), 0);
        pool.shutdown(Shutdown::Drain);
        let rest: Vec<_> = all.by_ref().collect();
        let errors = rest.iter().filter(|result| result.is_err()).count();
        assert_eq!(errors, 1);
        assert!(rest.last().unwrap().is_err());
        assert!(all.next().is_none());
    });
}

#[test]
fn it_is_filled_up_when_half_of_what_was_in_flight_is_used() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let fetched = AtomicUsize::new(0);
        let items = (0..100).inspect(|_| {
            fetched.fetch_add(1, Ordering::Relaxed);
        });
        let mut all = pool.map(items, |n: u32, _| n).in_flight(4);
        let counts = [(); 7].map(|()| {
            all.next().unwrap().unwrap();
            fetched.load(Ordering::Relaxed)
        });
        assert_eq!(counts, [4, 4, 6, 6, 8, 8, 10]);
    });
}
