//! The future of a stop event, under wakers written by hand.

use crate::common::{DropCounter, Gate, Token, finishes, quiet_panic};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use stoppable::{StopEvent, StopFuture, StopReason, TaskStatus, ThreadPool};

/// Counts how often it was woken.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Counts {
    fn new() -> (Arc<Counts>, Waker) {
        let counts = Arc::<Counts>::default();
        (Arc::clone(&counts), Waker::from(counts))
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(future: &mut StopFuture, waker: &Waker) -> Poll<()> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn it_is_pending_and_is_woken_once() {
    let stop = StopEvent::new();
    let (counts, waker) = Counts::new();
    let mut future = stop.stopped();
    assert_eq!(poll(&mut future, &waker), Poll::Pending);
    assert_eq!(counts.get(), 0);
    stop.set();
    assert_eq!(counts.get(), 1);
    assert_eq!(poll(&mut future, &waker), Poll::Ready(()));
    assert_eq!(poll(&mut future, &waker), Poll::Ready(()), "and again");
    stop.set();
    assert_eq!(counts.get(), 1);
}

#[test]
fn it_is_ready_at_once_when_the_event_is_set() {
    let stop = StopEvent::new();
    let mut before = stop.stopped();
    stop.set();
    let (counts, waker) = Counts::new();
    assert_eq!(poll(&mut stop.stopped(), &waker), Poll::Ready(()));
    assert_eq!(poll(&mut before, &waker), Poll::Ready(()));
    assert_eq!(poll(&mut stop.child().stopped(), &waker), Poll::Ready(()));
    assert_eq!(counts.get(), 0);
}

#[test]
fn that_of_never_is_pending_for_ever() {
    let (counts, waker) = Counts::new();
    let never = StopEvent::never();
    let mut future = never.stopped();
    assert_eq!(poll(&mut future, &waker), Poll::Pending);
    assert!(!never.set());
    assert_eq!(poll(&mut future, &waker), Poll::Pending);
    assert_eq!(counts.get(), 0);
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let stop = StopEvent::new();
    let (stale, first) = Counts::new();
    let (fresh, second) = Counts::new();
    let mut future = stop.stopped();
    assert_eq!(poll(&mut future, &first), Poll::Pending);
    assert_eq!(poll(&mut future, &second), Poll::Pending);
    drop(first);
    assert_eq!(Arc::strong_count(&stale), 1, "the stale waker was let go");
    stop.set();
    assert_eq!((stale.get(), fresh.get()), (0, 1));
}

#[test]
fn a_dropped_future_leaves_nothing_and_wakes_nobody() {
    let (above, other) = (StopEvent::new(), StopEvent::new());
    let stop = StopEvent::any([&other, &above.child()]).child();
    let (counts, waker) = Counts::new();
    for _ in 0..100 {
        let mut future = stop.stopped();
        assert_eq!(poll(&mut future, &waker), Poll::Pending);
        assert_eq!(poll(&mut future, &waker), Poll::Pending);
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&counts), 1);
    above.set();
    assert_eq!(counts.get(), 0);
}

#[test]
fn a_future_keeps_its_event() {
    let stop = StopEvent::new();
    let child = stop.child();
    let (counts, waker) = Counts::new();
    let mut future = child.stopped();
    drop(child);
    assert_eq!(poll(&mut future, &waker), Poll::Pending);
    stop.set();
    assert_eq!(counts.get(), 1);
    assert_eq!(poll(&mut future, &waker), Poll::Ready(()));
}

#[test]
fn children_and_anys_are_woken_by_whatever_sets_them() {
    for which in 0..3 {
        let roots = [StopEvent::new(), StopEvent::new(), StopEvent::new()];
        let any = StopEvent::any([&roots[0], &roots[1].child(), &roots[2].child().child()]);
        let mut futures = [any.stopped(), any.child().stopped()];
        let (counts, waker) = Counts::new();
        for future in &mut futures {
            assert_eq!(poll(future, &waker), Poll::Pending);
        }
        roots[which].set();
        assert_eq!(counts.get(), 2);
        for future in &mut futures {
            assert_eq!(poll(future, &waker), Poll::Ready(()));
        }
        for root in &roots {
            root.set();
        }
        assert_eq!(counts.get(), 2, "each was woken once");
    }
}

/// Panics when it is woken.
struct Panics(#[expect(dead_code, reason = "for its drop")] Token);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        quiet_panic("a waker");
    }
}

#[test]
fn a_waker_that_panics_disturbs_nobody() {
    let stop = StopEvent::new();
    let drops = DropCounter::new();
    let (counts, waker) = Counts::new();
    let mut futures: Vec<_> = (0..9).map(|_| stop.stopped()).collect();
    for (n, future) in futures.iter_mut().enumerate() {
        let bad = Waker::from(Arc::new(Panics(drops.token())));
        let waker = if n % 3 == 1 { &bad } else { &waker };
        assert_eq!(poll(future, waker), Poll::Pending);
    }
    assert!(stop.set());
    // Each bad waker was made for one poll, and let go.
    assert_eq!((counts.get(), drops.count()), (6, 9));
}

