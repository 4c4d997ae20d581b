//! A program of orders to a pool: each is given to the pool and to the specification. Gates hold the tasks, so that
//! after every step there is but one state that the pool may be in; `watch` compares the two.

use super::real::{ANSWER, Answer, Handle, Shared, code};
use super::spec::{Body, POOL, Spec, State};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use stoppable::{
    CancelOutcome, Canceller, Outcome, PendingTask, Shutdown, StopCallback, StopEvent, StopReason,
    Stopped, SubmitError, Submitter, TaskHandle, TaskId, ThreadPool,
};

/// One step of a program. Numbers name what there is by then, counted round.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Submit(Body),
    SubmitUnder(Body, usize),
    TrySubmit(Body),
    Execute(Body),
    SubmitAll(Vec<Body>),
    Scope(Vec<Body>),
    /// Opens the gate of a task.
    Open(usize),
    Cancel(usize),
    CancelLater(usize),
    /// Sets the event of a task.
    SetOfTask(usize),
    DropHandle(usize),
    /// Takes the outcome of a task that has ended.
    Outcome(usize),
    OnDone(usize),
    Event,
    Child(usize),
    Any(usize, usize),
    ChildOfTask(usize),
    Set(usize),
    OnSet(usize),
    RemoveCallback(usize),
    CancelPending,
    TakePending,
    RunTaken(usize),
    DropTaken(usize),
    BeginShutdown(Shutdown),
    SetPool,
}

/// A task as the program knows it.
pub(super) struct Known {
    pub(super) shared: Arc<Shared>,
    pub(super) handle: Option<Handle>,
    pub(super) canceller: Option<Canceller>,
    pub(super) id: Option<TaskId>,
    /// How many of its callbacks are to be told of its end.
    pub(super) callbacks: usize,
    /// Its closure is dropped by a worker, when one has time.
    pub(super) is_left_to_workers: bool,
}

impl Known {
    fn of(shared: Arc<Shared>, handle: TaskHandle<Answer>) -> Known {
        Known {
            canceller: Some(handle.canceller()),
            id: Some(handle.id()),
            ..Known::of_shared(shared, Some(Arc::new(handle)))
        }
    }

    pub(super) fn of_shared(shared: Arc<Shared>, handle: Option<Handle>) -> Known {
        Known {
            shared,
            handle,
            canceller: None,
            id: None,
            callbacks: 0,
            is_left_to_workers: false,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.shared.begun.load(Ordering::SeqCst) > 0
    }
}

pub(super) struct Registered {
    pub(super) event: usize,
    pub(super) runs: Arc<AtomicUsize>,
    pub(super) guard: Option<StopCallback>,
    pub(super) expected: bool,
}

pub(super) type OpenScope = JoinHandle<thread::Result<Result<(), Stopped>>>;

pub(super) struct Program {
    pub(super) pool: ThreadPool,
    pub(super) submitter: Submitter,
    pub(super) spec: Spec,
    pub(super) known: Vec<Known>,
    /// What `spec` calls them, and they themselves.
    pub(super) events: Vec<(usize, StopEvent)>,
    pub(super) callbacks: Vec<Registered>,
    pub(super) scopes: Vec<Option<OpenScope>>,
    pub(super) taken: Vec<(usize, PendingTask)>,
    pub(super) refused_without_id: u64,
}

impl Program {
    pub(super) fn new(threads: usize, capacity: Option<usize>) -> Program {
        let mut builder = ThreadPool::builder().threads(threads);
        if let Some(capacity) = capacity {
            builder = builder.queue_capacity(capacity);
        }
        let pool = builder.build().unwrap();
        Program {
            submitter: pool.submitter(),
            events: vec![(POOL, pool.stop_event())],
            pool,
            spec: Spec::new(threads, capacity),
            known: Vec::new(),
            callbacks: Vec::new(),
            scopes: Vec::new(),
            taken: Vec::new(),
            refused_without_id: 0,
        }
    }

