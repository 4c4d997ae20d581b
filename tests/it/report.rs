//! What the pool says of its tasks: live, at the end, task by task, and as text.

use crate::common::{Gate, OpenOnDrop, Stuck, finishes, is_slow, poll, quiet_panic, until};
use crate::stress::Dice;
use std::collections::HashMap;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Shutdown, ShutdownReport, Stats, StopReason, Submitter, TaskDetail, TaskId,
    TaskStatus, ThreadPool,
};

#[track_caller]
fn assert_law(stats: Stats) {
    let sum = stats.pending
        + stats.running
        + stats.completed
        + stats.cancelled
        + stats.never_started
        + stats.panicked;
    assert_eq!(stats.submitted, sum, "{stats:?}");
    let done = stats.completed + stats.cancelled + stats.never_started + stats.panicked;
    assert_eq!(stats.done(), done);
}

/// Waits until the event is set, without the task seeing it.
fn poll_unseen(stop: &stoppable::StopEvent) {
    until(|| stop.peek());
}

#[test]
fn counts_ids_and_details_are_exact() {
    let pool = ThreadPool::builder()
        .threads(1)
        .name("each")
        .build()
        .unwrap();
    pool.submit(|_| ()).join().unwrap();
    // 1: it was asked and never looked.
    let deaf = pool.submit(poll_unseen);
    deaf.wait_started();
    assert_eq!(deaf.cancel(), CancelOutcome::Requested);
    deaf.join().unwrap();
    // 2 and 3.
    for task in [pool.task(), pool.task().name("listener")] {
        let handle = task.submit(poll);
        handle.wait_started();
        handle.cancel_with(StopReason::custom("enough"));
        handle.wait();
    }
    let cancel_line = line!() - 3;
    // 4 and 5.
    pool.submit(|_| quiet_panic("first")).wait();
    pool.task()
        .name("bad")
        .submit(|_| quiet_panic("second"))
        .wait();
    // 6: a blocker, which completes; 7 to 9 never start.
    let gate = Gate::new();
    let blocker = pool.submit({
        let gate = Arc::clone(&gate);
        move |_| gate.pass()
    });
    blocker.wait_started();
    let (early, named) = (pool.submit(|_| ()), pool.task().name("late").submit(|_| ()));
    let last = pool.submit(|_| ());
    named.cancel();
    pool.begin_shutdown(Shutdown::CancelPending);
    let shutdown_line = line!() - 1;
    // 10 is refused, with an id; the others are handed back and have none.
    let refused = pool.submit(|_| ());
    assert!(pool.try_submit(|_| ()).is_err() && pool.execute(|_| ()).is_err());
    gate.open();
    let report = pool.shutdown(Shutdown::Drain);

    assert!(report.is_final());
    assert_eq!(report.pool_name(), Some("each"));
    assert_eq!(report.mode(), Some(Shutdown::CancelPending));
    let expected = (10, 3, 1, 2, 3, 2, 3);
    let counts = (
        report.submitted(),
        report.completed(),
        report.completed_though_asked(),
        report.cancelled(),
        report.never_started(),
        report.panicked(),
        report.refused(),
    );
    assert_eq!(counts, expected);
    assert_eq!((report.pending(), report.running()), (0, 0));
    assert_law(report.stats());
    assert_eq!(report.stats(), pool.stats());

    let ids = |status| report.ids(status).map(TaskId::as_u64).collect::<Vec<_>>();
    assert_eq!(ids(TaskStatus::Completed), [0, 1, 6]);
    assert_eq!(ids(TaskStatus::Cancelled), [2, 3]);
    assert_eq!(ids(TaskStatus::Panicked), [4, 5]);
    assert_eq!(ids(TaskStatus::NeverStarted), [7, 8, 9]);
    assert_eq!(ids(TaskStatus::Pending), [0; 0]);
    assert_eq!(ids(TaskStatus::Running), [0; 0]);
    assert_eq!(report.refused_ids().collect::<Vec<_>>(), [refused.id()]);
    assert_eq!(
        report.status_of(refused.id()),
        Some(TaskStatus::NeverStarted)
    );
    assert_eq!((early.id().as_u64(), last.id().as_u64()), (7, 9));
    for id in (0..10).map(|n| all_ids(&report)[n]) {
        assert!(report.status_of(id).is_some_and(TaskStatus::is_done));
    }
    // An id that only a bigger pool has given out.
    let other = ThreadPool::new(1);
    let others: Vec<_> = (0..12).map(|_| other.submit(|_| ()).id()).collect();
    let unknown = others[11];
    assert_eq!(report.status_of(unknown), None);

    let details: HashMap<u64, TaskDetail> =
        report.details().map(|d| (d.id().as_u64(), d)).collect();
    assert_eq!(details.len(), 7);
    assert_eq!(report.details_left_out(), 0);
    let names = [3, 5, 8].map(|id| details[&id].name().unwrap());
    assert_eq!(names, ["listener", "bad", "late"]);
    for id in [2, 3] {
        let cause = details[&id].cause().unwrap();
        assert_eq!(cause.reason, StopReason::custom("enough"));
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), cancel_line)
        );
    }
    for id in [4, 5] {
        assert_eq!(details[&id].status(), TaskStatus::Panicked);
        assert!(details[&id].cause().is_none());
    }
    for id in [7, 9] {
        let cause = details[&id].cause().unwrap();
        assert_eq!(cause.reason, StopReason::Shutdown);
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), shutdown_line)
        );
    }
    assert_eq!(details[&8].cause().unwrap().reason, StopReason::Requested);
    // By kind, and in the order in which they ended.
    let order: Vec<_> = report.details().map(|d| d.id().as_u64()).collect();
    assert_eq!(order, [4, 5, 2, 3, 8, 7, 9]);
}

