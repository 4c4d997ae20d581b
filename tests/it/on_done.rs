//! Callbacks that hear of a task's end.

use crate::common::{DropCounter, Gate, OnDrop, Stuck, finishes, quiet_panic};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Shutdown, StopEvent, StopReason, TaskHandle, TaskStatus, ThreadPool, current,
};

const SOON: Duration = Duration::from_millis(5);

/// What a task's callback hears, with the thread on which it does.
fn hear<T>(task: &TaskHandle<T>) -> Receiver<(TaskStatus, thread::ThreadId)> {
    let (tell, told) = mpsc::channel();
    task.on_done(move |status| tell.send((status, thread::current().id())).unwrap());
    told
}

/// That it heard this, once.
#[track_caller]
fn heard(told: &Receiver<(TaskStatus, thread::ThreadId)>, expected: TaskStatus) {
    assert_eq!(told.recv().unwrap().0, expected);
    assert!(told.recv().is_err(), "once, and its captures are gone");
}

type End = (TaskStatus, fn(&StopEvent));

const ENDS: [End; 5] = [
    (TaskStatus::Completed, |_| ()),
    (TaskStatus::Completed, |stop| assert!(stop.set())),
    (TaskStatus::Cancelled, |stop| {
        stop.set();
        stop.wait();
    }),
    (TaskStatus::Cancelled, |stop| {
        stop.set();
        stoppable::unwind_if_stopped();
    }),
    (TaskStatus::Panicked, |_| quiet_panic("boom")),
];

type Submit = fn(&ThreadPool, fn(&StopEvent)) -> TaskHandle<()>;

const SUBMITS: [Submit; 4] = [
    |pool, end| pool.submit(end),
    |pool, end| pool.task().name("named").timeout(Duration::MAX).submit(end),
    |pool, end| pool.submit_all([end]).remove(0),
    |pool, end| {
        let group = pool.group();
        let task = group.submit(end);
        // Dropping the group would stop it.
        std::mem::forget(group);
        task
    },
];

#[test]
fn it_hears_once_of_every_end_of_a_task_that_ran() {
    for (status, end) in ENDS {
        for submit in SUBMITS {
            finishes(move || {
                let stuck = Stuck::new(1);
                let task = submit(&stuck.pool, end);
                let before = hear(&task);
                assert!(before.try_recv().is_err());
                stuck.release();
                heard(&before, status);
                task.wait();
                heard(&hear(&task), status);
                let _ = task.outcome();
            });
        }
    }
}

#[test]
fn it_hears_of_tasks_that_never_start() {
    type Doom = fn(&Stuck, &TaskHandle<()>);
    let dooms: [Doom; 7] = [
        |_, task| assert_eq!(task.cancel(), CancelOutcome::NeverStarted),
        |_, task| assert!(task.stop_event().set()),
        |_, task| task.cancel_after(SOON),
        |stuck, _| assert_eq!(stuck.pool.cancel_pending(), 1),
        |stuck, _| stuck.pool.begin_shutdown(Shutdown::CancelPending),
        |stuck, _| stuck.pool.begin_shutdown(Shutdown::StopAll),
        |stuck, _| assert!(stuck.pool.stop_event().set()),
    ];
    for doom in dooms {
        for submit in SUBMITS {
            finishes(move || {
                let stuck = Stuck::new(1);
                let task = submit(&stuck.pool, |_| unreachable!("it never starts"));
                let told = hear(&task);
                doom(&stuck, &task);
                // While the worker is stuck.
                heard(&told, TaskStatus::NeverStarted);
                heard(&hear(&task), TaskStatus::NeverStarted);
            });
        }
    }
}

#[test]
fn it_hears_of_limits_of_the_task() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let under = StopEvent::new();
        let late = stuck.pool.task().start_before(Instant::now() + SOON);
        let late = late.submit(|_| ());
        let late = hear(&late);
        let stopped = stuck.pool.task().stop_with(&under).submit(|_| ());
        let stopped = hear(&stopped);
        under.set();
        heard(&stopped, TaskStatus::NeverStarted);
        heard(&late, TaskStatus::NeverStarted);
        stuck.release();
        let timed = stuck.pool.task().timeout(SOON).submit(StopEvent::wait);
        heard(&hear(&timed), TaskStatus::Cancelled);
    });
}

