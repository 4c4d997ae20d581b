//! What events are meant to do, one after the other on one thread. Which nodes are still there is counted, as a
//! callback that was detached lives as long as its event.

use crate::act::{Act, When, pick};
use stoppable::StopReason;

/// What was answered or happened, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Set(bool),
    Removed(bool),
    Ran(usize),
    Ready(bool),
    Waited(bool),
}

struct Node {
    parents: Vec<usize>,
    /// It and all its ancestors, one bit each.
    chain: u128,
    /// Which set it shows.
    set: Option<usize>,
    /// Handles and the like, and children.
    references: usize,
}

/// `None` can never be set.
type Event = Option<usize>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Running,
    Gone,
}

struct Callback {
    event: Event,
    act: Option<Box<Act>>,
    state: State,
    /// It is on the lists of its chain.
    is_listed: bool,
    /// What keeps it keeps its event too.
    holds: bool,
}

struct Future {
    event: Event,
    waker: Option<bool>,
}

#[derive(Default)]
pub(crate) struct Model {
    nodes: Vec<Node>,
    pub(crate) handles: Vec<Option<Event>>,
    guards: Vec<Option<Event>>,
    callbacks: Vec<Callback>,
    /// Whether there is somebody who keeps it, and could remove it.
    kept: Vec<Option<()>>,
    futures: Vec<Option<Future>>,
    /// How often each of its two wakers was woken.
    pub(crate) woken: Vec<[usize; 2]>,
    /// Why each set came.
    pub(crate) sets: Vec<StopReason>,
    /// How many sets had a reason of their own.
    named: usize,
    pub(crate) said: Vec<Said>,
    /// The callbacks of each set that is telling of itself.
    told: Vec<Vec<usize>>,
}

