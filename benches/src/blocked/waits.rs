//! Waiting: for time to pass, for other tasks, for conditions.

use super::stage::{Blocked, Stage, Started};
use super::{Row, Sides};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};
use stoppable::{StopCondvar, StopEvent, ThreadPool};

/// Nobody waits for so long.
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) const ROWS: &[Row] = &[
    Row {
        key: "sleep",
        title: "`stop.sleep`",
        by_hand: "`Condvar::wait_timeout_while`",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Asleep, |stop, started| {
                    started.tell();
                    stop.sleep(HOUR).expect_err("it was stopped")
                })
            };
            Sides::new(ours, limited_wait(by))
        },
    },
    Row {
        key: "wait",
        title: "`stop.wait`",
        by_hand: "`Condvar::wait_while`",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Asleep, |stop, started| {
                    started.tell();
                    stop.wait();
                })
            };
            Sides::new(ours, wait(by))
        },
    },
    Row {
        key: "wait_timeout",
        title: "`stop.wait_timeout`",
        by_hand: "`Condvar::wait_timeout_while`",
        share: 1,
        sides: |stage| {
            let by = stage.clone();
            let ours = move || {
                stage.ours(Blocked::Asleep, |stop, started| {
                    started.tell();
                    assert!(stop.wait_timeout(HOUR));
                })
            };
            Sides::new(ours, limited_wait(by))
        },
    },
    Row {
        key: "join",
        title: "`join_or_stopped`",
        by_hand: "a `Condvar` for its end and the stop",
        share: 1,
        sides: |stage| Sides::new(join_or_stopped(stage.clone()), wait(stage)),
    },
    Row {
        key: "condvar",
        title: "`StopCondvar`",
        by_hand: "a `Condvar`, notified under its mutex",
        share: 1,
        sides: |stage| Sides::new(stop_condvar(stage.clone()), wait(stage)),
    },
    Row {
        key: "mpsc",
        title: "`mpsc::Receiver::recv`, sent to by an `on_set` callback",
        by_hand: "`Sender::send`",
        share: 1,
        sides: |stage| Sides::new(receive(stage.clone()), receive_by_hand(stage)),
    },
    Row {
        key: "future",
        title: "a future beside `stop.stopped()`, in `block_on`",
        by_hand: "beside a `oneshot` receiver",
        share: 1,
        sides: |stage| Sides::new(future(stage.clone()), future_by_hand(stage)),
    },
    Row {
        key: "on_set",
        title: "an `on_set` callback, until it is called",
        by_hand: "a boxed closure in a mutex",
        share: 1,
        sides: |_stage| Sides::new(callback, callback_by_hand),
    },
];

/// A flag for which a thread waits, as it would be written without this crate: state and stop under one lock.
#[derive(Default)]
struct Flag {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Flag {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.set.lock().expect("nobody panics with it")
    }

    fn set(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let set = self.changed.wait_while(self.lock(), |set| !*set);
        drop(set.expect("nobody panics with it"));
    }

    fn wait_timeout(&self, limit: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), limit, |set| !*set);
        *waited.expect("nobody panics with it").0
    }
}

fn waiting(
    stage: Stage,
    block: impl Fn(&Flag) + Copy + Send + 'static,
) -> impl FnMut() -> Duration {
    move || {
        let flag = Arc::new(Flag::default());
        let seen = Arc::clone(&flag);
        let block = move |started: &Started| {
            started.tell();
            block(&seen);
        };
        stage.by_hand(Blocked::Asleep, block, || flag.set())
    }
}

fn wait(stage: Stage) -> impl FnMut() -> Duration {
    waiting(stage, Flag::wait)
}

fn limited_wait(stage: Stage) -> impl FnMut() -> Duration {
    waiting(stage, |flag| assert!(flag.wait_timeout(HOUR)))
}

/// The other task lives on from round to round.
fn join_or_stopped(stage: Stage) -> impl FnMut() -> Duration {
    let pool = ThreadPool::new(1);
    let other = pool.submit(StopEvent::wait);
    other.wait_started();
    let other = Arc::new(Mutex::new(Some(other)));
    move || {
        let _alive = &pool;
        let slot = Arc::clone(&other);
        stage.ours(Blocked::Asleep, move |stop, started| {
            let take = || slot.lock().expect("nobody panics with it").take();
            let other = take().expect("it came back");
            started.tell();
            let other = other.join_or_stopped(stop).expect_err("it goes on");
            *slot.lock().expect("nobody panics with it") = Some(other);
        })
    }
}

fn stop_condvar(stage: Stage) -> impl FnMut() -> Duration {
    let condition = Arc::new((Mutex::new(false), StopCondvar::new()));
    move || {
        let condition = Arc::clone(&condition);
        stage.ours(Blocked::Asleep, move |stop, started| {
            let (holds, changed) = &*condition;
            let lock = || holds.lock().expect("nobody panics with it");
            started.tell();
            let waited = changed.wait_while(lock, stop, |holds| !**holds);
            assert!(waited.is_err());
        })
    }
}

fn receive(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        stage.ours(Blocked::Asleep, |stop, started| {
            let (sender, receiver) = mpsc::channel();
            let callback = stop.on_set(move || sender.send(()).expect("it is received"));
            started.tell();
            receiver.recv().expect("it was sent");
            (callback, receiver)
        })
    }
}

fn receive_by_hand(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (sender, receiver) = mpsc::channel();
        let block = move |started: &Started| {
            started.tell();
            receiver.recv().expect("it was sent");
            receiver
        };
        stage.by_hand(Blocked::Asleep, block, || {
            sender.send(()).expect("it is received");
        })
    }
}

/// Until `stop` is ready: the work beside it never is.
fn beside_endless_work(stop: impl Future) {
    let (mut work, mut stop) = (pin!(pending::<()>()), pin!(stop));
    pollster::block_on(poll_fn(|context| {
        if work.as_mut().poll(context).is_ready() || stop.as_mut().poll(context).is_ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
}

fn future(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        stage.ours(Blocked::Asleep, |stop, started| {
            started.tell();
            beside_endless_work(stop.stopped());
        })
    }
}

fn future_by_hand(stage: Stage) -> impl FnMut() -> Duration {
    move || {
        let (sender, receiver) = oneshot::channel();
        let block = move |started: &Started| {
            started.tell();
            beside_endless_work(receiver);
        };
        stage.by_hand(Blocked::Asleep, block, || {
            sender.send(()).expect("it is received");
        })
    }
}

/// Both kinds of callback run on the thread that sets.
fn callback() -> Duration {
    let event = StopEvent::new();
    let at = Arc::new(OnceLock::new());
    let called = Arc::clone(&at);
    let callback = event.on_set(move || called.set(Instant::now()).expect("it is called once"));
    let from = Instant::now();
    event.set();
    drop(callback);
    at.get().expect("it was called").duration_since(from)
}

fn callback_by_hand() -> Duration {
    let at = Arc::new(OnceLock::new());
    let called = Arc::clone(&at);
    let code = move || called.set(Instant::now()).expect("it is called once");
    let code: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(Some(Box::new(code)));
    let from = Instant::now();
    let taken = code.lock().expect("nobody panics with it").take();
    taken.expect("it is there")();
    at.get().expect("it was called").duration_since(from)
}
