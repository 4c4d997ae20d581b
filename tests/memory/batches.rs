//! Tasks of batches.

use super::{ALIVE, LARGE, MIB, SMALL, Test, growth, restart, rounds, stuck};
use std::sync::atomic::Ordering::Relaxed;
use std::{mem, panic, thread};
use stoppable::{Shutdown, StopEvent, TaskHandle, ThreadPool};

pub(crate) const TESTS: &[Test] = tests![
    a_task_of_a_batch_is_a_tenth_of_an_allocation_and_40_bytes,
    cancel_and_resubmit_by_batches_holds_a_bounded_amount,
    batches_joined_from_inside_leave_nothing_behind,
    executed_batches_leave_nothing_behind,
    mapping_takes_a_bounded_amount_however_many_items_there_are,
    a_handle_keeps_its_slab_and_no_more,
    a_dropped_pool_leaves_nothing_of_its_batches,
];

fn a_task_of_a_batch_is_a_tenth_of_an_allocation_and_40_bytes() {
    let count = 100_000;
    let stuck = stuck();
    let pool = &stuck.pool;
    restart();
    let before = ALIVE.load(Relaxed);
    let handles = pool.submit_all((0..count as u64).map(|n| move |_: &StopEvent| n));
    let allocations = SMALL.load(Relaxed) + LARGE.load(Relaxed);
    let list = handles.capacity() * size_of::<TaskHandle<u64>>();
    let bytes = ALIVE.load(Relaxed) - before - list;
    assert!(
        allocations <= count / 10,
        "{allocations} allocations for {count} tasks"
    );
    assert!(bytes <= 40 * count, "{bytes} bytes for {count} tasks");
    assert!(list <= 8 * count, "{list} bytes for {count} handles");

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

/// One by one, from behind and through their events, so that the queue has to tidy itself up; and all
/// that is pending at once.
fn cancel_and_resubmit_by_batches_holds_a_bounded_amount() {
    const LEN: usize = 100;
    let rounds = rounds(3_000, 30_000);
    let stuck = stuck();
    let pool = &stuck.pool;
    let submit = |round| {
        let big = [round; 8];
        pool.submit_all((0..LEN).map(|n| move |_: &StopEvent| big[n % 8]))
    };
    let mut last = Vec::new();
    let one_by_one = growth(|| {
        for round in 0..rounds {
            let mut batch = submit(round);
            match round % 3 {
                0 => batch.iter().for_each(|it| assert!(it.stop_event().set())),
                1 => batch.drain(..).for_each(|it| drop(it.cancel_on_drop())),
                _ => {
                    for task in batch.iter().rev().step_by(2) {
                        task.cancel();
                    }
                }
            }
            // Some are cancelled later than their neighbours.
            for task in mem::replace(&mut last, batch) {
                task.cancel();
            }
        }
    });
    pool.cancel_pending();
    drop(last);
    let at_once = growth(|| {
        for round in 0..rounds {
            drop(submit(round));
            assert_eq!(pool.cancel_pending(), LEN);
        }
    });
    let tasks = rounds * LEN;
    // As for those that come one by one.
    let most = MIB + tasks;
    for (peak, _) in [one_by_one, at_once] {
        assert!(peak < most, "{peak} bytes for {tasks} tasks");
    }
    stuck.release();
    let report = pool.shutdown(Shutdown::CancelPending);
    assert_eq!(report.submitted(), 2 * tasks as u64 + 1);
    assert_eq!(report.completed(), 1);
}

/// The worker that would take them from the queue is busy with joining them.
fn batches_joined_from_inside_leave_nothing_behind() {
    let pool = ThreadPool::new(1);
    let submitter = pool.submitter();
    let rounds = rounds(500, 10_000);
    let outer = pool.submit(move |_| {
        growth(|| {
            for n in 0..rounds {
                let block = [n; 16];
                let batch = submitter.submit_all((0..100).map(|_| move |_: &StopEvent| block[7]));
                for task in batch.into_iter().rev() {
                    assert_eq!(task.join().unwrap(), n);
                }
            }
        })
    });
    let (peak, _) = outer.join().unwrap();
    assert!(peak < MIB, "{peak} bytes at the peak");
}

fn executed_batches_leave_nothing_behind() {
    let pool = ThreadPool::builder().threads(2).report_details(0);
    let pool = pool.build().unwrap();
    let burst = |tasks: u64| {
        let handles = pool.submit_all((0..tasks).map(|n| move |_: &StopEvent| vec![n; 8]));
        for (n, handle) in handles.into_iter().enumerate() {
            match n % 3 {
                0 => assert_eq!(handle.join().unwrap()[7], n as u64),
                1 => drop(handle),
                _ => drop(handle.cancel_on_drop()),
            }
        }
        while pool.stats().pending + pool.stats().running > 0 {
            thread::yield_now();
        }
        // A worker drops the value of a detached task after it has counted it.
        for task in [pool.submit(|_| ()), pool.submit(|_| ())] {
            task.wait();
        }
    };
    burst(4_000);
    let rounds = rounds(100, 500);
    let (_, stayed) = growth(|| (0..rounds).for_each(|_| burst(1_000)));
    // Half a byte a task for how it ended.
    let most = 64 * 1024 + rounds * 1_000;
    assert!(stayed < most, "{stayed} bytes stayed");
    pool.shutdown(Shutdown::Drain);
}

/// A handle or an event of one task keeps the cells of some dozens, empty, and nothing else.
fn a_handle_keeps_its_slab_and_no_more() {
    let pool = ThreadPool::new(1);
    let mut kept = Vec::with_capacity(200);
    let (_, stayed) = growth(|| {
        for _ in 0..100 {
            let mut batch = pool.submit_all((0..640).map(|_| {
                let block = vec![0_u8; 1024];
                move |_: &StopEvent| block
            }));
            batch.iter().for_each(TaskHandle::wait);
            kept.push((batch[300].stop_event(), batch.pop()));
        }
    });
    // Two slabs, a value, and what their neighbours noted of those who waited.
    let most = 100 * (2 * (2048 + 64 * 160) + 1024);
    assert!(stayed < most, "{stayed} bytes stayed");
    let (_, stayed) = growth(|| drop(pool.submit(|_| ()).join()));
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
    drop(kept);
}

/// Whatever became of them, and whoever was the last to hold one.
fn a_dropped_pool_leaves_nothing_of_its_batches() {
    let life = || {
        let pool = ThreadPool::new(2);
        let numbers = pool.submit_all((0..1_000_u64).map(|n| move |_: &StopEvent| n));
        let mut blocks = pool.submit_all((0..300).map(|n| {
            let block = vec![0_u8; 100];
            move |stop: &StopEvent| {
                if n % 50 == 7 {
                    panic::resume_unwind(Box::new(block));
                }
                (stop.clone(), block)
            }
        }));
        let large = pool.submit_all((0..10).map(|n| {
            let large = [n; 640];
            move |_: &StopEvent| large
        }));
        for block in &blocks {
            block.cancel();
        }
        let events: Vec<_> = numbers
            .iter()
            .step_by(100)
            .map(TaskHandle::stop_event)
            .collect();
        let cancellers: Vec<_> = blocks
            .iter()
            .step_by(9)
            .map(TaskHandle::canceller)
            .collect();
        let waiting = pool.submit_all((0..100).map(|_| |stop: &StopEvent| stop.wait()));
        drop(blocks.split_off(150));
        pool.begin_shutdown(Shutdown::StopAll);
        let refused = pool.submit_all((0..100).map(|_| {
            let block = vec![0_u8; 100];
            move |_: &StopEvent| block
        }));
        drop(pool);
        for number in numbers {
            let _ = number.join();
        }
        drop((events, waiting, refused, large));
        drop((cancellers, blocks));
    };
    // This thread may keep the last home that it submitted to, with the details of its report.
    let lives = |count: usize| {
        (0..count).for_each(|_| life());
        ThreadPool::new(1).submit(|_| ()).join().unwrap();
    };
    lives(1);
    let (_, stayed) = growth(|| lives(10));
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
}

fn mapping_takes_a_bounded_amount_however_many_items_there_are() {
    let pool = ThreadPool::builder().threads(2).report_details(0);
    let pool = pool.build().unwrap();
    let items = rounds(100_000, 10_000_000) as u64;
    let map = |items| {
        let squares = pool.map(0..items, |n: u64, _stop| [n * n; 4]);
        let sum = squares.fold(0_u64, |sum, it| sum.wrapping_add(it.unwrap()[3]));
        assert_eq!(
            sum,
            (0..items).fold(0, |sum: u64, n| sum.wrapping_add(n * n))
        );
    };
    map(10_000);
    let (peak, stayed) = growth(|| map(items));
    assert!(peak < MIB / 4, "{peak} bytes at the peak");
    assert!(stayed < 64 * 1024, "{stayed} bytes stayed");
    pool.shutdown(Shutdown::Drain);
}
