//! Waiting for several tasks: until one, all, or the first that fails has ended.

mod as_completed;
mod inside;
mod timed_batch;

use crate::common::{Gate, OpenOnDrop, Stuck, finishes, quiet_panic, until};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    StopEvent, TaskHandle, TaskStatus, ThreadPool, Waited, wait_all, wait_all_timeout, wait_any,
    wait_any_timeout, wait_first_error, wait_first_error_timeout,
};

const SOON: Duration = Duration::from_millis(5);

/// Tasks of a pool of as many threads, each of which runs until its gate is opened.
struct Gated {
    gates: Vec<OpenOnDrop>,
    tasks: Vec<TaskHandle<usize>>,
    _pool: ThreadPool,
}

fn gated(count: usize) -> Gated {
    let pool = ThreadPool::new(count);
    let gates: Vec<_> = (0..count).map(|_| OpenOnDrop(Gate::new())).collect();
    let tasks = gates.iter().enumerate().map(|(n, gate)| {
        let gate = Arc::clone(&gate.0);
        let task = pool.submit(move |_| {
            gate.pass();
            n
        });
        task.wait_started();
        task
    });
    let tasks = tasks.collect();
    Gated {
        gates,
        tasks,
        _pool: pool,
    }
}

impl Gated {
    /// Lets one of them end, and waits for that.
    fn end(&self, n: usize) {
        self.gates[n].0.open();
        self.tasks[n].wait();
    }
}

#[track_caller]
fn is(waited: &Waited, done: &[usize], unfinished: &[usize], first_error: Option<usize>) {
    assert_eq!(waited.done(), done, "done");
    assert_eq!(waited.unfinished(), unfinished, "unfinished");
    assert_eq!(waited.first_error(), first_error, "first error");
    assert_eq!(waited.is_all_done(), unfinished.is_empty());
}

/// A pool of one thread and five tasks, the ends of which are known: `Completed`, `Panicked`,
/// `Cancelled`, `NeverStarted`, `Completed`.
fn ended() -> (ThreadPool, [TaskHandle<()>; 5]) {
    let stuck = Stuck::new(1);
    let never = stuck.pool.submit(|_| ());
    never.cancel();
    stuck.release();
    let pool = ThreadPool::new(1);
    let tasks = [
        pool.submit(|_| ()),
        pool.submit(|_| quiet_panic("boom")),
        pool.submit(|stop| {
            stop.set();
            stop.wait();
        }),
        never,
        pool.submit(|_| ()),
    ];
    tasks.iter().for_each(TaskHandle::wait);
    (pool, tasks)
}

#[test]
fn of_none() {
    finishes(|| {
        let none: [TaskHandle<()>; 0] = [];
        let waits = [
            wait_all(&none),
            wait_any(&none),
            wait_first_error(&none),
            wait_all_timeout(&none, Duration::MAX),
            wait_any_timeout(&none, Duration::MAX),
            wait_first_error_timeout(&none, Duration::ZERO),
        ];
        for waited in waits {
            is(&waited, &[], &[], None);
            assert_eq!(waited, Waited::default());
        }
    });
}

#[test]
fn of_tasks_that_have_ended() {
    finishes(|| {
        let (_pool, tasks) = ended();
        let all = [0, 1, 2, 3, 4];
        is(&wait_all(&tasks), &all, &[], None);
        is(&wait_any(&tasks), &all, &[], None);
        is(&wait_first_error(&tasks), &all, &[], Some(1));
        for time in [Duration::ZERO, SOON, Duration::MAX] {
            is(&wait_all_timeout(&tasks, time), &all, &[], None);
            is(&wait_any_timeout(&tasks, time), &all, &[], None);
            is(&wait_first_error_timeout(&tasks, time), &all, &[], Some(1));
        }
        // Every end but completion is an error.
        for n in 1..4 {
            let pair = [&tasks[0], &tasks[n]];
            is(&wait_first_error(pair), &[0, 1], &[], Some(1));
        }
        is(
            &wait_first_error([&tasks[4], &tasks[0]]),
            &[0, 1],
            &[],
            None,
        );
        for task in tasks {
            let _ = task.outcome();
        }
    });
}

#[test]
fn with_no_time_it_names_what_is_done_and_what_is_not() {
    finishes(|| {
        let gated = gated(4);
        for (ended, done, unfinished) in [
            (2, &[2][..], &[0, 1, 3][..]),
            (0, &[0, 2], &[1, 3]),
            (3, &[0, 2, 3], &[1]),
        ] {
            gated.end(ended);
            for time in [Duration::ZERO, Duration::from_nanos(1), SOON] {
                is(
                    &wait_all_timeout(&gated.tasks, time),
                    done,
                    unfinished,
                    None,
                );
                is(
                    &wait_any_timeout(&gated.tasks, time),
                    done,
                    unfinished,
                    None,
                );
                let first_error = wait_first_error_timeout(&gated.tasks, time);
                is(&first_error, done, unfinished, None);
            }
            is(&wait_any(&gated.tasks), done, unfinished, None);
        }
        // Timing out stops nothing.
        assert!(gated.tasks[1].is_running() && !gated.tasks[1].stop_event().peek());
        gated.end(1);
        is(&wait_all(&gated.tasks), &[0, 1, 2, 3], &[], None);
    });
}