    pub(super) fn step(&mut self, op: &Op) {
        match op {
            Op::Submit(body) if self.may_submit(1) => {
                self.spec.submit(*body, None);
                let shared = Arc::new(Shared::default());
                let handle = self.pool.submit(code(*body, &shared, &self.submitter));
                self.known.push(Known::of(shared, handle));
            }
            Op::SubmitUnder(body, event) if self.may_submit(1) => {
                let (at, event) = self.events[event % self.events.len()].clone();
                self.spec.submit(*body, Some(at));
                let shared = Arc::new(Shared::default());
                let task = self.pool.task().stop_with(&event);
                let handle = task.submit(code(*body, &shared, &self.submitter));
                self.known.push(Known::of(shared, handle));
            }
            Op::TrySubmit(body) | Op::Submit(body) => self.try_submit(*body),
            Op::Execute(body) if self.may_submit(1) => self.execute(*body),
            Op::SubmitAll(bodies) if self.may_submit(bodies.len()) => {
                self.spec.submit_all(bodies);
                let shared: Vec<_> = bodies.iter().map(|_| Arc::<Shared>::default()).collect();
                let each = bodies.iter().zip(&shared);
                let handles =
                    (self.pool).submit_all(each.map(|(body, at)| code(*body, at, &self.submitter)));
                assert_eq!(handles.len(), bodies.len());
                let known = shared.into_iter().zip(handles);
                self.known
                    .extend(known.map(|(shared, handle)| Known::of(shared, handle)));
            }
            Op::Scope(bodies) if self.spec.is_open() && self.spec.has_room(bodies.len()) => {
                // With two workers free at once, a task may begin beside the one whose panic stops it.
                let calm = |body: &Body| match body {
                    Body::Panics | Body::PanicsWhenAsked if self.pool.threads() > 1 => Body::Polls,
                    other => *other,
                };
                let bodies: Vec<_> = bodies.iter().map(calm).collect();
                self.open_scope(&bodies);
            }
            Op::Open(task) => self.open(*task),
            Op::Cancel(task) => self.cancel(*task, None),
            Op::CancelLater(task) => self.cancel(*task, Some(StopReason::custom("no more"))),
            Op::SetOfTask(task) => {
                if let Some((at, handle)) = self.handle(*task) {
                    let event = self.spec.tasks[at].event;
                    let set = self.spec.set(event, &StopReason::Requested);
                    assert_eq!(handle.stop_event().set(), set, "setting the event of {at}");
                }
            }
            Op::DropHandle(task) => {
                if let Some((at, handle)) = self.handle(*task) {
                    drop(handle);
                    self.known[at].handle = None;
                }
            }
            Op::Outcome(task) => self.outcome(*task),
            Op::OnDone(task) => {
                if let Some((at, handle)) = self.handle(*task) {
                    let shared = Arc::clone(&self.known[at].shared);
                    handle.on_done(move |status| shared.told.lock().unwrap().push(status));
                    self.known[at].callbacks += 1;
                }
            }
            Op::Event => {
                let at = self.spec.event(&[]);
                self.events.push((at, StopEvent::new()));
            }
            Op::Child(of) => {
                let (parent, event) = self.events[of % self.events.len()].clone();
                self.events
                    .push((self.spec.event(&[parent]), event.child()));
            }
            Op::ChildOfTask(task) => {
                if let Some((at, handle)) = self.handle(*task) {
                    let at = self.spec.event(&[self.spec.tasks[at].event]);
                    self.events.push((at, handle.stop_event().child()));
                }
            }
            Op::Any(one, other) => {
                let (one, a) = self.events[one % self.events.len()].clone();
                let (other, b) = self.events[other % self.events.len()].clone();
                let at = self.spec.event(&[one, other]);
                self.events.push((at, StopEvent::any([&a, &b])));
            }
            Op::Set(event) => {
                // The pool's has an operation of its own.
                let (at, event) = self.events[event % self.events.len()].clone();
                if at != POOL {
                    assert_eq!(event.set(), self.spec.set(at, &StopReason::Requested));
                }
            }
            Op::SetPool => {
                let set = self.spec.set(POOL, &StopReason::Shutdown);
                assert_eq!(self.pool.stop_event().set(), set);
            }
            Op::OnSet(event) => {
                let (event, real) = self.events[event % self.events.len()].clone();
                let runs = Arc::new(AtomicUsize::new(0));
                let guard = real.on_set({
                    let runs = Arc::clone(&runs);
                    move || {
                        runs.fetch_add(1, Ordering::SeqCst);
                    }
                });
                self.callbacks.push(Registered {
                    event,
                    runs,
                    guard: Some(guard),
                    expected: false,
                });
            }
            Op::RemoveCallback(which) if !self.callbacks.is_empty() => {
                let which = which % self.callbacks.len();
                let callback = &mut self.callbacks[which];
                if let Some(guard) = callback.guard.take() {
                    let is_set = self.spec.reads_set(callback.event).is_some();
                    assert_eq!(guard.remove(), !is_set, "removal was in time");
                }
            }
            Op::CancelPending => {
                let doomed = self.spec.cancel_pending(&StopReason::Requested);
                assert_eq!(self.pool.cancel_pending(), doomed);
            }
            Op::TakePending => {
                let taken = self.pool.take_pending();
                let expected = self.spec.take_pending();
                assert_eq!(taken.len(), expected.len(), "tasks taken");
                for (at, task) in expected.iter().zip(&taken) {
                    if let Some(id) = self.known[*at].id {
                        assert_eq!(task.id(), id);
                    }
                }
                self.taken.extend(expected.into_iter().zip(taken));
            }
            Op::RunTaken(which) if !self.taken.is_empty() => {
                let (at, task) = self.taken.remove(which % self.taken.len());
                let would_wait = match self.spec.tasks[at].body {
                    // For room, as all do that are no workers.
                    Body::Submits => !self.may_submit(1),
                    // For a task that waits for us.
                    Body::Joins => true,
                    _ => false,
                };
                if would_wait {
                    self.taken.push((at, task));
                    return;
                }
                if matches!(
                    self.spec.tasks[at].body,
                    Body::Waits | Body::PanicsWhenAsked
                ) {
                    self.cancel_at(at, &StopReason::Requested);
                }
                self.open_at(at, false);
                self.spec.let_go(at, true);
                let status = task.run();
                assert_eq!(State::Ended(status), self.spec.tasks[at].state);
            }
            Op::DropTaken(which) if !self.taken.is_empty() => {
                let (at, task) = self.taken.remove(which % self.taken.len());
                self.spec.let_go(at, false);
                drop(task);
            }
            Op::BeginShutdown(mode) => {
                let has_ended = |task: &super::spec::Task| matches!(task.state, State::Ended(_));
                let before: Vec<_> = self.spec.tasks.iter().map(has_ended).collect();
                self.spec.shut_down(*mode);
                self.pool.begin_shutdown(*mode);
                for (at, task) in self.spec.tasks.iter().enumerate() {
                    self.known[at].is_left_to_workers |= has_ended(task) && !before[at];
                }
            }
            Op::SubmitUnder(..)
            | Op::Execute(_)
            | Op::SubmitAll(_)
            | Op::Scope(_)
            | Op::RemoveCallback(_)
            | Op::RunTaken(_)
            | Op::DropTaken(_) => {}
        }
        self.settle();
    }

