//! One thread gives the orders, and gates hold the tasks, so that after every step there is but one state
//! that the pool may be in.

use super::real::{ANSWER, Answer, Handle, Shared, code};
use super::spec::{Body, POOL, ScopeEnd, Spec, State, place};
use crate::common::{finishes, until};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use stoppable::{
    CancelOutcome, Canceller, Outcome, PendingTask, Shutdown, Stats, StopCallback, StopEvent,
    StopReason, Stopped, SubmitError, Submitter, TaskHandle, TaskId, TaskStatus, ThreadPool,
};

/// One step of a program. Numbers name what there is by then, counted round.
#[derive(Clone, Debug)]
enum Op {
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

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        2 => Just(Body::Quick),
        4 => Just(Body::Gated),
        4 => Just(Body::Polls),
        3 => Just(Body::Waits),
        2 => Just(Body::Panics),
        1 => Just(Body::PanicsWhenAsked),
        3 => Just(Body::Joins),
        2 => Just(Body::Submits),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let bodies = || prop::collection::vec(body(), 0..5);
    let at = || 0..64_usize;
    let mode = prop_oneof![
        Just(Shutdown::Drain),
        Just(Shutdown::CancelPending),
        Just(Shutdown::StopAll)
    ];
    prop_oneof![
        10 => body().prop_map(Op::Submit),
        3 => (body(), at()).prop_map(|(body, event)| Op::SubmitUnder(body, event)),
        2 => body().prop_map(Op::TrySubmit),
        2 => body().prop_map(Op::Execute),
        3 => bodies().prop_map(Op::SubmitAll),
        3 => bodies().prop_map(Op::Scope),
        12 => at().prop_map(Op::Open),
        6 => at().prop_map(Op::Cancel),
        1 => at().prop_map(Op::CancelLater),
        3 => at().prop_map(Op::SetOfTask),
        2 => at().prop_map(Op::DropHandle),
        3 => at().prop_map(Op::Outcome),
        2 => at().prop_map(Op::OnDone),
        2 => Just(Op::Event),
        2 => at().prop_map(Op::Child),
        2 => (at(), at()).prop_map(|(one, other)| Op::Any(one, other)),
        2 => at().prop_map(Op::ChildOfTask),
        2 => at().prop_map(Op::Set),
        3 => at().prop_map(Op::OnSet),
        1 => at().prop_map(Op::RemoveCallback),
        1 => Just(Op::CancelPending),
        2 => Just(Op::TakePending),
        2 => at().prop_map(Op::RunTaken),
        1 => at().prop_map(Op::DropTaken),
        1 => mode.prop_map(Op::BeginShutdown),
        1 => Just(Op::SetPool),
    ]
}

/// A task as the program knows it.
struct Known {
    shared: Arc<Shared>,
    handle: Option<Handle>,
    canceller: Option<Canceller>,
    id: Option<TaskId>,
    /// How many of its callbacks are to be told of its end.
    callbacks: usize,
    /// Its closure is dropped by a worker, when one has time.
    is_left_to_workers: bool,
}

impl Known {
    fn of(shared: Arc<Shared>, handle: TaskHandle<Answer>) -> Known {
        Known {
            canceller: Some(handle.canceller()),
            id: Some(handle.id()),
            ..Known::of_shared(shared, Some(Arc::new(handle)))
        }
    }

    fn of_shared(shared: Arc<Shared>, handle: Option<Handle>) -> Known {
        Known {
            shared,
            handle,
            canceller: None,
            id: None,
            callbacks: 0,
            is_left_to_workers: false,
        }
    }

    fn has_begun(&self) -> bool {
        self.shared.begun.load(Ordering::SeqCst) > 0
    }
}

struct Registered {
    event: usize,
    runs: Arc<AtomicUsize>,
    guard: Option<StopCallback>,
    expected: bool,
}

type OpenScope = JoinHandle<thread::Result<Result<(), Stopped>>>;

struct Program {
    pool: ThreadPool,
    submitter: Submitter,
    spec: Spec,
    known: Vec<Known>,
    /// What `spec` calls them, and they themselves.
    events: Vec<(usize, StopEvent)>,
    callbacks: Vec<Registered>,
    scopes: Vec<Option<OpenScope>>,
    taken: Vec<(usize, PendingTask)>,
    refused_without_id: u64,
}