#[test]
fn of_a_refused_task_it_hears_at_once() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        pool.shutdown(Shutdown::Drain);
        let told = hear(&pool.submit(|_| ()));
        let here = thread::current().id();
        assert_eq!(told.try_recv(), Ok((TaskStatus::NeverStarted, here)));
    });
}

#[test]
fn a_dropped_handle_and_a_dropped_pool_do_not_keep_it_from_hearing() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let task = stuck.pool.submit(|_| ());
        let detached = hear(&task);
        drop(task);
        stuck.release();
        heard(&detached, TaskStatus::Completed);

        let stuck = Stuck::new(1);
        let task = stuck.pool.submit(|_| ());
        let pending = hear(&task);
        // The gate is opened first, so it may begin yet.
        drop(stuck);
        let status = task.status();
        assert!(status.is_done());
        heard(&pending, status);
    });
}

#[test]
fn it_runs_on_the_thread_that_ended_the_task() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let pool = &stuck.pool;
        let run = pool.submit(|_| thread::current().id());
        let cancelled = pool.submit(|_| ());
        let (ran, never_ran) = (hear(&run), hear(&cancelled));
        let canceller = thread::spawn({
            let canceller = cancelled.canceller();
            move || {
                canceller.cancel();
                let heard = never_ran.try_recv().unwrap();
                (heard.1, thread::current().id())
            }
        });
        let (heard, own) = canceller.join().unwrap();
        assert_eq!(heard, own, "before the cancel returned");
        stuck.release();
        let heard = ran.recv().unwrap().1;
        assert_eq!(heard, run.join().unwrap());
        let done = pool.submit(|_| ());
        done.wait();
        let told = hear(&done);
        assert_eq!(told.try_recv().unwrap().1, thread::current().id());
    });
}

#[test]
fn several_hear_in_the_order_in_which_they_were_added() {
    finishes(|| {
        for by_cancel in [false, true] {
            let stuck = Stuck::new(1);
            let task = stuck.pool.submit(|_| ());
            let log = Arc::new(Mutex::new(Vec::new()));
            for n in 0..100 {
                let log = Arc::clone(&log);
                task.on_done(move |_| {
                    log.lock().unwrap().push(n);
                    if n % 7 == 0 {
                        quiet_panic("one of them");
                    }
                });
                // Others that wait, and do no more, are no matter.
                assert!(!task.wait_timeout(Duration::from_nanos(1)));
            }
            if by_cancel {
                task.cancel();
            }
            stuck.release();
            drop(stuck);
            let log = log.lock().unwrap();
            assert_eq!(*log, (0..100).collect::<Vec<_>>());
        }
    });
}

/// Who waits for the task does not wait for anybody's code.
#[test]
fn who_waits_is_told_before_it_is_called() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for _ in 0..20 {
            let (end, waited) = (Gate::new(), Gate::new());
            let task = pool.submit({
                let end = Arc::clone(&end);
                move |_| end.pass()
            });
            task.on_done({
                let waited = Arc::clone(&waited);
                move |_| waited.pass()
            });
            thread::scope(|threads| {
                let waiter = threads.spawn(|| {
                    task.wait();
                    waited.open();
                });
                // Long enough for it to wait.
                (0..200).for_each(|_| thread::yield_now());
                end.open();
                // A join is what ThreadSanitizer understands; the end of a scope is not.
                waiter.join().unwrap();
            });
        }
    });
}

#[test]
fn panics_in_it_and_in_its_drops_are_contained() {
    type Bad = fn(&TaskHandle<()>);
    let bads: [Bad; 3] = [
        |task| task.on_done(|_| quiet_panic("in it")),
        |task| {
            let captured = OnDrop(|| quiet_panic("in the drop of a capture"));
            task.on_done(move |_| drop(captured));
        },
        |task| {
            task.on_done(|_| {
                let payload = OnDrop(|| quiet_panic("in the drop of the payload"));
                resume_unwind(Box::new(payload));
            });
        },
    ];
    for bad in bads {
        finishes(move || {
            let stuck = Stuck::new(1);
            let pool = &stuck.pool;
            let tasks = [(); 2].map(|()| pool.submit(|_| ()));
            let told = tasks.each_ref().map(|task| {
                bad(task);
                let told = hear(task);
                bad(task);
                told
            });
            assert_eq!(tasks[1].cancel(), CancelOutcome::NeverStarted);
            heard(&told[1], TaskStatus::NeverStarted);
            stuck.release();
            heard(&told[0], TaskStatus::Completed);
            tasks[0].wait();
            // At once, too.
            bad(&tasks[0]);
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!((report.completed(), report.panicked()), (2, 0));
            assert_eq!(report.never_started(), 1);
        });
    }
}

