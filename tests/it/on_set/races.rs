//! Callbacks against setters, other callbacks and removals, all at once.

use super::{counter, read};
use crate::common::{DropCounter, Gate, OpenOnDrop, finishes, until};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use stoppable::{StopCallback, StopEvent};

/// Of ten setters one wins, and each callback has run once when its `set` returns, on its thread.
#[test]
fn ten_setters_of_one_event_run_each_callback_once() {
    finishes(|| {
        for round in 0..300 {
            let root = StopEvent::new();
            let stop = if round % 2 == 0 {
                root.clone()
            } else {
                root.child()
            };
            let (count, up) = counter();
            let threads = Arc::new(Mutex::new(Vec::new()));
            let callbacks: Vec<_> = (0..20)
                .map(|_| {
                    let (up, threads) = (up.clone(), Arc::clone(&threads));
                    stop.on_set(move || {
                        threads.lock().unwrap().push(thread::current().id());
                        up();
                    })
                })
                .collect();
            let begin = Barrier::new(10);
            let winners: Vec<_> = thread::scope(|scope| {
                let setters: Vec<_> = (0..10)
                    .map(|_| {
                        let (stop, begin, count) = (&stop, &begin, &count);
                        scope.spawn(move || {
                            begin.wait();
                            stop.set().then(|| (thread::current().id(), read(count)))
                        })
                    })
                    .collect();
                let results = setters.into_iter().map(|it| it.join().unwrap());
                results.flatten().collect()
            });
            let [(winner, seen)] = winners[..] else {
                panic!("{} setters won", winners.len());
            };
            assert_eq!(seen, 20, "all had run when its set returned");
            assert_eq!(read(&count), 20);
            assert!(threads.lock().unwrap().iter().all(|it| *it == winner));
            drop(callbacks);
        }
    });
}

/// The event, its parent, its grandparent and another parent are set at once.
#[test]
fn setters_at_every_level_run_each_callback_once() {
    finishes(|| {
        for _ in 0..300 {
            let (root, other) = (StopEvent::new(), StopEvent::new());
            let middle = root.child();
            let any = StopEvent::any([&other, &middle]);
            let (count, up) = counter();
            let callbacks: Vec<_> = (0..20)
                .map(|n| if n % 2 == 0 { &any } else { &middle }.on_set(up.clone()))
                .collect();
            let begin = Barrier::new(8);
            thread::scope(|scope| {
                let set = |event: &StopEvent| {
                    begin.wait();
                    event.set();
                };
                let events = [&root, &other, &middle, &any].repeat(2).into_iter();
                let setters: Vec<_> = events
                    .map(|event| scope.spawn(move || set(event)))
                    .collect();
                // A join is what ThreadSanitizer understands; the end of a scope is not.
                setters.into_iter().for_each(|it| it.join().unwrap());
            });
            assert_eq!(read(&count), 20);
            drop(callbacks);
            assert_eq!(read(&count), 20);
        }
    });
}

/// Either the callback was removed, or it runs: never both, and never neither.
#[test]
fn of_ten_thousand_removals_each_prevents_its_callback_or_comes_too_late() {
    finishes(|| {
        let (send, receive) = mpsc::sync_channel::<StopEvent>(0);
        let (tell, told) = mpsc::sync_channel(0);
        let setter = thread::spawn(move || {
            for stop in receive {
                assert!(stop.set());
                tell.send(()).unwrap();
            }
        });
        for round in 0..10_000 {
            let root = StopEvent::new();
            let stop = if round % 2 == 0 {
                root.clone()
            } else {
                root.child()
            };
            let (count, up) = counter();
            // The one in the middle, between two that stay.
            let before = stop.on_set(|| ());
            let callback = stop.on_set(up);
            let after = stop.on_set(|| ());
            send.send(root).unwrap();
            for _ in 0..round % 100 * 8 {
                std::hint::spin_loop();
            }
            let removed = callback.remove();
            told.recv().unwrap();
            assert_eq!(read(&count), usize::from(!removed), "removed: {removed}");
            drop((before, after));
        }
        drop(send);
        setter.join().unwrap();
    });
}