impl Model {
    /// Which set it shows, if it reads set.
    pub(crate) fn set_of(&self, event: Event) -> Option<usize> {
        self.nodes[event?].set
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = State> {
        self.callbacks.iter().map(|callback| callback.state)
    }

    fn handle(&self, which: u8) -> Option<Event> {
        self.handles[pick(&self.handles, which)?]
    }

    /// Whether nobody would hear if it were set.
    pub(crate) fn is_unheard(&self, which: u8) -> bool {
        let Some(Some(node)) = self.handle(which) else {
            return true;
        };
        let waits = |callback: &Callback| {
            callback.state == State::Waiting && self.is_under(callback.event, node)
        };
        let asleep = |future: &Future| self.is_under(future.event, node);
        !self.callbacks.iter().any(waits) && !self.futures.iter().flatten().any(asleep)
    }

    pub(crate) fn apply(&mut self, act: &Act) {
        match *act {
            Act::New => self.add(&[]),
            Act::Never => self.handles.push(Some(None)),
            Act::Child(of) => {
                if let Some(parent) = self.handle(of) {
                    self.add(&Vec::from_iter(parent));
                }
            }
            Act::Any(ref of) => {
                let all = of.iter().filter_map(|which| self.handle(*which)).flatten();
                self.add(&Vec::from_iter(all));
            }
            Act::Clone(of) => {
                if let Some(event) = self.handle(of) {
                    self.hold(event);
                    self.handles.push(Some(event));
                }
            }
            Act::Drop(which) => {
                if let Some(at) = pick(&self.handles, which) {
                    let event = self.handles[at].take();
                    self.release(event.flatten());
                }
            }
            Act::Set(which) => self.set(which, StopReason::Requested),
            Act::SetWith(which) => {
                self.named += 1;
                self.set(which, StopReason::custom(self.named.to_string()));
            }
            Act::Deadline(which, When::Passed | When::Soon) => {
                if let Some(event) = self.handle(which) {
                    self.hold(event);
                    self.raise(event, StopReason::Deadline);
                    self.release(event);
                }
            }
            Act::SetOnDrop(which) => {
                if let Some(event) = self.handle(which) {
                    self.hold(event);
                    self.guards.push(Some(event));
                }
            }
            Act::DropGuard(which) => {
                if let Some(at) = pick(&self.guards, which) {
                    let event = self.guards[at].take().flatten();
                    self.raise(event, StopReason::Dropped);
                    self.release(event);
                }
            }
            Act::Disarm(which) => {
                if let Some(at) = pick(&self.guards, which) {
                    let event = self.guards[at].take();
                    self.handles.push(event);
                }
            }
            Act::Future(which) => {
                if let Some(event) = self.handle(which) {
                    self.hold(event);
                    self.futures.push(Some(Future { event, waker: None }));
                    self.woken.push([0; 2]);
                }
            }
            Act::Poll(which, waker) => self.poll(which, waker),
            Act::DropFuture(which) => {
                if let Some(at) = pick(&self.futures, which) {
                    let event = self.futures[at].take().and_then(|future| future.event);
                    self.release(event);
                }
            }
            Act::Wait(which) => {
                if let Some(event) = self.handle(which) {
                    self.said.push(Said::Waited(self.set_of(event).is_some()));
                }
            }
            Act::OnSet(which, ref act) => {
                if let Some(event) = self.handle(which) {
                    self.on_set(event, act.clone());
                }
            }
            Act::Remove(which) => {
                if let Some(at) = pick(&self.kept, which) {
                    let was_in_time = self.take_off(at);
                    self.said.push(Said::Removed(was_in_time));
                }
            }
            Act::DropCallback(which) => {
                if let Some(at) = pick(&self.kept, which) {
                    self.take_off(at);
                }
            }
            Act::Detach(which) => self.detach(which),
            Act::Deadline(..) | Act::Look(_) | Act::Panic => {}
        }
    }

    fn add(&mut self, parents: &[usize]) {
        let node = self.nodes.len();
        assert!(node < 128, "a program is short");
        let chains = parents.iter().map(|parent| self.nodes[*parent].chain);
        let chain = chains.fold(1 << node, |one, other| one | other);
        // Of several the first that was set.
        let set = parents.iter().filter_map(|at| self.nodes[*at].set).min();
        for parent in parents {
            self.nodes[*parent].references += 1;
        }
        self.nodes.push(Node {
            parents: parents.to_vec(),
            chain,
            set,
            references: 1,
        });
        self.handles.push(Some(Some(node)));
    }

    fn hold(&mut self, event: Event) {
        if let Some(node) = event {
            self.nodes[node].references += 1;
        }
    }

    fn release(&mut self, event: Event) {
        let Some(node) = event else {
            return;
        };
        self.nodes[node].references -= 1;
        if self.nodes[node].references > 0 {
            return;
        }
        for (at, callback) in self.callbacks.iter_mut().enumerate() {
            if callback.event == event && callback.is_listed {
                callback.is_listed = false;
                // One that is about to be told is told.
                let is_told = self.told.iter().any(|told| told.contains(&at));
                if callback.state == State::Waiting && !is_told {
                    callback.state = State::Gone;
                }
            }
        }
        for parent in std::mem::take(&mut self.nodes[node].parents) {
            self.release(Some(parent));
        }
    }

    fn is_under(&self, event: Event, node: usize) -> bool {
        event.is_some_and(|at| self.nodes[at].chain >> node & 1 == 1)
    }

    fn set(&mut self, which: u8, why: StopReason) {
        if let Some(event) = self.handle(which) {
            self.hold(event);
            let said = self.raise(event, why);
            self.said.push(Said::Set(said));
            self.release(event);
        }
    }

    fn raise(&mut self, event: Event, why: StopReason) -> bool {
        let Some(node) = event.filter(|node| self.nodes[*node].set.is_none()) else {
            return false;
        };
        let set = self.sets.len();
        self.sets.push(why);
        for other in &mut self.nodes[node..] {
            if other.chain >> node & 1 == 1 {
                other.set.get_or_insert(set);
            }
        }
        for at in 0..self.futures.len() {
            let future = self.futures[at].as_ref();
            if future.is_some_and(|future| self.is_under(future.event, node)) {
                let waker = self.futures[at].as_mut().and_then(|it| it.waker.take());
                if let Some(waker) = waker {
                    self.woken[at][usize::from(waker)] += 1;
                }
            }
        }
        let hears = |callback: &Callback| callback.is_listed && self.is_under(callback.event, node);
        let all = 0..self.callbacks.len();
        let told: Vec<_> = all.filter(|at| hears(&self.callbacks[*at])).collect();
        self.told.push(told.clone());
        for callback in told {
            if self.callbacks[callback].state == State::Waiting {
                self.run(callback);
            }
        }
        self.told.pop();
        true
    }

    fn run(&mut self, callback: usize) {
        self.callbacks[callback].state = State::Running;
        self.said.push(Said::Ran(callback));
        if let Some(act) = self.callbacks[callback].act.take() {
            self.apply(&act);
        }
        self.callbacks[callback].state = State::Gone;
    }

    fn on_set(&mut self, event: Event, act: Option<Box<Act>>) {
        let at = self.callbacks.len();
        let is_set = self.set_of(event).is_some();
        self.callbacks.push(Callback {
            event,
            act,
            state: State::Waiting,
            is_listed: !is_set && event.is_some(),
            holds: !is_set && event.is_some(),
        });
        self.kept.push(None);
        self.hold(event);
        if is_set {
            self.run(at);
        }
        self.kept[at] = Some(());
        if !self.callbacks[at].holds {
            self.release(event);
        }
    }

    /// Says whether that was in time.
    fn take_off(&mut self, at: usize) -> bool {
        self.kept[at] = None;
        let callback = &mut self.callbacks[at];
        let waited = callback.state == State::Waiting;
        if waited {
            callback.state = State::Gone;
        }
        callback.is_listed = false;
        let event = callback.event.filter(|_| callback.holds);
        callback.holds = false;
        self.release(event);
        waited
    }

    fn detach(&mut self, which: u8) {
        let Some(at) = pick(&self.kept, which) else {
            return;
        };
        self.kept[at] = None;
        let callback = &mut self.callbacks[at];
        if callback.holds {
            callback.holds = false;
            let event = callback.event;
            self.release(event);
        } else if callback.state == State::Waiting {
            // Nothing can set its event.
            callback.state = State::Gone;
        }
    }

    fn poll(&mut self, which: u8, waker: bool) {
        let Some(at) = pick(&self.futures, which) else {
            return;
        };
        let event = self.futures[at].as_ref().and_then(|future| future.event);
        let is_set = self.set_of(event).is_some();
        let may_be_woken = !is_set && event.is_some();
        if let Some(future) = &mut self.futures[at] {
            future.waker = may_be_woken.then_some(waker);
        }
        self.said.push(Said::Ready(is_set));
    }
}
