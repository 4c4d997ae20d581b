//! Events under events: a stop goes down, never up or sideways, whoever is still alive.

use crate::common::{Gate, finishes};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use stoppable::{Shutdown, StopEvent, StopReason, ThreadPool};

/// A complete tree in heap order: the children of `n` are `2n + 1` and `2n + 2`.
fn tree(nodes: usize) -> Vec<StopEvent> {
    let mut tree = vec![StopEvent::new()];
    for n in 1..nodes {
        let child = tree[(n - 1) / 2].child();
        tree.push(child);
    }
    tree
}

fn is_under(mut node: usize, ancestor: usize) -> bool {
    while node > ancestor {
        node = (node - 1) / 2;
    }
    node == ancestor
}

#[test]
fn exactly_the_subtree_is_reached() {
    for set in 0..31 {
        let tree = tree(31);
        assert!(tree[set].set());
        for (node, event) in tree.iter().enumerate() {
            assert_eq!(
                event.is_set(),
                is_under(node, set),
                "{node} when {set} is set"
            );
            assert_eq!(event.peek(), event.is_set());
            assert_eq!(event.check().is_err(), event.is_set());
            assert_eq!(event.wait_timeout(Duration::ZERO), event.is_set());
            assert_eq!(event.reason().is_some(), event.is_set());
        }
    }
}

#[test]
fn a_dropped_middle_still_passes_a_stop_on() {
    finishes(|| {
        let root = StopEvent::new();
        let leaf = root.child().child().child();
        assert!(!leaf.is_set());
        let asleep = Gate::new();
        let waiter = thread::spawn({
            let (leaf, asleep) = (leaf.clone(), Arc::clone(&asleep));
            move || {
                asleep.open();
                leaf.wait();
            }
        });
        asleep.pass();
        root.set();
        waiter.join().unwrap();
        assert!(leaf.is_set());
    });
}

#[test]
fn a_child_of_a_set_event_is_born_set() {
    let root = StopEvent::new();
    root.set_with(StopReason::custom("first"));
    let child = root.child();
    assert!(child.is_set() && child.child().is_set());
    assert!(!child.set(), "it was set already");
    assert_eq!(child.cause(), root.cause());
    child.wait();
}

#[test]
fn dropping_the_parent_stops_nobody() {
    let root = StopEvent::new();
    let child = root.child();
    let grandchild = child.child();
    drop(root);
    assert!(!child.is_set());
    drop(child);
    assert!(!grandchild.is_set() && !grandchild.wait_timeout(Duration::ZERO));
    assert!(grandchild.set());
}

#[test]
fn waiters_anywhere_below_are_woken_by_a_set_anywhere_above() {
    finishes(|| {
        for depth in 0..4 {
            for waits in depth..4 {
                let mut chain = vec![StopEvent::new()];
                for n in 0..3 {
                    chain.push(chain[n].child());
                }
                let ready = Arc::new(Barrier::new(2));
                let waiter = thread::spawn({
                    let (event, ready) = (chain[waits].clone(), Arc::clone(&ready));
                    move || {
                        ready.wait();
                        event.wait();
                    }
                });
                ready.wait();
                // Mostly long enough for the waiter to be asleep; right if it is not.
                assert!(!chain[depth].wait_timeout(Duration::from_millis(2)));
                chain[depth].set();
                waiter.join().unwrap();
            }
        }
    });
}

#[test]
fn a_waiter_is_not_woken_by_a_sibling_or_child() {
    let root = StopEvent::new();
    let (one, two) = (root.child(), root.child());
    let below = two.child();
    let waiter = thread::spawn({
        let two = two.clone();
        move || two.wait_timeout(Duration::from_millis(30))
    });
    one.set();
    below.set();
    assert!(!waiter.join().unwrap());
}

