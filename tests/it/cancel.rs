//! Cancelling: at once for what is pending, even while every worker is stuck; one winner against the
//! start; nothing left behind.

use crate::common::{DropCounter, Gate, OnDrop, Stuck, finishes, poll, quiet_panic, until};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopEvent, StopReason, TaskHandle, TaskStatus, ThreadPool,
    current,
};

/// Something that stops one pending task, or all of them.
type Stopper = fn(&Stuck, &TaskHandle<u64>, &StopEvent);

/// All that drop what was captured before they return.
const PROMPT: [(&str, Stopper, StopReason); 9] = [
    (
        "cancel",
        |_, task, _| assert_eq!(task.cancel(), CancelOutcome::NeverStarted),
        StopReason::Requested,
    ),
    (
        "cancel_with",
        |_, task, _| {
            let outcome = task.cancel_with(StopReason::Deadline);
            assert_eq!(outcome, CancelOutcome::NeverStarted);
        },
        StopReason::Deadline,
    ),
    (
        "canceller",
        |_, task, _| assert_eq!(task.canceller().cancel(), CancelOutcome::NeverStarted),
        StopReason::Requested,
    ),
    (
        "its event",
        |_, task, _| assert!(task.stop_event().set()),
        StopReason::Requested,
    ),
    (
        "a guard on its event",
        |_, task, _| drop(task.stop_event().set_on_drop()),
        StopReason::Dropped,
    ),
    (
        "the pool's event",
        |stuck, _, _| assert!(stuck.pool.stop_event().set()),
        StopReason::Shutdown,
    ),
    (
        "an ancestor's event",
        |_, _, above| assert!(above.set_with(StopReason::SiblingFailed)),
        StopReason::SiblingFailed,
    ),
    (
        "a shutdown",
        |stuck, _, _| {
            let report = stuck
                .pool
                .shutdown_timeout(Shutdown::CancelPending, Duration::ZERO);
            assert_eq!((report.pending(), report.is_final()), (0, false));
        },
        StopReason::Shutdown,
    ),
    (
        "cancel_pending",
        |stuck, _, _| assert_eq!(stuck.pool.cancel_pending(), 1),
        StopReason::Requested,
    ),
];

#[test]
fn whatever_stops_a_pending_task_its_end_is_final_at_once() {
    for (name, stop, reason) in PROMPT {
        for threads in [1, 3] {
            let reason = reason.clone();
            finishes(move || prompt(name, stop, &reason, threads));
        }
    }

    fn prompt(name: &str, stop: Stopper, reason: &StopReason, threads: usize) {
        let above = StopEvent::new();
        let parent = above.child();
        let stuck = Stuck::with(threads, |builder| {
            builder.stop_with(&parent, Shutdown::StopAll)
        });
        let ran = Arc::new(AtomicBool::new(false));
        let dropped_on = Arc::new(Mutex::new(None::<ThreadId>));
        let capture = OnDrop({
            let dropped_on = Arc::clone(&dropped_on);
            move || {
                let before = dropped_on.lock().unwrap().replace(thread::current().id());
                assert_eq!(before, None, "dropped twice");
            }
        });
        let task = Arc::new(stuck.pool.submit({
            let ran = Arc::clone(&ran);
            move |_| {
                drop(capture);
                ran.store(true, Ordering::SeqCst);
                7
            }
        }));
        let event = task.stop_event();
        // Three who wait for the task, three who wait for its event.
        let waiters: Vec<_> = (0..6)
            .map(|n| {
                let (task, event) = (Arc::clone(&task), event.child());
                thread::spawn(move || match n {
                    0 => task.wait(),
                    1 => assert!(task.wait_timeout(Duration::from_secs(3600))),
                    2 => task.wait_started(),
                    3 => event.wait(),
                    4 => assert!(event.wait_timeout(Duration::from_secs(3600))),
                    _ => assert!(event.sleep(Duration::MAX).is_err()),
                })
            })
            .collect();
        // Mostly long enough for them to be asleep.
        assert!(!task.wait_timeout(Duration::from_millis(5)));
        stop(&stuck, &task, &above);
        assert_eq!(task.status(), TaskStatus::NeverStarted, "{name}");
        let dropped_on = *dropped_on.lock().unwrap();
        assert_eq!(dropped_on, Some(thread::current().id()), "{name}");
        let stats = stuck.pool.stats();
        assert_eq!((stats.pending, stats.never_started), (0, 1), "{name}");
        assert_eq!(stats.running, threads as u64);
        // All of them, while every worker is stuck.
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(event.is_set());
        let task = Arc::into_inner(task).expect("the waiters are gone");
        let Outcome::NeverStarted(cause) = task.outcome() else {
            panic!("it was pending");
        };
        assert_eq!(&cause.reason, reason, "{name}");
        assert_eq!(Some(cause), event.cause(), "{name}");
        stuck.release();
        stuck.pool.shutdown(Shutdown::Drain);
        assert!(!ran.load(Ordering::SeqCst), "{name}");
    }
}

