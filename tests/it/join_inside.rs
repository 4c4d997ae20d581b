//! Joining tasks from tasks of the same pool: a worker runs what it waits for, and what could never
//! end is an error.

mod two_pools;

use crate::common::{DropCounter, Gate, OpenOnDrop, Stuck, finishes, quiet_panic, until};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    Outcome, Shutdown, StopEvent, StopReason, Submitter, TaskError, TaskHandle, TaskStatus,
    ThreadPool, current,
};

#[test]
fn a_worker_runs_the_pending_task_that_it_joins() {
    type Join = fn(TaskHandle<thread::ThreadId>) -> thread::ThreadId;
    let joins: [Join; 4] = [
        |task| task.join().unwrap(),
        |task| task.outcome().completed().unwrap(),
        |task| {
            task.wait();
            assert!(task.is_done());
            task.try_join().unwrap().unwrap()
        },
        |task| {
            task.wait_started();
            assert!(!task.is_pending());
            task.join().unwrap()
        },
    ];
    for join in joins {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let submitter = pool.submitter();
            let outer = pool.submit(move |_| {
                let inner = submitter.submit(|_| thread::current().id());
                (join(inner), thread::current().id())
            });
            let (inner, outer) = outer.join().unwrap();
            assert_eq!(inner, outer, "on the worker itself");
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!((report.submitted(), report.completed()), (2, 2));
        });
    }
}

/// Only the one that it waits for, although others are before and behind it in the queue.
#[test]
fn it_runs_that_one_task_and_no_other() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = {
            let log = Arc::clone(&log);
            move |what: &'static str| log.lock().unwrap().push(what)
        };
        let outer = pool.submit(move |_| {
            let mut tasks = Vec::new();
            for what in ["a", "b", "c", "d", "e"] {
                let note = note.clone();
                tasks.push(submitter.submit(move |_| note(what)));
            }
            note("begin");
            let joined = tasks.remove(2);
            joined.join().unwrap();
            note("joined");
            assert!(tasks.iter().all(TaskHandle::is_pending));
            tasks.remove(3).join().unwrap();
            note("end");
            tasks
        });
        for task in outer.join().unwrap() {
            task.join().unwrap();
        }
        let log = log.lock().unwrap();
        assert_eq!(*log, ["begin", "c", "joined", "e", "end", "a", "b", "d"]);
    });
}

/// Timed waits, and looks, never run anything.
#[test]
fn timed_waits_do_not_run_it() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let inner = submitter.submit(|_| 7);
            assert!(!inner.wait_timeout(Duration::from_millis(2)));
            assert!(!inner.wait_timeout(Duration::ZERO));
            let inner = inner.join_timeout(Duration::from_millis(2)).unwrap_err();
            let inner = inner.try_join().unwrap_err();
            assert!(inner.is_pending());
            inner
        });
        assert_eq!(outer.join().unwrap().join().unwrap(), 7);
    });
}

#[test]
fn a_task_of_another_pool_is_not_run_here() {
    finishes(|| {
        let (pool, other) = (ThreadPool::new(1), ThreadPool::new(1));
        let inner = other.submit(|_| thread::current().id());
        let outer = pool.submit(move |_| (inner.join().unwrap(), thread::current().id()));
        let (inner, outer) = outer.join().unwrap();
        assert_ne!(inner, outer);
    });
}

#[test]
fn how_the_inner_task_ends_is_its_own_affair() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |stop| {
            let panicked = submitter.submit(|_| quiet_panic("inner")).join();
            assert!(panicked.unwrap_err().is_panicked());
            let unwound = submitter.submit(|stop| {
                stop.set();
                stoppable::unwind_if_stopped();
            });
            assert_eq!(unwound.outcome().status(), TaskStatus::Cancelled);
            let cancelled = submitter.submit(|_| ());
            cancelled.cancel();
            assert!(cancelled.join().unwrap_err().is_never_started());
            // Its own event and the ambient one are as they were.
            assert!(!stop.is_set() && !current().is_set());
            stoppable::unwind_if_stopped();
            assert!(stop.set() && current().peek());
            1
        });
        assert_eq!(outer.join().unwrap(), 1, "it did not look after it was set");
        let stats = pool.stats();
        assert_eq!((stats.completed, stats.panicked), (1, 1));
        assert_eq!((stats.cancelled, stats.never_started), (1, 1));
    });
}

