//! A barrier that a stop lets one party leave: none released with too few, no wake-up lost.

use crate::common::{Gate, finishes};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use stoppable::{Outcome, StopBarrier, StopEvent, StopReason, Stopped, ThreadPool};

/// Arrives and waits, and says whether it led.
fn wait(barrier: &StopBarrier, stop: &StopEvent) -> Result<bool, Stopped> {
    Ok(barrier.wait_or_stopped(stop)?.is_leader())
}

/// A thread that waits, by the time this returns, where that can be seen.
fn party(
    barrier: &Arc<StopBarrier>,
    stop: &StopEvent,
) -> thread::JoinHandle<Result<bool, Stopped>> {
    let (barrier, stop) = (Arc::clone(barrier), stop.clone());
    let party = move || wait(&barrier, &stop);
    #[cfg(target_os = "linux")]
    return crate::blocked::spawn_blocked(party);
    #[cfg(not(target_os = "linux"))]
    thread::spawn(party)
}

#[test]
fn with_no_or_one_party_nobody_waits_and_everybody_leads() {
    finishes(|| {
        for parties in [0, 1] {
            let (barrier, stop) = (StopBarrier::new(parties), StopEvent::new());
            for _ in 0..3 {
                assert!(wait(&barrier, &stop).unwrap());
            }
            stop.set();
            assert!(wait(&barrier, &stop).is_err());
            assert!(wait(&barrier, &StopEvent::never()).unwrap());
        }
    });
}

#[test]
fn all_meet_again_and_again_and_one_of_each_time_leads() {
    finishes(|| {
        const PARTIES: usize = 4;
        const ROUNDS: usize = 300;
        let (barrier, stop) = (StopBarrier::new(PARTIES), StopEvent::new());
        let (came, led) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|s| {
            for _ in 0..PARTIES {
                s.spawn(|| {
                    for round in 1..=ROUNDS {
                        came.fetch_add(1, Ordering::Relaxed);
                        let leads = wait(&barrier, &stop).unwrap();
                        led.fetch_add(leads.into(), Ordering::Relaxed);
                        // All have come to this one, and it is not known how many to the next.
                        let came = came.load(Ordering::Relaxed);
                        assert!(came >= round * PARTIES && came < (round + 1) * PARTIES);
                    }
                });
            }
        });
        assert_eq!(led.into_inner(), ROUNDS);
    });
}

#[test]
fn who_is_stopped_leaves_and_the_others_wait_for_as_many_as_ever() {
    finishes(|| {
        let barrier = Arc::new(StopBarrier::new(3));
        let party = |stop| party(&barrier, stop);
        let (one, others) = (StopEvent::new(), StopEvent::new());
        let (leaves, stays) = (party(&one), party(&others));
        one.set_with(StopReason::custom("enough"));
        let stopped = leaves.join().unwrap().unwrap_err();
        assert_eq!(stopped.reason(), StopReason::custom("enough"));
        // Who is stopped already does not come, however often it tries.
        for _ in 0..3 {
            assert!(wait(&barrier, &one).is_err());
        }
        // Two are there, and not three: a generation with too few would let these two go, and a third wait for ever.
        let joins = party(&others);
        assert!(!stays.is_finished() && !joins.is_finished());
        let third = wait(&barrier, &others).unwrap();
        let led = [stays.join().unwrap(), joins.join().unwrap(), Ok(third)];
        assert_eq!(
            led.into_iter()
                .filter(|led| led.as_ref().is_ok_and(|led| *led))
                .count(),
            1
        );
        // The next time all three are missing again.
        let again = [party(&others), party(&others)];
        others.set();
        for party in again {
            assert!(party.join().unwrap().is_err());
        }
    });
}

#[test]
fn a_team_that_shares_an_event_gives_up_together() {
    finishes(|| {
        let pool = ThreadPool::new(3);
        let (team, barrier) = (StopEvent::new(), Arc::new(StopBarrier::new(4)));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (mate, barrier) = (team.clone(), barrier.clone());
                pool.task().stop_with(&team).submit(move |stop| {
                    let _leaves = mate.set_on_drop();
                    wait(&barrier, stop)
                })
            })
            .collect();
        for task in &tasks {
            task.wait_started();
        }
        tasks[0].cancel();
        for task in tasks {
            let outcome = task.outcome();
            let cancelled = matches!(
                &outcome,
                Outcome::Cancelled {
                    partial: None | Some(Err(_)),
                    ..
                }
            );
            assert!(cancelled, "{outcome:?}");
        }
    });
}