fn all_ids(report: &ShutdownReport) -> Vec<TaskId> {
    let kinds = [
        TaskStatus::Completed,
        TaskStatus::Cancelled,
        TaskStatus::NeverStarted,
        TaskStatus::Panicked,
    ];
    kinds
        .into_iter()
        .flat_map(|kind| report.ids(kind))
        .collect()
}

#[test]
fn details_are_limited_and_counts_are_not() {
    for (most, kept) in [(0, 0), (2, 6), (1_000, 90)] {
        let stuck = Stuck::with(1, |builder| builder.report_details(most));
        let never: Vec<_> = (0..30).map(|_| stuck.pool.submit(|_| ())).collect();
        assert!(never.iter().all(|handle| handle.stop_event().set()));
        stuck.release();
        for _ in 0..30 {
            stuck.pool.submit(|_| quiet_panic("x")).wait();
            let handle = stuck.pool.submit(poll);
            handle.wait_started();
            handle.cancel();
            handle.wait();
        }
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(report.details().count(), kept);
        assert_eq!(report.details_left_out(), 90 - kept as u64);
        for status in [
            TaskStatus::Cancelled,
            TaskStatus::Panicked,
            TaskStatus::NeverStarted,
        ] {
            assert_eq!(report.ids(status).count(), 30);
        }
    }
}

#[test]
fn stragglers_are_named_and_have_looked_or_not() {
    let pool = ThreadPool::new(3);
    let gate = Gate::new();
    let inside = Gate::new();
    let deaf = pool.task().name("deaf").submit({
        let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
        move |_| {
            inside.open();
            gate.pass();
        }
    });
    inside.pass();
    let unasked = pool.shutdown_timeout(Shutdown::CancelPending, Duration::ZERO);
    let [straggler] = unasked.stragglers() else {
        panic!("one task is running");
    };
    assert!(straggler.cause().is_none() && !straggler.has_looked());
    gate.open();
    deaf.join().unwrap();

    let pool = ThreadPool::new(2);
    let gate = Gate::new();
    let (sees, looked, inside) = (Arc::clone(&gate), Gate::new(), Gate::new());
    let looking = pool.submit({
        let looked = Arc::clone(&looked);
        move |stop| {
            poll(stop);
            looked.open();
            sees.pass();
        }
    });
    looking.wait_started();
    let deaf = pool.task().name("deaf").submit({
        let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
        move |stop| {
            // Unset polls, and unnoticed ones, are no looks.
            let early = stop.is_set();
            inside.open();
            gate.pass();
            (early, stop.peek())
        }
    });
    inside.pass();
    looking.cancel();
    looked.pass();
    let line = line!() + 1;
    let report = pool.shutdown_timeout(Shutdown::StopAll, Duration::ZERO);
    let [first, second] = report.stragglers() else {
        panic!("two tasks are running: {report:?}");
    };
    assert_eq!((first.id(), second.id()), (looking.id(), deaf.id()));
    assert_eq!((first.name(), second.name()), (None, Some("deaf")));
    assert_eq!((first.has_looked(), second.has_looked()), (true, false));
    assert_eq!(first.cause().unwrap().reason, StopReason::Requested);
    let cause = second.cause().unwrap();
    assert_eq!(cause.reason, StopReason::Shutdown);
    assert_eq!(
        (cause.location.file(), cause.location.line()),
        (file!(), line)
    );
    gate.open();
    assert_eq!(deaf.join().unwrap(), (false, true));
    let report = pool.shutdown(Shutdown::Drain);
    assert!(report.stragglers().is_empty());
    assert_eq!((report.cancelled(), report.completed()), (1, 1));
    assert_eq!(report.completed_though_asked(), 1);
}