/// Task `k` joins task `k + 1`, all of them queued in that order on a pool of one thread.
fn chain(length: usize, pool: &ThreadPool) -> u64 {
    let (mut senders, mut handles) = (Vec::new(), Vec::new());
    let begin = Gate::new();
    for k in 0..length {
        let (tell, told) = mpsc::channel::<TaskHandle<u64>>();
        let begin = Arc::clone(&begin);
        senders.push(tell);
        handles.push(pool.submit(move |_| {
            if k == 0 {
                begin.pass();
            }
            if k + 1 == length {
                1
            } else {
                1 + told.recv().unwrap().join().unwrap()
            }
        }));
    }
    let mut handles = handles.into_iter();
    let first = handles.next().unwrap();
    for (handle, tell) in handles.zip(&senders) {
        tell.send(handle).unwrap();
    }
    begin.open();
    first.join().unwrap()
}

#[test]
fn a_chain_of_ten_thousand_joins_ends_on_one_thread() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        assert_eq!(chain(10_000, &pool), 10_000);
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.submitted(), report.completed()), (10_000, 10_000));
    });
}

/// With hardly any stack: spare threads take over, and as they start and end the hooks are called.
#[test]
fn a_long_chain_on_a_small_stack_uses_spare_threads() {
    thread_local! { static STARTED: Cell<bool> = const { Cell::new(false) }; }
    finishes(|| {
        let (starts, stops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let pool = ThreadPool::builder()
            .threads(2)
            .stack_size(128 * 1024)
            .on_thread_start({
                let starts = Arc::clone(&starts);
                move || {
                    STARTED.set(true);
                    starts.fetch_add(1, Ordering::SeqCst);
                }
            })
            .on_thread_stop({
                let stops = Arc::clone(&stops);
                move || {
                    assert!(STARTED.get());
                    stops.fetch_add(1, Ordering::SeqCst);
                }
            })
            .build()
            .unwrap();
        assert_eq!(chain(500, &pool), 500);
        pool.shutdown(Shutdown::Drain);
        let starts = starts.load(Ordering::SeqCst);
        assert!(starts > 2, "there were spare threads");
        assert_eq!(starts, stops.load(Ordering::SeqCst));
    });
}

/// Each task submits two and joins them.
#[test]
fn a_tree_of_joins_ends_on_any_number_of_threads() {
    fn sum(submitter: &Submitter, from: u64, to: u64) -> u64 {
        if to - from <= 1 {
            return from;
        }
        let middle = from.midpoint(to);
        let halves = [(from, middle), (middle, to)].map(|(from, to)| {
            let inner = submitter.clone();
            submitter.submit(move |_| sum(&inner, from, to))
        });
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    }
    finishes(|| {
        for threads in [1, 2, 4] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let inner = submitter.clone();
            let all = submitter.submit(move |_| sum(&inner, 0, 1_000));
            assert_eq!(all.join().unwrap(), 499_500);
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!(report.submitted(), report.completed());
            assert_eq!(report.submitted(), 1_999);
        }
    });
}

/// While tasks wait inside tasks, no more of them run at once than there are threads.
#[test]
fn joins_inside_do_not_run_more_at_once_than_there_are_threads() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let outers: Vec<_> = (0..50)
            .map(|_| {
                let submitter = pool.submitter();
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                pool.submit(move |_| {
                    let inners: Vec<_> = (0..5)
                        .map(|_| {
                            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                            submitter.submit(move |_| {
                                most.fetch_max(
                                    now.fetch_add(1, Ordering::SeqCst) + 1,
                                    Ordering::SeqCst,
                                );
                                thread::yield_now();
                                now.fetch_sub(1, Ordering::SeqCst);
                            })
                        })
                        .collect();
                    for inner in inners {
                        inner.join().unwrap();
                    }
                })
            })
            .collect();
        for outer in outers {
            outer.join().unwrap();
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
    });
}