/// Those who wait are told before anybody else's code runs, whoever came first.
#[test]
fn it_is_woken_before_the_callbacks() {
    finishes(|| {
        let stop = StopEvent::new();
        let (counts, waker) = Counts::new();
        let woken = Arc::new(AtomicUsize::new(0));
        let mut callbacks = Vec::new();
        let mut futures = Vec::new();
        for _ in 0..3 {
            let (counts, woken) = (Arc::clone(&counts), Arc::clone(&woken));
            callbacks.push(stop.on_set(move || {
                woken.fetch_add(counts.get(), Ordering::SeqCst);
            }));
            let mut future = stop.stopped();
            assert_eq!(poll(&mut future, &waker), Poll::Pending);
            futures.push(future);
        }
        stop.set();
        // Each of the callbacks has found all three woken.
        assert_eq!(woken.load(Ordering::SeqCst), 9);
    });
}

/// One that was not needed any more.
#[test]
fn a_waker_that_panics_when_dropped_disturbs_nobody() {
    struct Bad(DropCounter);
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Bad {
        fn drop(&mut self) {
            drop(self.0.token());
            quiet_panic("a waker's drop");
        }
    }
    let stop = StopEvent::new();
    let drops = DropCounter::new();
    let mut future = stop.stopped();
    let waker = Waker::from(Arc::new(Bad(drops.clone())));
    assert_eq!(poll(&mut future, &waker), Poll::Pending);
    // Now the future has the last one.
    drop(waker);
    assert_eq!(drops.count(), 0);
    drop(future);
    assert_eq!(drops.count(), 1);
    assert!(stop.set());
}

/// A waker may do anything: register, set another event, drop the last handle.
#[test]
fn a_waker_may_use_events() {
    struct Busy(StopEvent, StopEvent, Arc<Counts>);
    impl Wake for Busy {
        fn wake(self: Arc<Self>) {
            let Busy(stop, next, counts) = &*self;
            assert!(stop.is_set() && next.set());
            let counts = Arc::clone(counts);
            let callback = stop.on_set(move || counts.wake());
            drop(callback);
        }
    }
    finishes(|| {
        let (stop, next) = (StopEvent::new(), StopEvent::new());
        let (counts, waker) = Counts::new();
        let mut chained = next.stopped();
        assert_eq!(poll(&mut chained, &waker), Poll::Pending);
        let busy = Busy(stop.clone(), next.clone(), Arc::clone(&counts));
        let mut future = stop.stopped();
        assert_eq!(poll(&mut future, &Arc::new(busy).into()), Poll::Pending);
        stop.set();
        assert!(next.is_set());
        assert_eq!(counts.get(), 2);
    });
}

#[test]
fn polling_that_of_the_tasks_event_counts_as_seeing() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let looks: [fn(&StopEvent); 4] = [
            |stop| block_on(stop.stopped()),
            |stop| block_on(stop.child().stopped()),
            |_| block_on(stoppable::current().stopped()),
            |stop| block_on(StopEvent::any([&StopEvent::new(), stop]).stopped()),
        ];
        for look in looks {
            let task = pool.submit(look);
            task.wait_started();
            task.cancel();
            assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
        }
        // A future that nobody polls sees nothing, nor does one of the owner's event.
        let asked = Gate::new();
        let task = pool.submit({
            let asked = Arc::clone(&asked);
            move |stop| {
                let future = stop.stopped();
                asked.pass();
                drop(future);
            }
        });
        task.wait_started();
        task.cancel();
        block_on(task.stop_event().stopped());
        asked.open();
        assert_eq!(task.outcome().status(), TaskStatus::Completed);
    });
}

#[test]
fn a_set_against_a_first_poll() {
    finishes(|| {
        for n in 0..2_000 {
            let root = StopEvent::new();
            let other = StopEvent::new();
            let stop = match n % 3 {
                0 => root.clone(),
                1 => root.child(),
                _ => StopEvent::any([&other, &root]).child(),
            };
            let begin = Arc::new(Barrier::new(2));
            let setter = thread::spawn({
                let begin = Arc::clone(&begin);
                move || {
                    begin.wait();
                    root.set()
                }
            });
            begin.wait();
            block_on(stop.stopped());
            assert_eq!(stop.reason(), Some(StopReason::Requested));
            assert!(setter.join().unwrap());
        }
    });
}

/// One set wakes ten thousand futures, on children, and two hundred threads.
#[test]
fn a_root_wakes_ten_thousand_futures_and_two_hundred_threads() {
    finishes(|| {
        let root = StopEvent::new();
        let (counts, waker) = Counts::new();
        let mut futures: Vec<_> = (0..10_000).map(|_| root.child().stopped()).collect();
        for future in &mut futures {
            assert_eq!(poll(future, &waker), Poll::Pending);
        }
        let called = Arc::<Counts>::default();
        let callbacks = (0..10_000).map(|_| {
            let called = Arc::clone(&called);
            root.child().on_set(move || called.wake())
        });
        let callbacks: Vec<_> = callbacks.collect();
        let begun = Arc::new(Barrier::new(201));
        let threads = (0..200).map(|n| {
            let (stop, begun) = (root.child(), Arc::clone(&begun));
            thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn(move || {
                    begun.wait();
                    if n % 2 == 0 {
                        stop.wait();
                    } else {
                        block_on(stop.stopped());
                    }
                })
                .unwrap()
        });
        let threads: Vec<_> = threads.collect();
        begun.wait();
        root.set();
        assert_eq!((counts.get(), called.get()), (10_000, 10_000));
        for thread in threads {
            thread.join().unwrap();
        }
        for future in &mut futures {
            assert_eq!(poll(future, &waker), Poll::Ready(()));
        }
        drop(callbacks);
    });
}