/// Whoever is counted as running is named, even in the first moment.
#[test]
fn whoever_is_running_is_named() {
    finishes(|| {
        for _ in 0..500 {
            let pool = ThreadPool::new(1);
            let gate = Gate::new();
            let handle = pool.submit({
                let gate = Arc::clone(&gate);
                move |_| gate.pass()
            });
            until(|| handle.is_running());
            let report = pool.shutdown_timeout(Shutdown::CancelPending, Duration::ZERO);
            let named = report.stragglers().len() as u64;
            let status = report.status_of(handle.id());
            gate.open();
            assert_eq!((report.running(), named), (1, 1));
            assert_eq!(status, Some(TaskStatus::Running));
        }
    });
}

/// A task that waits for another one on the same thread is running too.
#[test]
fn tasks_that_wait_inside_a_worker_are_stragglers_too() {
    let pool = ThreadPool::new(1);
    let (gate, inner_runs) = (Gate::new(), Gate::new());
    let outer = pool.submit({
        let (gate, inner_runs, submitter) =
            (Arc::clone(&gate), Arc::clone(&inner_runs), pool.submitter());
        move |_| {
            let inner = submitter.task().name("inner").submit(move |_| {
                inner_runs.open();
                gate.pass();
            });
            inner.join().unwrap();
        }
    });
    inner_runs.pass();
    assert_eq!((pool.stats().running, pool.stats().pending), (2, 0));
    let report = pool.shutdown_timeout(Shutdown::StopAll, Duration::ZERO);
    let names: Vec<_> = report.stragglers().iter().map(|s| s.name()).collect();
    assert_eq!(names, [None, Some("inner")]);
    gate.open();
    outer.join().unwrap();
    assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 2);
}

// Live

#[test]
fn stats_follow_a_pool_step_by_step() {
    let stuck = Stuck::new(2);
    let mut right = Stats::default();
    let check = |right: Stats| {
        assert_law(right);
        assert_eq!(stuck.pool.stats(), right);
    };
    (right.submitted, right.running) = (2, 2);
    check(right);
    let pending = [(); 3].map(|()| stuck.pool.submit(|_| ()));
    (right.submitted, right.pending) = (5, 3);
    check(right);
    pending[1].cancel();
    (right.pending, right.never_started) = (2, 1);
    check(right);
    // A handle that goes changes nothing.
    drop(pending);
    check(right);
    assert_eq!(stuck.pool.cancel_pending(), 2);
    (right.pending, right.never_started) = (0, 3);
    check(right);
    stuck.release();
    (right.running, right.completed) = (0, 2);
    check(right);
    stuck.pool.submit(|_| quiet_panic("counted")).wait();
    (right.submitted, right.panicked) = (6, 1);
    check(right);
    let handle = stuck.pool.submit(poll);
    handle.wait_started();
    (right.submitted, right.running) = (7, 1);
    check(right);
    handle.cancel();
    handle.wait();
    (right.running, right.cancelled) = (0, 1);
    check(right);
    stuck.pool.begin_shutdown(Shutdown::Drain);
    drop(stuck.pool.submit(|_| ()));
    assert!(stuck.pool.try_submit(|_| ()).is_err());
    right.refused = 2;
    check(right);
    assert_eq!(stuck.pool.shutdown(Shutdown::Drain).stats(), right);
}

#[test]
fn the_law_holds_at_every_instant() {
    // With tasks in store, and with hardly one at a time.
    for wait_for_one_in in [64, 1] {
        sample_the_law(wait_for_one_in);
    }
}