#[test]
fn a_hundred_nodes_set_at_once_from_many_threads() {
    finishes(|| {
        for _ in 0..20 {
            let tree = Arc::new(tree(100));
            let start = Arc::new(Barrier::new(8));
            let setters: Vec<_> = (0..8)
                .map(|first| {
                    let (tree, start) = (Arc::clone(&tree), Arc::clone(&start));
                    thread::spawn(move || {
                        start.wait();
                        // All threads set all nodes, each in an order of its own; leaves early.
                        for n in 0..100 {
                            let node = 99 - (n + first * 13) % 100;
                            tree[node].set_with(StopReason::custom(format!("{node}")));
                            assert!(tree[node].is_set() && tree[node].cause().is_some());
                        }
                    })
                })
                .collect();
            let waiters: Vec<_> = [7, 50, 99]
                .map(|node| {
                    let tree = Arc::clone(&tree);
                    thread::spawn(move || tree[node].wait())
                })
                .into();
            for thread in setters.into_iter().chain(waiters) {
                thread.join().unwrap();
            }
            assert_eq!(tree[0].reason(), Some(StopReason::custom("0")));
            for (node, event) in tree.iter().enumerate() {
                // Its own cause or that of an ancestor, and always the same one.
                let StopReason::Custom(from) = event.reason().unwrap() else {
                    panic!("not a reason that was given");
                };
                assert!(is_under(node, from.parse().unwrap()));
                assert_eq!(event.cause(), event.cause());
            }
        }
    });
}

#[test]
fn parent_and_child_set_at_the_same_moment() {
    finishes(|| {
        for _ in 0..500 {
            let parent = StopEvent::new();
            let child = parent.child();
            let start = Arc::new(Barrier::new(3));
            let race = |event: &StopEvent| {
                let (event, start) = (event.clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    event.set()
                })
            };
            let (up, down) = (race(&parent), race(&child));
            start.wait();
            child.wait();
            let first = child.cause().expect("it is set");
            assert!(up.join().unwrap(), "nobody else set the parent");
            let own = down.join().unwrap();
            assert_eq!(child.cause(), Some(first.clone()), "the first cause stays");
            if !own {
                assert_eq!(Some(first), parent.cause());
            }
        }
    });
}

#[test]
fn of_ten_racers_on_one_node_of_a_tree_one_wins() {
    finishes(|| {
        for _ in 0..100 {
            let node = StopEvent::new().child().child();
            let start = Arc::new(Barrier::new(10));
            let racers: Vec<_> = (0..10)
                .map(|_| {
                    let (node, start) = (node.clone(), Arc::clone(&start));
                    thread::spawn(move || {
                        start.wait();
                        node.set()
                    })
                })
                .collect();
            let wins = racers.into_iter().filter(|_| true);
            let wins = wins.map(|r| usize::from(r.join().unwrap())).sum::<usize>();
            assert_eq!(wins, 1);
        }
    });
}

#[test]
fn the_first_cause_wins_and_stays() {
    // From below: the child's own cause, whatever comes to the parent later.
    let parent = StopEvent::new();
    let child = parent.child();
    child.set_with(StopReason::custom("child"));
    parent.set_with(StopReason::custom("parent"));
    assert_eq!(child.reason(), Some(StopReason::custom("child")));
    assert_eq!(parent.reason(), Some(StopReason::custom("parent")));

    // From above: the nearest ancestor that was set, fixed by the first look.
    let root = StopEvent::new();
    let middle = root.child();
    let leaf = middle.child();
    root.set_with(StopReason::custom("root"));
    assert_eq!(leaf.reason(), Some(StopReason::custom("root")));
    assert!(!middle.set_with(StopReason::custom("middle")), "it was set");
    assert!(!leaf.set_with(StopReason::custom("leaf")), "it was set");
    for event in [&root, &middle, &leaf] {
        assert_eq!(event.reason(), Some(StopReason::custom("root")));
    }
}

/// Its own event tells that it was refused, whatever was set before above it; so do those under that.
#[test]
fn what_is_under_the_event_of_a_refused_task_has_its_cause() {
    let (pool, request) = (ThreadPool::new(1), StopEvent::new());
    request.set();
    pool.begin_shutdown(Shutdown::Drain);
    let refused = pool.task().stop_with(&request).submit(|_stop| ());
    let event = refused.stop_event();
    assert_eq!(event.reason(), Some(StopReason::Shutdown));
    assert_eq!(event.child().cause(), event.cause());

    // Of several events the first that was set: what is above the task is none of them.
    let (pool, other) = (ThreadPool::new(1), StopEvent::new());
    pool.stop_event().set();
    other.set();
    let refused = pool.submit(|_stop| ());
    let either = StopEvent::any([&refused.stop_event().child(), &other]);
    assert_eq!(either.cause(), other.cause());
    let task = StopEvent::any([&refused.stop_event(), &StopEvent::new()]);
    assert_eq!(task.cause(), refused.stop_event().cause());
}

#[test]
fn a_chain_of_any_length_is_freed_without_a_deep_stack() {
    let mut leaf = StopEvent::new();
    for _ in 0..200_000 {
        leaf = leaf.child();
    }
    assert!(leaf.set());
    drop(leaf);
}
