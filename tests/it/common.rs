//! What the tests share: gates, pools that are stuck, counters of drops, and a guard against hangs.

use std::env;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{StopEvent, TaskHandle, ThreadPool, ThreadPoolBuilder};

/// Longer than anything here takes, on a busy machine with one core: what lasts longer hangs. Who breaks the
/// library on purpose, to see tests fail, may want to wait less, and a checker that makes all of it slow needs
/// more: `STOPPABLE_GUARD`, in seconds.
fn guard() -> Duration {
    let seconds = env::var("STOPPABLE_GUARD").ok();
    seconds
        .and_then(|it| it.parse().ok())
        .map_or(GUARD, Duration::from_secs)
}

const GUARD: Duration = Duration::from_secs(240);

/// Whether all of it runs under a checker that makes it slow.
pub(crate) fn is_slow() -> bool {
    guard() > GUARD
}

/// Runs `test` on a thread of its own, and fails if it hangs.
#[track_caller]
pub(crate) fn finishes<R: Send + 'static>(test: impl FnOnce() -> R + Send + 'static) -> R {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = test();
        // Nobody hears it if the guard has given up.
        let _ = tell.send(result);
    });
    match told.recv_timeout(guard()) {
        Ok(result) => {
            // What is local to the thread is gone too when the test ends: leak checkers count it.
            let _ = thread.join();
            result
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(()) => unreachable!("it ended without a result or a panic"),
            Err(payload) => resume_unwind(payload),
        },
    }
}

/// Unwinds as a panic does, but without a line on the standard error.
pub(crate) fn quiet_panic(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

/// Something that is shut until it is opened, for good.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Arc<Gate> {
        Arc::default()
    }

    pub(crate) fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is open.
    #[track_caller]
    pub(crate) fn pass(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, _) = self
            .opened
            .wait_timeout_while(open, guard(), |open| !*open)
            .unwrap_or_else(PoisonError::into_inner);
        let passed = *open;
        drop(open);
        assert!(passed, "a gate was never opened");
    }
}

/// Opens a gate when it is dropped, so that a failing test does not hang.
pub(crate) struct OpenOnDrop(pub(crate) Arc<Gate>);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A pool whose workers are all stuck in tasks that look at no stop event.
pub(crate) struct Stuck {
    gate: Arc<Gate>,
    blockers: Vec<TaskHandle<()>>,
    pub(crate) pool: ThreadPool,
}

impl Stuck {
    pub(crate) fn new(threads: usize) -> Stuck {
        Stuck::with(threads, |builder| builder)
    }

    pub(crate) fn with(
        threads: usize,
        set_up: impl FnOnce(ThreadPoolBuilder) -> ThreadPoolBuilder,
    ) -> Stuck {
        let pool = set_up(ThreadPool::builder().threads(threads))
            .build()
            .expect("the pool can be built");
        let gate = Gate::new();
        let mut blockers = Vec::new();
        for _ in 0..threads {
            let gate = Arc::clone(&gate);
            let blocker = pool.submit(move |_stop| gate.pass());
            blocker.wait_started();
            blockers.push(blocker);
        }
        Stuck {
            gate,
            blockers,
            pool,
        }
    }

    /// Lets the workers go.
    pub(crate) fn release(&self) {
        self.gate.open();
        for blocker in &self.blockers {
            blocker.wait();
        }
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // Before the pool is dropped, which waits for its workers.
        self.gate.open();
    }
}

/// Counts the drops of its tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct DropCounter(Arc<AtomicUsize>);

#[derive(Debug)]
pub(crate) struct Token(DropCounter);

impl DropCounter {
    pub(crate) fn new() -> DropCounter {
        DropCounter::default()
    }

    pub(crate) fn token(&self) -> Token {
        Token(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Does something when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Waits, by yielding, for what nothing can be waited for: it has no event of its own.
#[track_caller]
pub(crate) fn until(what: impl Fn() -> bool) {
    assert!(comes(what), "it never came");
}

/// As [`until`], for who has more to say when it does not.
pub(crate) fn comes(what: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    let guard = guard();
    while !what() {
        if start.elapsed() >= guard / 2 {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// Polls until the event reads set, as a task does.
#[track_caller]
pub(crate) fn poll(stop: &StopEvent) {
    until(|| stop.is_set());
}