    /// Who submits where there is no room would wait.
    fn may_submit(&self, count: usize) -> bool {
        !self.spec.is_open() || self.spec.has_room(count)
    }

    /// A task that the program has the handle of.
    fn handle(&self, which: usize) -> Option<(usize, Handle)> {
        let which = which % self.known.len().max(1);
        let handle = self.known.get(which)?.handle.clone()?;
        Some((which, handle))
    }

    fn try_submit(&mut self, body: Body) {
        let shared = Arc::new(Shared::default());
        let refused = match self.pool.try_submit(code(body, &shared, &self.submitter)) {
            Ok(handle) => {
                assert!(self.spec.is_open() && self.spec.has_room(1));
                self.spec.submit(body, None);
                self.known.push(Known::of(shared, handle));
                return;
            }
            Err(SubmitError::Full(closure)) => {
                assert!(self.spec.is_open() && !self.spec.has_room(1));
                closure
            }
            Err(SubmitError::ShutDown(closure)) => {
                assert!(!self.spec.is_open());
                self.refused_without_id += 1;
                closure
            }
        };
        assert_eq!(shared.captured.count(), 0, "the closure is handed back");
        drop(refused);
        assert_eq!(shared.captured.count(), 1);
    }

    fn execute(&mut self, body: Body) {
        // Nobody could stop it but with the pool.
        let body = match body {
            Body::Waits | Body::PanicsWhenAsked => Body::Polls,
            other => other,
        };
        let shared = Arc::new(Shared::default());
        match self.pool.execute(code(body, &shared, &self.submitter)) {
            Ok(id) => {
                self.spec.submit(body, None);
                let known = Known::of_shared(shared, None);
                self.known.push(Known {
                    id: Some(id),
                    ..known
                });
            }
            Err(error) => {
                assert!(error.is_shut_down() && !self.spec.is_open());
                self.refused_without_id += 1;
            }
        }
    }

