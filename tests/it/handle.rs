//! The handle: every state of a task against everything that a handle can do.

use crate::common::{DropCounter, Gate, OnDrop, Stuck, Token, finishes, poll, quiet_panic, until};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopEvent, StopReason, TaskError, TaskErrorKind, TaskHandle,
    TaskStatus, ThreadPool,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Pending,
    Running,
    /// Running, and asked to stop already.
    Asked,
    Completed,
    /// Completed although it had been asked.
    Deaf,
    Cancelled,
    Unwound,
    NeverStarted,
    Refused,
    Panicked,
}

use State::*;

const STATES: [State; 10] = [
    Pending,
    Running,
    Asked,
    Completed,
    Deaf,
    Cancelled,
    Unwound,
    NeverStarted,
    Refused,
    Panicked,
];

impl State {
    fn status(self) -> TaskStatus {
        match self {
            Pending => TaskStatus::Pending,
            Running | Asked => TaskStatus::Running,
            Completed | Deaf => TaskStatus::Completed,
            Cancelled | Unwound => TaskStatus::Cancelled,
            NeverStarted | Refused => TaskStatus::NeverStarted,
            Panicked => TaskStatus::Panicked,
        }
    }

    fn is_done(self) -> bool {
        !matches!(self, Pending | Running | Asked)
    }
}

type Task = TaskHandle<(u64, Token)>;

/// A task in some state, and the pool that keeps it there.
struct Case {
    gate: Arc<Gate>,
    task: Option<Task>,
    values: DropCounter,
    stuck: Stuck,
}

impl Case {
    fn new(state: State) -> Case {
        let stuck = Stuck::new(1);
        let gate = Gate::new();
        let values = DropCounter::new();
        if state == Refused {
            stuck.pool.begin_shutdown(Shutdown::Drain);
        }
        let task = stuck.pool.task().name("the task").submit({
            let (gate, values) = (Arc::clone(&gate), values.clone());
            move |stop| {
                match state {
                    Running | Asked => gate.pass(),
                    Deaf => assert!(stop.set()),
                    Cancelled => {
                        stop.set();
                        poll(stop);
                    }
                    Unwound => {
                        stop.set();
                        stoppable::unwind_if_stopped();
                        unreachable!("it unwinds");
                    }
                    Panicked => quiet_panic("boom"),
                    _ => {}
                }
                (7, values.token())
            }
        });
        match state {
            Pending | Refused => {}
            NeverStarted => {
                task.cancel();
            }
            Running | Asked => {
                stuck.release();
                task.wait_started();
            }
            _ => {
                stuck.release();
                task.wait();
            }
        }
        if state == Asked {
            assert_eq!(task.cancel(), CancelOutcome::Requested);
        }
        let case = Case {
            gate,
            task: Some(task),
            values,
            stuck,
        };
        assert_eq!(case.task().status(), state.status(), "{state:?}");
        case
    }

    fn task(&self) -> &Task {
        self.task.as_ref().expect("the handle has not been taken")
    }

    fn take(&mut self) -> Task {
        self.task.take().expect("the handle is taken once")
    }

    /// Lets the task go.
    fn release(&self) {
        self.gate.open();
        self.stuck.release();
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        self.gate.open();
    }
}

#[track_caller]
fn check_result(state: State, result: Result<(u64, Token), TaskError>) {
    let error = match result {
        Ok((value, _)) => {
            assert_eq!(value, 7);
            assert!(matches!(state, Completed | Deaf), "{state:?} gave a value");
            return;
        }
        Err(error) => error,
    };
    let kind = match state.status() {
        TaskStatus::Cancelled => TaskErrorKind::Cancelled,
        TaskStatus::NeverStarted => TaskErrorKind::NeverStarted,
        TaskStatus::Panicked => TaskErrorKind::Panicked,
        other => panic!("{other} gave an error"),
    };
    assert_eq!(error.kind(), kind);
    assert_eq!(error.is_cancelled(), kind == TaskErrorKind::Cancelled);
    assert_eq!(
        error.is_never_started(),
        kind == TaskErrorKind::NeverStarted
    );
    assert_eq!(error.is_panicked(), kind == TaskErrorKind::Panicked);
    assert!(!error.is_would_deadlock());
    let reason = error.cause().map(|cause| cause.reason.clone());
    assert_eq!(
        reason,
        match state {
            Refused => Some(StopReason::Shutdown),
            Panicked => None,
            _ => Some(StopReason::Requested),
        }
    );
    assert_eq!((error.id().as_u64(), error.name()), (1, Some("the task")));
    let text = error.to_string();
    assert!(text.starts_with("task #1 \"the task\" "), "{text}");
    match error.into_panic() {
        Ok(payload) => assert_eq!(payload.downcast_ref(), Some(&"boom")),
        Err(error) => assert_eq!(error.kind(), kind),
    }
}