#[test]
fn timeouts_are_not_early() {
    finishes(|| {
        let gated = gated(2);
        type Wait = fn(&[TaskHandle<usize>]) -> Waited;
        let waits: [Wait; 3] = [
            |tasks| wait_all_timeout(tasks, SOON),
            |tasks| wait_any_timeout(tasks, SOON),
            |tasks| wait_first_error_timeout(tasks, SOON),
        ];
        for wait in waits {
            let start = Instant::now();
            is(&wait(&gated.tasks), &[], &[0, 1], None);
            assert!(start.elapsed() >= SOON);
        }
        gated.end(0);
        // The other two have what they wait for, or go on.
        let start = Instant::now();
        is(&wait_all_timeout(&gated.tasks, SOON), &[0], &[1], None);
        is(
            &wait_first_error_timeout(&gated.tasks, SOON),
            &[0],
            &[1],
            None,
        );
        assert!(start.elapsed() >= 2 * SOON);
    });
}

#[test]
fn duplicates_are_one() {
    finishes(|| {
        let gated = gated(2);
        let [a, b] = [&gated.tasks[0], &gated.tasks[1]];
        let twice = [a, b, a, b, b];
        is(&wait_all_timeout(twice, Duration::ZERO), &[], &[0, 1], None);
        gated.end(1);
        is(&wait_any(twice), &[1], &[0], None);
        is(&wait_any([b, b]), &[0], &[], None);
        gated.end(0);
        is(&wait_all(twice), &[0, 1], &[], None);
        // Those that have ended are found in the order of the list.
        is(&wait_all([b, b, a]), &[0, 2], &[], None);
    });
}

#[test]
fn it_waits_for_each() {
    finishes(|| {
        const COUNT: usize = 4;
        let gated = Arc::new(gated(COUNT));
        let (tell, told) = mpsc::channel();
        let waiter = thread::spawn({
            let gated = Arc::clone(&gated);
            move || {
                tell.send(()).unwrap();
                let waited = wait_all(&gated.tasks);
                assert!(gated.tasks.iter().all(TaskHandle::is_done));
                waited
            }
        });
        told.recv().unwrap();
        let order = [2, 0, 3, 1];
        for n in order {
            assert!(!waiter.is_finished());
            gated.end(n);
        }
        let waited = waiter.join().unwrap();
        let mut done = waited.done().to_vec();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3]);
        assert!(waited.is_all_done());
    });
}

#[test]
fn the_first_error_ends_the_wait() {
    finishes(|| {
        for fails in 0..3 {
            let pool = ThreadPool::new(3);
            let gates = [(); 3].map(|()| OpenOnDrop(Gate::new()));
            let tasks: Vec<_> = gates
                .iter()
                .enumerate()
                .map(|(n, gate)| {
                    let gate = Arc::clone(&gate.0);
                    pool.submit(move |_| {
                        gate.pass();
                        if n == fails {
                            quiet_panic("first");
                        }
                    })
                })
                .collect();
            let tasks = Arc::new(tasks);
            let waiter = thread::spawn({
                let tasks = Arc::clone(&tasks);
                move || wait_first_error(&*tasks)
            });
            let completes = (fails + 1) % 3;
            gates[completes].0.open();
            tasks[completes].wait();
            gates[fails].0.open();
            let waited = waiter.join().unwrap();
            assert_eq!(waited.first_error(), Some(fails));
            assert!(waited.done().contains(&fails));
            assert!(waited.unfinished().contains(&((fails + 2) % 3)));
            drop(gates);
        }
    });
}

/// What ended before that which ended the wait is among what has ended.
#[test]
fn what_has_ended_is_not_named_as_unfinished() {
    finishes(|| {
        for _ in 0..2_000 {
            let gated = Arc::new(gated(2));
            let first = gated.tasks[0].canceller();
            let stuck = Stuck::new(1);
            let last = stuck.pool.submit(|_| 0);
            let canceller = last.canceller();
            let waiter = thread::spawn({
                let gated = Arc::clone(&gated);
                move || wait_first_error([&gated.tasks[0], &last])
            });
            gated.gates[0].0.open();
            until(|| first.is_done());
            canceller.cancel();
            let mut done = waiter.join().unwrap().done().to_vec();
            done.sort_unstable();
            assert_eq!(done, [0, 1]);
        }
    });
}

#[test]
fn a_pending_task_that_is_cancelled_is_an_error() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let tasks: Vec<_> = (0..3).map(|n| stuck.pool.submit(move |_| n)).collect();
        let canceller = tasks[1].canceller();
        let waiter = thread::spawn(move || (wait_first_error(&tasks), tasks));
        canceller.cancel();
        let (waited, tasks) = waiter.join().unwrap();
        is(&waited, &[1], &[0, 2], Some(1));
        stuck.release();
        tasks.iter().for_each(TaskHandle::wait);
        is(&wait_first_error(&tasks), &[0, 1, 2], &[], Some(1));
    });
}

