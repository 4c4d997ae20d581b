//! Callbacks of stop events.

mod races;

use crate::common::{DropCounter, Gate, OnDrop, OpenOnDrop, finishes, quiet_panic};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use stoppable::{StopCallback, StopEvent, StopReason, TaskStatus, ThreadPool, current};

/// A counter and what counts one up.
fn counter() -> (Arc<AtomicUsize>, impl Fn() + Clone + Send + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let up = {
        let count = Arc::clone(&count);
        move || {
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    (count, up)
}

fn read(count: &AtomicUsize) -> usize {
    count.load(Ordering::SeqCst)
}

#[test]
fn it_runs_once_before_set_returns_on_the_setters_thread() {
    finishes(|| {
        let stop = StopEvent::new();
        let (send, receive) = mpsc::channel();
        let callback = stop.on_set(move || send.send(thread::current().id()).unwrap());
        assert!(receive.try_recv().is_err());
        let setter = thread::spawn({
            let stop = stop.clone();
            move || {
                assert!(stop.set());
                let ran = receive.try_recv();
                (ran, receive.try_recv(), thread::current().id())
            }
        });
        let (ran, again, id) = setter.join().unwrap();
        assert_eq!(ran, Ok(id));
        assert!(again.is_err(), "once");
        assert!(!stop.set());
        drop(callback);
    });
}

#[test]
fn it_runs_at_once_on_this_thread_if_the_event_is_set() {
    let root = StopEvent::new();
    root.set();
    for stop in [root.clone(), root.child(), StopEvent::any([&root])] {
        let (send, receive) = mpsc::channel();
        let callback = stop.on_set(move || send.send(thread::current().id()).unwrap());
        assert_eq!(receive.try_recv(), Ok(thread::current().id()));
        assert!(!callback.remove(), "it has run");
    }
}

#[test]
fn that_of_never_never_runs() {
    let (count, up) = counter();
    let drops = DropCounter::new();
    let token = drops.token();
    let never = StopEvent::never();
    let callback = never.on_set(move || {
        let _token = &token;
        up();
    });
    assert!(!never.set());
    drop(callback);
    assert_eq!((read(&count), drops.count()), (0, 1));
    let token = drops.token();
    never.on_set(move || drop(token)).detach();
    assert_eq!(drops.count(), 2);
}

#[test]
fn those_of_children_and_anys_run_on_the_set_of_an_ancestor_once() {
    let (root, other) = (StopEvent::new(), StopEvent::new());
    let child = root.child();
    let any = StopEvent::any([&other, &child]);
    let events = [root.clone(), child.clone(), child.child(), any.child(), any];
    let (count, up) = counter();
    let callbacks = events.clone().map(|event| event.on_set(up.clone()));
    root.set();
    assert_eq!(read(&count), 5);
    other.set();
    for event in events {
        assert!(!event.set());
    }
    assert_eq!(read(&count), 5);
    drop(callbacks);
}

#[test]
fn that_of_an_any_whose_parents_are_all_set_runs_once() {
    let parents: Vec<_> = (0..10).map(|_| StopEvent::new()).collect();
    let (count, up) = counter();
    let callback = StopEvent::any(&parents).on_set(up);
    for parent in &parents {
        assert!(parent.set());
    }
    assert_eq!(read(&count), 1);
    drop(callback);
}

#[test]
fn setting_a_child_leaves_the_parents_callbacks_alone() {
    let root = StopEvent::new();
    let (count, up) = counter();
    let callback = root.on_set(up);
    root.child().set();
    StopEvent::any([&root]).set();
    assert_eq!(read(&count), 0);
    assert!(callback.remove());
}

#[test]
fn dropping_or_removing_the_guard_deregisters_it() {
    let stop = StopEvent::new();
    let (count, up) = counter();
    let drops = DropCounter::new();
    for remove in [false, true] {
        for event in [stop.clone(), stop.child()] {
            let (token, up) = (drops.token(), up.clone());
            let before = drops.count();
            let callback = event.on_set(move || {
                let _token = &token;
                up();
            });
            if remove {
                assert!(callback.remove());
            } else {
                drop(callback);
            }
            assert_eq!(drops.count(), before + 1, "with its captures");
        }
    }
    stop.set();
    assert_eq!(read(&count), 0);
}

/// A callback that runs until the gate is opened, on another thread.
struct Running {
    guard: StopCallback,
    ended: Arc<AtomicBool>,
    gate: Arc<Gate>,
    setter: thread::JoinHandle<()>,
}

fn running() -> Running {
    let stop = StopEvent::new();
    let (begun, gate) = (Gate::new(), Gate::new());
    let ended = Arc::new(AtomicBool::new(false));
    let guard = stop.child().on_set({
        let (begun, gate, ended) = (Arc::clone(&begun), Arc::clone(&gate), Arc::clone(&ended));
        move || {
            begun.open();
            gate.pass();
            ended.store(true, Ordering::SeqCst);
        }
    });
    let setter = thread::spawn(move || {
        stop.set();
    });
    begun.pass();
    Running {
        guard,
        ended,
        gate,
        setter,
    }
}

#[test]
fn dropping_the_guard_waits_for_a_callback_that_runs_elsewhere() {
    finishes(|| {
        let Running {
            guard,
            ended,
            gate,
            setter,
        } = running();
        let (about_to, dropper_begins) = mpsc::channel();
        let dropper = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                about_to.send(()).unwrap();
                drop(guard);
                assert!(ended.load(Ordering::SeqCst), "the drop came back early");
            }
        });
        dropper_begins.recv().unwrap();
        // A drop that does not wait has all this time to come back and to fail.
        for _ in 0..1_000 {
            thread::yield_now();
        }
        gate.open();
        dropper.join().unwrap();
        setter.join().unwrap();
    });
}