#[test]
fn status_and_its_shorthands() {
    finishes(|| {
        for state in STATES {
            let case = Case::new(state);
            let task = case.task();
            for _ in 0..2 {
                assert_eq!(task.status(), state.status());
                assert_eq!(task.is_pending(), state == Pending, "{state:?}");
                assert_eq!(task.is_running(), matches!(state, Running | Asked));
                assert_eq!(task.is_done(), state.is_done());
                assert_eq!(task.status().is_done(), state.is_done());
                assert_eq!(task.wait_timeout(Duration::ZERO), state.is_done());
            }
            assert_eq!((task.id().as_u64(), task.name()), (1, Some("the task")));
            let canceller = task.canceller();
            assert_eq!((canceller.id(), canceller.name()), (task.id(), task.name()));
            assert_eq!(
                (canceller.status(), canceller.is_done()),
                (state.status(), state.is_done())
            );
        }
    });
}

#[test]
fn cancel() {
    finishes(|| {
        for state in STATES {
            for by_canceller in [false, true] {
                let case = Case::new(state);
                let task = case.task();
                let cancel = || {
                    if by_canceller {
                        task.canceller().cancel()
                    } else {
                        task.cancel()
                    }
                };
                let was_asked = task.stop_event().peek();
                assert_eq!(
                    was_asked,
                    !matches!(state, Pending | Running | Completed | Panicked)
                );
                let (first, second) = match state {
                    Pending => (
                        CancelOutcome::NeverStarted,
                        CancelOutcome::AlreadyDone(TaskStatus::NeverStarted),
                    ),
                    Running | Asked => (CancelOutcome::Requested, CancelOutcome::Requested),
                    _ => {
                        let done = CancelOutcome::AlreadyDone(state.status());
                        (done, done)
                    }
                };
                assert_eq!(cancel(), first, "{state:?}");
                assert_eq!(cancel(), second, "{state:?}");
                // A task that has ended is left as it is, its event too.
                let asked = task.stop_event().peek();
                assert_eq!(asked, was_asked || matches!(state, Pending | Running));
            }
        }
    });
}

#[test]
fn setting_the_event_is_as_good_as_cancel() {
    finishes(|| {
        for state in STATES {
            let case = Case::new(state);
            let task = case.task();
            let was_asked = task.stop_event().peek();
            assert_eq!(task.stop_event().set(), !was_asked, "{state:?}");
            assert!(!task.stop_event().set());
            assert!(task.stop_event().is_set());
            let expected = match state {
                Pending => TaskStatus::NeverStarted,
                _ => state.status(),
            };
            assert_eq!(task.status(), expected, "{state:?}");
        }
    });
}

#[test]
fn try_join_and_join_with_no_time() {
    finishes(|| {
        for state in STATES {
            let joins = [
                |task: Task| task.try_join(),
                |task: Task| task.join_timeout(Duration::ZERO),
            ];
            for join in joins {
                let mut case = Case::new(state);
                match join(case.take()) {
                    Ok(result) => {
                        assert!(state.is_done(), "{state:?}");
                        check_result(state, result);
                        let has_value = matches!(state, Completed | Deaf | Cancelled);
                        assert_eq!(case.values.count(), usize::from(has_value), "{state:?}");
                    }
                    Err(task) => {
                        assert!(!state.is_done(), "{state:?}");
                        assert_eq!(task.status(), state.status());
                        // The handle that came back is as good as it was.
                        case.release();
                        assert_eq!(task.join().unwrap().0, 7);
                    }
                }
            }
        }
    });
}

#[test]
fn join_and_outcome() {
    finishes(|| {
        for state in STATES.into_iter().filter(|state| state.is_done()) {
            let mut case = Case::new(state);
            check_result(state, case.take().join());

            let mut case = Case::new(state);
            case.task().wait_started();
            case.task().wait();
            let outcome = case.take().outcome();
            assert_eq!(outcome.status(), state.status());
            assert_eq!(
                outcome.cause().is_some(),
                matches!(state, Cancelled | Unwound | NeverStarted | Refused)
            );
            match (state, outcome) {
                (Completed | Deaf, Outcome::Completed((7, _))) => {}
                (
                    Cancelled,
                    Outcome::Cancelled {
                        partial: Some((7, _)),
                        ..
                    },
                ) => {}
                (Unwound, Outcome::Cancelled { partial: None, .. }) => {}
                (NeverStarted, Outcome::NeverStarted(cause)) => {
                    assert_eq!(cause.reason, StopReason::Requested);
                }
                (Refused, Outcome::NeverStarted(cause)) => {
                    assert_eq!(cause.reason, StopReason::Shutdown);
                }
                (Panicked, Outcome::Panicked(payload)) => {
                    assert_eq!(payload.downcast_ref(), Some(&"boom"));
                }
                (_, outcome) => panic!("{state:?} gave {:?}", outcome.status()),
            }
            let has_value = matches!(state, Completed | Deaf | Cancelled);
            assert_eq!(case.values.count(), usize::from(has_value), "{state:?}");
        }
    });
}