/// `begin_shutdown` leaves the drops to a thread of the pool's, and all else is as prompt.
#[test]
fn begin_shutdown_ends_pending_tasks_at_once_and_leaves_the_drops() {
    for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
        finishes(move || {
            let stuck = Stuck::new(2);
            let dropped_on = Arc::new(Mutex::new(Vec::new()));
            let capture = OnDrop({
                let dropped_on = Arc::clone(&dropped_on);
                move || dropped_on.lock().unwrap().push(thread::current().id())
            });
            let task = Arc::new(stuck.pool.submit(move |_| drop(capture)));
            let waiter = thread::spawn({
                let task = Arc::clone(&task);
                move || task.wait()
            });
            assert!(!task.wait_timeout(Duration::from_millis(5)));
            stuck.pool.begin_shutdown(mode);
            assert_eq!(task.status(), TaskStatus::NeverStarted);
            waiter.join().unwrap();
            assert!(
                dropped_on.lock().unwrap().is_empty(),
                "its workers are stuck"
            );
            stuck.release();
            stuck.pool.shutdown(mode);
            let dropped_on = dropped_on.lock().unwrap();
            assert_eq!(dropped_on.len(), 1);
            assert_ne!(dropped_on[0], thread::current().id());
        });
    }
}

#[test]
fn the_cause_is_the_cancellers_own() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let task = stuck.pool.submit(|_| ());
        let before = Instant::now();
        let line = line!() + 1;
        task.cancel_with(StopReason::custom("a better idea"));
        task.cancel_with(StopReason::custom("too late"));
        stuck.pool.stop_event().set();
        let error = task.join().unwrap_err();
        let cause = error.cause().unwrap();
        assert_eq!(cause.reason, StopReason::custom("a better idea"));
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
        assert!(before <= cause.at && cause.at <= Instant::now());
        assert!(error.to_string().contains("a better idea"), "{error}");
    });
}

#[test]
fn a_running_task_that_polls_stops_soon() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let turns = Arc::new(AtomicUsize::new(0));
        let task = pool.submit({
            let turns = Arc::clone(&turns);
            move |stop| {
                while !stop.is_set() {
                    turns.fetch_add(1, Ordering::Relaxed);
                }
                turns.load(Ordering::Relaxed)
            }
        });
        until(|| turns.load(Ordering::Relaxed) > 100);
        let line = line!() + 1;
        assert_eq!(task.cancel(), CancelOutcome::Requested);
        let Outcome::Cancelled { partial, cause } = task.outcome() else {
            panic!("it saw its stop");
        };
        assert_eq!(partial, Some(turns.load(Ordering::Relaxed)));
        assert_eq!(cause.reason, StopReason::Requested);
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
    });
}

/// Setting a running task's event in any way wakes it, wherever it sleeps.
#[test]
fn a_running_task_that_sleeps_is_woken() {
    let stops: [fn(&ThreadPool, &TaskHandle<()>); 4] = [
        |_, task| assert_eq!(task.cancel(), CancelOutcome::Requested),
        |_, task| assert!(task.stop_event().set()),
        |pool, _| assert!(pool.stop_event().set()),
        |pool, _| pool.begin_shutdown(Shutdown::StopAll),
    ];
    for stop in stops {
        finishes(move || {
            for nap in [0, 1, 5] {
                let pool = ThreadPool::new(1);
                let task = pool.submit(|stop| stop.child().wait());
                task.wait_started();
                assert!(!task.wait_timeout(Duration::from_millis(nap)));
                stop(&pool, &task);
                assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
            }
        });
    }
}

