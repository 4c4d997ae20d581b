//! The pool ends, or is emptied, in the middle of a batch; what the report says of it.

use super::{Halfway, MANY, Tally, assert_law, assert_report, lengthen_runs};
use crate::common::{Gate, finishes, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use stoppable::{
    Outcome, Shutdown, ShutdownReport, Stats, StopEvent, StopReason, TaskHandle, TaskStatus,
    ThreadPool,
};

/// Where in a batch the one is that waits: at the ends of slabs and in their middle.
const PLACES: [usize; 7] = [0, 1, 40, 63, 64, 100, MANY - 1];

impl Halfway {
    fn at(&self) -> usize {
        let running = self.handles.iter().position(TaskHandle::is_running);
        running.expect("one of them waits for the gate")
    }

    /// What a report has to say: those before the one that waits have completed.
    fn statuses(&self, at: usize, one: TaskStatus, behind: TaskStatus) -> Vec<TaskStatus> {
        let mut right = vec![TaskStatus::Completed; self.before + at];
        right.push(one);
        right.resize(self.before + MANY, behind);
        right
    }
}

#[test]
fn cancel_pending_in_the_middle_of_a_batch() {
    finishes(|| {
        for at in PLACES {
            let it = Halfway::new(ThreadPool::new(1), MANY, at);
            let behind = MANY - 1 - at;
            assert_eq!(it.at(), at);
            assert_eq!(it.pool.stats().pending, behind as u64);
            assert_eq!(it.pool.cancel_pending(), behind);
            assert_eq!(it.captures.sum(), MANY - 1, "all but those of the one");
            assert_eq!(it.pool.stats().pending, 0);
            assert_eq!(it.pool.cancel_pending(), 0);
            // The pool is open, and this comes behind.
            let late = it.pool.submit_all((0..3).map(|n| move |_: &StopEvent| n));
            it.gate.open();
            for (n, handle) in late.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap(), n);
            }
            let report = it.pool.shutdown(Shutdown::Drain);
            let mut right = it.statuses(at, TaskStatus::Completed, TaskStatus::NeverStarted);
            right.extend([TaskStatus::Completed; 3]);
            assert_report(&report, &right);
            it.captures.assert_all_once("the captures of task");
        }
    });
}

/// Each mode, in each way to ask for it, with the worker in the middle of a run.
#[test]
fn a_shutdown_in_the_middle_of_a_batch() {
    type Begin = fn(&ThreadPool, Shutdown);
    let begins: [Begin; 2] = [
        |pool, mode| pool.begin_shutdown(mode),
        |pool, mode| {
            let report = pool.shutdown_timeout(mode, Duration::ZERO);
            assert_eq!(report.running(), 1);
            assert_eq!(
                report.stragglers()[0].cause().is_some(),
                mode == Shutdown::StopAll
            );
        },
    ];
    finishes(move || {
        for at in PLACES {
            for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
                for (k, begin) in begins.into_iter().enumerate() {
                    let it = Halfway::new(ThreadPool::new(1), MANY, at);
                    begin(&it.pool, mode);
                    let behind = match mode {
                        Shutdown::Drain => TaskStatus::Pending,
                        _ => TaskStatus::NeverStarted,
                    };
                    // While the worker is stuck.
                    for handle in &it.handles[at + 1..] {
                        assert_eq!(handle.status(), behind);
                        if behind == TaskStatus::NeverStarted {
                            handle.wait();
                        }
                    }
                    if k == 1 && behind == TaskStatus::NeverStarted {
                        assert_eq!(it.captures.sum(), MANY - 1);
                    }
                    it.gate.open();
                    let report = it.pool.shutdown(mode);
                    let behind = match mode {
                        Shutdown::Drain => TaskStatus::Completed,
                        _ => TaskStatus::NeverStarted,
                    };
                    // The one that waited has not looked at its stop.
                    let right = it.statuses(at, TaskStatus::Completed, behind);
                    assert_report(&report, &right);
                    let late = u64::from(mode == Shutdown::StopAll);
                    assert_eq!(report.completed_though_asked(), late);
                    it.captures.assert_all_once("the captures of task");
                }
            }
        }
    });
}

/// A report in the middle names what runs and what is still to run, out of the worker's hand too.
#[test]
fn a_report_in_the_middle_of_a_batch_names_all() {
    finishes(|| {
        for at in PLACES {
            let it = Halfway::new(ThreadPool::new(1), MANY, at);
            let report = it.pool.shutdown_timeout(Shutdown::Drain, Duration::ZERO);
            let right = it.statuses(at, TaskStatus::Running, TaskStatus::Pending);
            assert_report(&report, &right);
            let [straggler] = report.stragglers() else {
                panic!("one of them waits for the gate");
            };
            assert_eq!(straggler.id(), it.handles[at].id());
            assert!(straggler.cause().is_none() && !straggler.has_looked());
        }
    });
}