fn sample_the_law(wait_for_one_in: u64) {
    finishes(move || {
        const TASKS: u64 = if cfg!(debug_assertions) {
            10_000
        } else {
            150_000
        };
        let pool = ThreadPool::new(2);
        let ended = AtomicBool::new(false);
        let sampled = Arc::new(AtomicBool::new(false));
        // Runs until it has been sampled once, so that something is.
        let first = pool.submit({
            let sampled = Arc::clone(&sampled);
            move |_| {
                while !sampled.load(SeqCst) {
                    thread::yield_now();
                }
            }
        });
        thread::scope(|scope| {
            let sampler = scope.spawn(|| {
                let mut before = pool.stats();
                while !ended.load(SeqCst) {
                    let now = pool.stats();
                    assert_law(now);
                    assert!(now.running <= 2, "{now:?}");
                    assert!(now.submitted >= before.submitted, "{before:?}, {now:?}");
                    assert!(now.completed >= before.completed, "{before:?}, {now:?}");
                    assert!(now.done() >= before.done(), "{before:?}, {now:?}");
                    if now.running > 0 {
                        sampled.store(true, SeqCst);
                    }
                    before = now;
                }
            });
            let submitters: Vec<_> = (0..2)
                .map(|seed| {
                    let pool = &pool;
                    scope.spawn(move || {
                        let mut dice = Dice::new(seed);
                        for _ in 0..TASKS / 2 {
                            let handle = match dice.below(4) {
                                0 => pool.submit(|_| quiet_panic("now and then")),
                                1 => pool.submit(poll_a_little),
                                _ => pool.submit(|_| ()),
                            };
                            if dice.one_in(3) {
                                handle.cancel();
                            }
                            if dice.one_in(wait_for_one_in) {
                                handle.wait();
                            }
                        }
                    })
                })
                .collect();
            for submitter in submitters {
                submitter.join().unwrap();
            }
            pool.shutdown(Shutdown::Drain);
            ended.store(true, SeqCst);
            sampler.join().unwrap();
        });
        first.join().unwrap();
        assert_eq!(pool.stats().submitted, TASKS + 1);
        assert_eq!(pool.stats().done(), TASKS + 1);
    });
}

fn poll_a_little(stop: &stoppable::StopEvent) {
    let _ = (0..50).any(|_| stop.is_set());
}

/// What a handle has shown is in the counts that are read afterwards.
#[test]
fn stats_are_never_behind_a_handle() {
    finishes(|| {
        const ROUNDS: u64 = if cfg!(debug_assertions) {
            2_000
        } else {
            50_000
        };
        let pool = ThreadPool::new(2);
        let (started, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for seed in 0..2 {
                let (pool, started, ended) = (&pool, &started, &ended);
                scope.spawn(move || {
                    let mut dice = Dice::new(seed);
                    let begun =
                        |stats: Stats| stats.submitted - stats.pending - stats.never_started;
                    for _ in 0..ROUNDS / 2 {
                        let handle = match dice.below(3) {
                            0 => pool.submit(|_| quiet_panic("shown")),
                            1 => pool.submit(poll_a_little),
                            _ => pool.submit(|_| ()),
                        };
                        if dice.one_in(4) && handle.cancel() == CancelOutcome::NeverStarted {
                            let shown = ended.fetch_add(1, SeqCst) + 1;
                            assert!(pool.stats().done() >= shown);
                            continue;
                        }
                        if dice.one_in(2) {
                            until(|| !handle.is_pending());
                        } else {
                            handle.wait_started();
                        }
                        let shown = started.fetch_add(1, SeqCst) + 1;
                        let stats = pool.stats();
                        assert!(begun(stats) >= shown, "{shown} were shown: {stats:?}");
                        until(|| handle.is_done());
                        let shown = ended.fetch_add(1, SeqCst) + 1;
                        let stats = pool.stats();
                        assert!(stats.done() >= shown, "{shown} were shown: {stats:?}");
                    }
                });
            }
        });
        assert_eq!(pool.shutdown(Shutdown::Drain).submitted(), ROUNDS);
    });
}

/// The same for how a task ended: the kind that it shows is counted.
#[test]
fn each_kind_is_counted_before_it_is_shown() {
    let pool = ThreadPool::new(2);
    for n in 1..=1_000 {
        let panicked = pool.submit(|_| quiet_panic("shown"));
        until(|| panicked.is_done());
        assert_eq!(pool.stats().panicked, n);
        let cancelled = pool.submit(poll);
        cancelled.wait_started();
        cancelled.cancel();
        until(|| cancelled.is_done());
        assert_eq!(pool.stats().cancelled, n);
        let completed = pool.submit(|_| ());
        until(|| completed.is_done());
        assert_eq!(pool.stats().completed, n);
    }
}

