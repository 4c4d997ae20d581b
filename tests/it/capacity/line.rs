//! Who is first in the line, and who is let in.

use super::*;
use crate::blocked::spawn_blocked;
use std::sync::mpsc::Receiver;

type Submitted = (usize, TaskHandle<usize>);

/// So many submitters in a line, each with an event, and what they submit.
fn line_up(pool: &Arc<ThreadPool>, count: usize) -> (Vec<StopEvent>, Receiver<Submitted>) {
    let (tell, told) = mpsc::channel();
    let events: Vec<_> = (0..count).map(|_| StopEvent::new()).collect();
    for (n, stop) in events.iter().enumerate() {
        let (pool, tell, stop) = (Arc::clone(pool), tell.clone(), stop.clone());
        drop(spawn_blocked(move || {
            let handle = pool.task().stop_with(&stop).submit(move |_| n);
            tell.send((n, handle)).unwrap();
        }));
    }
    (events, told)
}

#[test]
fn who_leaves_the_line_does_not_disturb_its_order() {
    finishes(|| {
        let full = full(1);
        let (events, told) = line_up(&full.pool, 5);
        for n in [0, 3] {
            events[n].set();
            let (left, task) = told.recv().unwrap();
            assert_eq!(left, n);
            never_started(task);
        }
        assert!(told.try_recv().is_err(), "nobody else came in");
        assert!(full.pool.try_submit(|_| ()).unwrap_err().is_full());
        let mut pending = full.pending[0].canceller();
        for n in [1, 2, 4] {
            assert_eq!(pending.cancel(), CancelOutcome::NeverStarted);
            let (first, task) = told.recv().unwrap();
            assert_eq!(first, n);
            assert!(task.is_pending());
            assert!(told.try_recv().is_err(), "two came in for one place");
            pending = task.canceller();
        }
        assert!(full.pool.try_submit(|_| ()).unwrap_err().is_full());
        full.check();
    });
}

#[test]
fn one_event_takes_all_that_are_under_it_out_of_the_line() {
    finishes(|| {
        let full = full(1);
        let (tell, told) = mpsc::channel();
        let shared = StopEvent::new();
        for n in 0..6 {
            let (pool, tell) = (Arc::clone(&full.pool), tell.clone());
            let stop = if n % 2 == 0 {
                shared.child()
            } else {
                StopEvent::never()
            };
            drop(spawn_blocked(move || {
                let task = pool.task().stop_with(&stop).submit(|_| ());
                tell.send((n, task)).unwrap();
            }));
        }
        shared.set();
        let mut left: Vec<_> = (0..3).map(|_| told.recv().unwrap().0).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 2, 4]);
        assert!(told.try_recv().is_err());
        full.gate.0.open();
        let mut came: Vec<_> = (0..3).map(|_| told.recv().unwrap()).collect();
        came.sort_unstable_by_key(|(n, _)| *n);
        for (n, (expected, task)) in [1, 3, 5].into_iter().zip(came) {
            assert_eq!(n, expected);
            task.join().unwrap();
        }
        full.check();
    });
}

/// The first one wants more than there is. When it leaves, there is enough for those behind it.
#[test]
fn when_one_who_wants_much_leaves_those_behind_come_in() {
    finishes(|| {
        let full = full(3);
        full.pending[0].cancel();
        let outside = ThreadPool::new(1);
        let (tell, told) = mpsc::channel();
        let greedy = outside.submit({
            let pool = Arc::clone(&full.pool);
            move |_| {
                tell.send(crate::blocked::own_state()).unwrap();
                pool.submit_all([|_: &StopEvent| (); 3])
            }
        });
        crate::blocked::until_asleep(&told.recv().unwrap());
        let (_events, came) = line_up(&full.pool, 2);
        assert!(came.try_recv().is_err(), "nobody overtakes");
        greedy.cancel();
        let Outcome::Cancelled { partial, cause } = greedy.outcome() else {
            panic!("it did not see its stop");
        };
        for task in partial.unwrap() {
            assert_eq!(never_started(task), cause);
        }
        let (n, task) = came.recv().unwrap();
        assert!(n == 0 && task.is_pending());
        assert!(came.try_recv().is_err(), "there was room for one");
        full.pending[1].cancel();
        assert_eq!(came.recv().unwrap().0, 1);
        full.check();
    });
}

/// The room that a cancel gives back goes to who waits, though he was stopped since: then to the next.
#[test]
fn room_that_a_leaver_did_not_take_goes_to_the_next() {
    finishes(|| {
        for _ in 0..50 {
            let full = full(1);
            let (events, told) = line_up(&full.pool, 2);
            let begin = Arc::new(Barrier::new(2));
            let setter = thread::spawn({
                let (stop, begin) = (events[0].clone(), Arc::clone(&begin));
                move || {
                    begin.wait();
                    stop.set();
                }
            });
            begin.wait();
            full.pending[0].cancel();
            setter.join().unwrap();
            // The first is stopped, in the line or in the queue; either way the second comes in.
            let mut both = [told.recv().unwrap(), told.recv().unwrap()];
            both.sort_unstable_by_key(|(n, _)| *n);
            let [(_, first), (_, second)] = both;
            never_started(first);
            assert!(second.is_pending());
            full.check();
        }
    });
}