/// The same with several workers, each in the middle of a run of its own.
#[test]
fn a_report_of_several_workers_names_all() {
    finishes(|| {
        for round in 0..20 {
            let pool = ThreadPool::new(3);
            lengthen_runs(&pool);
            let before = pool.stats().submitted as usize;
            let (gate, stuck) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
            let handles = pool.submit_all((0..500).map(|n| {
                let (gate, stuck) = (Arc::clone(&gate), Arc::clone(&stuck));
                move |_: &StopEvent| {
                    if n % 41 == round {
                        stuck.fetch_add(1, SeqCst);
                        gate.pass();
                    }
                }
            }));
            let _open = crate::common::OpenOnDrop(Arc::clone(&gate));
            until(|| stuck.load(SeqCst) == 3);
            let mode = [Shutdown::Drain, Shutdown::CancelPending][round % 2];
            let report = pool.shutdown_timeout(mode, Duration::ZERO);
            let mut right = vec![TaskStatus::Completed; before];
            // Nothing moves: every worker is stuck.
            right.extend(handles.iter().map(TaskHandle::status));
            assert_report(&report, &right);
            let rest = match mode {
                Shutdown::Drain => TaskStatus::Pending,
                _ => TaskStatus::NeverStarted,
            };
            assert_eq!(
                right.iter().filter(|it| **it == rest).count() as u64,
                report.pending() + report.never_started()
            );
            assert_eq!(report.stragglers().len(), 3);
            gate.open();
            let report = pool.shutdown(mode);
            for (n, handle) in handles.iter().enumerate() {
                let status = handle.status();
                assert_eq!(report.status_of(handle.id()), Some(status));
                let asked = right[before + n] == TaskStatus::NeverStarted;
                assert_eq!(status == TaskStatus::NeverStarted, asked);
            }
        }
    });
}

#[test]
fn the_drop_of_the_pool_in_the_middle_of_a_batch() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) { 50 } else { 300 };
        for round in 0..rounds {
            let pool = ThreadPool::new(1 + round % 3);
            lengthen_runs(&pool);
            let captures = Tally::new(MANY);
            let runs = Arc::new(AtomicUsize::new(0));
            let handles = pool.submit_all((0..MANY).map(|n| {
                let (capture, runs) = (captures.one(n), Arc::clone(&runs));
                move |stop: &StopEvent| {
                    runs.fetch_add(1, SeqCst);
                    if n == round % MANY {
                        stop.wait();
                    }
                    capture.number()
                }
            }));
            if round % 2 == 0 {
                handles[round % MANY].wait_started();
            }
            drop(pool);
            captures.assert_all_once("the captures of task");
            let mut begun = 0;
            for (n, handle) in handles.into_iter().enumerate() {
                assert!(handle.is_done());
                match handle.outcome() {
                    Outcome::Completed(it) => assert_eq!(it, n),
                    Outcome::Cancelled { partial, cause } => {
                        assert_eq!((partial, n), (Some(n), round % MANY));
                        assert_eq!(cause.reason, StopReason::Shutdown);
                    }
                    Outcome::NeverStarted(cause) => {
                        assert_eq!(cause.reason, StopReason::Shutdown);
                        continue;
                    }
                    other => panic!("{:?}", other.status()),
                }
                begun += 1;
            }
            assert_eq!(begun, runs.load(SeqCst));
        }
    });
}

#[test]
fn a_batch_after_the_end_is_refused() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        pool.submit(|_| ()).join().unwrap();
        pool.shutdown(Shutdown::Drain);
        let captures = Tally::new(MANY);
        let closures = (0..MANY).map(|n| {
            let capture = captures.one(n);
            move |_: &StopEvent| capture.number()
        });
        let line = line!() + 1;
        let handles = pool.submit_all(closures);
        captures.assert_all_once("the captures of task");
        let ids = super::ids(&handles);
        assert_eq!(ids, (1..=MANY as u64).collect::<Vec<_>>());
        assert_eq!(
            (pool.stats().submitted, pool.stats().refused),
            (1, MANY as u64)
        );
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.refused(), MANY as u64);
        let refused: Vec<_> = report
            .refused_ids()
            .map(stoppable::TaskId::as_u64)
            .collect();
        assert_eq!(refused, ids);
        for handle in handles {
            assert!(handle.is_done() && !handle.is_pending());
            assert_eq!(
                report.status_of(handle.id()),
                Some(TaskStatus::NeverStarted)
            );
            let event = handle.stop_event();
            assert!(event.is_set());
            handle.wait_started();
            let Outcome::NeverStarted(cause) = handle.outcome() else {
                panic!("it was refused");
            };
            assert_eq!(cause.reason, StopReason::Shutdown);
            assert_eq!(event.reason(), Some(StopReason::Shutdown));
            let place = (cause.location.file(), cause.location.line());
            assert_eq!(place, (file!(), line));
        }
    });
}