/// A report made while everything moves is a report all the same.
#[test]
fn reports_that_race_agree_with_themselves() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
            for _ in 0..20 {
                let pool = ThreadPool::new(2);
                let barrier = Barrier::new(2);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        barrier.wait();
                        while pool.try_submit(poll_a_little).is_ok() {}
                    });
                    barrier.wait();
                    let report = pool.shutdown_timeout(mode, Duration::ZERO);
                    assert_law(report.stats());
                    let kinds = [
                        (TaskStatus::Completed, report.completed()),
                        (TaskStatus::Cancelled, report.cancelled()),
                        (TaskStatus::NeverStarted, report.never_started()),
                        (TaskStatus::Panicked, report.panicked()),
                    ];
                    for (kind, count) in kinds {
                        let listed = report.ids(kind).count() as u64;
                        let open = report.pending() + report.running();
                        assert!(listed.abs_diff(count) <= open, "{kind}: {report:?}");
                    }
                });
            }
        }
    });
}

/// Each task submits the next one, so that somebody always begins and somebody ends. A report looks for a moment at
/// which its counts and its lists agree, and among tasks of some microseconds there is one.
#[test]
fn counts_and_names_agree_while_tasks_come_and_go() {
    fn again(submitter: &Submitter, ended: &Arc<AtomicBool>) {
        let (next, until) = (submitter.clone(), Arc::clone(ended));
        let _ = submitter.execute(move |_| {
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(10) {
                std::hint::spin_loop();
            }
            if !until.load(Relaxed) {
                again(&next, &until);
            }
        });
    }
    if is_slow() {
        // Under a checker that makes a report take longer than all of them.
        return;
    }
    finishes(|| {
        let pool = ThreadPool::new(2);
        let ended = Arc::new(AtomicBool::new(false));
        for _ in 0..4 {
            again(&pool.submitter(), &ended);
        }
        let mut wrong = 0;
        for _ in 0..20_000 {
            let report = pool.shutdown_timeout(Shutdown::Drain, Duration::ZERO);
            let named = report.stragglers().len() as u64;
            let pending = report.ids(TaskStatus::Pending).count() as u64;
            wrong += u32::from((named, pending) != (report.running(), report.pending()));
        }
        ended.store(true, Relaxed);
        // On a machine that has no time for us there may be none within its patience.
        assert!(wrong < 40, "{wrong}");
    });
}

#[test]
fn millions_of_tasks_are_counted_exactly() {
    const TASKS: u64 = if cfg!(debug_assertions) {
        200_000
    } else {
        4_200_000
    };
    let pool = ThreadPool::new(2);
    let runs = Arc::new(AtomicU64::new(0));
    for n in 0..TASKS {
        let runs = Arc::clone(&runs);
        let id = pool.execute(move |_| runs.fetch_add(1, SeqCst)).unwrap();
        assert_eq!(id.as_u64(), n);
    }
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!((report.submitted(), report.completed()), (TASKS, TASKS));
    assert_eq!(runs.load(SeqCst), TASKS);
    assert_eq!(report.ids(TaskStatus::Completed).count() as u64, TASKS);
}

// As text

#[test]
fn a_clean_shutdown_is_one_line() {
    let pool = ThreadPool::new(1);
    let empty = ThreadPool::new(1).shutdown(Shutdown::StopAll);
    assert_eq!(empty.to_string(), "pool, stop all: no tasks");
    pool.submit(|_| ()).join().unwrap();
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(report.to_string(), "pool, drain: 1 task, all completed");
    let pool = ThreadPool::builder()
        .threads(1)
        .name("web \"1\"")
        .build()
        .unwrap();
    for _ in 0..3 {
        pool.submit(|_| ()).join().unwrap();
    }
    let report = pool.shutdown(Shutdown::CancelPending);
    let expected = r#"pool "web \"1\"", cancel pending: 3 tasks, all completed"#;
    assert_eq!(report.to_string(), expected);
    let debug = format!("{report:?}");
    assert!(
        debug.contains("completed: 3") && debug.contains("is_final: true"),
        "{debug}"
    );
}

