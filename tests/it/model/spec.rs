//! What a pool, its events, tasks and scopes are meant to do, said one step after the other, with no thread
//! anywhere. It shares no line with the library.

use std::collections::VecDeque;
use stoppable::{Shutdown, StopReason, TaskStatus};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Body {
    /// It returns at once.
    Quick,
    /// Passes its gate, and looks at nothing.
    Gated,
    /// Passes its gate, and polls once.
    Polls,
    /// Waits to be stopped.
    Waits,
    /// Passes its gate, and panics.
    Panics,
    /// Waits to be stopped, and panics.
    PanicsWhenAsked,
    /// Passes its gate, and waits for the end of a task that was submitted after it.
    Joins,
    /// Passes its gate, and submits a quick task to its pool.
    Submits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Pending,
    /// Handed back, and neither run nor dropped yet.
    Taken,
    Running,
    Ended(TaskStatus),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Task {
    pub(super) body: Body,
    pub(super) state: State,
    /// Its own event.
    pub(super) event: usize,
    pub(super) scope: Option<usize>,
    /// Who submitted it, if a task did.
    pub(super) parent: Option<usize>,
    /// Why it never started.
    pub(super) reason: Option<StopReason>,
    pub(super) was_taken: bool,
    pub(super) was_refused: bool,
    open: bool,
    /// Which task it joins.
    target: Option<usize>,
    /// It runs inside the task that joins it.
    nested: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    parents: Vec<usize>,
    /// Why it reads set, if it does, and as the how manieth event that was set.
    set: Option<(usize, StopReason)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Door {
    #[default]
    Open,
    Drain,
    CancelPending,
    StopAll,
}

/// How a scope ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScopeEnd {
    Whole,
    Stopped,
    Panicked,
}

/// The counts, as in `Stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) submitted: u64,
    pub(super) pending: u64,
    pub(super) running: u64,
    pub(super) ended: [u64; 4],
    pub(super) refused: u64,
    pub(super) taken: u64,
}

/// The event of the pool.
pub(super) const POOL: usize = 0;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spec {
    threads: usize,
    capacity: usize,
    door: Door,
    nodes: Vec<Node>,
    /// How many events have been set.
    sets: usize,
    pub(super) tasks: Vec<Task>,
    queue: VecDeque<usize>,
    /// The event of each scope.
    scopes: Vec<usize>,
    /// Batches may start out of order.
    in_order: bool,
}

impl Spec {
    pub(super) fn new(threads: usize, capacity: Option<usize>) -> Spec {
        Spec {
            threads,
            capacity: capacity.unwrap_or(usize::MAX),
            door: Door::Open,
            nodes: vec![Node::default()],
            sets: 0,
            tasks: Vec::new(),
            queue: VecDeque::new(),
            scopes: Vec::new(),
            in_order: true,
        }
    }

    // Events.

    pub(super) fn event(&mut self, parents: &[usize]) -> usize {
        // Of several reasons the first.
        let sets = parents.iter().filter_map(|at| self.nodes[*at].set.clone());
        let set = sets.min_by_key(|(when, _)| *when);
        self.nodes.push(Node {
            parents: parents.to_vec(),
            set,
        });
        self.nodes.len() - 1
    }

    pub(super) fn reads_set(&self, event: usize) -> Option<&StopReason> {
        self.nodes[event].set.as_ref().map(|(_, reason)| reason)
    }

    /// Whether this call set it.
    pub(super) fn set(&mut self, event: usize, reason: &StopReason) -> bool {
        if self.nodes[event].set.is_some() {
            return false;
        }
        let before = self.asked();
        self.sets += 1;
        let set = Some((self.sets, reason.clone()));
        self.nodes[event].set.clone_from(&set);
        // Parents are made before their children.
        for at in event + 1..self.nodes.len() {
            let parents = &self.nodes[at].parents;
            if self.nodes[at].set.is_none()
                && parents.iter().any(|at| self.nodes[*at].set.is_some())
            {
                self.nodes[at].set.clone_from(&set);
            }
        }
        if self.nodes[POOL].set.is_some() {
            self.door = self.door.max(Door::StopAll);
        }
        let asked = self.asked();
        let newly: Vec<_> = (0..asked.len())
            .filter(|at| asked[*at] && !before[*at])
            .collect();
        // All that is pending is doomed before anything else can happen.
        for task in &newly {
            if matches!(self.tasks[*task].state, State::Pending | State::Taken) {
                self.doom(*task, reason);
            }
        }
        for task in newly {
            if self.tasks[task].state == State::Running {
                self.notice(task);
            }
        }
        true
    }