/// The cause of what a shutdown or a cancel stops is its caller's, for each task of a batch.
#[test]
fn the_cause_names_who_stopped_them() {
    finishes(|| {
        let it = Halfway::new(ThreadPool::new(1), MANY, 10);
        let line = line!() + 1;
        it.pool.cancel_pending();
        for handle in &it.handles[11..] {
            let cause = handle.stop_event().cause().unwrap();
            assert_eq!(cause.reason, StopReason::Requested);
            assert_eq!(
                (cause.location.file(), cause.location.line()),
                (file!(), line)
            );
        }
        let line = line!() + 1;
        it.handles[10].cancel();
        let cause = it.handles[10].stop_event().cause().unwrap();
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
    });
}

/// Running tasks may still submit batches while the pool drains, and no longer.
#[test]
fn what_tasks_submit_while_the_pool_drains_runs_too() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending] {
            let pool = ThreadPool::new(2);
            let submitter = pool.submitter();
            let gate = Gate::new();
            let pass = Arc::clone(&gate);
            let outer = pool.submit(move |_| {
                pass.pass();
                let again = submitter.clone();
                let handles = submitter.submit_all((0..MANY).map(|n| {
                    let again = again.clone();
                    move |_: &StopEvent| {
                        // Nobody waits for these.
                        drop(again.submit_all((0..n % 3).map(|_| |_: &StopEvent| ())));
                    }
                }));
                handles
                    .into_iter()
                    .map(|it| it.outcome().status())
                    .collect::<Vec<_>>()
            });
            outer.wait_started();
            pool.begin_shutdown(mode);
            // From outside it is too late.
            let late = pool.submit_all([|_: &StopEvent| ()]);
            gate.open();
            let statuses = outer.join().unwrap();
            let report = pool.shutdown(mode);
            let inner = (0..MANY as u64).map(|n| n % 3).sum::<u64>();
            let expected = match mode {
                Shutdown::Drain => (TaskStatus::Completed, 1 + MANY as u64 + inner, 1),
                _ => (TaskStatus::NeverStarted, 1, 1 + MANY as u64),
            };
            assert!(statuses.iter().all(|it| *it == expected.0));
            assert_eq!(
                (report.completed(), report.refused()),
                (expected.1, expected.2)
            );
            assert_eq!(report.submitted(), report.completed());
            assert_eq!(late[0].status(), TaskStatus::NeverStarted);
        }
    });
}

/// A task of a batch may end the pool: the rest of the batch is in its worker's hand.
#[test]
fn a_task_of_a_batch_may_shut_the_pool_down() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
            for at in PLACES {
                let pool = Arc::new(ThreadPool::new(1));
                lengthen_runs(&pool);
                // It begins when all of it is there.
                let gate = Gate::new();
                let pass = Arc::clone(&gate);
                drop(pool.submit(move |_| pass.pass()));
                let before = pool.stats().submitted as usize;
                let handles = pool.submit_all((0..MANY).map(|n| {
                    let pool = (n == at).then(|| Arc::clone(&pool));
                    move |_: &StopEvent| {
                        pool.map(|pool| {
                            let report = pool.shutdown(mode);
                            (report.running(), report.pending())
                        })
                    }
                }));
                gate.open();
                let mut right = vec![TaskStatus::Completed; before];
                let mut seen = None;
                for handle in handles {
                    let outcome = handle.outcome();
                    right.push(outcome.status());
                    seen = seen.or(outcome.into_value().flatten());
                }
                let behind = MANY - 1 - at;
                let (pending, ended) = match mode {
                    Shutdown::Drain => (behind, MANY),
                    _ => (0, at + 1),
                };
                assert_eq!(seen, Some((1, pending as u64)));
                let completed = right.iter().filter(|it| **it == TaskStatus::Completed);
                assert_eq!(completed.count(), before + ended);
                let pool = Arc::into_inner(pool).unwrap();
                assert_report(&pool.shutdown(mode), &right);
            }
        }
    });
}

