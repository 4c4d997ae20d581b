//! What is known of every task of one pool, from the closures' side, to be held against what the pool says.

use crate::dice::Dice;
use std::cell::Cell;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, OnceLock};
use stoppable::{
    CancelOutcome, Outcome, PendingTask, Stats, StopCallback, StopEvent, SubmitError, Submitter,
    TaskError, TaskHandle, TaskId, TaskStatus,
};

const NEVER_BEGAN: u8 = 0;
pub(crate) const COMPLETED: u8 = 1;
pub(crate) const CANCELLED: u8 = 2;
pub(crate) const PANICKED: u8 = 3;

/// Where a task came from.
const NO_TASK: u8 = 0;
/// Its submission told its id.
pub(crate) const KNOWN: u8 = 1;
/// Its submission handed it back.
pub(crate) const HANDED_BACK: u8 = 2;
/// A task of the pool whose id nobody tells, if it was submitted at all.
pub(crate) const NAMELESS: u8 = 3;
/// A task without a pool.
pub(crate) const WITHOUT_POOL: u8 = 4;

/// One task.
#[derive(Default)]
pub(crate) struct Slot {
    /// One more than the id.
    pub(crate) id: AtomicU64,
    pub(crate) sort: AtomicU8,
    begun: AtomicU8,
    /// How the closure ended, as the closure itself saw it.
    ending: AtomicU8,
    pub(crate) closure_drops: AtomicU8,
    /// Results and payloads.
    pub(crate) made: AtomicU8,
    pub(crate) made_drops: AtomicU8,
    /// The outcome was fetched through the handle.
    pub(crate) fetched: AtomicBool,
    /// How often the hook for unhandled panics was called for it.
    pub(crate) unhandled: AtomicU8,
    /// `on_done`: how often it was asked for, and how often it came.
    pub(crate) done_wanted: AtomicU8,
    pub(crate) done_came: AtomicU8,
}

impl Slot {
    pub(crate) fn is_used(&self) -> bool {
        self.sort.load(Relaxed) != NO_TASK
    }

    /// The status that the closure's own observations make right.
    pub(crate) fn status(&self) -> TaskStatus {
        match (self.begun.load(Relaxed), self.ending.load(Relaxed)) {
            (0, NEVER_BEGAN) => TaskStatus::NeverStarted,
            (1, COMPLETED) => TaskStatus::Completed,
            (1, CANCELLED) => TaskStatus::Cancelled,
            (1, PANICKED) => TaskStatus::Panicked,
            (1, _) => TaskStatus::Running,
            (begun, ending) => panic!("a task began {begun} times and ended as {ending}"),
        }
    }

    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, ending: u8) {
        self.ending.store(ending, Relaxed);
    }
}

/// What came of a callback.
const MAYBE: u8 = 0;
const NEVER: u8 = 1;
const ONCE: u8 = 2;

#[derive(Default)]
pub(crate) struct Note {
    right: AtomicU8,
    ran: AtomicU8,
    gone: AtomicU8,
}

/// What a callback captures.
struct Hook(Arc<Note>);

impl Drop for Hook {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, SeqCst);
    }
}

impl Note {
    pub(crate) fn check(&self) {
        let (right, ran) = (self.right.load(SeqCst), self.ran.load(SeqCst));
        let is_right = match right {
            NEVER => ran == 0,
            ONCE => ran == 1,
            _ => ran <= 1,
        };
        assert!(is_right, "a callback ran {ran} times, against {right}");
        let gone = self.gone.load(SeqCst);
        assert_eq!(gone, 1, "how often a callback was dropped");
    }
}

pub(crate) type Kept = (usize, TaskHandle<Token>);