    fn asked(&self) -> Vec<bool> {
        let asked = |task: &Task| self.nodes[task.event].set.is_some();
        self.tasks.iter().map(asked).collect()
    }

    // Submitting.

    pub(super) fn is_open(&self) -> bool {
        self.door == Door::Open
    }

    pub(super) fn has_room(&self, count: usize) -> bool {
        self.queue.len() + count <= self.capacity
    }

    /// A task from outside; what was refused has ended.
    pub(super) fn submit(&mut self, body: Body, under: Option<usize>) -> usize {
        let parents: Vec<_> = [POOL].into_iter().chain(under).collect();
        let accepted = self.is_open();
        self.add(body, &parents, None, None, accepted)
    }

    pub(super) fn submit_all(&mut self, bodies: &[Body]) -> Vec<usize> {
        self.in_order &= self.threads == 1 || bodies.len() < 2;
        bodies.iter().map(|body| self.submit(*body, None)).collect()
    }

    /// Opens a scope with these tasks.
    pub(super) fn scope(&mut self, bodies: &[Body]) -> Vec<usize> {
        let event = self.event(&[POOL]);
        self.scopes.push(event);
        let scope = Some(self.scopes.len() - 1);
        let add = |body: &Body| self.add(*body, &[event], scope, None, true);
        bodies.iter().map(add).collect()
    }

    fn add(
        &mut self,
        body: Body,
        parents: &[usize],
        scope: Option<usize>,
        parent: Option<usize>,
        accepted: bool,
    ) -> usize {
        let event = self.event(parents);
        self.tasks.push(Task {
            body,
            state: State::Pending,
            event,
            scope,
            parent,
            reason: None,
            was_taken: false,
            was_refused: !accepted,
            open: false,
            target: None,
            nested: false,
        });
        let task = self.tasks.len() - 1;
        if !accepted {
            // That is what its event tells, whatever it is under.
            self.sets += 1;
            self.nodes[event].set = Some((self.sets, StopReason::Shutdown));
            self.doom(task, &StopReason::Shutdown);
        } else if let Some((_, reason)) = self.nodes[event].set.clone() {
            self.doom(task, &reason);
        } else {
            self.queue.push_back(task);
        }
        task
    }

    // What workers do.

    /// Which tasks may start now, if one must.
    pub(super) fn next(&self) -> Vec<usize> {
        let on_top = |task: &&Task| task.state == State::Running && !task.nested;
        if self.tasks.iter().filter(on_top).count() >= self.threads {
            return Vec::new();
        }
        let most = if self.in_order { 1 } else { usize::MAX };
        self.queue.iter().take(most).copied().collect()
    }

    pub(super) fn start(&mut self, task: usize) {
        self.queue.retain(|other| *other != task);
        self.tasks[task].state = State::Running;
        match self.tasks[task].body {
            Body::Quick => self.end(task, TaskStatus::Completed),
            _ => self.notice(task),
        }
        if self.tasks[task].open {
            self.pass(task);
        }
    }

    /// It looks at its event, if that is what it does.
    fn notice(&mut self, task: usize) {
        if self.nodes[self.tasks[task].event].set.is_none() {
            return;
        }
        match self.tasks[task].body {
            Body::Waits => self.end(task, TaskStatus::Cancelled),
            Body::PanicsWhenAsked => self.end(task, TaskStatus::Panicked),
            _ => {}
        }
    }

    /// Whether its gate is shut.
    pub(super) fn is_shut(&self, task: usize) -> bool {
        !self.tasks[task].open
    }

    /// Opens the gate of a task. `target` is what it joins, if it does.
    pub(super) fn open(&mut self, task: usize, target: Option<usize>) {
        self.tasks[task].open = true;
        self.tasks[task].target = target;
        if self.tasks[task].state == State::Running {
            self.pass(task);
        }
    }

    fn pass(&mut self, task: usize) {
        let asked = self.nodes[self.tasks[task].event].set.is_some();
        let status = match self.tasks[task].body {
            Body::Quick | Body::Waits | Body::PanicsWhenAsked => return,
            Body::Polls if asked => TaskStatus::Cancelled,
            Body::Gated | Body::Polls => TaskStatus::Completed,
            Body::Panics => TaskStatus::Panicked,
            Body::Submits => {
                // Who runs what was handed back is not inside the pool.
                let most = match self.tasks[task].was_taken {
                    true => Door::Open,
                    false => Door::Drain,
                };
                let accepted = self.door <= most;
                self.add(Body::Quick, &[POOL], None, Some(task), accepted);
                TaskStatus::Completed
            }
            Body::Joins => {
                if let Some(target) = self.tasks[task].target {
                    if self.tasks[target].state == State::Pending {
                        self.tasks[target].nested = true;
                        self.start(target);
                    }
                    if !matches!(self.tasks[target].state, State::Ended(_)) {
                        return;
                    }
                }
                TaskStatus::Completed
            }
        };
        self.end(task, status);
    }