#[test]
fn a_bad_shutdown_is_a_table() {
    let pool = ThreadPool::builder()
        .threads(1)
        .name("index")
        .build()
        .unwrap();
    pool.submit(|_| ()).join().unwrap();
    let deaf = pool.submit(poll_unseen);
    deaf.wait_started();
    deaf.cancel();
    deaf.wait();
    let seen = pool.task().name("scan").submit(poll);
    seen.wait_started();
    seen.cancel();
    seen.wait();
    pool.task().name("bad").submit(|_| quiet_panic("x")).wait();
    let gate = Gate::new();
    let blocker = pool.submit({
        let gate = Arc::clone(&gate);
        move |_| gate.pass()
    });
    blocker.wait_started();
    for _ in 0..12 {
        drop(pool.submit(|_| ()));
    }
    pool.begin_shutdown(Shutdown::CancelPending);
    drop(pool.submit(|_| ()));
    gate.open();
    let report = pool.shutdown(Shutdown::CancelPending);
    let location_of = |status| {
        let mut details = report.details();
        let detail = details.find(|detail| detail.status() == status).unwrap();
        detail.cause().unwrap().location
    };
    let cancelled = location_of(TaskStatus::Cancelled);
    let shut_down = location_of(TaskStatus::NeverStarted);
    let mut expected = format!(
        "pool \"index\", cancel pending: 17 tasks, all ended
  completed       3  (1 although asked to stop)
  cancelled       1
  never started  12
  panicked        1
  refused         1  (not among the submitted)
panicked:
  #3 \"bad\"  x
cancelled:
  #2 \"scan\"  requested at {cancelled}
never started:"
    );
    for id in 5..15 {
        expected += &format!("\n  #{id}  shut down at {shut_down}");
    }
    expected += "\n  and 2 more";
    // How long things took is another matter.
    let text = report.to_string();
    let is_time = |line: &&str| line.starts_with("times ") || line.starts_with("  asked to ");
    assert_eq!(text.lines().filter(is_time).count(), 3, "{text}");
    let lines: Vec<_> = text.lines().filter(|line| !is_time(line)).collect();
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn a_shutdown_with_stragglers_names_them() {
    let pool = ThreadPool::builder().threads(1).name("io").build().unwrap();
    let (gate, inside) = (Gate::new(), Gate::new());
    drop(pool.submit({
        let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
        move |_| {
            inside.open();
            gate.pass();
        }
    }));
    inside.pass();
    let _open = OpenOnDrop(gate);
    drop(pool.submit(|_| ()));
    let report = pool.shutdown_timeout(Shutdown::Drain, Duration::ZERO);
    let expected = "pool \"io\", drain: 2 tasks, 2 not ended yet
  completed      0
  cancelled      0
  never started  0
  panicked       0
  still pending  1
  still running  1
still running:
  #0  was not asked to stop";
    assert_eq!(report.to_string(), expected);
    let report = pool.shutdown_timeout(Shutdown::StopAll, Duration::ZERO);
    let text = report.to_string();
    let (table, last) = text.rsplit_once('\n').unwrap();
    let location = report.stragglers()[0].cause().unwrap().location;
    let expected = format!(
        "pool \"io\", stop all: 2 tasks, 1 not ended yet
  completed      0
  cancelled      0
  never started  1
  panicked       0
  still running  1
never started:
  #1  shut down at {location}
still running:"
    );
    assert_eq!(table, expected);
    // The time is the one thing that is not known.
    let (before, after) = last.split_once(" ago").unwrap();
    assert!(
        before.starts_with("  #0  asked ") && before.ends_with(['s']),
        "{last}"
    );
    assert_eq!(after, " (shut down), has not looked since");
}

/// Reports of a pool whose task submits others meanwhile.
#[test]
fn a_report_has_as_many_ids_as_it_counts() {
    let reports = if is_slow() { 20 } else { 300 };
    finishes(move || {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let task = pool.submit(move |stop| {
            while !stop.is_set() {
                submitter.submit(|_| ()).wait();
            }
        });
        task.wait_started();
        for _ in 0..reports {
            let report = pool.shutdown_timeout(Shutdown::Drain, Duration::ZERO);
            let open = [TaskStatus::Pending, TaskStatus::Running];
            let open: usize = open.map(|it| report.ids(it).count()).iter().sum();
            let listed = (all_ids(&report).len() + open) as u64;
            assert_eq!(
                (listed, 0),
                (report.submitted(), report.refused()),
                "{report:?}"
            );
            // A look at all ids takes longer the more there are, and meanwhile there will be more.
            if listed > 100_000 {
                break;
            }
        }
        task.cancel();
        assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
        pool.shutdown(Shutdown::Drain);
    });
}