/// Parties that are stopped at any moment, and come again, among others that stay.
#[test]
fn none_is_released_with_too_few_and_none_is_forgotten_whenever_stops_come() {
    finishes(|| {
        const PARTIES: usize = 3;
        const ROUNDS: usize = 400;
        let (barrier, never) = (StopBarrier::new(PARTIES), StopEvent::never());
        // Each round a party takes part in counts once for it, whoever is stopped in between.
        let (released, led, left) = (
            AtomicUsize::new(0),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        let told = |leads: bool| {
            released.fetch_add(1, Ordering::Relaxed);
            led.fetch_add(leads.into(), Ordering::Relaxed);
        };
        thread::scope(|s| {
            for _ in 0..PARTIES - 1 {
                s.spawn(|| {
                    for _ in 0..ROUNDS {
                        told(wait(&barrier, &never).unwrap());
                    }
                });
            }
            s.spawn(|| {
                for _ in 0..ROUNDS {
                    loop {
                        let stop = StopEvent::new();
                        let gate = Gate::new();
                        let setter = s.spawn({
                            let (stop, gate) = (stop.clone(), gate.clone());
                            move || {
                                gate.pass();
                                stop.set()
                            }
                        });
                        gate.open();
                        let waited = wait(&barrier, &stop);
                        setter.join().unwrap();
                        match waited {
                            Ok(leads) => break told(leads),
                            Err(_) => left.fetch_add(1, Ordering::Relaxed),
                        };
                    }
                }
            });
        });
        // Nobody waits any more, so every release was one of all: else somebody would have been left over.
        assert_eq!(released.into_inner(), PARTIES * ROUNDS);
        assert_eq!(led.into_inner(), ROUNDS);
    });
}

#[test]
fn who_was_released_is_not_stopped_any_more() {
    finishes(|| {
        // The last one to come stops the other just after: both have taken part, whatever the other saw first.
        for _ in 0..1_000 {
            let (barrier, stop) = (Arc::new(StopBarrier::new(2)), StopEvent::new());
            let gate = Gate::new();
            let first = thread::spawn({
                let (barrier, stop, gate) = (barrier.clone(), stop.clone(), gate.clone());
                move || {
                    gate.open();
                    wait(&barrier, &stop)
                }
            });
            gate.pass();
            // Else it might not have arrived when it is stopped.
            let last = wait(&barrier, &StopEvent::never());
            stop.set();
            let (first, last) = (first.join().unwrap(), last.unwrap());
            assert_ne!(first.unwrap(), last);
        }
    });
}

#[test]
fn both_have_taken_part_or_neither_whenever_the_stop_comes() {
    finishes(|| {
        const ROUNDS: usize = 4_000;
        let start = std::sync::Barrier::new(3);
        let barrier = StopBarrier::new(2);
        let stops: Vec<_> = (0..ROUNDS).map(|_| StopEvent::new()).collect();
        let left: Vec<_> = (0..ROUNDS).map(|_| StopEvent::new()).collect();
        let (first, last) = thread::scope(|s| {
            // One that is stopped, and one that comes to meet it just then, and gives up when the other has left.
            let first = s.spawn(|| {
                let meets = |(stop, left): (&StopEvent, &StopEvent)| {
                    start.wait();
                    let met = wait(&barrier, stop).is_ok();
                    left.set();
                    start.wait();
                    met
                };
                stops.iter().zip(&left).map(meets).collect::<Vec<_>>()
            });
            let last = s.spawn(|| {
                let meets = |left: &StopEvent| {
                    start.wait();
                    let met = wait(&barrier, left).is_ok();
                    start.wait();
                    met
                };
                left.iter().map(meets).collect::<Vec<_>>()
            });
            for stop in &stops {
                start.wait();
                stop.set();
                start.wait();
            }
            (first.join().unwrap(), last.join().unwrap())
        });
        assert_eq!(first, last);
    });
}
