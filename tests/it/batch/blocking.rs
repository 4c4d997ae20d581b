//! Tasks of a batch that wait for one another, while a worker has many of them in its hand.

use super::{Log, MANY, lengthen_runs};
use crate::common::{Gate, Stuck, finishes, until};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopEvent, Submitter, TaskError, TaskHandle, TaskStatus,
    ThreadPool,
};

/// A batch of short tasks, of which the one at `at` waits until one that is `behind` it has run.
fn wait_for_a_later_one(pool: &ThreadPool, len: usize, at: usize, behind: usize) {
    let gate = Gate::new();
    let handles = pool.submit_all((0..len).map(|n| {
        let gate = (n == at || n == at + behind).then(|| Arc::clone(&gate));
        move |_: &StopEvent| match gate {
            Some(gate) if n == at => gate.pass(),
            Some(gate) => gate.open(),
            None => {}
        }
    }));
    for handle in handles {
        handle.join().unwrap();
    }
}

#[test]
fn a_task_that_waits_does_not_hold_up_those_behind_it() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for at in [0, 1, 2, 5, 31, 32, 33, 61, 62, 63, 64, 127, 300, 500, 511] {
            for behind in [1, 2, 3, 17, 63, 64, 65, 200] {
                wait_for_a_later_one(&pool, at + behind + 1, at, behind);
                wait_for_a_later_one(&pool, 800, at, behind);
            }
        }
    });
}

/// The same behind so many short ones that runs have become as long as they get.
#[test]
fn nor_after_ten_thousand_short_ones() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let rounds = if cfg!(debug_assertions) { 10 } else { 60 };
        for round in 0..rounds {
            let (at, behind) = (10_000 + round * 7, 1 + round % 70);
            wait_for_a_later_one(&pool, at + behind + 1 + round % 3, at, behind);
        }
    });
}

/// The worker that has a run in its hand waits, and the one that can take it back comes later: it was
/// stuck elsewhere, or asleep.
#[test]
fn a_worker_that_comes_free_takes_over_what_another_one_holds() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) { 100 } else { 1_000 };
        let pool = ThreadPool::new(2);
        for round in 0..rounds {
            let elsewhere = Gate::new();
            let stuck = pool.submit({
                let elsewhere = Arc::clone(&elsewhere);
                move |_| elsewhere.pass()
            });
            stuck.wait_started();
            lengthen_by(&pool, 300);
            let gate = Gate::new();
            let opener = [3, 4, 20, 40, 63][round % 5];
            let handles = pool.submit_all((0..64).map(|n| {
                let gate = Arc::clone(&gate);
                move |_: &StopEvent| match n {
                    2 => gate.pass(),
                    n if n == opener => gate.open(),
                    _ => {}
                }
            }));
            if round % 2 == 0 {
                // Only then.
                handles[2].wait_started();
            }
            elsewhere.open();
            for handle in handles {
                handle.join().unwrap();
            }
            if round % 50 == 0 {
                // Long enough for the workers to go to sleep.
                until(|| pool.stats().running == 0);
                (0..50).for_each(|_| std::thread::yield_now());
            }
        }
    });
}

fn lengthen_by(pool: &ThreadPool, len: usize) {
    for handle in pool.submit_all((0..len).map(|_| |_: &StopEvent| ())) {
        handle.join().unwrap();
    }
}

/// A worker is in the middle of a long task, and has the rest of its run in its hand. The other one takes what was
/// submitted later, of which there is no end: those behind the long task have their turn all the same.
#[test]
fn those_behind_a_long_task_come_before_too_many_later_ones() {
    /// Runs another one after itself, until those behind the long task have run; counts.
    fn one_more(submitter: &Submitter, behind: &Arc<Gate>, later: &Arc<AtomicUsize>) {
        if behind.is_open() || later.fetch_add(1, SeqCst) == TOO_MANY {
            return;
        }
        let (next, behind, later) = (submitter.clone(), Arc::clone(behind), Arc::clone(later));
        drop(submitter.submit(move |_| one_more(&next, &behind, &later)));
    }
    const TOO_MANY: usize = 1_000;

    finishes(|| {
        for at in 2_000..2_020 {
            let pool = ThreadPool::new(2);
            // Each of the workers is the one that takes the batch, in turn.
            let gates = [Gate::new(), Gate::new()];
            for gate in gates.clone() {
                pool.submit(move |_| gate.pass()).wait_started();
            }
            gates[at % 2].open();
            // One worker takes all of it, and more and more at once.
            let behind = Gate::new();
            let handles = pool.submit_all((0..at + 64).map(|n| {
                let behind = Arc::clone(&behind);
                move |_: &StopEvent| match n {
                    n if n == at => behind.pass(),
                    n if n == at + 1 => behind.open(),
                    _ => {}
                }
            }));
            handles[at].wait_started();
            let later = Arc::new(AtomicUsize::new(0));
            one_more(&pool.submitter(), &behind, &later);
            gates[1 - at % 2].open();
            handles.into_iter().for_each(|it| it.join().unwrap());
            let later = later.load(SeqCst);
            assert!(later < 100, "{later} later ones came first");
        }
    });
}

