//! Tasks and pools.

use super::{ALIVE, LARGE, LARGEST, MIB, SMALL, Test, growth, restart, rounds, stuck};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;
use stoppable::{CancelOutcome, PendingTask, Shutdown, StopEvent, TaskHandle, ThreadPool};

pub(crate) const TESTS: &[Test] = tests![
    cancel_and_resubmit_holds_a_bounded_amount,
    cancel_and_resubmit_among_others_holds_a_bounded_amount,
    a_cancelled_task_frees_what_it_held,
    a_submitted_task_is_one_allocation_of_at_most_112_bytes,
    tasks_take_the_memory_of_earlier_ones,
    executed_tasks_leave_nothing_behind,
    tasks_joined_from_inside_leave_nothing_behind,
    joins_inside_that_sleep_leave_nothing_behind,
    a_dropped_pool_leaves_nothing,
    scopes_leave_nothing_behind,
    groups_leave_nothing_behind,
    a_task_without_a_pool_is_one_allocation_of_at_most_96_bytes,
    tasks_without_a_pool_leave_nothing_behind_however_they_end,
    groups_of_a_pool_that_was_stopped_leave_nothing_behind,
    wakers_that_cannot_be_cloned_leave_nothing_behind,
];

fn cancel_and_resubmit_holds_a_bounded_amount() {
    let rounds = rounds(300_000, 10_000_000);
    let stuck = stuck();
    let pool = &stuck.pool;
    let (peak, _) = growth(|| {
        for n in 0..rounds {
            let big = [n; 8];
            let task = pool.submit(move |_| big);
            assert_eq!(task.cancel(), CancelOutcome::NeverStarted);
        }
    });
    // Half a byte a task for how it ended, details of a thousand, and a few hundred husks.
    let most = MIB + rounds;
    assert!(
        peak < most && peak < 64 * MIB,
        "{peak} bytes for {rounds} rounds"
    );
    stuck.release();
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(report.never_started(), rounds as u64);
}

/// The same with others in the queue, before and behind, which stay.
fn cancel_and_resubmit_among_others_holds_a_bounded_amount() {
    let rounds = rounds(200_000, 2_000_000);
    let stuck = stuck();
    let pool = &stuck.pool;
    let others: Vec<_> = (0..2_000).map(|_| pool.submit(|_| ())).collect();
    let (peak, _) = growth(|| {
        let mut last: Option<TaskHandle<u64>> = None;
        for n in 0..rounds as u64 {
            let task = pool.submit(move |_| n);
            // Some through the event, and the one before, so that one is always pending.
            if let Some(task) = last.replace(task) {
                if n % 2 == 0 {
                    task.cancel();
                } else {
                    assert!(task.stop_event().set());
                }
            }
        }
    });
    assert!(peak < 2 * MIB + rounds, "{peak} bytes for {rounds} rounds");
    stuck.release();
    for other in others {
        other.join().unwrap();
    }
}

/// What a cancelled task had captured is gone, though its husk may still be in the queue.
fn a_cancelled_task_frees_what_it_held() {
    let stuck = stuck();
    let pool = &stuck.pool;
    let (peak, stayed) = growth(|| {
        for _ in 0..200 {
            let block = vec![0_u8; MIB];
            let task = pool.submit(move |_| block.len());
            task.cancel();
        }
    });
    assert!(peak < 3 * MIB, "{peak}");
    assert!(stayed < MIB / 2, "{stayed}");
    stuck.release();
}

fn a_submitted_task_is_one_allocation_of_at_most_112_bytes() {
    let count = 10_000;
    let stuck = stuck();
    let pool = &stuck.pool;
    let mut handles = Vec::with_capacity(count);
    restart();
    let before = ALIVE.load(Relaxed);
    for n in 0..count as u64 {
        handles.push(pool.submit(move |_| n));
    }
    let (small, large) = (SMALL.load(Relaxed), LARGE.load(Relaxed));
    let bytes = (ALIVE.load(Relaxed) - before) / count;
    assert_eq!(small, count, "one allocation a task");
    assert!(
        LARGEST.load(Relaxed) <= 112,
        "{} bytes",
        LARGEST.load(Relaxed)
    );
    // And a block of the queue now and then.
    assert!(large <= count / 30, "{large} large allocations");
    assert!(
        bytes <= 112 + 32,
        "{bytes} bytes a pending task, with its place in the queue"
    );

    // Looking, polling and cancelling without anybody who waits.
    restart();
    for handle in &handles {
        assert!(!handle.is_done() && !handle.stop_event().is_set());
    }
    assert_eq!(
        SMALL.load(Relaxed) + LARGE.load(Relaxed),
        0,
        "looking allocates nothing"
    );
    stuck.release();
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), n as u64);
    }
}