/// Joining runs the task although the queue is bounded and full, and gives its room back once.
#[test]
fn a_joined_task_gives_its_room_back_once() {
    finishes(|| {
        let pool = ThreadPool::builder()
            .threads(1)
            .queue_capacity(2)
            .build()
            .unwrap();
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            for _ in 0..100 {
                submitter.submit(|_| ()).join().unwrap();
            }
            let one = submitter.try_submit(|_| ()).unwrap();
            let two = submitter.try_submit(|_| ()).unwrap();
            assert!(submitter.try_submit(|_| ()).unwrap_err().is_full());
            one.join().unwrap();
            let three = submitter.try_submit(|_| ()).unwrap();
            assert!(submitter.try_submit(|_| ()).unwrap_err().is_full());
            (two, three)
        });
        let (two, three) = outer.join().unwrap();
        two.join().unwrap();
        three.join().unwrap();
        let stuck = Gate::new();
        let blocker = pool.submit({
            let stuck = Arc::clone(&stuck);
            move |_| stuck.pass()
        });
        blocker.wait_started();
        let _one = pool.try_submit(|_| ()).unwrap();
        let _two = pool.try_submit(|_| ()).unwrap();
        assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
        stuck.open();
    });
}

#[test]
fn a_join_races_the_other_workers_and_cancels() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let ran = Arc::new(AtomicUsize::new(0));
        let outers: Vec<_> = (0..500)
            .map(|n| {
                let (submitter, ran) = (pool.submitter(), Arc::clone(&ran));
                pool.submit(move |_| {
                    let mut never = 0;
                    for k in 0..4 {
                        let ran = Arc::clone(&ran);
                        let inner = submitter.submit(move |_| {
                            ran.fetch_add(1, Ordering::SeqCst);
                        });
                        let canceller = inner.canceller();
                        if (n + k) % 3 == 0 {
                            submitter.execute(move |_| canceller.cancel()).unwrap();
                        }
                        never += usize::from(inner.join().is_err());
                    }
                    never
                })
            })
            .collect();
        let never: usize = outers.into_iter().map(|o| o.join().unwrap()).sum();
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.never_started(), never as u64);
        assert_eq!(ran.load(Ordering::SeqCst), 2_000 - never);
    });
}

#[track_caller]
fn check_circle(error: &TaskError, id: u64) {
    assert!(error.is_would_deadlock(), "{error}");
    assert_eq!(error.id().as_u64(), id);
    assert!(error.cause().is_none());
    let text = error.to_string();
    assert!(text.contains("waits for the task that joins it"), "{text}");
}

#[test]
fn a_task_that_joins_itself_would_deadlock() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let (tell, told) = mpsc::channel::<TaskHandle<()>>();
            let (say, said) = mpsc::channel();
            let values = DropCounter::new();
            let token = values.token();
            let task = pool.submit(move |_| {
                let _token = token;
                let error = told.recv().unwrap().join().unwrap_err();
                say.send(error).unwrap();
            });
            tell.send(task).unwrap();
            check_circle(&said.recv().unwrap(), 0);
            // The task goes on, detached.
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!((report.completed(), report.panicked()), (1, 0));
            assert_eq!(values.count(), 1);
        }
    });
}

/// Where there is no error to return, it is a panic that says so.
#[test]
fn other_waits_for_oneself_panic() {
    finishes(|| {
        let waits: [fn(TaskHandle<()>); 2] = [|task| task.wait(), |task| drop(task.outcome())];
        for wait in waits {
            let pool = ThreadPool::new(1);
            let (tell, told) = mpsc::channel::<TaskHandle<()>>();
            let (say, said) = mpsc::channel();
            let task = pool.submit(move |_| {
                let me = told.recv().unwrap();
                let unwound = catch_unwind(AssertUnwindSafe(|| wait(me)));
                let payload = unwound.unwrap_err();
                say.send(*payload.downcast::<String>().unwrap()).unwrap();
            });
            tell.send(task).unwrap();
            let text = said.recv().unwrap();
            assert!(text.contains("waits for the task that joins it"), "{text}");
        }
        // This one has what it waits for; and timed waits do time out.
        let pool = ThreadPool::new(1);
        let (tell, told) = mpsc::channel::<TaskHandle<()>>();
        let (say, said) = mpsc::channel();
        let task = pool.submit(move |_| {
            let me = told.recv().unwrap();
            me.wait_started();
            assert!(!me.wait_timeout(Duration::from_millis(1)));
            let me = me.join_timeout(Duration::from_millis(1)).unwrap_err();
            say.send(me.is_running()).unwrap();
        });
        tell.send(task).unwrap();
        assert!(said.recv().unwrap());
    });
}

