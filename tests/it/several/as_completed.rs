//! Tasks in the order in which they end.

use super::{Gated, SOON, gated};
use crate::common::{DropCounter, Gate, Stuck, finishes, quiet_panic};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{Shutdown, StopEvent, TaskHandle, TaskStatus, ThreadPool, as_completed};

#[test]
fn of_none() {
    finishes(|| {
        let mut none = as_completed(Vec::<TaskHandle<()>>::new());
        assert_eq!((none.size_hint(), none.remaining()), ((0, Some(0)), 0));
        assert!(none.next().is_none() && none.next().is_none());
        assert!(none.into_remaining().is_empty());
    });
}

#[test]
fn it_yields_each_when_it_has_ended() {
    finishes(|| {
        let Gated {
            gates,
            tasks,
            _pool,
        } = gated(5);
        let mut ended = as_completed(tasks);
        for (n, which) in [3, 0, 4, 1, 2].into_iter().enumerate() {
            assert_eq!(ended.size_hint(), (5 - n, Some(5 - n)));
            gates[which].0.open();
            let task = ended.next().unwrap();
            assert!(task.is_done());
            assert_eq!(task.try_join().unwrap().unwrap(), which);
            assert_eq!(ended.remaining(), 4 - n);
        }
        assert!(ended.next().is_none() && ended.next().is_none());
    });
}

#[test]
fn those_that_have_ended_come_first_in_the_order_of_the_list() {
    finishes(|| {
        let gated = gated(4);
        for n in [2, 0, 3] {
            gated.end(n);
        }
        let mut ended = as_completed(gated.tasks);
        for n in [0, 2, 3] {
            assert_eq!(ended.next().unwrap().join().unwrap(), n);
        }
        gated.gates[1].0.open();
        assert_eq!(ended.next().unwrap().join().unwrap(), 1);
        assert!(ended.next().is_none());
    });
}

#[test]
fn it_yields_every_kind_of_end() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let pool = &stuck.pool;
        let tasks = [
            pool.submit(|_| ()),
            pool.submit(|_| quiet_panic("boom")),
            pool.submit(|stop| {
                stop.set();
                stop.wait();
            }),
            pool.submit(|_| ()),
        ];
        let ended = as_completed(tasks);
        assert_eq!(pool.stats().pending, 4);
        stuck.release();
        let statuses: Vec<_> = ended.map(|task| task.outcome().status()).collect();
        assert_eq!(
            statuses,
            [
                TaskStatus::Completed,
                TaskStatus::Panicked,
                TaskStatus::Cancelled,
                TaskStatus::Completed
            ]
        );
        let stuck = Stuck::new(1);
        let tasks = [(); 3].map(|()| stuck.pool.submit(|_| ()));
        let cancellers = tasks.each_ref().map(TaskHandle::canceller);
        let mut ended = as_completed(tasks);
        for canceller in cancellers.iter().rev() {
            canceller.cancel();
            let task = ended.next().unwrap();
            assert_eq!(task.id(), canceller.id());
            assert!(task.join().unwrap_err().is_never_started());
        }
    });
}

#[test]
fn a_hundred_that_are_released_at_once_come_once_each() {
    finishes(|| {
        for round in 0..30 {
            let stuck = Stuck::new(2);
            let pool = &stuck.pool;
            let tasks: Vec<_> = if round % 2 == 0 {
                pool.submit_all((0..100).map(|n| move |_: &StopEvent| n))
            } else {
                (0..100).map(|n| pool.submit(move |_| n)).collect()
            };
            let ended = as_completed(tasks);
            let consumer = thread::spawn(move || {
                let values = ended.map(|task| task.try_join().unwrap().unwrap());
                let values: Vec<_> = values.collect();
                assert_eq!(values.len(), 100);
                values.into_iter().collect::<BTreeSet<_>>()
            });
            if round % 3 == 0 {
                thread::yield_now();
            }
            stuck.release();
            assert_eq!(consumer.join().unwrap(), (0..100).collect());
        }
    });
}

#[test]
fn handles_of_several_pools_come_as_they_end() {
    finishes(|| {
        let pools = [1, 2, 3].map(ThreadPool::new);
        let tasks = (0..90).map(|n| pools[n % 3].submit(move |_| n));
        let mut values: Vec<_> = as_completed(tasks)
            .map(|task| task.join().unwrap())
            .collect();
        values.sort_unstable();
        assert_eq!(values, (0..90).collect::<Vec<_>>());
    });
}

#[test]
fn its_time_ends_it_and_names_what_is_left() {
    finishes(|| {
        let gated = gated(3);
        gated.end(1);
        let start = Instant::now();
        let mut ended = as_completed(gated.tasks).timeout(SOON);
        assert_eq!(ended.size_hint(), (0, Some(3)));
        assert_eq!(ended.next().unwrap().join().unwrap(), 1);
        assert!(ended.next().is_none());
        assert!(start.elapsed() >= SOON, "it was early");
        assert_eq!(ended.remaining(), 2);
        let left = ended.into_remaining();
        for gate in &gated.gates {
            gate.0.open();
        }
        let left: Vec<_> = left.into_iter().map(|task| task.join().unwrap()).collect();
        assert_eq!(left, [0, 2]);
    });
}

#[test]
fn with_no_time_it_yields_what_has_ended() {
    finishes(|| {
        let gated = gated(3);
        gated.end(2);
        let mut ended = as_completed(gated.tasks).timeout(Duration::ZERO);
        assert_eq!(ended.next().unwrap().join().unwrap(), 2);
        assert!(ended.next().is_none());
        assert_eq!(ended.into_remaining().len(), 2);
    });
}