#[test]
fn a_cancelled_task_frees_its_room_in_a_bounded_queue() {
    fn idle(_: &StopEvent) {}
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.queue_capacity(2));
        let pool = &stuck.pool;
        let _first = pool.submit(idle);
        let mut second = pool.submit(idle);
        for round in 0..1_000 {
            assert!(pool.try_submit(idle).unwrap_err().is_full());
            if round % 2 == 0 {
                second.cancel();
            } else {
                second.stop_event().set();
            }
            // At once, however stuck the workers are; and the room for one, not more.
            second = pool.try_submit(idle).unwrap();
        }
        assert_eq!(pool.cancel_pending(), 2);
        let _third = pool.try_submit(|_| ()).unwrap();
        let _fourth = pool.try_submit(|_| ()).unwrap();
        assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
    });
}

#[test]
fn a_cancel_lets_in_who_waits_for_room() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.queue_capacity(1));
        let task = stuck.pool.submit(|_| ());
        let submitter = stuck.pool.submitter();
        let outsider = thread::spawn(move || submitter.submit(|_| 7));
        // Mostly long enough for it to wait.
        assert!(!task.wait_timeout(Duration::from_millis(5)));
        task.cancel();
        // It gets in while the worker is stuck.
        let task = outsider.join().unwrap();
        assert!(task.is_pending());
        stuck.release();
        assert_eq!(task.join().unwrap(), 7);
    });
}

/// The drop of what was captured runs under no lock of the pool's, and as a part of no task.
#[test]
fn the_drop_of_a_capture_may_use_the_pool() {
    finishes(|| {
        for by_task in [false, true] {
            let stuck = Arc::new(Stuck::with(1, |builder| builder.queue_capacity(2)));
            let other = stuck.pool.submit(|_| ());
            let canceller = other.canceller();
            let (tell, told) = mpsc::channel();
            let capture = OnDrop({
                let pool = Arc::downgrade(&stuck);
                move || {
                    let stuck = pool.upgrade().unwrap();
                    let pool = &stuck.pool;
                    assert_eq!(pool.stats().pending, 1, "its own end has been counted");
                    assert_eq!(canceller.cancel(), CancelOutcome::NeverStarted);
                    assert!(!current().set(), "it is never()");
                    let again = pool.try_submit(|_| 1);
                    tell.send(again.is_ok()).unwrap();
                    pool.cancel_pending();
                }
            });
            let task = stuck.pool.submit(move |_| drop(capture));
            if by_task {
                // Cancelled from inside a task of another pool, which has an event of its own.
                let helper = ThreadPool::new(1);
                let canceller = task.canceller();
                let inner = helper.submit(move |stop| {
                    canceller.cancel();
                    stop.peek()
                });
                assert!(!inner.join().unwrap());
            } else {
                task.cancel();
            }
            assert!(told.recv().unwrap(), "the other one's room was free");
            assert_eq!(stuck.pool.stats().pending, 0);
        }
    });
}

/// Neither does what stops many at once hold a lock while it drops.
#[test]
fn the_drop_of_a_capture_may_shut_the_pool_down() {
    for (name, stop, _) in PROMPT {
        finishes(move || {
            let above = StopEvent::new();
            let stuck = Arc::new(Stuck::with(1, |builder| {
                builder
                    .queue_capacity(1)
                    .stop_with(&above, Shutdown::StopAll)
            }));
            let (tell, told) = mpsc::channel();
            let capture = OnDrop({
                let pool = Arc::downgrade(&stuck);
                move || {
                    let stuck = pool.upgrade().unwrap();
                    let pool = &stuck.pool;
                    assert_eq!(pool.stats().pending, 0, "it has been counted");
                    assert_eq!(pool.cancel_pending(), 0);
                    pool.begin_shutdown(Shutdown::Drain);
                    let report = pool.shutdown_timeout(Shutdown::StopAll, Duration::ZERO);
                    assert!(pool.submit(|_| ()).join().is_err());
                    tell.send((report.running(), report.never_started()))
                        .unwrap();
                }
            });
            let task = stuck.pool.submit(move |_| {
                drop(capture);
                7
            });
            stop(&stuck, &task, &above);
            assert_eq!(told.try_recv(), Ok((1, 1)), "{name}");
        });
    }
}