pub(crate) struct World {
    pub(crate) slots: Box<[Slot]>,
    pub(crate) next: AtomicUsize,
    /// How many tasks there are to be; fewer than slots.
    limit: AtomicUsize,
    /// When the pool is closed, in tasks; and how many times that is due.
    pub(crate) closes: [usize; 2],
    pub(crate) due: AtomicUsize,
    /// Handles for the tasks themselves to join.
    pub(crate) pot: Mutex<Vec<Kept>>,
    pub(crate) submitter: OnceLock<Submitter>,
    /// The pool's event, and the one that the pool is under.
    pub(crate) event: OnceLock<StopEvent>,
    pub(crate) parent: StopEvent,
    pub(crate) bounded: bool,
    /// Refusals that gave the closure back.
    pub(crate) handed_back: AtomicU64,
    pub(crate) notes: Mutex<Vec<Arc<Note>>>,
    pub(crate) wrong: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn new(tasks: usize, bounded: bool, dice: &mut Dice) -> Arc<World> {
        let mut close = || dice.below(tasks as u64 * 3) as usize;
        Arc::new(World {
            slots: (0..=tasks).map(|_| Slot::default()).collect(),
            next: AtomicUsize::new(0),
            limit: AtomicUsize::new(tasks),
            closes: [close(), close()],
            due: AtomicUsize::new(0),
            pot: Mutex::new(Vec::new()),
            submitter: OnceLock::new(),
            event: OnceLock::new(),
            parent: StopEvent::new(),
            bounded,
            handed_back: AtomicU64::new(0),
            notes: Mutex::new(Vec::new()),
            wrong: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn submitter(&self) -> &Submitter {
        self.submitter.get().unwrap()
    }

    pub(crate) fn has_more(&self) -> bool {
        self.next.load(Relaxed) < self.limit.load(Relaxed)
    }

    /// A few more tasks, and no more: the pool has been closed.
    pub(crate) fn cut(&self) {
        let soon = self.next.load(Relaxed) + 100;
        self.limit.fetch_min(soon, Relaxed);
    }

    /// What a new task captures, until there are enough.
    pub(crate) fn ticket(self: &Arc<World>, sort: u8) -> Option<Capture> {
        if !self.has_more() {
            return None;
        }
        let n = self.next.fetch_add(1, Relaxed);
        for _ in self.closes.iter().filter(|at| **at == n) {
            self.due.fetch_add(1, Relaxed);
        }
        if n >= self.limit.load(Relaxed) {
            return None;
        }
        self.slots[n].sort.store(sort, Relaxed);
        let world = Arc::clone(self);
        Some(Capture { n, world })
    }

    /// What one more captures, after all others.
    pub(crate) fn extra(self: &Arc<World>) -> Capture {
        let n = self.slots.len() - 1;
        self.slots[n].sort.store(KNOWN, Relaxed);
        let world = Arc::clone(self);
        Capture { n, world }
    }

    pub(crate) fn note_id(&self, n: usize, id: TaskId) {
        let before = self.slots[n].id.swap(id.as_u64() + 1, Relaxed);
        self.expect(before == 0, || format!("task {n} has two ids"));
    }

    /// Notes what is wrong, for the end: a panic on a worker would be just another panic.
    pub(crate) fn expect(&self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong.lock().unwrap().push(what());
        }
    }

    /// A status that was shown is the one that the closure's observations make right.
    pub(crate) fn expect_status(&self, n: usize, shown: TaskStatus, by: &str) {
        let right = self.slots[n].status();
        self.expect(shown == right, || {
            format!("task {n}: {by} says {shown}, the closure {right}")
        });
    }

    pub(crate) fn expect_token(&self, n: usize, token: Option<&Token>) {
        self.expect(token.is_none_or(|token| token.n == n), || {
            format!("task {n} was given somebody else's result")
        });
    }

    /// Of a task whose panic goes to a scope or a group.
    pub(crate) fn check_member(&self, n: usize, outcome: &Outcome<Token>) {
        self.expect_status(n, outcome.status(), "its outcome");
        self.slots[n].fetched.store(true, Relaxed);
        match outcome {
            Outcome::Completed(token) => self.expect_token(n, Some(token)),
            Outcome::Cancelled { partial, .. } => self.expect_token(n, partial.as_ref()),
            Outcome::Panicked(payload) => {
                let text = payload.downcast_ref::<String>();
                let right = text.is_none_or(|text| *text == n.to_string());
                self.expect(right, || format!("task {n} panicked with {text:?}"));
            }
            Outcome::NeverStarted(_) => {}
        }
    }

    pub(crate) fn check_outcome(&self, n: usize, outcome: &Outcome<Token>) {
        self.check_member(n, outcome);
        if let Outcome::Panicked(payload) = outcome {
            let token = payload.downcast_ref::<Token>();
            let known = token.is_some() || payload.is::<String>();
            self.expect(known, || format!("task {n} has another payload"));
            self.expect_token(n, token);
        }
    }

    pub(crate) fn check_result(&self, n: usize, result: Result<Token, TaskError>) {
        match result {
            Ok(token) => self.check_outcome(n, &Outcome::Completed(token)),
            Err(error) if error.is_panicked() => match error.into_panic() {
                Ok(payload) => self.check_outcome(n, &Outcome::Panicked(payload)),
                Err(error) => self.expect(false, || format!("task {n}: no payload: {error}")),
            },
            Err(error) => {
                let status = if error.is_cancelled() {
                    TaskStatus::Cancelled
                } else {
                    TaskStatus::NeverStarted
                };
                let known = error.is_cancelled() || error.is_never_started();
                self.expect(known && error.cause().is_some(), || {
                    format!("task {n}: {error}")
                });
                self.expect_status(n, status, "its error");
            }
        }
    }

    pub(crate) fn check_cancel(&self, n: usize, outcome: CancelOutcome) {
        match outcome {
            CancelOutcome::NeverStarted => {
                self.expect_status(n, TaskStatus::NeverStarted, "its cancel");
                let drops = self.slots[n].closure_drops.load(Relaxed);
                self.expect(drops == 1, || {
                    format!("task {n} was cancelled, and its captures were still there")
                });
            }
            CancelOutcome::AlreadyDone(status) => self.expect_status(n, status, "a late cancel"),
            _ => {}
        }
    }

    /// A closure that came back is dropped here, and only here.
    pub(crate) fn hand_back<F>(&self, n: usize, error: SubmitError<F>) {
        if error.is_shut_down() {
            self.handed_back.fetch_add(1, Relaxed);
        }
        self.slots[n].sort.store(HANDED_BACK, Relaxed);
        let drops = || self.slots[n].closure_drops.load(Relaxed);
        self.expect(drops() == 0, || format!("task {n} was refused and dropped"));
        drop(error.into_inner());
        self.expect(drops() == 1, || format!("task {n} was not handed back"));
    }

    /// Hears of the end of a task, besides others.
    pub(crate) fn hear(self: &Arc<World>, n: usize, handle: &TaskHandle<Token>) {
        self.slots[n].done_wanted.fetch_add(1, Relaxed);
        let world = Arc::clone(self);
        handle.on_done(move |status| {
            world.slots[n].done_came.fetch_add(1, Relaxed);
            world.expect_status(n, status, "its callback");
        });
    }

    /// A callback on an event, and what becomes of it.
    pub(crate) fn call_back(&self, event: &StopEvent, dice: &mut Dice) {
        let note = Arc::<Note>::default();
        let hook = Hook(Arc::clone(&note));
        let was_set = event.peek();
        let guard = event.on_set(move || {
            hook.0.ran.fetch_add(1, SeqCst);
        });
        let now = |right| note.right.store(right, SeqCst);
        if was_set {
            now(ONCE);
        }
        match dice.below(4) {
            0 => self.remove(&note, guard),
            1 => guard.detach(),
            2 => {
                // Whatever it did by then, it does no more.
                drop(guard);
                now([NEVER, ONCE][usize::from(note.ran.load(SeqCst).min(1))]);
            }
            _ => {
                if dice.one_in(2) {
                    event.set();
                    now(ONCE);
                }
                guard.detach();
            }
        }
        self.notes.lock().unwrap().push(note);
    }

    fn remove(&self, note: &Note, guard: StopCallback) {
        let right = if guard.remove() { NEVER } else { ONCE };
        let before = note.right.swap(right, SeqCst);
        self.expect(before == MAYBE || before == right, || {
            "a callback on an event that was set could be removed".to_owned()
        });
    }
}

thread_local! {
    /// Whether the task on top runs where it has to go on without the pool.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the task must not wait for others: it runs on a thread that may have more of them in hand.
pub(crate) fn is_alone() -> bool {
    ALONE.get()
}

/// Runs a task here.
pub(crate) fn run_alone(task: PendingTask) -> TaskStatus {
    let before = ALONE.replace(true);
    let status = task.run();
    ALONE.set(before);
    status
}

/// What a closure captures.
pub(crate) struct Capture {
    pub(crate) n: usize,
    pub(crate) world: Arc<World>,
}

impl Capture {
    pub(crate) fn slot(&self) -> &Slot {
        &self.world.slots[self.n]
    }

    pub(crate) fn token(&self) -> Token {
        self.slot().made.fetch_add(1, Relaxed);
        Token {
            n: self.n,
            world: Arc::clone(&self.world),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.slot().closure_drops.fetch_add(1, Relaxed);
    }
}

/// What a closure returns, or panics with.
pub(crate) struct Token {
    pub(crate) n: usize,
    pub(crate) world: Arc<World>,
}

impl Drop for Token {
    fn drop(&mut self) {
        self.world.slots[self.n].made_drops.fetch_add(1, Relaxed);
    }
}

pub(crate) fn assert_law(stats: Stats) {
    let sum = stats.pending + stats.running + stats.done() + stats.taken;
    assert_eq!(stats.submitted, sum, "{stats:?}");
}