/// As many tasks as there are workers meet at a barrier, wherever in the batch they are: so each
/// worker gets one of them, though one had them all in its hand.
#[test]
fn every_worker_gets_one_of_those_that_meet() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) { 100 } else { 500 };
        for threads in [2, 3, 4] {
            let pool = ThreadPool::new(threads);
            lengthen_runs(&pool);
            for round in 0..rounds {
                let barrier = Arc::new(Barrier::new(threads));
                let from = round % 130;
                let handles = pool.submit_all((0..MANY).map(|n| {
                    let meets = (from..from + threads).contains(&n);
                    let barrier = meets.then(|| Arc::clone(&barrier));
                    move |_: &StopEvent| barrier.is_some_and(|it| it.wait().is_leader())
                }));
                let leaders = handles.into_iter().map(|it| it.join().unwrap());
                assert_eq!(leaders.filter(|leads| *leads).count(), 1);
            }
        }
    });
}

/// And though those that do not meet are cancelled, or run by others that join them.
#[test]
fn what_is_cancelled_meanwhile_is_passed_over() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for round in 0..if cfg!(debug_assertions) { 100 } else { 1_000 } {
            let gate = Gate::new();
            let handles = pool.submit_all((0..MANY).map(|n| {
                let gate = Arc::clone(&gate);
                move |_: &StopEvent| match n {
                    20 => gate.pass(),
                    150 => gate.open(),
                    _ => {}
                }
            }));
            let (mut never, mut completed) = (0, 0);
            for n in (round % 7..MANY).step_by(2) {
                if n != 20 && n != 150 {
                    never += usize::from(handles[n].cancel() == CancelOutcome::NeverStarted);
                }
            }
            for handle in handles {
                completed += usize::from(handle.outcome().status() == TaskStatus::Completed);
            }
            assert_eq!(never + completed, MANY);
        }
    });
}

// Joins inside

/// A batch in which each task is sent handles of others, before any of them starts.
fn linked<T: Send + 'static>(
    stuck: &Stuck,
    len: usize,
    task: impl Fn(usize, Vec<TaskHandle<T>>) -> T + Send + Sync + 'static,
    joins: impl Fn(usize) -> Option<usize>,
) -> Vec<Option<TaskHandle<T>>> {
    let task = Arc::new(task);
    let mut tellers = Vec::new();
    let closures: Vec<_> = (0..len)
        .map(|n| {
            let (tell, told) = mpsc::channel();
            tellers.push(tell);
            let task = Arc::clone(&task);
            move |_: &StopEvent| task(n, told.iter().collect())
        })
        .collect();
    let mut handles: Vec<_> = stuck
        .pool
        .submit_all(closures)
        .into_iter()
        .map(Some)
        .collect();
    // Each is joined by one at most.
    for (n, tell) in tellers.into_iter().enumerate() {
        if let Some(handle) = joins(n).and_then(|other| handles[other].take()) {
            tell.send(handle).unwrap();
        }
    }
    handles
}

/// On one worker, the later one runs inside, once, and the worker passes over it when it comes there.
#[test]
fn a_task_joins_a_later_one_of_its_batch_on_one_worker() {
    finishes(|| {
        for (at, other) in [(0, 1), (0, 63), (3, 5), (3, 64), (70, MANY - 1), (62, 63)] {
            let stuck = Stuck::new(1);
            let log = Log::default();
            let logged = log.clone();
            let task = move |n, told: Vec<TaskHandle<usize>>| {
                let inner: usize = told.into_iter().map(|it| it.join().unwrap()).sum();
                logged.add(n);
                n + inner
            };
            let handles = linked(&stuck, MANY, task, |n| (n == at).then_some(other));
            stuck.release();
            for (n, handle) in handles.into_iter().enumerate() {
                match handle {
                    Some(handle) => {
                        let inner = if n == at { other } else { 0 };
                        assert_eq!(handle.join().unwrap(), n + inner);
                    }
                    None => assert_eq!(n, other),
                }
            }
            let mut expected: Vec<_> = (0..MANY).filter(|n| *n != other).collect();
            expected.insert(at, other);
            assert_eq!(log.numbers(), expected);
            let report = stuck.pool.shutdown(Shutdown::Drain);
            assert_eq!(report.completed(), MANY as u64 + 1);
        }
    });
}