/// Each of `n` tasks joins the next one in a circle; all of them have started before any joins, or
/// none needs to have.
fn circle(n: usize, threads: usize, together: bool) {
    let pool = ThreadPool::new(threads);
    let start = Arc::new(Barrier::new(n));
    let (mut tellers, mut tasks) = (Vec::new(), Vec::new());
    let (say, said) = mpsc::channel();
    let begin = Gate::new();
    for _ in 0..n {
        let (tell, told) = mpsc::channel::<TaskHandle<usize>>();
        tellers.push(tell);
        let (start, say, begin) = (Arc::clone(&start), say.clone(), Arc::clone(&begin));
        tasks.push(pool.submit(move |_| {
            begin.pass();
            if together {
                start.wait();
            }
            match told.recv().unwrap().join() {
                Ok(joined) => joined + 1,
                Err(error) => {
                    say.send(error).unwrap();
                    0
                }
            }
        }));
    }
    drop(say);
    let cancellers: Vec<_> = tasks.iter().map(TaskHandle::canceller).collect();
    tasks.rotate_left(1);
    for (tell, task) in tellers.into_iter().zip(tasks) {
        tell.send(task).unwrap();
    }
    begin.open();
    let error = said.recv().unwrap();
    assert!(error.is_would_deadlock());
    // Exactly one of them is refused, and then the others go on.
    assert!(said.recv().is_err(), "one of {n} closes the circle");
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(
        (report.completed(), report.submitted()),
        (n as u64, n as u64)
    );
    assert!(
        cancellers
            .iter()
            .all(|c| c.status() == TaskStatus::Completed)
    );
    assert!(cancellers.iter().any(|c| c.id() == error.id()));
    assert!(
        error
            .to_string()
            .contains("waits for the task that joins it")
    );
}

#[test]
fn circles_of_two_and_three_would_deadlock() {
    finishes(|| {
        for n in [2, 3] {
            for threads in 1..=3 {
                circle(n, threads, false);
            }
        }
    });
}

/// Each task on a worker of its own, all closing the circle at the same moment.
#[test]
fn circles_through_several_workers_would_deadlock() {
    finishes(|| {
        for n in [2, 3, 5] {
            for _ in 0..30 {
                circle(n, n, true);
            }
        }
    });
}

/// A joins B, which it runs inside itself; B joins C on another worker; C joins A.
#[test]
fn a_circle_through_an_inner_task_would_deadlock() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let (tell_a, told_a) = mpsc::channel::<TaskHandle<u64>>();
        let (say, said) = mpsc::channel::<TaskError>();
        let (say_a, say_b) = (say.clone(), say.clone());
        let c = pool.submit(move |_| match told_a.recv().unwrap().join() {
            Ok(n) => n,
            Err(error) => {
                say.send(error).unwrap();
                100
            }
        });
        c.wait_started();
        let a = pool.submit(move |_| {
            let b = submitter.submit(move |_| match c.join() {
                Ok(n) => n,
                Err(error) => {
                    say_b.send(error).unwrap();
                    200
                }
            });
            // Whoever closes the circle is told, and that may be this one.
            b.join().unwrap_or_else(|error| {
                say_a.send(error).unwrap();
                300
            })
        });
        tell_a.send(a).unwrap();
        assert!(said.recv().unwrap().is_would_deadlock());
        assert!(said.recv().is_err(), "one of them");
        assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 3);
    });
}

