//! The great numbers: what holds for one holds for a thousand and for a million. What they take is measured by
//! the benches (`--bin figures`); here nothing is timed.
//!
//! Optimised, the numbers are the full ones. The ten thousand pools are in `shutdown`, the hundred thousand panics
//! in `panics`, the millions of tasks in `report`.

use crate::common::{Stuck, finishes};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use stoppable::{StopEvent, StopReason, TaskStatus};

/// A complete tree in heap order: the children of `n` are `2n + 1` and `2n + 2`.
fn tree(nodes: usize) -> Vec<StopEvent> {
    let mut tree = vec![StopEvent::new()];
    for n in 1..nodes {
        let child = tree[(n - 1) / 2].child();
        tree.push(child);
    }
    tree
}

/// Two threads hand the ball to and fro, each by a set for which the other one waits: a million sets, each of
/// which comes before, while or after somebody goes to sleep for it.
#[test]
fn a_million_sets_race_waits_and_none_is_lost() {
    const BATCH: usize = 500;
    const SETS: usize = if cfg!(debug_assertions) {
        40_000
    } else {
        1_000_000
    };
    finishes(|| {
        let waits: [fn(&StopEvent); 4] = [
            StopEvent::wait,
            |event| assert!(event.wait_timeout(Duration::MAX)),
            |event| event.child().wait(),
            |event| assert!(event.sleep(Duration::from_secs(3_600)).is_err()),
        ];
        let mut sets = 0;
        while sets < SETS {
            let to: Vec<_> = (0..BATCH).map(|_| StopEvent::new()).collect();
            let fro: Vec<_> = (0..BATCH).map(|_| StopEvent::new().child()).collect();
            let won = AtomicUsize::new(0);
            thread::scope(|scope| {
                scope.spawn(|| {
                    for (n, (to, fro)) in to.iter().zip(&fro).enumerate() {
                        waits[n % 4](to);
                        won.fetch_add(usize::from(fro.set()), SeqCst);
                    }
                });
                for (n, (to, fro)) in to.iter().zip(&fro).enumerate() {
                    // Sooner or later.
                    (0..n % 32 * 16).for_each(|_| std::hint::spin_loop());
                    won.fetch_add(usize::from(to.set()), SeqCst);
                    waits[n / 4 % 4](fro);
                }
            });
            assert_eq!(won.into_inner(), 2 * BATCH);
            sets += 2 * BATCH;
        }
    });
}

/// One set wakes a thousand threads, whatever they wait for that is under the event.
#[test]
fn a_thousand_waiters_are_woken_by_one_set() {
    const WAITERS: usize = 1_000;
    finishes(|| {
        let stuck = Stuck::new(1);
        let (root, other) = (StopEvent::new(), StopEvent::new());
        let any = StopEvent::any([&other, &root]);
        let task = Arc::new(stuck.pool.task().stop_with(&root).submit(|_| ()));
        let begun = Arc::new(Barrier::new(WAITERS + 1));
        let threads: Vec<_> = (0..WAITERS)
            .map(|n| {
                let (event, task) = (if n % 2 == 0 { &root } else { &any }, Arc::clone(&task));
                let (event, begun) = (event.clone(), Arc::clone(&begun));
                thread::Builder::new()
                    .stack_size(64 * 1024)
                    .spawn(move || {
                        begun.wait();
                        match n / 2 % 5 {
                            0 => event.wait(),
                            1 => event.child().child().wait(),
                            2 => assert!(event.wait_timeout(Duration::from_secs(3_600))),
                            3 => task.wait(),
                            _ => pollster::block_on(event.stopped()),
                        }
                    })
                    .unwrap()
            })
            .collect();
        begun.wait();
        assert!(!root.wait_timeout(Duration::from_millis(5)), "it is unset");
        assert!(root.set());
        let woken = threads.into_iter().map(|it| it.join().unwrap()).count();
        assert_eq!(woken, WAITERS);
        assert_eq!(task.status(), TaskStatus::NeverStarted);
    });
}

/// Ten thousand nodes, each with a callback: those of the subtree run, once, before the set returns, and no others.
#[test]
fn in_a_tree_of_ten_thousand_nodes_exactly_the_subtree_is_set() {
    const NODES: usize = 10_000;
    finishes(|| {
        let is_under = |mut node: usize, above: usize| {
            while node > above {
                node = (node - 1) / 2;
            }
            node == above
        };
        let tree = tree(NODES);
        let runs: Arc<Vec<AtomicUsize>> =
            Arc::new((0..NODES).map(|_| AtomicUsize::new(0)).collect());
        let callbacks: Vec<_> = tree
            .iter()
            .enumerate()
            .map(|(n, event)| {
                let runs = Arc::clone(&runs);
                event.on_set(move || {
                    runs[n].fetch_add(1, SeqCst);
                })
            })
            .collect();
        // A leaf, a node in the middle, one above that, and all.
        let mut set = Vec::new();
        for at in [NODES - 1, 77, 18, 0] {
            assert!(tree[at].set_with(StopReason::custom(format!("{at}"))));
            set.push(at);
            for (n, event) in tree.iter().enumerate() {
                let first = set.iter().find(|above| is_under(n, **above));
                assert_eq!(runs[n].load(SeqCst), usize::from(first.is_some()), "{n}");
                assert_eq!(event.is_set(), first.is_some());
                // The first to reach it is its cause.
                let reason = first.map(|above| StopReason::custom(format!("{above}")));
                assert_eq!(event.reason(), reason);
            }
        }
        drop(callbacks);
    });
}