#[test]
fn every_wait_inside_runs_a_later_one_of_the_batch() {
    finishes(|| {
        let waits: [fn(TaskHandle<usize>) -> usize; 4] = [
            |it| it.join().unwrap(),
            |it| it.outcome().completed().unwrap(),
            |it| {
                it.wait();
                it.try_join().unwrap().unwrap()
            },
            |it| {
                it.wait_started();
                it.join().unwrap()
            },
        ];
        for wait in waits {
            let stuck = Stuck::new(1);
            let task = move |n, told: Vec<_>| n + told.into_iter().map(wait).sum::<usize>();
            let mut handles = linked(&stuck, 10, task, |n| (n == 2).then_some(7));
            stuck.release();
            assert_eq!(handles[2].take().unwrap().join().unwrap(), 9);
        }
    });
}

/// Each joins the one before it, which has run, or the next one, which has not: the whole batch is
/// one chain of nested calls.
#[test]
fn a_chain_of_joins_across_a_batch() {
    let len = if cfg!(debug_assertions) {
        3_000
    } else {
        10_000
    };
    finishes(move || {
        for threads in [1, 2, 4] {
            for forward in [true, false] {
                let stuck = Stuck::new(threads);
                let task = |_, told: Vec<TaskHandle<usize>>| {
                    1 + told.into_iter().map(|it| it.join().unwrap()).sum::<usize>()
                };
                let joins = |n: usize| match forward {
                    true => (n + 1 < len).then_some(n + 1),
                    false => n.checked_sub(1),
                };
                let handles = linked(&stuck, len, task, joins);
                stuck.release();
                let mut ends = handles.into_iter().flatten();
                assert_eq!(ends.next().unwrap().join().unwrap(), len);
                assert!(ends.next().is_none());
                let report = stuck.pool.shutdown(Shutdown::Drain);
                assert_eq!(report.completed(), (len + threads) as u64);
            }
        }
    });
}

/// Whom they join is all over the batch, and always later: so there is no circle.
#[test]
fn joins_criss_cross_through_a_batch() {
    finishes(|| {
        for threads in [1, 2, 3] {
            for step in [1, 2, 3, 50, 64, 65, 150] {
                let stuck = Stuck::new(threads);
                let task = |_, told: Vec<TaskHandle<usize>>| {
                    1 + told.into_iter().map(|it| it.join().unwrap()).sum::<usize>()
                };
                let joins = |n| (n + step < MANY).then_some(n + step);
                let handles = linked(&stuck, MANY, task, joins);
                stuck.release();
                let heads: Vec<_> = handles.into_iter().flatten().collect();
                assert_eq!(heads.len(), step);
                for (n, head) in heads.into_iter().enumerate() {
                    assert_eq!(head.join().unwrap(), (MANY - n).div_ceil(step));
                }
            }
        }
    });
}

#[test]
fn a_circle_in_a_batch_is_refused() {
    finishes(|| {
        for threads in [1, 2, 3] {
            for (a, b) in [(3, 3), (3, 4), (3, 70), (100, 101)] {
                let stuck = Stuck::new(threads);
                let errors: Arc<Mutex<Vec<TaskError>>> = Arc::default();
                let say = Arc::clone(&errors);
                let task = move |_, told: Vec<TaskHandle<()>>| {
                    for result in told.into_iter().map(TaskHandle::join) {
                        say.lock().unwrap().extend(result.err());
                    }
                };
                let joins = |n| match n {
                    n if n == a => Some(b),
                    n if n == b => Some(a),
                    _ => None,
                };
                drop(linked(&stuck, MANY, task, joins));
                stuck.release();
                let report = stuck.pool.shutdown(Shutdown::Drain);
                assert_eq!(report.completed(), (MANY + threads) as u64);
                let errors = errors.lock().unwrap();
                let [error] = &errors[..] else {
                    panic!("one of them closes the circle: {errors:?}");
                };
                assert!(error.is_would_deadlock());
                let id = error.id().as_u64() as usize - threads;
                assert!(id == a || id == b);
            }
        }
    });
}

/// While a task waits inside its worker it is running, and so is the one that it waits for; nobody
/// else is, though the worker has more in its hand.
#[test]
fn who_waits_inside_is_a_straggler_and_so_is_whom_it_waits_for() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let (gate, started) = (Gate::new(), Gate::new());
        let (pass, tell) = (Arc::clone(&gate), Arc::clone(&started));
        let task = move |n, told: Vec<TaskHandle<()>>| {
            if n == 90 {
                tell.open();
                pass.pass();
            }
            told.into_iter().for_each(|it| it.join().unwrap());
        };
        let handles = linked(&stuck, MANY, task, |n| match n {
            5 => Some(80),
            80 => Some(90),
            _ => None,
        });
        let _open = crate::common::OpenOnDrop(Arc::clone(&gate));
        stuck.release();
        started.pass();
        let zero = std::time::Duration::ZERO;
        let report = stuck.pool.shutdown_timeout(Shutdown::Drain, zero);
        let mut right = vec![TaskStatus::Completed; 6];
        right.resize(MANY + 1, TaskStatus::Pending);
        for n in [5, 80, 90] {
            right[n + 1] = TaskStatus::Running;
        }
        super::assert_report(&report, &right);
        let stragglers = report.stragglers().iter().map(|it| it.id().as_u64());
        assert_eq!(stragglers.collect::<Vec<_>>(), [6, 81, 91]);
        gate.open();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(report.completed(), MANY as u64 + 1);
        drop(handles);
    });
}