#[test]
fn the_value_of_a_dropped_handle_is_dropped_once() {
    finishes(|| {
        for state in STATES {
            let mut case = Case::new(state);
            let canceller = case.task().canceller();
            let event = case.task().stop_event();
            drop(case.take());
            case.release();
            // A pool of one thread: what is dropped on its worker has been, once the next one ends.
            if state != Refused {
                case.stuck.pool.submit(|_| ()).wait();
            }
            assert!(canceller.is_done(), "detached tasks go on");
            let has_value = !matches!(state, Unwound | NeverStarted | Refused | Panicked);
            // Neither the canceller nor the event keeps it.
            assert_eq!(case.values.count(), usize::from(has_value), "{state:?}");
            drop((canceller, event));
            drop(case.stuck.pool.shutdown(Shutdown::Drain));
            assert_eq!(case.values.count(), usize::from(has_value), "{state:?}");
        }
    });
}

#[test]
fn is_done_implies_an_outcome_with_no_time() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for n in 0..1_000 {
            let task = pool.submit(move |_| n);
            until(|| task.is_done());
            assert_eq!(task.join_timeout(Duration::ZERO).unwrap().unwrap(), n);
            assert_eq!(pool.stats().completed, n + 1, "the counts are not behind");
        }
    });
}

#[test]
fn a_started_task_is_in_the_counts() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for _ in 0..300 {
            let gate = Gate::new();
            let task = pool.submit({
                let gate = Arc::clone(&gate);
                move |_| gate.pass()
            });
            task.wait_started();
            let stats = pool.stats();
            assert_eq!((stats.pending, stats.running), (0, 1));
            gate.open();
            task.join().unwrap();
            assert_eq!(pool.stats().running, 0);
        }
    });
}

#[test]
fn timed_waits_are_not_early_and_stop_nothing() {
    finishes(|| {
        let mut case = Case::new(Running);
        let span = Duration::from_millis(15);
        let start = Instant::now();
        assert!(!case.task().wait_timeout(span));
        assert!(start.elapsed() >= span, "wait_timeout was early");
        let start = Instant::now();
        let task = case.take().join_timeout(span).unwrap_err();
        assert!(start.elapsed() >= span, "join_timeout was early");
        assert!(task.is_running() && !task.stop_event().peek());

        let pending = case.stuck.pool.submit(|_| 1);
        assert!(!pending.wait_timeout(span));
        let pending = pending.join_timeout(span).unwrap_err();
        assert!(pending.is_pending());
        case.release();
        assert_eq!(task.join_timeout(Duration::MAX).unwrap().unwrap().0, 7);
        assert!(pending.wait_timeout(Duration::MAX));
        assert_eq!(pending.join_timeout(Duration::MAX).unwrap().unwrap(), 1);
    });
}

/// Everyone who waits for the end, in every way, is woken by each kind of end.
#[test]
fn every_end_wakes_timed_and_untimed_waiters() {
    for state in [Completed, Cancelled, Unwound, NeverStarted, Panicked] {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let (gate, stuck) = (Gate::new(), Gate::new());
            let blocker = pool.submit({
                let stuck = Arc::clone(&stuck);
                move |_| stuck.pass()
            });
            if state != NeverStarted {
                stuck.open();
            }
            let task = pool.submit({
                let gate = Arc::clone(&gate);
                move |stop| {
                    gate.pass();
                    match state {
                        Cancelled => stop.wait(),
                        Unwound => {
                            until_asked();
                            unreachable!("it unwinds");
                        }
                        Panicked => quiet_panic("boom"),
                        _ => {}
                    }
                }
            });
            if state == NeverStarted {
                blocker.wait_started();
            } else {
                task.wait_started();
            }
            let ready = Arc::new(Barrier::new(5));
            thread::scope(|scope| {
                let task = &task;
                let waits: [fn(&TaskHandle<()>) -> bool; 4] = [
                    |task| {
                        task.wait();
                        true
                    },
                    |task| task.wait_timeout(Duration::from_secs(3600)),
                    |task| task.wait_timeout(Duration::MAX),
                    |task| {
                        task.wait_started();
                        task.wait();
                        true
                    },
                ];
                for wait in waits {
                    let ready = Arc::clone(&ready);
                    scope.spawn(move || {
                        ready.wait();
                        assert!(wait(task) && task.is_done());
                    });
                }
                ready.wait();
                // Mostly long enough for the waiters to be asleep.
                assert!(!task.wait_timeout(Duration::from_millis(5)));
                match state {
                    Completed | Panicked => gate.open(),
                    NeverStarted => {
                        task.cancel();
                    }
                    _ => {
                        gate.open();
                        task.cancel();
                    }
                }
            });
            assert_eq!(task.outcome().status(), state.status());
            stuck.open();
        });
    }

    fn until_asked() {
        loop {
            stoppable::unwind_if_stopped();
            thread::yield_now();
        }
    }
}

