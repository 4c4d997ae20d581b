//! Tasks without a pool: run by whoever has them, with the handle that every task has.

use crate::common::{DropCounter, Gate, OnDrop, OpenOnDrop, finishes, quiet_panic};
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use stoppable::{
    CancelOutcome, Outcome, PendingTask, Shutdown, StopEvent, StopReason, TaskHandle, TaskStatus,
    ThreadPool, current,
};

/// A thread that runs what it is sent, one after the other: a foreign executor.
struct Executor {
    jobs: Option<Sender<Box<dyn FnOnce() + Send>>>,
    thread: Option<JoinHandle<()>>,
}

impl Executor {
    fn new() -> Executor {
        let (jobs, inbox) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let thread = thread::spawn(move || inbox.into_iter().for_each(|job| job()));
        Executor {
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    fn execute(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.as_ref().unwrap().send(Box::new(job)).unwrap();
    }

    fn run(&self, task: PendingTask) {
        self.execute(move || {
            task.run();
        });
    }

    fn id(&self) -> thread::ThreadId {
        self.thread.as_ref().unwrap().thread().id()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Err(payload) = self.thread.take().unwrap().join() {
            if !thread::panicking() {
                resume_unwind(payload);
            }
        }
    }
}

#[test]
fn it_runs_where_it_is_run_and_its_handle_tells() {
    finishes(|| {
        let executor = Executor::new();
        let (task, handle) = PendingTask::new(|_| thread::current().id());
        assert!(handle.is_pending() && handle.name().is_none());
        assert_eq!(task.id(), handle.id());
        assert!(format!("{task:?}").contains("status: Pending"), "{task:?}");
        let (tell, told) = mpsc::channel();
        handle.on_done(move |status| tell.send(status).unwrap());
        executor.run(task);
        assert_eq!(told.recv(), Ok(TaskStatus::Completed));
        assert_eq!(handle.join().unwrap(), executor.id());
    });
}

#[test]
fn it_is_a_future_too() {
    finishes(|| {
        let executor = Executor::new();
        let gate = Gate::new();
        let (task, handle) = PendingTask::new({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        executor.run(task);
        let waits = thread::spawn(move || pollster::block_on(handle));
        gate.open();
        waits.join().unwrap().unwrap();
    });
}

#[test]
fn a_running_one_is_asked_and_keeps_what_it_has() {
    finishes(|| {
        let executor = Executor::new();
        let (task, handle) = PendingTask::new(|stop| {
            // Deep code finds the same event, and what it sees there is seen.
            let deep = current();
            stop.wait();
            assert!(deep.is_set());
            "so far"
        });
        executor.run(task);
        handle.wait_started();
        assert_eq!(handle.cancel(), CancelOutcome::Requested);
        match handle.outcome() {
            Outcome::Cancelled {
                partial: Some("so far"),
                cause,
            } => {
                assert_eq!(cause.reason, StopReason::Requested);
                assert!(cause.location.file().ends_with("no_pool.rs"));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_poll_of_the_current_event_alone_is_seen() {
    let (task, handle) = PendingTask::new(|_| {
        crate::common::poll(&current());
    });
    let canceller = handle.canceller();
    let runner = thread::spawn(move || task.run());
    handle.wait_started();
    canceller.cancel();
    assert_eq!(runner.join().unwrap(), TaskStatus::Cancelled);
    assert!(!current().is_set());
}

/// Each way to stop one that is pending, with its reason.
#[test]
fn a_pending_one_that_is_stopped_is_over_at_once() {
    type Stop = fn(&TaskHandle<()>, &StopEvent);
    let ways: [(Stop, StopReason); 5] = [
        (
            |handle, _| assert_eq!(handle.cancel(), CancelOutcome::NeverStarted),
            StopReason::Requested,
        ),
        (
            |handle, _| {
                handle.cancel_with(StopReason::custom("enough"));
            },
            StopReason::custom("enough"),
        ),
        (
            |handle, _| assert!(handle.stop_event().set()),
            StopReason::Requested,
        ),
        (
            |_, parent| assert!(parent.set_with(StopReason::custom("parent"))),
            StopReason::custom("parent"),
        ),
        (
            |handle, _| handle.cancel_after(Duration::ZERO),
            StopReason::Deadline,
        ),
    ];
    for (stop, reason) in ways {
        finishes(move || {
            let drops = DropCounter::new();
            let token = drops.token();
            let request = StopEvent::new();
            let (task, handle) = PendingTask::under(&request, move |_| drop(token));
            let done = Gate::new();
            handle.on_done({
                let done = Arc::clone(&done);
                move |_| done.open()
            });
            let (handle, barrier) = (Arc::new(handle), Arc::new(Barrier::new(2)));
            let joiner = thread::spawn({
                let (handle, barrier) = (Arc::clone(&handle), Arc::clone(&barrier));
                move || {
                    barrier.wait();
                    handle.wait();
                    handle.status()
                }
            });
            barrier.wait();
            stop(&handle, &request);
            done.pass();
            assert_eq!(
                drops.count(),
                1,
                "its captures are gone, and the shell is not"
            );
            assert_eq!(joiner.join().unwrap(), TaskStatus::NeverStarted);
            assert_eq!(task.run(), TaskStatus::NeverStarted);
            let error = Arc::into_inner(handle).unwrap().join().unwrap_err();
            assert!(error.is_never_started());
            assert_eq!(error.cause().unwrap().reason, reason);
            assert_eq!(drops.count(), 1);
        });
    }
}

#[test]
fn under_an_event_that_is_set_it_never_starts() {
    let drops = DropCounter::new();
    let request = StopEvent::new();
    request.set_with(StopReason::custom("before"));
    let token = drops.token();
    let (task, handle) = PendingTask::under(&request, move |_| drop(token));
    assert_eq!(drops.count(), 1);
    assert_eq!(handle.status(), TaskStatus::NeverStarted);
    drop(task);
    let error = handle.join().unwrap_err();
    assert_eq!(error.cause().unwrap().reason, StopReason::custom("before"));
    // One that can never be set is none.
    let (task, handle) = PendingTask::under(&StopEvent::never(), StopEvent::is_set);
    assert_eq!(task.run(), TaskStatus::Completed);
    assert!(!handle.join().unwrap());
}

#[test]
fn under_an_event_it_is_asked_while_it_runs_and_asks_nobody() {
    finishes(|| {
        let executor = Executor::new();
        let request = StopEvent::new();
        let tasks = [(); 2].map(|()| PendingTask::under(&request, StopEvent::wait));
        let [(first, one), (second, two)] = tasks;
        executor.run(first);
        one.wait_started();
        one.cancel();
        assert_eq!(one.outcome().status(), TaskStatus::Cancelled);
        assert!(!request.is_set() && two.is_pending());
        executor.run(second);
        two.wait_started();
        request.set();
        assert_eq!(two.outcome().status(), TaskStatus::Cancelled);
    });
}

#[test]
fn dropped_unrun_it_never_starts() {
    let drops = DropCounter::new();
    let token = drops.token();
    let (task, handle) = PendingTask::new(move |_| drop(token));
    drop(task);
    assert_eq!(drops.count(), 1);
    let error = handle.join().unwrap_err();
    let cause = error.cause().unwrap();
    assert_eq!(cause.reason, StopReason::Dropped);
    assert!(cause.location.file().ends_with("no_pool.rs"), "{cause}");
}

/// An executor that ends with jobs in its queue.
#[test]
fn an_executor_that_drops_its_jobs_lets_joiners_go() {
    finishes(|| {
        let (task, handle) = PendingTask::new(|_| ());
        let executor = thread::spawn(move || {
            let _job = move || task.run();
        });
        assert!(handle.join().unwrap_err().is_never_started());
        executor.join().unwrap();
    });
}

#[test]
fn panics_are_delivered_and_do_not_unwind() {
    let (task, handle) = PendingTask::new(|_| quiet_panic("ouch"));
    assert_eq!(task.run(), TaskStatus::Panicked);
    let error: stoppable::TaskError = handle.join().unwrap_err();
    let payload = error.into_panic().unwrap();
    assert_eq!(payload.downcast_ref(), Some(&"ouch"));
    // Nobody joins this one.
    let (task, handle) = PendingTask::new(|_| quiet_panic("ouch"));
    drop::<TaskHandle<()>>(handle);
    assert_eq!(task.run(), TaskStatus::Panicked);
    // Drops of captures.
    let bomb = OnDrop(|| quiet_panic("in a drop"));
    let (task, handle) = PendingTask::new(move |_| {
        let _bomb = &bomb;
    });
    handle.cancel();
    assert_eq!(task.run(), TaskStatus::NeverStarted);
    let bomb = OnDrop(|| quiet_panic("in a drop"));
    let (task, handle) = PendingTask::new(move |_| bomb);
    drop(handle);
    assert_eq!(task.run(), TaskStatus::Completed);
}

#[test]
#[cfg(panic = "unwind")]
fn deep_code_can_leave_it() {
    let (task, handle) = PendingTask::new(|stop| {
        stop.set();
        stoppable::unwind_if_stopped();
        unreachable!("it is stopped");
    });
    assert_eq!(task.run(), TaskStatus::Cancelled);
    let outcome: Outcome<()> = handle.outcome();
    assert!(matches!(outcome, Outcome::Cancelled { partial: None, .. }));
}

/// What can be done to a task, in every order.
#[test]
fn captures_and_values_are_dropped_once_in_every_order() {
    const STEPS: usize = 5;
    let orders = (0..STEPS.pow(4)).map(|n| [n, n / 5, n / 25, n / 125].map(|n| n % STEPS));
    for order in orders {
        for panics in [false, true] {
            let (captures, values) = (DropCounter::new(), DropCounter::new());
            let (capture, value) = (captures.token(), values.token());
            let request = StopEvent::new();
            let (task, handle) = PendingTask::under(&request, move |_| {
                let _capture = capture;
                if panics {
                    quiet_panic("after all");
                }
                value
            });
            let (mut task, mut handle) = (Some(task), Some(handle));
            for step in order {
                match step {
                    0 => {
                        task.take().map(PendingTask::run);
                    }
                    1 => drop(task.take()),
                    2 => {
                        handle.as_ref().map(TaskHandle::cancel);
                    }
                    3 => drop(handle.take()),
                    _ => {
                        request.set();
                    }
                }
            }
            if handle.as_ref().is_some_and(TaskHandle::is_done) {
                drop(handle.take().map(TaskHandle::join));
            }
            drop((task, handle));
            assert_eq!((captures.count(), values.count()), (1, 1), "{order:?}");
        }
    }
}

#[test]
fn a_race_of_cancel_run_and_drop_has_one_end() {
    finishes(|| {
        for round in 0..2_000 {
            let (captures, values) = (DropCounter::new(), DropCounter::new());
            let (capture, value) = (captures.token(), values.token());
            let request = StopEvent::new();
            let (task, handle) = PendingTask::under(&request, move |_| {
                let _capture = capture;
                value
            });
            let barrier = Arc::new(Barrier::new(3));
            let line_up = |job: Box<dyn FnOnce() + Send>| {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || {
                    barrier.wait();
                    job();
                })
            };
            let (tell, told) = mpsc::channel();
            handle.on_done(move |status| tell.send(status).unwrap());
            let canceller = handle.canceller();
            let threads = [
                line_up(match round % 3 {
                    0 => Box::new(move || drop(task)),
                    _ => Box::new(move || {
                        task.run();
                    }),
                }),
                line_up(match round % 2 {
                    0 => Box::new(move || {
                        canceller.cancel();
                    }),
                    _ => Box::new(move || {
                        request.set();
                    }),
                }),
            ];
            barrier.wait();
            match round % 4 {
                0 => drop(handle),
                1 => drop(handle.outcome()),
                2 => drop(handle.join_or_run()),
                _ => drop(pollster::block_on(handle)),
            }
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(told.iter().count(), 1);
            assert_eq!((captures.count(), values.count()), (1, 1));
        }
    });
}

/// Also if it is under an event of that very pool's.
#[test]
fn a_worker_of_a_pool_that_joins_one_blocks_and_does_not_run_it() {
    finishes(|| {
        let executor = Arc::new(Executor::new());
        let pool = ThreadPool::new(1);
        let (tell, told) = mpsc::channel();
        let lets_go = Gate::new();
        let outer = pool.submit({
            let (executor, lets_go) = (Arc::clone(&executor), Arc::clone(&lets_go));
            move |stop| {
                let of_pool = PendingTask::under(stop, |_| thread::current().id());
                let alone = PendingTask::new(|_| thread::current().id());
                [of_pool, alone].map(|(task, handle)| {
                    tell.send(handle.canceller()).unwrap();
                    let lets_go = Arc::clone(&lets_go);
                    executor.execute(move || {
                        lets_go.pass();
                        task.run();
                    });
                    handle.join().unwrap()
                })
            }
        });
        let first = told.recv().unwrap();
        assert_eq!(first.status(), TaskStatus::Pending);
        lets_go.open();
        assert_eq!(outer.join().unwrap(), [executor.id(); 2]);
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.submitted(), report.completed()), (1, 1));
    });
}

#[test]
fn a_pool_that_stops_dooms_one_that_is_under_its_event_and_does_not_count_it() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (task, handle) = PendingTask::under(&pool.stop_event(), |_| ());
        let report = pool.shutdown(Shutdown::StopAll);
        assert_eq!((report.submitted(), report.never_started()), (0, 0));
        let error = handle.join().unwrap_err();
        assert_eq!(error.cause().unwrap().reason, StopReason::Shutdown);
        drop(task);
    });
}

#[test]
fn inside_a_task_of_a_pool_it_is_a_task_of_its_own() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (asked, looked) = (Gate::new(), Gate::new());
        let (task, handle) = PendingTask::new({
            let (asked, looked) = (Arc::clone(&asked), Arc::clone(&looked));
            move |stop| {
                asked.pass();
                let before = stop.is_set() || current().is_set();
                looked.open();
                stop.wait();
                before
            }
        });
        let outer = pool.submit(move |stop| {
            let inner = task.run();
            (inner, stop.is_set(), current().is_set())
        });
        handle.wait_started();
        outer.cancel();
        asked.open();
        looked.pass();
        assert!(handle.is_running() && !handle.stop_event().is_set());
        handle.cancel();
        let outcome = handle.outcome();
        assert_eq!(outcome.status(), TaskStatus::Cancelled);
        assert_eq!(outcome.into_value(), Some(false), "the other was asked");
        let seen = outer.outcome().into_value().unwrap();
        assert_eq!(seen, (TaskStatus::Cancelled, true, true));
    });
}