    fn open_scope(&mut self, bodies: &[Body]) {
        let first = self.known.len();
        self.spec.scope(bodies);
        let (tell, told) = mpsc::channel();
        let all: Vec<_> = (bodies.iter().map(|body| (*body, Arc::<Shared>::default()))).collect();
        self.known
            .extend((all.iter()).map(|(_, shared)| Known::of_shared(Arc::clone(shared), None)));
        let submitter = self.submitter.clone();
        let scope = move || {
            // What the tasks borrow.
            let begun = AtomicUsize::new(0);
            let result = submitter.scope(|s| {
                for (body, shared) in &all {
                    let (code, begun) = (code(*body, shared, &submitter), &begun);
                    let task = s.submit(move |stop| {
                        begun.fetch_add(1, Ordering::SeqCst);
                        drop(code(stop));
                    });
                    tell.send(task.canceller()).unwrap();
                }
            });
            drop(tell);
            result
        };
        let scope = thread::spawn(move || catch_unwind(AssertUnwindSafe(scope)));
        for known in &mut self.known[first..] {
            let canceller = told.recv().unwrap();
            known.id = Some(canceller.id());
            known.canceller = Some(canceller);
        }
        self.scopes.push(Some(scope));
    }

    fn open(&mut self, which: usize) {
        if self.known.is_empty() {
            return;
        }
        // The first that is shut from there on: to open a gate again would be a step wasted.
        let all = self.known.len();
        let at = (0..all).map(|n| (which + n) % all);
        let shut = at.clone().find(|at| self.spec.is_shut(*at));
        self.open_at(shut.unwrap_or(which % all), true);
    }

    /// Opens a gate; a task that joins may be given one that was submitted behind it.
    pub(super) fn open_at(&mut self, at: usize, may_join: bool) {
        let last = self.known.len() - 1;
        let handle = self.known[last].handle.clone();
        let joins = self.spec.tasks[at].body == Body::Joins;
        let target = handle.filter(|_| may_join && joins && last > at);
        if self.spec.is_shut(at) {
            self.spec.open(at, target.as_ref().map(|_| last));
            *self.known[at].shared.target.lock().unwrap() = target;
            self.known[at].shared.gate.open();
        }
    }

    fn cancel(&mut self, which: usize, reason: Option<StopReason>) {
        if self.known.is_empty() {
            return;
        }
        let at = which % self.known.len();
        self.cancel_at(at, &reason.unwrap_or(StopReason::Requested));
    }

    pub(super) fn cancel_at(&mut self, at: usize, reason: &StopReason) {
        let Some(canceller) = &self.known[at].canceller else {
            return;
        };
        let expected = match self.spec.cancel(at, reason) {
            State::Pending | State::Taken => CancelOutcome::NeverStarted,
            State::Running => CancelOutcome::Requested,
            State::Ended(status) => CancelOutcome::AlreadyDone(status),
        };
        let captured = &self.known[at].shared.captured;
        let outcome = match reason {
            StopReason::Requested => canceller.cancel(),
            other => canceller.cancel_with(other.clone()),
        };
        assert_eq!(outcome, expected, "cancel of {at}");
        if expected == CancelOutcome::NeverStarted {
            assert_eq!(captured.count(), 1, "what {at} had captured");
        }
    }

    fn outcome(&mut self, which: usize) {
        let Some((at, handle)) = self.handle(which) else {
            return;
        };
        self.known[at].handle = None;
        let Some(handle) = Arc::into_inner(handle) else {
            // Somebody is to join it.
            return;
        };
        let State::Ended(status) = self.spec.tasks[at].state else {
            let handle = handle.try_join().expect_err("it has not ended");
            self.known[at].handle = Some(Arc::new(handle));
            return;
        };
        let outcome = handle.outcome();
        assert_eq!(outcome.status(), status, "outcome of {at}");
        let reads = self.spec.reads_set(self.spec.tasks[at].event);
        match &outcome {
            Outcome::Completed(answer) => assert_eq!(answer.0, ANSWER),
            Outcome::Cancelled { partial, cause } => {
                assert_eq!(partial.as_ref().map(|answer| answer.0), Some(ANSWER));
                assert_eq!(Some(&cause.reason), reads, "why {at} was cancelled");
            }
            Outcome::NeverStarted(cause) => {
                let why = self.spec.tasks[at].reason.as_ref();
                assert_eq!(Some(&cause.reason), why, "why {at} never started");
            }
            Outcome::Panicked(payload) => {
                assert!(payload.downcast_ref::<&str>().is_some());
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A step that failed must not leave the pool waiting for its tasks.
        for known in &self.known {
            known.shared.gate.open();
        }
    }
}

pub(super) fn run(threads: usize, capacity: Option<usize>, ops: &[Op]) {
    let mut program = Program::new(threads, capacity);
    for op in ops {
        program.step(op);
    }
    program.finish();
}