impl Program {
    fn new(threads: usize, capacity: Option<usize>) -> Program {
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

    fn step(&mut self, op: &Op) {
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
    fn open_at(&mut self, at: usize, may_join: bool) {
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

    fn cancel_at(&mut self, at: usize, reason: &StopReason) {
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

    /// Lets the pool come to where the specification is, and compares all there is to be seen.
    fn settle(&mut self) {
        loop {
            self.learn_of_children();
            match *self.spec.next() {
                [] => break,
                [only] => self.spec.start(only),
                ref several => {
                    // One that has ended has given its worker to another.
                    let has_ended = |at: &&usize| {
                        let canceller = self.known[**at].canceller.as_ref();
                        canceller.is_some_and(Canceller::is_done)
                    };
                    let begun = || several.iter().filter(|at| self.known[**at].has_begun());
                    until(|| begun().next().is_some());
                    let found = begun().find(has_ended).or_else(|| begun().next());
                    self.spec.start(*found.unwrap());
                }
            }
        }
        for (at, known) in self.known.iter().enumerate() {
            let task = &self.spec.tasks[at];
            let begins = match task.state {
                State::Running => true,
                State::Ended(status) => status != TaskStatus::NeverStarted,
                State::Pending | State::Taken => false,
            };
            if begins {
                assert!(comes(|| known.has_begun()), "{at} does not begin: {task:?}");
            }
            assert!(known.shared.begun.load(Ordering::SeqCst) <= 1);
            assert_eq!(known.has_begun(), begins, "whether {at} has begun");
            if let Some(canceller) = &known.canceller {
                let status = match task.state {
                    State::Pending | State::Taken => TaskStatus::Pending,
                    State::Running => TaskStatus::Running,
                    State::Ended(status) => status,
                };
                let is = || canceller.status() == status;
                assert!(comes(is), "{at}: {:?}, not {:?}", canceller.status(), task);
            }
            let is_done = matches!(task.state, State::Ended(_));
            if is_done {
                let dropped = || known.shared.captured.count() == 1;
                until(|| known.is_left_to_workers || dropped());
                until(|| known.shared.told.lock().unwrap().len() == known.callbacks);
                let told = known.shared.told.lock().unwrap();
                assert!(told.iter().all(|told| State::Ended(*told) == task.state));
            } else {
                assert_eq!(known.shared.captured.count(), 0, "captures of {at}");
            }
            if let Some(handle) = &known.handle {
                let reads = self.spec.reads_set(task.event);
                let event = handle.stop_event();
                assert_eq!(event.peek(), reads.is_some(), "the event of {at}");
                assert_eq!(event.reason().as_ref(), reads, "why {at} is asked");
            }
        }
        let expected = self.spec.counts();
        let counts_are_there = || {
            let stats = self.pool.stats();
            same(&stats, &expected, self.refused_without_id)
        };
        // What no handle has shown may be counted later.
        until(counts_are_there);
        for (at, event) in &self.events {
            assert_eq!(event.is_set(), self.spec.reads_set(*at).is_some());
            assert_eq!(event.reason().as_ref(), self.spec.reads_set(*at));
        }
        for callback in &mut self.callbacks {
            callback.expected |=
                callback.guard.is_some() && event_is_set(&self.spec, callback.event);
            let runs = usize::from(callback.expected);
            until(|| callback.runs.load(Ordering::SeqCst) == runs);
        }
        for (scope, thread) in self.scopes.iter_mut().enumerate() {
            if let (Some(end), true) = (self.spec.scope_end(scope), thread.is_some()) {
                let result = thread.take().unwrap().join().unwrap();
                let real = match result {
                    Ok(Ok(())) => ScopeEnd::Whole,
                    Ok(Err(_)) => ScopeEnd::Stopped,
                    Err(_) => ScopeEnd::Panicked,
                };
                assert_eq!(real, end, "how the scope ended");
            }
        }
    }

    /// Tasks that tasks have submitted.
    fn learn_of_children(&mut self) {
        while let Some(task) = self.spec.tasks.get(self.known.len()) {
            let parent = &self.known[task.parent.expect("all others are known")].shared;
            until(|| parent.child.lock().unwrap().is_some());
            let (handle, shared) = parent.child.lock().unwrap().take().unwrap();
            self.known.push(Known {
                canceller: Some(handle.canceller()),
                id: Some(handle.id()),
                ..Known::of_shared(shared, Some(handle))
            });
        }
    }

    /// Ends it all, and reads the report.
    fn finish(mut self) {
        for (at, task) in std::mem::take(&mut self.taken) {
            self.spec.let_go(at, false);
            drop(task);
            self.settle();
        }
        while let Some(at) = (0..self.known.len()).find(|at| self.is_held(*at)) {
            match self.spec.tasks[at].body {
                Body::Waits | Body::PanicsWhenAsked => {
                    self.cancel_at(at, &StopReason::Requested);
                }
                _ => self.open_at(at, true),
            }
            self.settle();
        }
        let report = self.pool.shutdown(Shutdown::Drain);
        let expected = self.spec.counts();
        assert!(report.is_final());
        assert!(same(&report.stats(), &expected, self.refused_without_id));
        for status in [
            TaskStatus::Completed,
            TaskStatus::Cancelled,
            TaskStatus::NeverStarted,
            TaskStatus::Panicked,
        ] {
            let tasks = self.spec.tasks.iter().zip(&self.known);
            let expected: BTreeSet<_> = tasks
                .filter(|(task, _)| !task.was_taken && !task.was_refused)
                .filter(|(task, _)| task.state == State::Ended(status))
                .filter_map(|(_, known)| known.id)
                .collect();
            let ids: Vec<_> = report.ids(status).collect();
            assert!(ids.is_sorted());
            assert_eq!(
                ids.into_iter().collect::<BTreeSet<_>>(),
                expected,
                "{status:?}"
            );
        }
        let ids = |which: fn(&super::spec::Task) -> bool| {
            let tasks = self.spec.tasks.iter().zip(&self.known);
            tasks
                .filter(|(task, _)| which(task))
                .filter_map(|(_, known)| known.id)
                .collect::<Vec<_>>()
        };
        let mut taken = ids(|task| task.was_taken);
        taken.sort_unstable();
        assert_eq!(report.taken_ids().collect::<Vec<_>>(), taken);
        let refused = ids(|task| task.was_refused);
        assert_eq!(report.refused_ids().collect::<Vec<_>>(), refused);
        drop(report);
        for known in &self.known {
            // It may have ended without a look at it.
            known.shared.target.lock().unwrap().take();
        }
        for (task, known) in self.spec.tasks.iter().zip(&mut self.known) {
            known.handle = None;
            let returned = matches!(
                task.state,
                State::Ended(TaskStatus::Completed | TaskStatus::Cancelled)
            );
            let count = || known.shared.returned.count();
            until(|| count() == usize::from(returned));
            assert_eq!(known.shared.captured.count(), 1);
        }
    }

    /// Whether it has not ended, and something is to be done about that.
    fn is_held(&self, at: usize) -> bool {
        let task = &self.spec.tasks[at];
        let waits = matches!(task.body, Body::Waits | Body::PanicsWhenAsked);
        !matches!(task.state, State::Ended(_))
            && (self.spec.is_shut(at) && task.body != Body::Quick || waits)
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

/// As `until`, for who has more to say when it does not.
fn comes(what: impl Fn() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(|| until(what))).is_ok()
}

fn event_is_set(spec: &Spec, event: usize) -> bool {
    spec.reads_set(event).is_some()
}

fn same(stats: &Stats, expected: &super::spec::Counts, refused_without_id: u64) -> bool {
    let law = stats.pending + stats.running + stats.done() + stats.taken;
    assert_eq!(stats.submitted, law, "the law");
    let ended = [
        TaskStatus::Completed,
        TaskStatus::Cancelled,
        TaskStatus::NeverStarted,
        TaskStatus::Panicked,
    ];
    let of = |status| match status {
        TaskStatus::Completed => stats.completed,
        TaskStatus::Cancelled => stats.cancelled,
        TaskStatus::NeverStarted => stats.never_started,
        _ => stats.panicked,
    };
    let ended = ended.map(|status| (of(status), expected.ended[place(status)]));
    ended.iter().all(|(real, expected)| real == expected)
        && stats.submitted == expected.submitted
        && stats.pending == expected.pending
        && stats.running == expected.running
        && stats.taken == expected.taken
        && stats.refused == expected.refused + refused_without_id
}

fn run(threads: usize, capacity: Option<usize>, ops: &[Op]) {
    let mut program = Program::new(threads, capacity);
    for op in ops {
        program.step(op);
    }
    program.finish();
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_pool_does_as_it_is_specified(
        threads in 1..4_usize,
        capacity in prop::option::weighted(0.3, 1..6_usize),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        finishes(move || run(threads, capacity, &ops));
    }
}