/// The end is there for all to see, and counted, by the time that anyone hears of it.
#[test]
fn what_it_hears_is_so() {
    for (status, end) in ENDS {
        finishes(move || {
            let stuck = Stuck::new(1);
            let (tell, told) = mpsc::channel();
            let task = Arc::new(stuck.pool.submit(end));
            let submitter = stuck.pool.submitter();
            let canceller = task.canceller();
            task.on_done({
                let task = Arc::downgrade(&task);
                move |heard| {
                    let task = task.upgrade().unwrap();
                    assert_eq!(heard, task.status());
                    assert!(task.is_done() && task.wait_timeout(Duration::ZERO));
                    task.wait();
                    let done = CancelOutcome::AlreadyDone(heard);
                    assert_eq!((task.cancel(), canceller.cancel()), (done, done));
                    let inner = Arc::into_inner(task);
                    tell.send((inner, submitter)).unwrap();
                }
            });
            stuck.release();
            // It asserts in vain, as it is contained, but then it tells nothing.
            let (inner, submitter) = told.recv().unwrap();
            assert!(inner.is_none());
            drop(submitter);
            let stats = stuck.pool.stats();
            let ended = match status {
                TaskStatus::Completed => stats.completed - 1,
                TaskStatus::Cancelled => stats.cancelled,
                _ => stats.panicked,
            };
            assert_eq!(ended, 1);
            let task = Arc::into_inner(task).unwrap();
            assert_eq!(task.outcome().status(), status);
        });
    }
}

#[test]
fn it_may_use_the_pool_and_other_tasks() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let (tell, told) = mpsc::channel();
        let first = stuck.pool.submit(|_| ());
        let second = stuck.pool.submit(|_| ());
        let third = stuck.pool.submit(|_| 3);
        let submitter = stuck.pool.submitter();
        first.on_done(move |_| {
            // It runs what it joins, as a task would.
            assert_eq!(third.join().unwrap(), 3);
            assert_eq!(second.cancel(), CancelOutcome::NeverStarted);
            let inner = submitter.submit(|_| 4);
            let tell_more = tell.clone();
            inner.on_done(move |status| tell_more.send(("inner", status)).unwrap());
            assert_eq!(inner.join().unwrap(), 4);
            let tell_late = tell.clone();
            second.on_done(move |status| tell_late.send(("late", status)).unwrap());
            tell.send(("first", TaskStatus::Completed)).unwrap();
        });
        stuck.release();
        assert_eq!(
            told.iter().collect::<Vec<_>>(),
            [
                ("inner", TaskStatus::Completed),
                ("late", TaskStatus::NeverStarted),
                ("first", TaskStatus::Completed)
            ]
        );
    });
}

/// One that is added in another, to the same task, which has ended.
#[test]
fn one_that_is_added_in_another_runs_at_once() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let (tell, told) = mpsc::channel();
        let task = Arc::new(stuck.pool.submit(|_| ()));
        let later = tell.clone();
        task.on_done({
            let task = Arc::clone(&task);
            move |_| {
                let inner = tell.clone();
                task.on_done(move |_| inner.send(2).unwrap());
                tell.send(1).unwrap();
            }
        });
        task.on_done(move |_| later.send(3).unwrap());
        stuck.release();
        assert_eq!(told.iter().collect::<Vec<_>>(), [2, 1, 3]);
    });
}