#[test]
fn a_panic_in_the_drop_of_a_capture_is_contained() {
    finishes(|| {
        for (_, stop, _) in PROMPT {
            let above = StopEvent::new();
            let stuck = Stuck::with(1, |builder| {
                builder
                    .queue_capacity(1)
                    .stop_with(&above, Shutdown::StopAll)
            });
            let bad = OnDrop(|| quiet_panic("in a drop"));
            let task = stuck.pool.submit(move |_| {
                drop(bad);
                7
            });
            stop(&stuck, &task, &above);
            assert!(task.join().unwrap_err().is_never_started());
            match stuck.pool.try_submit(|_| ()) {
                Ok(task) => assert!(task.is_pending()),
                Err(error) => assert!(error.is_shut_down(), "its room is free"),
            }
        }
    });
}

#[test]
fn cancel_against_start_has_one_winner() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let rounds = 10_000;
        let ran = Arc::new(AtomicUsize::new(0));
        let captured = DropCounter::new();
        let mut never = 0;
        for round in 0..rounds {
            let token = captured.token();
            let task = pool.submit({
                let ran = Arc::clone(&ran);
                move |_| {
                    ran.fetch_add(1, Ordering::SeqCst);
                    drop(token);
                }
            });
            for _ in 0..round % 100 * 5 {
                std::hint::spin_loop();
            }
            let cancel = task.cancel();
            if cancel == CancelOutcome::NeverStarted {
                assert_eq!(captured.count(), round + 1, "dropped when cancel returns");
            }
            let outcome = task.outcome();
            assert_eq!(captured.count(), round + 1);
            match (cancel, outcome.status()) {
                (CancelOutcome::NeverStarted, TaskStatus::NeverStarted) => never += 1,
                (CancelOutcome::Requested, TaskStatus::Completed) => {}
                (CancelOutcome::AlreadyDone(TaskStatus::Completed), TaskStatus::Completed) => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(ran.load(Ordering::SeqCst), round + 1 - never);
        }
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.never_started(), never as u64);
        assert_eq!(report.completed(), (rounds - never) as u64);
        assert_eq!(report.submitted(), rounds as u64);
    });
}

/// Every task that was told `Requested`, and completed, is one that completed though asked.
#[test]
fn who_was_asked_in_time_is_counted_as_asked() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let mut asked = 0;
        for round in 0..10_000 {
            let task = pool.submit(|_| ());
            for _ in 0..round % 100 * 5 {
                std::hint::spin_loop();
            }
            asked += u64::from(task.cancel() == CancelOutcome::Requested);
            task.wait();
        }
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.completed_though_asked(), asked);
    });
}

/// Ten cancel one pending task: it is one of them who did.
#[test]
fn of_ten_cancellers_of_a_pending_task_one_wins() {
    finishes(|| {
        let stuck = Stuck::new(1);
        for _ in 0..200 {
            let captured = DropCounter::new();
            let token = captured.token();
            let task = stuck.pool.submit(move |_| drop(token));
            let start = Arc::new(Barrier::new(10));
            let racers: Vec<_> = (0..10)
                .map(|_| {
                    let (canceller, start) = (task.canceller(), Arc::clone(&start));
                    let captured = captured.clone();
                    thread::spawn(move || {
                        start.wait();
                        let outcome = canceller.cancel();
                        let won = outcome == CancelOutcome::NeverStarted;
                        assert!(
                            won || outcome == CancelOutcome::AlreadyDone(TaskStatus::NeverStarted)
                        );
                        assert!(!won || captured.count() == 1);
                        won
                    })
                })
                .collect();
            let wins = racers.into_iter().map(|r| usize::from(r.join().unwrap()));
            assert_eq!(wins.sum::<usize>(), 1);
            assert_eq!(captured.count(), 1);
        }
        assert_eq!(stuck.pool.stats().never_started, 200);
    });
}