#[test]
fn wait_started_returns_when_it_starts_and_not_before() {
    finishes(|| {
        for _ in 0..50 {
            let stuck = Stuck::new(1);
            let gate = Gate::new();
            let task = Arc::new(stuck.pool.submit({
                let gate = Arc::clone(&gate);
                move |_| gate.pass()
            }));
            let (tell, told) = mpsc::channel();
            let ready = Gate::new();
            let waiter = thread::spawn({
                let (task, ready) = (Arc::clone(&task), Arc::clone(&ready));
                move || {
                    ready.open();
                    task.wait_started();
                    tell.send(task.status()).unwrap();
                }
            });
            ready.pass();
            assert!(told.try_recv().is_err(), "it has not started");
            stuck.release();
            // While it runs, not when it has ended.
            assert_eq!(told.recv().unwrap(), TaskStatus::Running);
            gate.open();
            waiter.join().unwrap();
        }
    });
}

#[test]
fn cancel_on_drop_cancels_and_gives_back() {
    finishes(|| {
        // Pending: it never starts, for the reason that it was dropped, at the line of the wrapping.
        let stuck = Stuck::new(1);
        let captured = DropCounter::new();
        let token = captured.token();
        let task = stuck.pool.submit(move |_| drop(token));
        let canceller = task.canceller();
        let event = task.stop_event();
        let line = line!() + 1;
        let wrapped = task.cancel_on_drop();
        assert!(wrapped.is_pending(), "it lends the handle");
        drop(wrapped);
        assert_eq!(canceller.status(), TaskStatus::NeverStarted);
        assert_eq!(captured.count(), 1);
        let cause = event.cause().unwrap();
        assert_eq!(cause.reason, StopReason::Dropped);
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );

        // Given back: the drop detaches again.
        let task = stuck.pool.submit(|_| 1).cancel_on_drop().into_inner();
        let canceller = task.canceller();
        drop(task);
        assert_eq!(canceller.status(), TaskStatus::Pending);

        // Running: asked, and it is not waited for.
        stuck.release();
        let task = stuck.pool.submit(StopEvent::wait);
        let canceller = task.canceller();
        task.wait_started();
        drop(task.cancel_on_drop());
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(canceller.status(), TaskStatus::Cancelled);
        assert_eq!((report.cancelled(), report.never_started()), (1, 1));
    });
}

#[test]
fn ids_rise_and_are_not_reused() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let mut last = None;
        for n in 0..1_000 {
            let task = pool.submit(|_| ());
            if n % 3 == 0 {
                task.cancel();
            }
            assert!(last < Some(task.id()));
            last = Some(task.id());
        }
    });
}

/// What a task did is visible to who joins it, and what came before the submit to the task.
#[test]
fn submit_happens_before_run_happens_before_join() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for n in 0..500_u64 {
            let given = Box::new(n);
            let task = pool.submit(move |_| Box::new(*given + 1));
            assert_eq!(*task.join().unwrap(), n + 1);
        }
    });
}

/// A value whose drop panics harms neither the worker nor whoever drops a handle.
#[test]
fn a_panic_in_the_drop_of_a_value_is_contained() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let bad = || OnDrop(|| quiet_panic("in a drop"));
        // On the worker.
        let gate = Gate::new();
        let task = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| {
                gate.pass();
                bad()
            }
        });
        drop(task);
        gate.open();
        // Here.
        let task = pool.submit(move |_| bad());
        task.wait();
        drop(task);
        // A partial result that a join throws away.
        let task = pool.submit(move |stop| {
            stop.set();
            poll(stop);
            bad()
        });
        assert!(task.join().err().unwrap().is_cancelled());
        assert_eq!(pool.submit(|_| 1).join().unwrap(), 1);
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.completed(), report.cancelled()), (3, 1));
        assert_eq!(report.panicked(), 0);
    });
}