/// It says that it is fused, and an iterator that is fused has ended for good.
#[test]
fn once_its_time_has_passed_it_has_ended() {
    finishes(|| {
        let gated = gated(1);
        let canceller = gated.tasks[0].canceller();
        let mut ended = as_completed(gated.tasks).timeout(Duration::ZERO);
        assert!(ended.next().is_none());
        gated.gates[0].0.open();
        crate::common::until(|| canceller.is_done());
        // The end is told a little later than it can be seen.
        gated._pool.shutdown(Shutdown::Drain);
        assert!(ended.next().is_none(), "it had ended");
        assert_eq!(ended.into_remaining().len(), 1);
    });
}

#[test]
fn what_it_has_yielded_it_lets_go_of() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let token = drops.token();
                stuck.pool.submit(move |_| token)
            })
            .collect();
        let hung = DropCounter::new();
        for task in &tasks {
            let token = hung.token();
            task.stop_event().on_set(move || drop(token)).detach();
        }
        let mut ended = as_completed(tasks);
        stuck.release();
        // The pool lives on: its drop would set the events.
        stuck.pool.shutdown(Shutdown::Drain);
        for n in 1..=10 {
            drop(ended.next().unwrap());
            // The value, and the task with what hangs on its event.
            assert_eq!((drops.count(), hung.count()), (n, n));
        }
    });
}

#[test]
fn dropping_it_detaches_what_is_left() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let hung = DropCounter::new();
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (token, hangs) = (drops.token(), hung.token());
                let task = stuck.pool.submit(move |_| token);
                task.on_done(move |_| drop(hangs));
                task
            })
            .collect();
        let cancellers: Vec<_> = tasks.iter().map(TaskHandle::canceller).collect();
        drop(as_completed(tasks));
        assert!(cancellers.iter().all(|it| !it.is_done()));
        assert_eq!((drops.count(), hung.count()), (0, 0));
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(report.completed(), 6);
        assert_eq!((drops.count(), hung.count()), (5, 5));
    });
}

#[test]
fn an_iterator_that_panics_detaches_what_it_gave() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let pool = &stuck.pool;
        let drops = DropCounter::new();
        let submit = |n| {
            if n == 3 {
                quiet_panic("an iterator");
            }
            let token = drops.token();
            pool.submit(move |_| token)
        };
        let result = catch_unwind(AssertUnwindSafe(|| as_completed((0..5).map(submit))));
        assert!(result.is_err());
        drop(result);
        assert_eq!(drops.count(), 0);
        stuck.release();
        assert_eq!(stuck.pool.shutdown(Shutdown::Drain).completed(), 4);
        assert_eq!(drops.count(), 3);
    });
}

/// It runs them one by one, as it is asked for the next one, in the order of the list.
#[test]
fn a_worker_runs_what_is_pending() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let log = Arc::new(Mutex::new(Vec::new()));
            let tasks = (0..5).map(|n| {
                let log = Arc::clone(&log);
                submitter.submit(move |_| log.lock().unwrap().push(n))
            });
            let mut count = 0;
            for task in as_completed(tasks) {
                count += 1;
                assert_eq!(task.id().as_u64(), count);
                assert_eq!(*log.lock().unwrap(), (0..count).collect::<Vec<_>>());
            }
            count
        });
        assert_eq!(outer.join().unwrap(), 5);
    });
}

#[test]
fn with_a_time_a_worker_runs_nothing() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let tasks = [(); 3].map(|()| submitter.submit(|_| ()));
            let mut ended = as_completed(tasks).timeout(SOON);
            assert!(ended.next().is_none());
            ended.into_remaining()
        });
        for task in outer.join().unwrap() {
            task.join().unwrap();
        }
    });
}

/// A worker of a pool of two sleeps until tasks that another one runs end.
#[test]
fn a_worker_waits_for_what_runs_elsewhere() {
    finishes(|| {
        let (pool, other) = (ThreadPool::new(2), ThreadPool::new(1));
        let gates = [(); 2].map(|()| Gate::new());
        let submit = |pool: &ThreadPool, n: usize| {
            let gate = Arc::clone(&gates[n]);
            let task = pool.submit(move |_| {
                gate.pass();
                n
            });
            task.wait_started();
            task
        };
        let tasks = [submit(&pool, 0), submit(&other, 1)];
        let (tell, told) = mpsc::channel();
        let outer = pool.submit(move |_| {
            for task in as_completed(tasks) {
                tell.send(task.join().unwrap()).unwrap();
            }
        });
        for n in [1, 0] {
            gates[n].open();
            assert_eq!(told.recv().unwrap(), n);
        }
        outer.join().unwrap();
    });
}

#[test]
fn a_circle_is_a_panic() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (give, given) = mpsc::channel::<Vec<TaskHandle<()>>>();
        let (tell, told) = mpsc::channel();
        let itself = pool.submit(move |_| {
            let mut ended = as_completed(given.recv().unwrap());
            assert!(ended.next().is_some(), "the other one, which it runs");
            let result = catch_unwind(AssertUnwindSafe(|| ended.next().is_some()));
            let text = result.unwrap_err().downcast::<String>().unwrap();
            tell.send((*text, ended.remaining())).unwrap();
        });
        let other = pool.submit(|_| ());
        give.send(vec![itself, other]).unwrap();
        let (text, remaining) = told.recv().unwrap();
        let expected = "task #0 was not joined: it waits for the task that joins it (#0)";
        assert_eq!((text.as_str(), remaining), (expected, 1));
        assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 2);
    });
}

#[test]
fn a_race_of_ends_and_of_the_making_of_it_loses_none() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for _ in 0..300 {
            let tasks = (0..20).map(|n| pool.submit(move |_| n));
            let sum: u32 = as_completed(tasks).map(|task| task.join().unwrap()).sum();
            assert_eq!(sum, 190);
        }
    });
}
