//! Submitters that wait for room in a bounded queue, and are stopped meanwhile: by the event of the task that
//! submits, or by the one that the new task is to be under.

#[cfg(target_os = "linux")]
mod line;

use crate::common::{DropCounter, Gate, OpenOnDrop, finishes, quiet_panic, until};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopCause, StopEvent, StopReason, SubmitError, TaskHandle,
    TaskStatus, ThreadPool,
};

const SOON: Duration = Duration::from_millis(5);
const FAR: Duration = Duration::from_secs(3600);

/// A pool whose one worker is stuck, with room for so many pending tasks, and with as many.
struct Full {
    pool: Arc<ThreadPool>,
    pending: Vec<TaskHandle<()>>,
    gate: OpenOnDrop,
}

fn full(room: usize) -> Full {
    let pool = ThreadPool::builder()
        .threads(1)
        .queue_capacity(room)
        .build()
        .unwrap();
    let gate = Gate::new();
    let blocker = pool.submit({
        let gate = Arc::clone(&gate);
        move |_| gate.pass()
    });
    blocker.wait_started();
    let pending = (0..room).map(|_| pool.submit(|_| ())).collect();
    Full {
        pool: Arc::new(pool),
        pending,
        gate: OpenOnDrop(gate),
    }
}

impl Full {
    /// Lets all pending tasks run, and sees that there is room for as many again, and no more.
    fn check(self) {
        let room = self.pending.len();
        let Full {
            pool,
            pending,
            gate,
        } = self;
        drop(gate);
        for task in pending {
            task.wait();
        }
        // Whatever else came in has run when this one has.
        pool.submit(|_| ()).wait();
        let gate = OpenOnDrop(Gate::new());
        let blocker = pool.submit({
            let gate = Arc::clone(&gate.0);
            move |_| gate.pass()
        });
        blocker.wait_started();
        for _ in 0..room {
            // The room of the one that has started may come back a little later.
            until(|| pool.try_submit(|_| ()).is_ok());
        }
        assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
        drop(gate);
        pool.shutdown(Shutdown::Drain);
    }
}

#[track_caller]
fn never_started<T>(task: TaskHandle<T>) -> StopCause {
    match task.outcome() {
        Outcome::NeverStarted(cause) => cause,
        other => panic!("it was {}", other.status()),
    }
}

/// Both ways: it is stopped while it waits for room, mostly, or before.
fn begun() -> (mpsc::Sender<()>, mpsc::Receiver<()>) {
    mpsc::channel()
}

#[test]
fn a_task_that_is_cancelled_while_it_waits_for_room_has_seen_its_stop() {
    finishes(|| {
        let full = full(1);
        let pool = ThreadPool::new(1);
        let mut refused = Vec::new();
        for before in [false, true] {
            let (tell, told) = begun();
            let (drops, asked) = (DropCounter::new(), Gate::new());
            let outer = pool.submit({
                let (bounded, token) = (Arc::clone(&full.pool), drops.token());
                let asked = Arc::clone(&asked);
                move |_| {
                    tell.send(()).unwrap();
                    if before {
                        asked.pass();
                    }
                    bounded.submit(move |_| token)
                }
            });
            told.recv().unwrap();
            thread::yield_now();
            let line = line!() + 1;
            assert_eq!(outer.cancel(), CancelOutcome::Requested);
            asked.open();
            let Outcome::Cancelled { partial, cause } = outer.outcome() else {
                panic!("it did not see its stop");
            };
            let inner = partial.unwrap();
            assert!(inner.is_done() && inner.stop_event().peek());
            assert_eq!(drops.count(), 1, "the closure was dropped");
            refused.push(inner.id());
            assert_eq!(never_started(inner), cause, "its cause is the stop's");
            assert_eq!(cause.reason, StopReason::Requested);
            assert_eq!(
                (cause.location.file(), cause.location.line()),
                (file!(), line)
            );
            // It was never in the pool.
            let stats = full.pool.stats();
            assert_eq!((stats.submitted, stats.pending), (2, 1));
        }
        let bounded = Arc::clone(&full.pool);
        full.check();
        let report = bounded.shutdown(Shutdown::Drain);
        assert_eq!((report.refused(), report.never_started()), (2, 0));
        for id in refused {
            assert_eq!(report.status_of(id), Some(TaskStatus::NeverStarted));
        }
    });
}