    fn end(&mut self, task: usize, status: TaskStatus) {
        if matches!(self.tasks[task].state, State::Ended(_)) {
            return;
        }
        self.tasks[task].state = State::Ended(status);
        if let (Some(scope), TaskStatus::Panicked) = (self.tasks[task].scope, status) {
            self.set(self.scopes[scope], &StopReason::SiblingFailed);
        }
        for other in 0..self.tasks.len() {
            let joins = &self.tasks[other];
            if joins.target == Some(task) && joins.open && joins.state == State::Running {
                self.end(other, TaskStatus::Completed);
            }
        }
    }

    fn doom(&mut self, task: usize, reason: &StopReason) {
        if matches!(self.tasks[task].state, State::Ended(_)) {
            return;
        }
        self.queue.retain(|other| *other != task);
        self.tasks[task].reason = Some(reason.clone());
        self.end(task, TaskStatus::NeverStarted);
        // Its event tells of it, unless it was set before.
        self.set(self.tasks[task].event, reason);
    }

    // Stopping.

    pub(super) fn cancel(&mut self, task: usize, reason: &StopReason) -> State {
        let before = self.tasks[task].state;
        let event = self.tasks[task].event;
        match before {
            State::Ended(_) => {}
            _ => {
                self.set(event, reason);
            }
        }
        before
    }

    pub(super) fn cancel_pending(&mut self, reason: &StopReason) -> usize {
        let doomed: Vec<_> = self.queue.drain(..).collect();
        for task in &doomed {
            self.doom(*task, reason);
        }
        doomed.len()
    }

    pub(super) fn take_pending(&mut self) -> Vec<usize> {
        let all = self.queue.iter().copied();
        let (stay, taken): (VecDeque<_>, VecDeque<_>) =
            all.partition(|task| self.tasks[*task].scope.is_some());
        self.queue = stay;
        for task in &taken {
            self.tasks[*task].state = State::Taken;
            self.tasks[*task].was_taken = true;
        }
        taken.into()
    }

    /// What was taken is dropped, or run by somebody who has opened its gate.
    pub(super) fn let_go(&mut self, task: usize, run: bool) {
        if self.tasks[task].state != State::Taken {
            return;
        }
        if run {
            self.tasks[task].nested = true;
            self.start(task);
        } else {
            self.doom(task, &StopReason::Dropped);
        }
    }

    pub(super) fn shut_down(&mut self, mode: Shutdown) {
        let door = match mode {
            Shutdown::Drain => Door::Drain,
            Shutdown::CancelPending => Door::CancelPending,
            _ => Door::StopAll,
        };
        self.door = self.door.max(door);
        if door == Door::StopAll {
            self.set(POOL, &StopReason::Shutdown);
        }
        if door >= Door::CancelPending {
            self.cancel_pending(&StopReason::Shutdown);
        }
    }

    // What there is to be seen.

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for task in &self.tasks {
            if task.was_refused {
                counts.refused += 1;
                continue;
            }
            counts.submitted += 1;
            match task.state {
                _ if task.was_taken => counts.taken += 1,
                State::Pending | State::Taken => counts.pending += 1,
                State::Running => counts.running += 1,
                State::Ended(status) => counts.ended[place(status)] += 1,
            }
        }
        counts
    }

    /// How a scope has ended, if it has.
    pub(super) fn scope_end(&self, scope: usize) -> Option<ScopeEnd> {
        let mut all = ScopeEnd::Whole;
        for task in self.tasks.iter().filter(|task| task.scope == Some(scope)) {
            match task.state {
                State::Ended(TaskStatus::Completed) => {}
                State::Ended(TaskStatus::Panicked) => all = ScopeEnd::Panicked,
                State::Ended(_) if all == ScopeEnd::Whole => all = ScopeEnd::Stopped,
                State::Ended(_) => {}
                _ => return None,
            }
        }
        Some(all)
    }
}

/// The place of an ended task's status among the four.
pub(super) fn place(status: TaskStatus) -> usize {
    match status {
        TaskStatus::Completed => 0,
        TaskStatus::Cancelled => 1,
        TaskStatus::NeverStarted => 2,
        TaskStatus::Panicked => 3,
        TaskStatus::Pending | TaskStatus::Running => unreachable!("it has ended"),
    }
}