/// Where workers free them, and another thread submits.
fn tasks_take_the_memory_of_earlier_ones() {
    const BURST: usize = 256;
    let pool = ThreadPool::new(2);
    let burst = || {
        for n in 0..BURST as u64 {
            pool.execute(move |_| assert!(n < BURST as u64)).unwrap();
        }
        while pool.stats().pending + pool.stats().running > 0 {
            thread::yield_now();
        }
    };
    restart();
    (0..100).for_each(|_| burst());
    let small = SMALL.load(Relaxed);
    // A burst of them, and what each thread keeps, some dozens; the stashes, and magazines, besides.
    assert!(
        small <= 2 * BURST,
        "{small} allocations for 100 bursts of {BURST}"
    );
}

fn executed_tasks_leave_nothing_behind() {
    let pool = ThreadPool::new(2);
    let burst = |tasks: u64| {
        let handles: Vec<_> = (0..tasks).map(|n| pool.submit(move |_| n)).collect();
        for (n, handle) in handles.into_iter().enumerate() {
            match n % 3 {
                0 => assert_eq!(handle.join().unwrap(), n as u64),
                1 => drop(handle),
                _ => assert_eq!(handle.outcome().completed(), Some(n as u64)),
            }
        }
        for _ in 0..tasks {
            pool.execute(|_| vec![0_u8; 64]).unwrap();
        }
        while pool.stats().pending + pool.stats().running > 0 {
            thread::yield_now();
        }
        // A worker drops the value of a detached task after it has counted it.
        for task in [pool.submit(|_| ()), pool.submit(|_| ())] {
            task.wait();
        }
    };
    burst(1_000);
    let (_, stayed) = growth(|| {
        for _ in 0..rounds(100, 200) {
            burst(1_000);
        }
    });
    // Less than two bytes a task: a pool keeps the memory of some hundred cells of each size.
    assert!(stayed < 160 * 1024, "{stayed} bytes stayed");
    let before = pool.shutdown(Shutdown::Drain);
    assert_eq!(before.completed(), before.submitted());
}

/// Tasks that are joined from inside are taken out of the queue's middle.
fn tasks_joined_from_inside_leave_nothing_behind() {
    let pool = ThreadPool::new(1);
    let submitter = pool.submitter();
    let rounds = rounds(50_000, 1_000_000);
    let outer = pool.submit(move |_| {
        growth(|| {
            for n in 0..rounds {
                let block = [n; 16];
                assert_eq!(submitter.submit(move |_| block[7]).join().unwrap(), n);
            }
        })
    });
    let (peak, _) = outer.join().unwrap();
    assert!(peak < MIB, "{peak} bytes at the peak");
}

/// Tasks that run on another worker are waited for.
fn joins_inside_that_sleep_leave_nothing_behind() {
    let pool = ThreadPool::new(2);
    let submitter = pool.submitter();
    let outer = pool.submit(move |_| {
        let sleep = || {
            let inner = submitter.submit(|_| thread::sleep(Duration::from_micros(50)));
            while inner.is_pending() {
                thread::yield_now();
            }
            inner.join().unwrap();
        };
        sleep();
        growth(|| (0..1_000).for_each(|_| sleep()))
    });
    let (_, stayed) = outer.join().unwrap();
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
}

fn a_dropped_pool_leaves_nothing() {
    let life = || {
        let pool = Arc::new(ThreadPool::new(2));
        let kept = pool.submit(|_| vec![0_u8; 1024]);
        let cancelled = pool.submit(StopEvent::wait);
        cancelled.cancel();
        let refused = {
            pool.begin_shutdown(Shutdown::Drain);
            pool.submit(|_| vec![0_u8; 1024])
        };
        let (events, cancellers) = (
            [kept.stop_event(), refused.stop_event().child()],
            [cancelled.canceller(), kept.canceller()],
        );
        kept.wait();
        drop(pool);
        assert_eq!(kept.join().unwrap().len(), 1024);
        assert!(refused.join().is_err());
        drop((events, cancellers, cancelled));
    };
    life();
    let (_, stayed) = growth(|| (0..200).for_each(|_| life()));
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
}

/// From outside, from inside, stopped and not.
fn scopes_leave_nothing_behind() {
    let pool = ThreadPool::builder().threads(2).report_details(0);
    let pool = pool.build().unwrap();
    let submitter = pool.submitter();
    let one = |n: usize| {
        let all = submitter.scope(|s| {
            let handles: Vec<_> = (0..10).map(|_| s.submit(move |_| [n; 8])).collect();
            if n % 3 == 0 {
                s.cancel();
            }
            for handle in handles.into_iter().step_by(2) {
                let _ = handle.join();
            }
        });
        drop(all);
    };
    let rounds = rounds(1_000, 50_000);
    let burst = |rounds: usize| {
        (0..rounds).for_each(one);
        pool.scope(|s| s.submit(|_| (0..rounds).for_each(one)).wait())
            .unwrap();
    };
    burst(100);
    let (peak, stayed) = growth(|| burst(rounds));
    // Half a byte a task for how it ended.
    let marks = 2 * rounds * 10;
    assert!(peak < MIB + marks, "{peak} bytes at the peak");
    assert!(stayed < 128 * 1024 + marks, "{stayed} bytes stayed");
}