#[test]
fn whatever_stops_the_task_is_the_cause() {
    type Stop = fn(&ThreadPool, &TaskHandle<TaskHandle<()>>, &StopEvent);
    let stops: [(Stop, StopReason); 6] = [
        (
            |_, outer, _| {
                outer.cancel_with(StopReason::custom("enough"));
            },
            StopReason::custom("enough"),
        ),
        (|_, outer, _| outer.cancel_after(SOON), StopReason::Deadline),
        (
            |_, outer, _| assert!(outer.stop_event().set()),
            StopReason::Requested,
        ),
        (
            |pool, _, _| pool.begin_shutdown(Shutdown::StopAll),
            StopReason::Shutdown,
        ),
        (
            |pool, _, _| assert!(pool.stop_event().set()),
            StopReason::Shutdown,
        ),
        (
            |_, _, under| assert!(under.set_with(StopReason::custom("above"))),
            StopReason::custom("above"),
        ),
    ];
    for (stop, reason) in stops {
        finishes(move || {
            let full = full(1);
            let pool = ThreadPool::new(1);
            let under = StopEvent::new();
            let (tell, told) = begun();
            let bounded = Arc::clone(&full.pool);
            let outer = pool.task().stop_with(&under).submit(move |_| {
                tell.send(()).unwrap();
                bounded.submit(|_| ())
            });
            told.recv().unwrap();
            stop(&pool, &outer, &under);
            let Outcome::Cancelled { partial, cause } = outer.outcome() else {
                panic!("it did not see its stop");
            };
            let inner = never_started(partial.unwrap());
            assert_eq!(inner.reason, cause.reason);
            assert_eq!(inner.reason, reason);
            full.check();
        });
    }
}

#[test]
fn a_timeout_ends_the_wait_for_room() {
    finishes(|| {
        let full = full(2);
        let pool = ThreadPool::new(1);
        let bounded = Arc::clone(&full.pool);
        let outer = pool
            .task()
            .timeout(SOON)
            .submit(move |_| bounded.submit(|_| ()));
        let Outcome::Cancelled { partial, cause } = outer.outcome() else {
            panic!("it did not see its stop");
        };
        assert_eq!(cause.reason, StopReason::Deadline);
        assert_eq!(never_started(partial.unwrap()), cause);
        full.check();
    });
}

#[test]
fn the_event_that_the_new_task_is_under_ends_the_wait() {
    for which in 0..5 {
        finishes(move || {
            let full = full(1);
            let (root, other) = (StopEvent::new(), StopEvent::new());
            let under = match which {
                0 | 4 => root.clone(),
                1 => root.child().child(),
                2 => StopEvent::any([&other, &root.child()]),
                _ => root.child(),
            };
            if which == 4 {
                root.set_with(StopReason::custom("root"));
            }
            let (tell, told) = begun();
            let submitter = thread::spawn({
                let pool = Arc::clone(&full.pool);
                move || {
                    tell.send(()).unwrap();
                    pool.task().name("late").stop_with(&under).submit(|_| ())
                }
            });
            told.recv().unwrap();
            match which {
                3 => root.set_after(SOON),
                4 => {}
                _ => assert!(root.set_with(StopReason::custom("root"))),
            }
            let task = submitter.join().unwrap();
            assert_eq!(task.name(), Some("late"));
            let cause = never_started(task);
            assert_eq!(Some(cause), root.cause());
            assert!(full.pending[0].is_pending());
            full.check();
        });
    }
}

#[test]
fn of_two_events_either_ends_it() {
    for which in 0..2 {
        finishes(move || {
            let full = full(1);
            let events = [StopEvent::new(), StopEvent::new()];
            let (tell, told) = begun();
            let submitter = thread::spawn({
                let (pool, [a, b]) = (Arc::clone(&full.pool), events.clone());
                move || {
                    tell.send(()).unwrap();
                    let task = pool.task().stop_with(&a).stop_with(&StopEvent::never());
                    task.stop_with(&b).submit(|_| ())
                }
            });
            told.recv().unwrap();
            events[which].set();
            let cause = never_started(submitter.join().unwrap());
            assert_eq!(Some(cause), events[which].cause());
            full.check();
        });
    }
}