/// It is a part of no task: neither of the one that ended, nor of the one that cancelled that.
#[test]
fn what_it_polls_is_seen_by_no_task() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (tell, told) = mpsc::channel();
        let submitter = pool.submitter();
        let outer = pool.submit(move |stop| {
            let pending = submitter.submit(|_| ());
            let given = stop.clone();
            pending.on_done(move |_| {
                tell.send((given.is_set(), current().is_set(), current().set()))
                    .unwrap();
            });
            stop.set();
            pending.cancel();
        });
        assert_eq!(outer.outcome().status(), TaskStatus::Completed);
        assert_eq!(told.recv().unwrap(), (true, false, false));

        let pool = ThreadPool::new(1);
        let (give, given) = mpsc::channel::<StopEvent>();
        let gate = Gate::new();
        let task = pool.submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                give.send(stop.clone()).unwrap();
                gate.pass();
            }
        });
        let stop = given.recv().unwrap();
        let (tell, told) = mpsc::channel();
        task.on_done(move |status| tell.send((status, stop.is_set())).unwrap());
        task.cancel();
        gate.open();
        assert_eq!(told.recv().unwrap(), (TaskStatus::Completed, true));
    });
}

#[test]
fn its_captures_are_dropped_once() {
    finishes(|| {
        let drops = DropCounter::new();
        let add = |task: &TaskHandle<()>| {
            let token = drops.token();
            task.on_done(move |_| {
                let _token = &token;
            });
        };
        let stuck = Stuck::new(1);
        let tasks: Vec<_> = (0..10).map(|_| stuck.pool.submit(|_| ())).collect();
        tasks.iter().for_each(add);
        tasks.iter().for_each(add);
        assert_eq!(drops.count(), 0);
        for task in &tasks[5..] {
            task.cancel();
        }
        assert_eq!(drops.count(), 10, "with the call");
        stuck.release();
        tasks.iter().for_each(TaskHandle::wait);
        stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(drops.count(), 20);
        tasks.iter().for_each(add);
        assert_eq!(drops.count(), 30);
        drop(tasks);
        drop(stuck);
        assert_eq!(drops.count(), 30);
    });
}

#[test]
fn a_shutdown_returns_after_the_calls() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
            let stuck = Stuck::new(2);
            let count = Arc::new(AtomicUsize::new(0));
            for n in 0..200 {
                let task = stuck.pool.submit(|_| ());
                let count = Arc::clone(&count);
                task.on_done(move |_| {
                    if n % 10 == 0 {
                        thread::yield_now();
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                });
            }
            stuck.pool.begin_shutdown(mode);
            stuck.release();
            stuck.pool.shutdown(mode);
            assert_eq!(count.load(Ordering::SeqCst), 200, "{mode}");
        }
    });
}

/// Whoever is first, it hears once.
#[test]
fn additions_against_ends() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for n in 0..3_000 {
            let begin = Arc::new(Barrier::new(2));
            let task = pool.submit({
                let begin = Arc::clone(&begin);
                move |_| {
                    begin.wait();
                }
            });
            let count = Arc::new(AtomicUsize::new(0));
            let add = || {
                let count = Arc::clone(&count);
                task.on_done(move |_| {
                    count.fetch_add(1, Ordering::SeqCst);
                });
            };
            if n % 2 == 0 {
                add();
            }
            begin.wait();
            add();
            add();
            task.wait();
            // The worker may be in the middle of the calls.
            pool.submit(|_| ()).wait();
            assert_eq!(count.load(Ordering::SeqCst), if n % 2 == 0 { 3 } else { 2 });
        }
    });
}

#[test]
fn cancels_against_starts_are_heard_of_once() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (mut ran, mut never) = (0, 0);
        for _ in 0..2_000 {
            let begin = Arc::new(Barrier::new(2));
            let blocker = pool.submit({
                let begin = Arc::clone(&begin);
                move |_| {
                    begin.wait();
                }
            });
            let task = pool.submit(|_| ());
            let told = hear(&task);
            begin.wait();
            task.cancel();
            let status = told.recv().unwrap().0;
            assert!(told.recv().is_err());
            match status {
                TaskStatus::NeverStarted => never += 1,
                _ => ran += 1,
            }
            assert_eq!(task.outcome().status(), status);
            blocker.wait();
        }
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.never_started(), never);
        assert_eq!(report.completed(), ran + 2_000);
    });
}

#[test]
fn a_handle_that_cancels_on_drop_lends_it() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let task = stuck.pool.submit(|_| ()).cancel_on_drop();
        let told = hear(&task);
        let event = task.stop_event();
        drop(task);
        heard(&told, TaskStatus::NeverStarted);
        assert_eq!(event.reason(), Some(StopReason::Dropped));
    });
}