/// Threads that make it slow for others to be counted.
fn count_all_the_time(pool: &Arc<ThreadPool>, ended: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let count = |_| {
        let (pool, ended) = (Arc::clone(pool), Arc::clone(ended));
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                pool.stats();
            }
        })
    };
    (0..2).map(count).collect()
}

/// As for any event: of all who set a task's event, `set` is true for exactly one.
#[test]
fn of_all_setters_of_a_pending_tasks_event_one_wins() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) {
            3_000
        } else {
            30_000
        };
        let pool = Arc::new(ThreadPool::new(1));
        let ended = Arc::new(AtomicBool::new(false));
        let gate = Gate::new();
        let blocker = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        blocker.wait_started();
        let counters = count_all_the_time(&pool, &ended);
        let tasks: Arc<Vec<_>> = Arc::new((0..rounds).map(|_| pool.submit(|_| ())).collect());
        let turn = Arc::new(AtomicUsize::new(0));
        let racers: Vec<_> = (0..2)
            .map(|n| {
                let (tasks, turn) = (Arc::clone(&tasks), Arc::clone(&turn));
                thread::spawn(move || {
                    let mine = StopReason::custom(format!("setter {n}"));
                    let mut won = Vec::new();
                    for (round, task) in tasks.iter().enumerate() {
                        // Both begin each round together, by spinning.
                        turn.fetch_add(1, Ordering::SeqCst);
                        until(|| turn.load(Ordering::SeqCst) >= 2 * (round + 1));
                        let event = task.stop_event();
                        let set = event.set_with(mine.clone());
                        assert!(event.is_set() && event.cause().is_some());
                        won.push(set);
                    }
                    won
                })
            })
            .collect();
        let won: Vec<_> = racers.into_iter().map(JoinHandle::join).collect();
        let won: Vec<Vec<bool>> = won.into_iter().map(Result::unwrap).collect();
        ended.store(true, Ordering::Relaxed);
        gate.open();
        for counter in counters {
            counter.join().unwrap();
        }
        let strange = (0..rounds).filter(|round| won[0][*round] == won[1][*round]);
        assert_eq!(strange.count(), 0, "rounds without exactly one winner");
    });
}

/// A cancel that comes too late leaves the task's event as it was: it can be set later, by one call,
/// which wakes who waits.
#[test]
fn a_cancel_that_came_too_late_leaves_an_event_that_works() {
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let ended = Arc::new(AtomicBool::new(false));
        // So that starts and ends come between the steps of a cancel.
        let counters = count_all_the_time(&pool, &ended);
        let rounds = if cfg!(debug_assertions) {
            5_000
        } else {
            50_000
        };
        let (mut late, mut broken) = (0, 0);
        for _ in 0..rounds {
            let task = pool.submit(|_| ());
            let cancel = task.cancel();
            task.wait();
            if let CancelOutcome::AlreadyDone(TaskStatus::Completed) = cancel {
                late += 1;
                let event = task.stop_event();
                assert!(!event.peek(), "nothing was changed");
                broken += usize::from(!event.set());
                assert_eq!(event.reason(), Some(StopReason::Requested));
            }
        }
        ended.store(true, Ordering::Relaxed);
        for counter in counters {
            counter.join().unwrap();
        }
        assert_eq!(broken, 0, "of {late} events that nobody could set");
    });
}

/// Cancelled tasks leave the queue; the others keep their order, however often it is swept.
#[test]
fn the_others_keep_their_order() {
    finishes(|| {
        for keep in [2, 7, 100] {
            let stuck = Stuck::new(1);
            let order = Arc::new(Mutex::new(Vec::new()));
            let tasks: Vec<_> = (0..3_000)
                .map(|n| {
                    let order = Arc::clone(&order);
                    stuck.pool.submit(move |_| order.lock().unwrap().push(n))
                })
                .collect();
            for (n, task) in tasks.iter().enumerate() {
                if n % keep != 0 {
                    assert_eq!(task.cancel(), CancelOutcome::NeverStarted);
                }
            }
            let last = stuck.pool.submit(|_| ());
            stuck.release();
            last.join().unwrap();
            let expected: Vec<_> = (0..3_000).step_by(keep).collect();
            assert_eq!(*order.lock().unwrap(), expected);
            let report = stuck.pool.shutdown(Shutdown::Drain);
            assert_eq!(report.never_started() as usize, 3_000 - expected.len());
            for (n, task) in tasks.iter().enumerate() {
                let status = report.status_of(task.id()).unwrap();
                assert_eq!(status == TaskStatus::Completed, n % keep == 0);
            }
        }
    });
}