/// In a task whose own event is not set: it was not asked.
#[test]
fn an_event_of_the_new_task_alone_is_not_seen_by_the_submitting_one() {
    finishes(|| {
        let full = full(1);
        let pool = ThreadPool::new(1);
        let under = StopEvent::new();
        let (tell, told) = begun();
        let outer = pool.submit({
            let (bounded, under) = (Arc::clone(&full.pool), under.clone());
            move |_| {
                tell.send(()).unwrap();
                bounded.task().stop_with(&under).submit(|_| ())
            }
        });
        told.recv().unwrap();
        under.set_with(StopReason::custom("under"));
        let Outcome::Completed(inner) = outer.outcome() else {
            panic!("it was not asked");
        };
        assert_eq!(never_started(inner).reason, StopReason::custom("under"));
        full.check();
    });
}

#[test]
fn execute_gives_the_closure_back() {
    finishes(|| {
        let full = full(1);
        let drops = DropCounter::new();
        let before = full.pool.stats();
        let stop = StopEvent::new();
        stop.set_after(SOON);
        let token = drops.token();
        let error = full.pool.task().stop_with(&stop).execute(move |_| token);
        let error = error.unwrap_err();
        assert!(matches!(error, SubmitError::Full(_)) && error.is_full());
        assert!(stop.is_set());
        assert_eq!(full.pool.stats(), before, "it leaves no trace");
        assert_eq!(drops.count(), 0);
        // The closure is whole.
        let closure = error.into_inner();
        drop(closure(&StopEvent::never()));
        assert_eq!(drops.count(), 1);

        let pool = ThreadPool::new(1);
        let (tell, told) = begun();
        let outer = pool.submit({
            let bounded = Arc::clone(&full.pool);
            move |_| {
                tell.send(()).unwrap();
                bounded.execute(|_| ()).map_err(|error| error.is_full())
            }
        });
        told.recv().unwrap();
        outer.cancel();
        let Outcome::Cancelled { partial, .. } = outer.outcome() else {
            panic!("it did not see its stop");
        };
        assert_eq!(partial, Some(Err(true)));
        full.check();
    });
}

#[test]
fn a_batch_is_stopped_with_what_it_has_not_submitted() {
    finishes(|| {
        let full = full(3);
        let pool = ThreadPool::new(1);
        let drops = DropCounter::new();
        let tokens: Vec<_> = (0..10).map(|_| drops.token()).collect();
        full.pending[0].cancel();
        full.pending[1].cancel();
        let (tell, told) = begun();
        let outer = pool.submit({
            let bounded = Arc::clone(&full.pool);
            move |_| {
                tell.send(()).unwrap();
                let closures = tokens
                    .into_iter()
                    .map(|token| move |_: &StopEvent| drop(token));
                bounded.submit_all(closures)
            }
        });
        told.recv().unwrap();
        outer.cancel();
        let Outcome::Cancelled { partial, cause } = outer.outcome() else {
            panic!("it did not see its stop");
        };
        let tasks = partial.unwrap();
        assert_eq!(tasks.len(), 10);
        let refused = tasks.iter().filter(|task| task.is_done()).count();
        assert_eq!(drops.count(), refused);
        for task in tasks {
            if task.is_done() {
                assert_eq!(never_started(task), cause);
            }
        }
        full.check();
        assert_eq!(drops.count(), 10);
    });
}

#[test]
fn a_cancelled_group_wakes_who_submits_to_it() {
    finishes(|| {
        let full = full(1);
        let group = Arc::new(full.pool.group());
        let (tell, told) = begun();
        let submitter = thread::spawn({
            let group = Arc::clone(&group);
            move || {
                tell.send(()).unwrap();
                group.submit(|_| ())
            }
        });
        told.recv().unwrap();
        assert!(group.cancel_with(StopReason::custom("group")));
        let cause = never_started(submitter.join().unwrap());
        assert_eq!(cause.reason, StopReason::custom("group"));
        assert!(group.is_empty() && group.wait().is_err());
        full.check();
    });
}