#[test]
fn removing_and_detaching_do_not_wait() {
    finishes(|| {
        for detach in [false, true] {
            let Running {
                guard,
                ended,
                gate,
                setter,
            } = running();
            let open = OpenOnDrop(gate);
            if detach {
                guard.detach();
            } else {
                assert!(!guard.remove(), "it runs");
            }
            assert!(!ended.load(Ordering::SeqCst));
            drop(open);
            setter.join().unwrap();
            assert!(ended.load(Ordering::SeqCst));
        }
    });
}

#[test]
fn a_callback_that_drops_its_own_guard_does_not_wait_for_itself() {
    finishes(|| {
        for removes in [false, true] {
            let stop = StopEvent::new();
            let (count, up) = counter();
            let slot = Arc::new(Mutex::new(None::<StopCallback>));
            let guard = stop.on_set({
                let slot = Arc::clone(&slot);
                move || {
                    let guard = slot.lock().unwrap().take().unwrap();
                    if removes {
                        assert!(!guard.remove());
                    } else {
                        drop(guard);
                    }
                    up();
                }
            });
            *slot.lock().unwrap() = Some(guard);
            stop.set();
            assert_eq!(read(&count), 1);
        }
    });
}

/// The first callback drops the guard of the second, which then never runs.
#[test]
fn a_callback_that_drops_the_guard_of_a_later_one_prevents_it() {
    finishes(|| {
        let stop = StopEvent::new();
        let (count, up) = counter();
        let slot = Arc::new(Mutex::new(None::<StopCallback>));
        let first = stop.on_set({
            let slot = Arc::clone(&slot);
            move || assert!(slot.lock().unwrap().take().unwrap().remove())
        });
        *slot.lock().unwrap() = Some(stop.on_set(up));
        stop.set();
        assert_eq!(read(&count), 0);
        assert!(
            slot.lock().unwrap().is_none(),
            "the first one ran to its end"
        );
        drop(first);
    });
}

#[test]
fn a_detached_one_still_runs_and_is_gone_with_its_event() {
    let root = StopEvent::new();
    let (count, up) = counter();
    let drops = DropCounter::new();
    let detach = |event: &StopEvent| {
        let (token, up) = (drops.token(), up.clone());
        event
            .on_set(move || {
                let _token = token;
                up();
            })
            .detach();
    };
    for _ in 0..100 {
        let other = StopEvent::new();
        let child = StopEvent::any([&other, &root.child()]).child();
        detach(&child);
        detach(&child.clone());
        detach(&root.child());
    }
    assert_eq!((read(&count), drops.count()), (0, 300), "dropped unset");
    let kept = root.child();
    detach(&kept);
    detach(&root);
    root.set();
    assert_eq!((read(&count), drops.count()), (2, 302));
    drop(kept);
}

#[test]
fn a_panic_in_one_leaves_the_others_and_the_setter_whole() {
    finishes(|| {
        let stop = StopEvent::new();
        let (count, up) = counter();
        let drops = DropCounter::new();
        let callbacks: Vec<_> = (0..9)
            .map(|n| {
                let (token, up) = (drops.token(), up.clone());
                stop.on_set(move || {
                    let _token = token;
                    if n % 3 == 0 {
                        quiet_panic("a callback");
                    }
                    up();
                })
            })
            .collect();
        assert!(stop.set());
        assert_eq!((read(&count), drops.count()), (6, 9));
        drop(callbacks);
        // At once, too.
        let callback = stop.on_set(|| quiet_panic("at once"));
        assert!(!callback.remove());
        // And with a payload whose drop panics.
        let stop = StopEvent::new();
        let callback = stop.on_set(|| {
            std::panic::resume_unwind(Box::new(OnDrop(|| quiet_panic("the payload"))));
        });
        assert!(stop.set());
        drop(callback);
    });
}