fn groups_leave_nothing_behind() {
    let pool = ThreadPool::builder().threads(2).report_details(0);
    let pool = pool.build().unwrap();
    let one = |n: usize| {
        let group = pool.group();
        for _ in 0..10 {
            drop(group.submit(move |_| [n; 8]));
        }
        if n % 2 == 0 {
            drop(group.wait());
        }
    };
    let rounds = rounds(1_000, 50_000);
    (0..100).for_each(one);
    let (_, stayed) = growth(|| {
        (0..rounds).for_each(one);
        while pool.stats().pending + pool.stats().running > 0 {
            thread::yield_now();
        }
    });
    let marks = rounds * 10;
    assert!(stayed < 256 * 1024 + marks, "{stayed} bytes stayed");
}

fn a_task_without_a_pool_is_one_allocation_of_at_most_96_bytes() {
    // The first makes what all of them share.
    drop(PendingTask::new(|_| 0_u64));
    let mut tasks = Vec::with_capacity(1_000);
    restart();
    for n in 0..1_000_u64 {
        tasks.push(PendingTask::new(move |_| n));
    }
    let allocations = SMALL.load(Relaxed) + LARGE.load(Relaxed);
    // Those of the stash besides.
    assert!(allocations <= 1_010, "{allocations} allocations");
    let largest = LARGEST.load(Relaxed);
    assert!(largest <= 96, "{largest} bytes");
    restart();
    for (n, (task, handle)) in tasks.drain(..).enumerate() {
        task.run();
        assert_eq!(handle.join().unwrap(), n as u64);
    }
    let allocations = SMALL.load(Relaxed) + LARGE.load(Relaxed);
    // The places of freed cells are kept by the dozen.
    assert!(allocations <= 100, "{allocations} allocations");
}

/// No report is kept for them.
fn tasks_without_a_pool_leave_nothing_behind_however_they_end() {
    let rounds = rounds(100_000, 2_000_000);
    let request = StopEvent::new();
    let run = |rounds| {
        for n in 0..rounds as u64 {
            let big = [n; 8];
            let (task, handle) = if n % 2 == 0 {
                PendingTask::new(move |_| big)
            } else {
                PendingTask::under(&request, move |_| big)
            };
            match n % 8 {
                0 | 1 => drop(task),
                2 | 3 => {
                    handle.cancel();
                    task.run();
                }
                4 | 5 => {
                    drop(handle);
                    task.run();
                }
                _ => {
                    task.run();
                    assert_eq!(handle.join().unwrap(), big);
                }
            }
        }
    };
    run(1_000);
    let (peak, stayed) = growth(|| run(rounds));
    assert!(peak < MIB / 8, "{peak} bytes for {rounds} rounds");
    assert!(stayed < MIB / 16, "{stayed} bytes for {rounds} rounds");
}

/// The stop of a pool sets the events of its groups, so that there is nothing left for their own drop to set.
fn groups_of_a_pool_that_was_stopped_leave_nothing_behind() {
    let life = || {
        let stuck = stuck();
        let pool = &stuck.pool;
        let group = pool.group();
        let pending = group.submit(|_| ());
        pool.begin_shutdown(Shutdown::StopAll);
        let refused = group.submit(|_| ());
        stuck.release();
        pool.shutdown(Shutdown::StopAll);
        assert!(group.wait().is_err());
        assert!(pending.join().is_err() && refused.join().is_err());
    };
    life();
    let (_, stayed) = growth(|| (0..200).for_each(|_| life()));
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
}

/// A waker that panics when it is cloned.
fn unclonable() -> Waker {
    const TABLE: RawWakerVTable =
        RawWakerVTable::new(|_| resume_unwind(Box::new(())), |_| (), |_| (), |_| ());
    // SAFETY: none of the functions looks at the pointer.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &TABLE)) }
}

fn wakers_that_cannot_be_cloned_leave_nothing_behind() {
    let panics = |future: &mut dyn FnMut(&mut Context<'_>)| {
        let waker = unclonable();
        let poll = || future(&mut Context::from_waker(&waker));
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
    };
    let life = || {
        let stuck = stuck();
        let mut task = pin!(stuck.pool.submit(|_| ()));
        panics(&mut |context| {
            let _ = task.as_mut().poll(context);
        });
        let event = StopEvent::new();
        let mut set = pin!(event.stopped());
        panics(&mut |context| {
            let _ = set.as_mut().poll(context);
        });
        // It ends, and nobody has waited for it or stopped it.
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(report.completed(), 2);
    };
    life();
    let (_, stayed) = growth(|| (0..200).for_each(|_| life()));
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
}