/// A task in a scope that waits for room is woken when a sibling has panicked.
#[test]
fn a_scope_that_fails_wakes_its_tasks() {
    finishes(|| {
        let full = full(1);
        let pool = ThreadPool::new(2);
        let (tell, told) = begun();
        let bounded = &full.pool;
        let scope = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut inner = None;
            let slot = &mut inner;
            let ended = pool.scope(|s| {
                s.submit(move |_| {
                    tell.send(()).unwrap();
                    *slot = Some(bounded.submit(|_| ()));
                });
                s.submit(move |_| -> () {
                    told.recv().unwrap();
                    quiet_panic("a sibling")
                });
            });
            drop((ended, inner));
        }));
        assert_eq!(scope.unwrap_err().downcast_ref(), Some(&"a sibling"));
        full.check();
    });
}

#[test]
fn a_stop_that_never_comes_changes_nothing() {
    let stops: [fn() -> StopEvent; 3] = [StopEvent::never, StopEvent::new, || {
        let stop = StopEvent::new().child();
        stop.set_after(FAR);
        stop
    }];
    for stop in stops {
        finishes(move || {
            let full = full(1);
            let (tell, told) = begun();
            let submitter = thread::spawn({
                let pool = Arc::clone(&full.pool);
                move || {
                    tell.send(()).unwrap();
                    pool.task().stop_with(&stop()).submit(|_| 7)
                }
            });
            told.recv().unwrap();
            // Mostly waiting by then.
            thread::yield_now();
            full.pending[0].cancel();
            let task = submitter.join().unwrap();
            assert!(task.is_pending());
            full.gate.0.open();
            assert_eq!(task.join().unwrap(), 7);
            full.check();
        });
    }
}

#[test]
fn with_room_a_task_that_was_asked_submits_unseen() {
    finishes(|| {
        let full = full(1);
        full.pending[0].cancel();
        let pool = ThreadPool::new(1);
        let outer = pool.submit({
            let bounded = Arc::clone(&full.pool);
            move |stop| {
                stop.set();
                bounded.submit(|_| 7)
            }
        });
        let Outcome::Completed(inner) = outer.outcome() else {
            panic!("it did not look");
        };
        assert!(inner.is_pending());
        full.gate.0.open();
        assert_eq!(inner.join().unwrap(), 7);
        full.check();
    });
}

/// A stop and room at the same moment: the task is in the pool or it is not, and no room is lost.
#[test]
fn stops_against_room() {
    finishes(|| {
        let full = full(1);
        full.pending[0].cancel();
        let mut pending = full.pool.try_submit(|_| ()).unwrap();
        for _ in 0..500 {
            let stop = StopEvent::new();
            let begin = Arc::new(Barrier::new(3));
            let submitter = thread::spawn({
                let (pool, stop) = (Arc::clone(&full.pool), stop.clone());
                let begin = Arc::clone(&begin);
                move || {
                    begin.wait();
                    pool.task().stop_with(&stop).submit(|_| ())
                }
            });
            let setter = thread::spawn({
                let (stop, begin) = (stop.clone(), Arc::clone(&begin));
                move || {
                    begin.wait();
                    stop.set();
                }
            });
            begin.wait();
            pending.cancel();
            let task = submitter.join().unwrap();
            setter.join().unwrap();
            // Accepted or not, it was stopped before it could begin.
            assert_eq!(never_started(task).reason, StopReason::Requested);
            let next = full.pool.try_submit(|_| ());
            pending = next.expect("the room was given back");
            assert!(full.pool.try_submit(|_| ()).unwrap_err().is_full());
        }
        full.check();
    });
}

#[test]
fn a_task_that_has_started_takes_no_room() {
    finishes(|| {
        let pool = ThreadPool::builder().threads(1).queue_capacity(1);
        let pool = pool.build().unwrap();
        for _ in 0..50_000 {
            let gate = OpenOnDrop(Gate::new());
            let running = pool.submit({
                let gate = Arc::clone(&gate.0);
                move |_| gate.pass()
            });
            until(|| running.is_running());
            let pending = pool.try_submit(|_| ()).expect("nothing is pending");
            pending.cancel();
            drop(gate);
            running.wait();
        }
    });
}

/// Why it is refused: there will never be room again.
#[test]
fn a_full_pool_that_is_shut_down_is_not_called_full() {
    let Full {
        pool,
        pending: _pending,
        gate: _gate,
    } = full(1);
    let error = pool.try_submit(|_| ()).unwrap_err();
    assert!(error.is_full() && !error.is_shut_down());
    pool.begin_shutdown(Shutdown::Drain);
    let error = pool.try_submit(|_| ()).unwrap_err();
    assert!(error.is_shut_down() && !error.is_full());
}