#[test]
fn they_run_in_the_order_in_which_they_were_registered() {
    let stop = StopEvent::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    let register = |n: u32, event: &StopEvent| {
        let order = Arc::clone(&order);
        event.on_set(move || order.lock().unwrap().push(n))
    };
    let child = stop.child();
    let mut callbacks: Vec<_> = (0..100)
        .map(|n| register(n, if n % 2 == 0 { &stop } else { &child }))
        .collect();
    // The first, the last and some in the middle go.
    for n in [99, 50, 49, 1, 0] {
        drop(callbacks.remove(n));
    }
    callbacks.push(register(100, &stop));
    stop.set();
    let gone = [0, 1, 49, 50, 99];
    let expected: Vec<_> = (0..=100).filter(|n| !gone.contains(n)).collect();
    assert_eq!(*order.lock().unwrap(), expected);
}

#[test]
fn a_callback_finds_the_event_set_with_its_cause() {
    let stop = StopEvent::new();
    let child = stop.child();
    let (send, receive) = mpsc::channel();
    let callback = child.on_set({
        let child = child.clone();
        move || send.send((child.is_set(), child.reason())).unwrap()
    });
    stop.set_with(StopReason::custom("why"));
    assert_eq!(
        receive.recv().unwrap(),
        (true, Some(StopReason::custom("why")))
    );
    drop(callback);
}

#[test]
fn a_callback_may_set_register_wait_and_drop_the_last_handle() {
    finishes(|| {
        let (stop, next) = (StopEvent::new(), StopEvent::new());
        let (count, up) = counter();
        let chained = next.on_set(up.clone());
        let callback = stop.on_set({
            let (stop, next, up) = (stop.clone(), next.clone(), up.clone());
            move || {
                assert!(!stop.set(), "it is set");
                stop.wait();
                assert!(next.set());
                stop.on_set(up.clone()).detach();
                stop.child().on_set(up).detach();
                drop((stop, next));
            }
        });
        assert!(stop.set());
        assert_eq!(read(&count), 3);
        drop((callback, chained));

        // The last handle of the event goes in the callback, while the set is under way.
        let stop = StopEvent::new();
        let slot = Arc::new(Mutex::new(None));
        let (tell, told) = mpsc::channel();
        stop.on_set({
            let slot = Arc::clone(&slot);
            move || {
                drop::<Option<StopEvent>>(slot.lock().unwrap().take());
                tell.send(()).unwrap();
            }
        })
        .detach();
        let child = stop.child();
        *slot.lock().unwrap() = Some(stop.clone());
        let setter = thread::spawn(move || stop.set());
        told.recv().unwrap();
        assert!(setter.join().unwrap());
        assert!(child.is_set());
    });
}

/// A chain of callbacks, each of which sets the next event.
#[test]
fn callbacks_that_set_events_whose_callbacks_set_events() {
    finishes(|| {
        let events: Vec<_> = (0..100).map(|_| StopEvent::new()).collect();
        for pair in events.windows(2) {
            let next = pair[1].clone();
            pair[0].on_set(move || assert!(next.set())).detach();
        }
        events[0].set();
        assert!(events.iter().all(StopEvent::is_set));
    });
}

#[test]
fn in_a_callback_there_is_no_current_task() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (tell, told) = mpsc::channel();
        let task = pool.submit(move |stop| {
            let callback = stop.on_set(move || {
                tell.send((current().is_set(), current().set())).unwrap();
            });
            // Set by the task itself, on its own thread; then it looks no more.
            stop.set();
            assert!(current().peek(), "and after it there is one again");
            drop(callback);
        });
        let status = task.outcome().status();
        assert_eq!(told.recv().unwrap(), (false, false), "current() is never()");
        assert_eq!(status, TaskStatus::Completed);
    });
}

#[test]
fn a_poll_of_the_tasks_handle_in_a_callback_is_not_the_tasks() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let asked = Gate::new();
        let task = pool.submit({
            let asked = Arc::clone(&asked);
            move |stop| {
                let given = stop.clone();
                let callback = stop.on_set(move || assert!(given.is_set()));
                asked.pass();
                drop(callback);
            }
        });
        task.wait_started();
        task.cancel();
        asked.open();
        assert_eq!(task.outcome().status(), TaskStatus::Completed);
    });
}