/// Cancels, starts and joins from inside, all at once, on a queue that is swept again and again.
#[test]
fn cancelling_while_the_queue_is_in_use_loses_nothing() {
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(2));
        let ran = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|seed| {
                let (pool, ran) = (Arc::clone(&pool), Arc::clone(&ran));
                thread::spawn(move || {
                    let mut never = 0;
                    for round in 0..10 {
                        let tasks: Vec<_> = (0..500)
                            .map(|_| {
                                let ran = Arc::clone(&ran);
                                pool.submit(move |_| {
                                    ran.fetch_add(1, Ordering::Relaxed);
                                })
                            })
                            .collect();
                        for (n, task) in tasks.iter().enumerate().rev() {
                            if (n + seed + round) % 4 != 0 {
                                task.cancel();
                            }
                        }
                        for task in tasks {
                            match task.outcome().status() {
                                TaskStatus::NeverStarted => never += 1,
                                TaskStatus::Completed => {}
                                other => panic!("{other}"),
                            }
                        }
                    }
                    never
                })
            })
            .collect();
        let never: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.submitted(), 15_000);
        assert_eq!(report.never_started(), never as u64);
        assert_eq!(report.completed() as usize, 15_000 - never);
        assert_eq!(ran.load(Ordering::Relaxed), 15_000 - never);
    });
}

#[test]
fn cancel_pending_empties_the_queue_and_leaves_the_pool_open() {
    finishes(|| {
        let stuck = Stuck::new(2);
        let captured = DropCounter::new();
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let token = captured.token();
                stuck.pool.submit(move |_| drop(token))
            })
            .collect();
        for task in &tasks[..100] {
            task.cancel();
        }
        assert_eq!(stuck.pool.cancel_pending(), 900);
        assert_eq!(captured.count(), 1_000);
        assert!(
            tasks
                .iter()
                .all(|task| task.status() == TaskStatus::NeverStarted)
        );
        assert_eq!(stuck.pool.cancel_pending(), 0);
        let later = stuck.pool.submit(|_| 7);
        stuck.release();
        assert_eq!(later.join().unwrap(), 7);
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!((report.never_started(), report.completed()), (1_000, 3));
    });
}

/// Running tasks are not touched by what stops pending ones.
#[test]
fn cancel_pending_leaves_running_tasks_alone() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let task = pool.submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                gate.pass();
                stop.is_set()
            }
        });
        task.wait_started();
        assert_eq!(pool.cancel_pending(), 0);
        gate.open();
        assert!(!task.join().unwrap());
    });
}

/// A batch, some of which have ended: a cancel of all changes only what is unfinished.
#[test]
fn cancelling_a_batch_stops_only_what_is_unfinished() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let done: Vec<_> = (0..3).map(|n| pool.submit(move |_| n)).collect();
        done[2].wait();
        let running = pool.submit(|stop| {
            poll(stop);
            10
        });
        running.wait_started();
        let pending: Vec<_> = (0..3).map(|n| pool.submit(move |_| n)).collect();
        // The running one last, so that none of the pending ones gets its turn.
        let mut outcomes = Vec::new();
        for task in done.iter().chain(&pending) {
            outcomes.push(task.cancel());
        }
        outcomes.push(running.cancel());
        let already = CancelOutcome::AlreadyDone(TaskStatus::Completed);
        let never = CancelOutcome::NeverStarted;
        assert_eq!(
            outcomes,
            [
                already,
                already,
                already,
                never,
                never,
                never,
                CancelOutcome::Requested
            ]
        );
        for (n, task) in done.into_iter().enumerate() {
            assert_eq!(task.join().unwrap(), n);
        }
        assert_eq!(running.outcome().into_value(), Some(10));
        assert!(
            pending
                .into_iter()
                .all(|t| t.join().unwrap_err().is_never_started())
        );
    });
}