/// A set is under way, in the second of three callbacks. Nobody else has to wait for that: not who
/// polls, sets, waits or registers, nor who drops the guard of another callback.
#[test]
fn while_one_runs_nobody_waits_for_it_in_vain() {
    finishes(|| {
        let stop = StopEvent::new();
        let child = stop.child();
        let (count, up) = counter();
        let (never, too_late) = counter();
        let (begun, gate) = (Gate::new(), Gate::new());
        let first = stop.on_set(up.clone());
        let second = stop.on_set({
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            move || {
                begun.open();
                gate.pass();
            }
        });
        let third = stop.on_set(too_late.clone());
        let fourth = stop.on_set(too_late);
        let open = OpenOnDrop(gate);
        let setter = thread::spawn({
            let stop = stop.clone();
            move || stop.set()
        });
        begun.pass();

        assert!(stop.is_set() && stop.peek() && child.is_set() && stop.child().is_set());
        assert!(stop.cause().is_some() && stop.cause() == child.cause());
        stop.wait();
        child.wait();
        assert!(!stop.set(), "it is set");
        assert_eq!(read(&count), 1, "the first has run");
        drop(first);
        drop(third);
        assert!(fourth.remove(), "it has not run");
        for event in [&stop, &child] {
            let before = read(&count);
            let late = event.on_set(up.clone());
            assert_eq!(read(&count), before + 1, "at once, on this thread");
            drop(late);
        }

        drop(open);
        assert!(setter.join().unwrap());
        drop(second);
        assert_eq!((read(&count), read(&never)), (3, 0));
    });
}

/// Two events are set at the same moment, and the callback of each removes that of the other. With
/// a removal that waits they would wait for each other.
#[test]
fn callbacks_that_remove_each_other_do_not_hang() {
    finishes(|| {
        for _ in 0..1_000 {
            let events = [StopEvent::new(), StopEvent::new()];
            let guards: [Arc<Mutex<Option<StopCallback>>>; 2] = Default::default();
            let both = Arc::new(Barrier::new(2));
            let (count, up) = counter();
            for n in 0..2 {
                let other = Arc::clone(&guards[1 - n]);
                let (both, up) = (Arc::clone(&both), up.clone());
                let guard = events[n].on_set(move || {
                    // Both run now.
                    both.wait();
                    let guard = other.lock().unwrap().take().unwrap();
                    assert!(!guard.remove(), "it runs");
                    up();
                });
                *guards[n].lock().unwrap() = Some(guard);
            }
            thread::scope(|scope| {
                for event in &events {
                    scope.spawn(|| assert!(event.set()));
                }
            });
            assert_eq!(read(&count), 2);
        }
    });
}

/// Ten threads add and remove callbacks in every way while the event is set.
#[test]
fn ten_threads_add_and_remove_while_the_event_is_set() {
    finishes(|| {
        for round in 0..40 {
            let (root, other) = (StopEvent::new(), StopEvent::new());
            let stop = match round % 3 {
                0 => root.clone(),
                1 => root.child(),
                _ => StopEvent::any([&other, &root]),
            };
            let drops = DropCounter::new();
            let begin = Barrier::new(11);
            let made: usize = thread::scope(|scope| {
                let threads: Vec<_> = (0..10)
                    .map(|n| {
                        let (stop, begin, drops) = (&stop, &begin, &drops);
                        scope.spawn(move || {
                            begin.wait();
                            add_and_remove(stop, drops, n)
                        })
                    })
                    .collect();
                begin.wait();
                (0..round * 50).for_each(|_| std::hint::spin_loop());
                root.set();
                threads.into_iter().map(|it| it.join().unwrap()).sum()
            });
            assert_eq!(drops.count(), made, "all captures are gone");
        }
    });
}

/// One thread's callbacks, each of which runs once, or not at all where it was removed in time.
/// Gives their number.
fn add_and_remove(stop: &StopEvent, drops: &DropCounter, seed: usize) -> usize {
    const EACH: usize = 100;
    let mut kept = Vec::new();
    let mut must_run = Vec::new();
    let mut gone = Vec::new();
    for n in 0..EACH {
        let (ran, token) = (Arc::new(AtomicUsize::new(0)), drops.token());
        let callback = stop.on_set({
            let ran = Arc::clone(&ran);
            move || {
                let _token = token;
                ran.fetch_add(1, Ordering::SeqCst);
            }
        });
        match (n + seed) % 4 {
            0 => {
                drop(callback);
                // What it has come to now is final.
                let now = read(&ran);
                gone.push((ran, now));
            }
            1 => {
                if callback.remove() {
                    gone.push((ran, 0));
                } else {
                    must_run.push(ran);
                }
            }
            2 => {
                callback.detach();
                must_run.push(ran);
            }
            _ => {
                kept.push(callback);
                must_run.push(ran);
            }
        }
    }
    stop.wait();
    for (ran, expected) in gone {
        assert!(expected <= 1);
        assert_eq!(read(&ran), expected);
    }
    // The setter, on its thread, may be in the middle of them.
    until(|| must_run.iter().all(|ran| read(ran) == 1));
    drop(kept);
    EACH
}