/// Samples the counts until told to end: the law, and that nothing falls.
fn sample(pool: &ThreadPool, ended: &AtomicBool) -> usize {
    let mut before = Stats::default();
    let mut samples = 0;
    while !ended.load(Relaxed) {
        let now = pool.stats();
        assert_law(now);
        let rises = now.submitted >= before.submitted
            && now.completed >= before.completed
            && now.cancelled >= before.cancelled
            && now.never_started >= before.never_started
            && now.panicked >= before.panicked
            && now.refused >= before.refused;
        assert!(rises, "{before:?} and then {now:?}");
        let threads = pool.threads() as u64;
        assert!(now.running <= threads, "{now:?}");
        before = now;
        samples += 1;
        thread::yield_now();
    }
    samples
}

/// The law holds at every instant, and what a handle has shown has been counted.
#[test]
fn the_law_holds_throughout() {
    finishes(|| {
        for threads in [1, 3] {
            let pool = ThreadPool::new(threads);
            let ended = AtomicBool::new(false);
            let report: ShutdownReport = thread::scope(|scope| {
                let samplers = [(); 2].map(|()| scope.spawn(|| sample(&pool, &ended)));
                for round in 0..if cfg!(debug_assertions) { 30 } else { 150 } {
                    let handles = pool.submit_all((0..MANY).map(|n| {
                        move |stop: &StopEvent| match n % 16 {
                            3 => crate::common::quiet_panic("a task"),
                            5 => {
                                stop.set();
                                assert!(stop.is_set());
                            }
                            _ => {}
                        }
                    }));
                    for (n, handle) in handles.iter().enumerate() {
                        if n % 8 == round % 8 {
                            handle.cancel();
                        }
                    }
                    for handle in handles {
                        let before = pool.stats();
                        handle.wait();
                        let now = pool.stats();
                        assert!(now.done() >= before.done() && now.done() > 0);
                        drop(handle);
                    }
                    let now = pool.stats();
                    assert_eq!(now.done(), (round as u64 + 1) * MANY as u64);
                    assert_eq!((now.pending, now.running), (0, 0));
                }
                let last = pool.submit_all((0..5_000).map(|_| |_: &StopEvent| ()));
                pool.cancel_pending();
                drop(last);
                let report = pool.shutdown(Shutdown::CancelPending);
                ended.store(true, Relaxed);
                for sampler in samplers {
                    assert!(sampler.join().unwrap() > 0);
                }
                report
            });
            assert_eq!(pool.stats(), report.stats());
        }
    });
}

/// A shutdown at any moment while batches come in, are walked along and cancelled: the report agrees
/// with what the closures saw of themselves.
#[test]
fn reports_agree_with_what_the_tasks_saw() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) { 60 } else { 400 };
        for round in 0..rounds {
            let pool = ThreadPool::new(1 + round % 3);
            let captures = Tally::new(1_000);
            let began = Arc::new(
                (0..1_000)
                    .map(|_| AtomicBool::new(false))
                    .collect::<Vec<_>>(),
            );
            let mode = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll][round % 3];
            let (handles, early) = thread::scope(|scope| {
                let submitting = scope.spawn(|| {
                    let mut all = Vec::new();
                    for from in (0..1_000).step_by(250) {
                        all.extend(pool.submit_all((from..from + 250).map(|n| {
                            let (capture, began) = (captures.one(n), Arc::clone(&began));
                            move |_: &StopEvent| {
                                began[capture.number()].store(true, SeqCst);
                            }
                        })));
                        if round % 2 == 0 {
                            pool.cancel_pending();
                        }
                    }
                    all
                });
                until(|| pool.stats().submitted as usize >= round * 2 % 900);
                let early = pool.shutdown(mode);
                (submitting.join().unwrap(), early)
            });
            assert!(early.is_final());
            let report = pool.shutdown(mode);
            captures.assert_all_once("the captures of task");
            assert_eq!(report.submitted() + report.refused(), 1_000);
            let mut completed = 0;
            for (n, handle) in handles.iter().enumerate() {
                let right = match began[n].load(SeqCst) {
                    true => TaskStatus::Completed,
                    false => TaskStatus::NeverStarted,
                };
                assert_eq!(handle.status(), right);
                assert_eq!(report.status_of(handle.id()), Some(right));
                completed += u64::from(right == TaskStatus::Completed);
            }
            assert_eq!(report.completed(), completed);
            assert_eq!(early.completed(), completed);
        }
    });
}