/// Workers that join at random what others may take, while somebody cancels: each task runs once at
/// most, and everyone who joins it hears of it.
#[test]
fn joins_inside_race_workers_and_cancels() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) { 20 } else { 200 };
        for threads in [1, 2, 3] {
            let stuck = Stuck::new(threads);
            stuck.release();
            let (runs, never) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
            for _ in 0..rounds {
                let ran = Arc::clone(&runs);
                let task = move |_, told: Vec<TaskHandle<()>>| {
                    ran.fetch_add(1, SeqCst);
                    for handle in told {
                        match handle.outcome() {
                            Outcome::Completed(()) | Outcome::NeverStarted(_) => {}
                            other => panic!("nobody looks at its stop: {other:?}"),
                        }
                    }
                };
                let mut cancellers = Vec::new();
                let handles = linked(&stuck, 300, task, |n| (n + 7 < 300).then_some(n + 7));
                cancellers.extend(handles.iter().flatten().map(TaskHandle::canceller));
                for canceller in cancellers {
                    let cancelled = canceller.cancel() == CancelOutcome::NeverStarted;
                    never.fetch_add(usize::from(cancelled), SeqCst);
                }
                for handle in handles.into_iter().flatten() {
                    handle.wait();
                }
            }
            let report = stuck.pool.shutdown(Shutdown::Drain);
            assert_eq!(report.never_started(), never.load(SeqCst) as u64);
            assert_eq!(report.completed(), (runs.load(SeqCst) + threads) as u64);
            assert_eq!(report.submitted(), (rounds * 300 + threads) as u64);
        }
    });
}

/// Tasks of batches submit batches and join them.
#[test]
fn a_tree_of_batches_ends_on_any_number_of_threads() {
    fn grow(submitter: &Submitter, depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let handles = submitter.submit_all((0..5).map(|_| {
            let submitter = submitter.clone();
            move |_: &StopEvent| grow(&submitter, depth - 1)
        }));
        // The last ones first: these have most likely not started.
        let joined = handles.into_iter().rev().map(|it| it.join().unwrap());
        1 + joined.sum::<u64>()
    }
    finishes(|| {
        for threads in [1, 2, 4] {
            let pool = ThreadPool::new(threads);
            let expected = (0..=5).map(|depth| 5_u64.pow(depth)).sum::<u64>();
            let submitter = pool.submitter();
            let root = pool.submit(move |_| grow(&submitter, 5));
            assert_eq!(root.join().unwrap(), expected);
            assert_eq!(pool.shutdown(Shutdown::Drain).completed(), expected);
        }
    });
}

/// However many a worker has in its hand, no more run at once than there are threads.
#[test]
fn never_more_than_so_many_run_at_once() {
    finishes(|| {
        for threads in [1, 2, 3] {
            let pool = ThreadPool::new(threads);
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            for round in 0..20 {
                drop(pool.submit_all((0..300).map(|n| {
                    let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                    move |_: &StopEvent| {
                        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                        if n % 97 == round {
                            std::thread::yield_now();
                        }
                        now.fetch_sub(1, SeqCst);
                    }
                })));
            }
            pool.shutdown(Shutdown::Drain);
            assert!((1..=threads).contains(&most.load(SeqCst)));
        }
    });
}

/// Two tasks come in at once while the last worker that looks for one is about to sleep. They wait for
/// each other, so both workers have to be told.
#[test]
fn a_batch_that_races_a_worker_going_to_sleep_is_started_whole() {
    finishes(|| {
        let rounds: usize = if cfg!(debug_assertions) {
            10_000
        } else {
            100_000
        };
        let pool = ThreadPool::new(2);
        let barrier = Arc::new(Barrier::new(2));
        for round in 0..rounds {
            // A worker looks for some microseconds before it sleeps: come at every moment of that.
            for _ in 0..round % 2_000 {
                std::hint::spin_loop();
            }
            let handles = pool.submit_all([(); 2].map(|()| {
                let barrier = Arc::clone(&barrier);
                move |_: &StopEvent| {
                    barrier.wait();
                }
            }));
            for handle in handles {
                handle.join().unwrap();
            }
        }
    });
}