#[test]
fn a_callback_on_the_event_that_a_task_was_given() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (tell, told) = mpsc::channel();
        let registered = Gate::new();
        let deaf = pool.submit({
            let registered = Arc::clone(&registered);
            move |stop| {
                let asked = Gate::new();
                let callback = stop.on_set({
                    let asked = Arc::clone(&asked);
                    move || {
                        tell.send(thread::current().id()).unwrap();
                        asked.open();
                    }
                });
                registered.open();
                asked.pass();
                drop(callback);
            }
        });
        registered.pass();
        deaf.cancel();
        assert_eq!(told.recv().unwrap(), thread::current().id());
        assert_eq!(
            deaf.outcome().status(),
            TaskStatus::Completed,
            "hearing is not seeing"
        );
    });
}

#[test]
fn that_of_a_pending_tasks_event_runs_when_it_is_cancelled() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let open = OpenOnDrop(Arc::clone(&gate));
        let blocker = pool.submit(move |_| gate.pass());
        blocker.wait_started();
        let pending = pool.submit(|_| ());
        let (count, up) = counter();
        let callback = pending.stop_event().on_set(up);
        pending.cancel();
        assert_eq!(read(&count), 1);
        drop((open, callback));
    });
}

#[test]
fn callbacks_may_be_borrowed_from_no_thread_local_of_the_registrar() {
    thread_local!(static HERE: Cell<u32> = const { Cell::new(0) });
    finishes(|| {
        HERE.set(1);
        let stop = StopEvent::new();
        let (tell, told) = mpsc::channel();
        stop.on_set(move || tell.send(HERE.get()).unwrap()).detach();
        thread::spawn(move || stop.set()).join().unwrap();
        assert_eq!(told.recv().unwrap(), 0, "it ran on the setter's thread");
    });
}

#[test]
fn a_hundred_thousand_on_one_event() {
    finishes(|| {
        let stop = StopEvent::new();
        let (count, up) = counter();
        let callbacks: Vec<_> = (0..100_000).map(|_| stop.on_set(up.clone())).collect();
        let mut kept = Vec::new();
        for (n, callback) in callbacks.into_iter().enumerate() {
            if n % 2 == 0 {
                kept.push(callback);
            } else {
                assert!(callback.remove());
            }
        }
        stop.set();
        assert_eq!(read(&count), 50_000);
        drop(kept);
    });
}

/// Registering races with the set: it runs exactly once, whoever is first.
#[test]
fn a_set_against_registrations_and_drops() {
    finishes(|| {
        for n in 0..2_000 {
            let (root, other) = (StopEvent::new(), StopEvent::new());
            let stop = if n % 2 == 0 {
                root.child()
            } else {
                StopEvent::any([&root, &other])
            };
            let begin = Arc::new(Barrier::new(3));
            let setters = [root, other].map(|event| {
                let begin = Arc::clone(&begin);
                thread::spawn(move || {
                    begin.wait();
                    event.set();
                })
            });
            let (count, up) = counter();
            begin.wait();
            let callback = stop.on_set(up.clone());
            let ran = n % 3 == 0;
            if ran {
                let dropped = stop.on_set({
                    let up = up.clone();
                    move || up()
                });
                drop(dropped);
                let now = read(&count);
                assert!(now <= 2);
            }
            for setter in setters {
                setter.join().unwrap();
            }
            let after = read(&count);
            assert!(after == 1 || (ran && after == 2), "{after}");
            assert!(!callback.remove());
        }
    });
}

/// Once the drop of the guard has returned, the callback does not run.
#[test]
fn after_the_drop_it_does_not_run() {
    finishes(|| {
        for _ in 0..2_000 {
            let stop = StopEvent::new();
            let dropped = Arc::new(AtomicBool::new(false));
            let late = Arc::new(AtomicBool::new(false));
            let callback = stop.child().on_set({
                let (dropped, late) = (Arc::clone(&dropped), Arc::clone(&late));
                move || {
                    thread::yield_now();
                    if dropped.load(Ordering::SeqCst) {
                        late.store(true, Ordering::SeqCst);
                    }
                }
            });
            let begin = Arc::new(Barrier::new(2));
            let setter = thread::spawn({
                let begin = Arc::clone(&begin);
                move || {
                    begin.wait();
                    stop.set();
                }
            });
            begin.wait();
            drop(callback);
            dropped.store(true, Ordering::SeqCst);
            setter.join().unwrap();
            assert!(!late.load(Ordering::SeqCst));
        }
    });
}

#[test]
fn a_deadline_runs_callbacks_and_panics_do_not_stop_later_deadlines() {
    finishes(|| {
        let (tell, told) = mpsc::channel();
        for n in 0..3 {
            let stop = StopEvent::new();
            let tell = tell.clone();
            let panics = stop.on_set(|| quiet_panic("on the timer's thread"));
            let callback = stop.on_set(move || tell.send(n).unwrap());
            stop.set_after(Duration::from_millis(2));
            assert_eq!(told.recv().unwrap(), n);
            drop((panics, callback));
        }
    });
}