/// All end at once, while some threads wait for all of them and some for any.
#[test]
fn a_hundred_that_are_released_at_once_miss_nobody() {
    finishes(|| {
        for round in 0..20 {
            let stuck = Stuck::new(2);
            let tasks: Vec<_> = (0..100)
                .map(|n| {
                    stuck.pool.submit(move |_| {
                        if n == 42 {
                            quiet_panic("42");
                        }
                    })
                })
                .collect();
            let begin = Barrier::new(4);
            thread::scope(|scope| {
                let wait = |wait: fn(&[TaskHandle<()>]) -> Waited| {
                    let (tasks, begin) = (&tasks, &begin);
                    scope.spawn(move || {
                        begin.wait();
                        wait(tasks)
                    })
                };
                let all = wait(|tasks| wait_all(tasks));
                let any = wait(|tasks| wait_any(tasks));
                let first_error = wait(|tasks| wait_first_error(tasks));
                begin.wait();
                if round % 2 == 0 {
                    thread::yield_now();
                }
                stuck.release();
                let all = all.join().unwrap();
                let mut done = all.done().to_vec();
                done.sort_unstable();
                assert_eq!(done, (0..100).collect::<Vec<_>>());
                for waited in [any.join().unwrap(), first_error.join().unwrap()] {
                    assert!(!waited.done().is_empty());
                    let mut both = [waited.done(), waited.unfinished()].concat();
                    both.sort_unstable();
                    assert_eq!(both, (0..100).collect::<Vec<_>>());
                    assert!(waited.unfinished().is_sorted());
                    assert!([None, Some(42)].contains(&waited.first_error()));
                }
            });
        }
    });
}

#[test]
fn handles_of_several_pools() {
    finishes(|| {
        let pools = [1, 2, 3].map(ThreadPool::new);
        let tasks: Vec<_> = (0..60).map(|n| pools[n % 3].submit(move |_| n)).collect();
        assert!(wait_all(&tasks).is_all_done());
        // On a worker of one of them, which runs its own.
        let submitters = pools.each_ref().map(ThreadPool::submitter);
        let outer = pools[0].submit(move |_| {
            let tasks: Vec<_> = (0..60)
                .map(|n| submitters[n % 3].submit(move |_| n))
                .collect();
            assert!(!wait_any(&tasks).done().is_empty());
            assert!(wait_first_error(&tasks).first_error().is_none());
            wait_all(&tasks).is_all_done()
        });
        assert!(outer.join().unwrap());
    });
}

#[test]
fn an_iterator_that_panics_loses_nothing() {
    finishes(|| {
        let gated = gated(3);
        let panicking = gated.tasks.iter().enumerate().map(|(n, task)| {
            if n == 2 {
                quiet_panic("an iterator");
            }
            task
        });
        let result = catch_unwind(AssertUnwindSafe(|| wait_all(panicking)));
        assert!(result.is_err());
        (0..3).for_each(|n| gated.end(n));
        for (n, task) in gated.tasks.into_iter().enumerate() {
            assert_eq!(task.join().unwrap(), n);
        }
    });
}

/// What was added to a task for a wait that is over does not disturb a later one.
#[test]
fn waits_one_after_the_other_on_the_same_tasks() {
    finishes(|| {
        let gated = gated(3);
        for _ in 0..1_000 {
            is(
                &wait_any_timeout(&gated.tasks, Duration::ZERO),
                &[],
                &[0, 1, 2],
                None,
            );
        }
        let calls = Arc::new(AtomicUsize::new(0));
        for task in &gated.tasks {
            let calls = Arc::clone(&calls);
            task.on_done(move |_| {
                calls.fetch_add(1, Ordering::SeqCst);
            });
        }
        (0..3).for_each(|n| gated.end(n));
        until(|| calls.load(Ordering::SeqCst) == 3);
        is(&wait_all(&gated.tasks), &[0, 1, 2], &[], None);
    });
}

#[test]
fn lists_of_every_shape() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let array = [pool.submit(|_| ()), pool.submit(|_| ())];
        let wrapped = pool.submit(|_| ()).cancel_on_drop();
        assert!(wait_all(&array).is_all_done());
        assert!(wait_all([&array[1]]).is_all_done());
        assert!(wait_all(array.iter().chain([&*wrapped])).is_all_done());
        let vec = Vec::from(array);
        assert!(wait_all(&vec).is_all_done());
        assert!(wait_any(vec.iter().skip(1)).is_all_done());
        assert!(wait_all(&Some(wrapped.into_inner())).is_all_done());
        // A handle that has given its outcome away has ended, too.
        let mut task = pool.submit(|_| ());
        pollster::block_on(&mut task).unwrap();
        is(&wait_all([&task]), &[0], &[], None);
        assert_eq!(task.status(), TaskStatus::Completed);
        let stop = StopEvent::new();
        stop.set();
        let never = pool.task().stop_with(&stop).submit(|_| ());
        is(&wait_first_error([&task, &never]), &[0, 1], &[], Some(1));
    });
}