/// On a thread that works for nobody, and on a worker.
#[test]
fn one_that_joins_itself_gets_an_error() {
    for on_worker in [false, true] {
        finishes(move || {
            let (tell, told) = mpsc::channel::<TaskHandle<bool>>();
            let (task, handle) = PendingTask::new(move |stop| {
                let me = told.recv().unwrap();
                let me = match me.join_or_stopped(&StopEvent::new()) {
                    Ok(result) => return result.unwrap_err().is_would_deadlock(),
                    Err(me) => me,
                };
                let _ = stop;
                me.join().unwrap_err().is_would_deadlock()
            });
            let (done, is_done) = mpsc::channel();
            handle.on_done(move |status| done.send(status).unwrap());
            tell.send(handle).unwrap();
            if on_worker {
                let pool = ThreadPool::new(1);
                pool.submit(move |_| task.run()).join().unwrap();
            } else {
                task.run();
            }
            assert_eq!(is_done.recv(), Ok(TaskStatus::Completed));
        });
    }
}

#[test]
fn one_that_is_joined_or_run_is_run_on_the_spot() {
    finishes(|| {
        let executor = Executor::new();
        // An executor of one thread, which runs its tasks in turn: a plain join would never end.
        let (inner, inner_handle) = PendingTask::new(|_| thread::current().id());
        let (outer, handle) = PendingTask::new(move |_| {
            let ran = inner_handle.join_or_run().unwrap();
            assert!(!current().is_set());
            ran
        });
        let (last, is_last) = mpsc::channel();
        executor.run(outer);
        executor.execute(move || last.send(inner.run()).unwrap());
        assert_eq!(handle.join().unwrap(), executor.id());
        assert_eq!(is_last.recv(), Ok(TaskStatus::Completed), "it did nothing");
    });
}