/// Waiting for one that waits for something else is no circle.
#[test]
fn a_wait_that_can_end_is_not_refused() {
    finishes(|| {
        let pool = ThreadPool::new(3);
        let gate = Gate::new();
        let last = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| {
                gate.pass();
                1
            }
        });
        last.wait_started();
        let middle = pool.submit(move |_| last.join().unwrap() + 1);
        middle.wait_started();
        let first = pool.submit(move |_| middle.join().unwrap() + 1);
        first.wait_started();
        // Mostly long enough for both to be asleep.
        assert!(!first.wait_timeout(Duration::from_millis(5)));
        gate.open();
        assert_eq!(first.join().unwrap(), 3);
    });
}

/// A worker that sleeps until a task ends on another worker is woken by a cancel of that task.
#[test]
fn a_joiner_inside_is_woken_by_a_cancel() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let running = pool.submit(|stop| {
            stop.wait();
            7
        });
        running.wait_started();
        let canceller = running.canceller();
        let joiner = pool.submit(move |_| match running.outcome() {
            Outcome::Cancelled { partial, .. } => partial,
            _ => None,
        });
        joiner.wait_started();
        assert!(!joiner.wait_timeout(Duration::from_millis(5)));
        canceller.cancel();
        assert_eq!(joiner.join().unwrap(), Some(7));
    });
}

/// Outside threads wait for a pending task and do not run it.
#[test]
fn outsiders_do_not_run_it() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let task = stuck.pool.submit(|_| thread::current().id());
        assert!(!task.wait_timeout(Duration::from_millis(2)));
        let joiner = thread::spawn(move || (task.join().unwrap(), thread::current().id()));
        stuck.release();
        let (ran_on, joined_on) = joiner.join().unwrap();
        assert_ne!(ran_on, joined_on);
    });
}

/// The thread that serves deadlines is busy, so only the joiner can tell that it is too late.
#[test]
fn a_late_joiner_does_not_start_what_had_to_begin_before() {
    finishes(|| {
        let (busy, go_on) = (Gate::new(), OpenOnDrop(Gate::new()));
        let slow = StopEvent::new();
        let callback = slow.on_set({
            let (busy, go_on) = (Arc::clone(&busy), Arc::clone(&go_on.0));
            move || {
                busy.open();
                go_on.pass();
            }
        });
        slow.set_after(Duration::from_millis(1));
        busy.pass();
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let at = Instant::now() + Duration::from_millis(5);
            let early = submitter.task().start_before(at).submit(|_| ());
            until(|| Instant::now() > at);
            let late = submitter.task().start_before(at).submit(|_| ());
            [early, late].map(TaskHandle::outcome)
        });
        for outcome in outer.join().unwrap() {
            let Outcome::NeverStarted(cause) = outcome else {
                panic!("it began after its time");
            };
            assert_eq!(cause.reason, StopReason::Deadline);
        }
        drop(go_on);
        drop(callback);
        assert_eq!(pool.shutdown(Shutdown::Drain).never_started(), 2);
    });
}

/// A callback is no part of the task that set the event, but what it joins is a task as any other.
#[test]
fn a_task_that_is_joined_in_a_callback_sees_its_stop() {
    type Look = fn(&StopEvent) -> bool;
    let looks: [Look; 3] = [
        StopEvent::is_set,
        |stop| stop.child().check().is_err(),
        |_| current().is_set(),
    ];
    for look in looks {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let submitter = pool.submitter();
            let outer = pool.submit(move |stop| {
                let inner = submitter.submit(move |stop| {
                    stop.set();
                    assert!(look(stop));
                    7
                });
                let (tell, told) = mpsc::channel();
                let event = StopEvent::new();
                let stop = stop.clone();
                event
                    .on_set(move || {
                        tell.send(inner.outcome()).unwrap();
                        // Afterwards it is in the callback again.
                        stop.set();
                        assert!(stop.is_set() && !current().is_set());
                    })
                    .detach();
                event.set();
                told.recv().unwrap()
            });
            let Outcome::Completed(inner) = outer.outcome() else {
                panic!("it was a callback that looked");
            };
            let Outcome::Cancelled { partial, .. } = inner else {
                panic!("it saw its stop");
            };
            assert_eq!(partial, Some(7));
        });
    }
}