#[test]
fn one_that_has_begun_is_waited_for_and_a_stopped_one_never_runs() {
    finishes(|| {
        let executor = Executor::new();
        let gate = Gate::new();
        let _open = OpenOnDrop(Arc::clone(&gate));
        let (task, handle) = PendingTask::new({
            let gate = Arc::clone(&gate);
            move |_| {
                gate.pass();
                thread::current().id()
            }
        });
        executor.run(task);
        handle.wait_started();
        gate.open();
        assert_eq!(handle.join_or_run().unwrap(), executor.id());

        let request = StopEvent::new();
        let (_task, handle) = PendingTask::under(&request, |_| unreachable!("it is stopped"));
        request.set();
        let error = handle.join_or_run().unwrap_err();
        assert!(error.is_never_started());
    });
}

/// While a joiner runs it, its owner finds nothing to do and does not wait.
#[test]
fn its_owner_does_not_wait_for_a_joiner_that_runs_it() {
    finishes(|| {
        let gate = Gate::new();
        let (task, handle) = PendingTask::new({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        let started = handle.canceller();
        let joiner = thread::spawn(move || handle.join_or_run());
        crate::common::until(|| started.status() == TaskStatus::Running);
        assert_eq!(task.run(), TaskStatus::Running);
        gate.open();
        joiner.join().unwrap().unwrap();
    });
}

#[test]
fn of_a_pool_a_join_or_run_is_a_join_until_the_task_is_handed_back() {
    finishes(|| {
        let stuck = crate::common::Stuck::new(1);
        let joined = stuck.pool.submit(|_| thread::current().id());
        let here = thread::current().id();
        let taken = stuck.pool.submit(|_| thread::current().id());
        let [first, second] = <[PendingTask; 2]>::try_from(stuck.pool.take_pending()).unwrap();
        assert_eq!(taken.join_or_run().unwrap(), here);
        assert_eq!(second.run(), TaskStatus::Completed);
        drop(first);
        assert!(joined.join_or_run().unwrap_err().is_never_started());

        let queued = stuck.pool.submit(|_| thread::current().id());
        stuck.release();
        assert_ne!(queued.join_or_run().unwrap(), here);
    });
}

#[test]
fn ids_are_unique_and_rise() {
    let threads = [(); 3].map(|()| {
        thread::spawn(|| {
            let tasks: Vec<_> = (0..200).map(|_| PendingTask::new(|_| ())).collect();
            let ids: Vec<_> = tasks.iter().map(|(task, _)| task.id()).collect();
            assert!(ids.is_sorted_by(|a, b| a < b));
            ids
        })
    });
    let mut ids = threads.map(|thread| thread.join().unwrap()).concat();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 600);
}

/// Its captures are dropped neither late nor on the thread that serves all deadlines.
#[test]
fn what_a_deadline_dooms_is_dropped_where_it_holds_up_no_other() {
    finishes(|| {
        let gate = Gate::new();
        let (tell, told) = mpsc::channel();
        let slow = OnDrop({
            let gate = Arc::clone(&gate);
            move || {
                tell.send(()).unwrap();
                gate.pass();
            }
        });
        let (task, handle) = PendingTask::new(move |_| drop(slow));
        handle.cancel_after(Duration::from_millis(1));
        told.recv().unwrap();
        assert_eq!(handle.status(), TaskStatus::NeverStarted);
        // The drop is stuck, and another deadline comes all the same, with captures of its own.
        let drops = DropCounter::new();
        let token = drops.token();
        let (other, next) = PendingTask::new(move |_| drop(token));
        next.cancel_after(Duration::from_millis(1));
        next.wait();
        gate.open();
        crate::common::until(|| drops.count() == 1);
        drop((task, other));
    });
}
