//! Threads outside the pool, each with some of its tasks in hand.

use crate::dice::Dice;
use crate::plan::{Plan, closure, in_order_of_end, many, some_time};
use crate::world::{KNOWN, Kept, Token, WITHOUT_POOL, World, assert_law, run_alone};
use std::future::Future;
use std::hint;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;
use stoppable::{
    Canceller, Graceful, Outcome, PendingTask, Stats, StopEvent, TaskHandle, ThreadPool,
};

/// What an actor leaves to others.
pub(crate) enum Job {
    Cancel(usize, Canceller),
    Run(usize, PendingTask),
}

/// Cancels and runs what the others send, late or soon.
pub(crate) fn serve(world: &World, jobs: &Receiver<Job>, mut dice: Dice) {
    for job in jobs {
        for _ in 0..dice.below(100) {
            hint::spin_loop();
        }
        match job {
            Job::Cancel(n, canceller) => {
                let before = canceller.status();
                world.check_cancel(n, canceller.cancel());
                if before.is_done() {
                    world.expect_status(n, before, "its canceller");
                }
            }
            Job::Run(n, task) => run(world, n, task),
        }
    }
}

fn run(world: &World, n: usize, task: PendingTask) {
    let status = run_alone(task);
    world.expect_status(n, status, "who ran it");
}

pub(crate) struct Actor<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) pool: &'a ThreadPool,
    pub(crate) jobs: Sender<Job>,
    pub(crate) dice: Dice,
    pub(crate) kept: Vec<Kept>,
    /// An event of its own, for some tasks to be under.
    pub(crate) event: StopEvent,
    pub(crate) before: Stats,
}

impl Actor<'_> {
    pub(crate) fn act(mut self) {
        while self.world.has_more() {
            self.step();
            if self.world.due.swap(0, Relaxed) > 0 {
                self.close();
            }
            while self.kept.len() > 48 {
                let place = self.dice.below(self.kept.len() as u64) as usize;
                let (n, task) = self.kept.swap_remove(place);
                self.end_of(n, task);
            }
        }
        // The others must not wait for what this one may still stop.
        self.event.set();
        for (n, task) in self.kept {
            self.world.check_outcome(n, &task.outcome());
        }
    }

    fn step(&mut self) {
        match self.dice.below(1_024) {
            0..8 => self.submit_batch(),
            8..12 => many(self.world, &mut self.dice, 0),
            12..18 => self.without_pool(),
            18..22 => self.wait_for_some(),
            22..30 => self.look(),
            30..36 => self.use_event(),
            36 => {
                self.pool.cancel_pending();
            }
            37 => self.take(),
            _ => self.submit(),
        }
    }

    /// The counts, which are right at every moment and never go back.
    fn look(&mut self) {
        let (now, before) = (self.pool.stats(), self.before);
        assert_law(now);
        let rises = now.submitted >= before.submitted
            && now.completed >= before.completed
            && now.cancelled >= before.cancelled
            && now.never_started >= before.never_started
            && now.panicked >= before.panicked
            && now.taken >= before.taken
            && now.refused >= before.refused;
        assert!(rises, "{before:?} and then {now:?}");
        self.before = now;
        if self.dice.one_in(8) {
            drop(self.pool.tasks());
        }
        if self.world.parent.peek() || self.pool.stop_event().peek() {
            self.world.cut();
        }
    }

    fn use_event(&mut self) {
        let dice = &mut self.dice;
        match dice.below(8) {
            0..3 => self.world.call_back(&self.event, dice),
            3 => self.event.set_after(dice.micros(500)),
            4 => {
                let mut stopped = pin!(self.event.stopped());
                let _ = stopped
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
            }
            5 => {
                drop(self.event.set_on_drop());
                self.event = StopEvent::new();
            }
            6 => self.event = StopEvent::any([&self.world.parent.child(), &self.event.child()]),
            _ => self.event = StopEvent::new(),
        }
        #[cfg(unix)]
        if self.dice.one_in(16) {
            drop(self.event.fd().expect("there are file descriptors left"));
        }
    }

    fn submit(&mut self) {
        let Some(capture) = self.world.ticket(KNOWN) else {
            return;
        };
        let n = capture.n;
        let way = self.dice.below(32);
        let plan = Plan::choose(&mut self.dice, way > 1, true);
        let submitter = self.world.submitter();
        let closure = closure(capture, plan);
        let mut stops = false;
        let task = match way {
            0 | 1 => match submitter.execute(closure) {
                Ok(id) => return self.world.note_id(n, id),
                Err(error) => return self.world.hand_back(n, error),
            },
            2..5 => match submitter.try_submit(closure) {
                Ok(task) => task,
                Err(error) => return self.world.hand_back(n, error),
            },
            5 => {
                let dice = &mut self.dice;
                let mut builder = submitter.task();
                if dice.one_in(2) {
                    builder = builder.name("named");
                }
                if dice.one_in(2) {
                    stops = true;
                    builder = builder.timeout(dice.micros(300));
                }
                if dice.one_in(4) {
                    builder = builder.start_before(some_time(dice));
                }
                if dice.one_in(2) {
                    builder = builder.stop_with(&self.event);
                }
                builder.submit(closure)
            }
            _ => submitter.submit(closure),
        };
        self.world.note_id(n, task.id());
        if plan.waits() && !stops {
            self.cancel_soon(n, &task);
        }
        self.use_handle(n, task);
    }

    fn cancel_soon(&self, n: usize, task: &TaskHandle<Token>) {
        self.jobs.send(Job::Cancel(n, task.canceller())).unwrap();
    }

    fn submit_batch(&mut self) {
        let most = [3, 20, 70, 300][self.dice.below(4) as usize];
        // In a bounded queue a task may begin before all are submitted, and only then is it stopped.
        let may_wait = !self.world.bounded;
        let mut made = Vec::new();
        let closures = (0..=self.dice.below(most)).map_while(|_| {
            let capture = self.world.ticket(KNOWN)?;
            let plan = Plan::choose(&mut self.dice, may_wait, true);
            made.push((capture.n, plan.waits()));
            Some(closure(capture, plan))
        });
        let tasks = self.world.submitter().submit_all(closures);
        assert_eq!(tasks.len(), made.len());
        let mut before = None;
        for ((n, waits), task) in made.iter().zip(&tasks) {
            self.world.expect(before < Some(task.id()), || {
                format!("the id of task {n} is not behind the one before")
            });
            before = Some(task.id());
            self.world.note_id(*n, task.id());
            // First those that nobody would stop otherwise.
            if *waits {
                self.cancel_soon(*n, task);
            }
        }
        let tasks = made.into_iter().map(|(n, _)| n).zip(tasks);
        for (n, task) in tasks {
            self.use_handle(n, task);
        }
    }

    fn use_handle(&mut self, n: usize, task: TaskHandle<Token>) {
        let (world, dice) = (self.world, &mut self.dice);
        match dice.below(32) {
            0..12 => return drop(task),
            12..14 => world.check_cancel(n, task.cancel()),
            14 => self.cancel_soon(n, &task),
            15 => {
                task.stop_event().set();
            }
            16 => task.cancel_after(dice.micros(300)),
            17 => world.hear(n, &task),
            18 => return drop(task.cancel_on_drop()),
            19 => {
                let mut task = pin!(task);
                let _ = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                return;
            }
            20 => match task.try_join() {
                Ok(result) => return world.check_result(n, result),
                Err(task) => return self.kept.push((n, task)),
            },
            21 => match task.join_timeout(dice.micros(100)) {
                Ok(result) => return world.check_result(n, result),
                Err(task) => return self.kept.push((n, task)),
            },
            22..25 => return world.pot.lock().unwrap().push((n, task)),
            _ => {}
        }
        self.kept.push((n, task));
    }

    fn end_of(&mut self, n: usize, task: TaskHandle<Token>) {
        let (world, dice) = (self.world, &mut self.dice);
        match dice.below(8) {
            0 => world.check_result(n, task.join()),
            1 => world.check_result(n, pollster::block_on(task)),
            2 => {
                world.hear(n, &task);
                world.check_outcome(n, &task.outcome());
            }
            3 => match task.join_or_stopped(&self.event) {
                Ok(result) => world.check_result(n, result),
                Err(task) => drop(task),
            },
            _ => world.check_outcome(n, &task.outcome()),
        }
    }

    fn wait_for_some(&mut self) {
        let dice = &mut self.dice;
        let tasks = self.kept.iter().map(|(_, task)| task);
        let waited = match dice.below(8) {
            0 => stoppable::wait_any(tasks),
            1 => stoppable::wait_all(tasks),
            2 => stoppable::wait_first_error(tasks),
            3 => stoppable::wait_any_timeout(tasks, dice.micros(100)),
            4 => stoppable::wait_all_timeout(tasks, dice.micros(100)),
            5 => stoppable::wait_first_error_timeout(tasks, dice.micros(100)),
            _ => {
                let tasks = std::mem::take(&mut self.kept);
                return in_order_of_end(self.world, dice, tasks);
            }
        };
        for place in waited.done() {
            let (n, task) = &self.kept[*place];
            self.world.expect_status(*n, task.status(), "a wait");
        }
        let all = waited.done().len() + waited.unfinished().len();
        assert_eq!(all, self.kept.len());
    }

    /// What is pending is dropped, or run here, or by another thread.
    fn take(&mut self) {
        for task in self.pool.take_pending() {
            match self.dice.below(64) {
                0..16 => drop(task),
                16 => {
                    thread::spawn(|| run_alone(task)).join().unwrap();
                }
                _ => {
                    run_alone(task);
                }
            }
        }
    }

    /// A task without a pool.
    fn without_pool(&mut self) {
        let Some(capture) = self.world.ticket(WITHOUT_POOL) else {
            return;
        };
        let (world, dice, n) = (self.world, &mut self.dice, capture.n);
        let closure = closure(capture, Plan::short(dice));
        let (pending, task) = if dice.one_in(2) {
            PendingTask::new(closure)
        } else {
            PendingTask::under(&self.event, closure)
        };
        match dice.below(8) {
            0 => drop(pending),
            1 => {
                world.check_cancel(n, task.cancel());
                run(world, n, pending);
            }
            2 => {
                world.check_result(n, task.join_or_run());
                return drop(pending);
            }
            3 => {
                world.hear(n, &task);
                run(world, n, pending);
            }
            4 if dice.one_in(16) => {
                let status = thread::spawn(move || pending.run()).join();
                world.expect_status(n, status.unwrap(), "a thread");
            }
            _ => self.jobs.send(Job::Run(n, pending)).unwrap(),
        }
        if self.dice.one_in(4) {
            return drop(task);
        }
        let outcome: Outcome<Token> = task.outcome();
        world.check_outcome(n, &outcome);
    }

    /// Shuts the pool down, or begins to, while everyone goes on.
    fn close(&mut self) {
        let dice = &mut self.dice;
        let mode = dice.mode();
        match dice.below(8) {
            0 => {
                let report = self.pool.shutdown(mode);
                assert!(report.is_final(), "{report:?}");
                assert_law(report.stats());
            }
            1 => {
                let report = self.pool.shutdown_timeout(mode, dice.micros(300));
                assert_law(report.stats());
                let stragglers = report.into_stragglers();
                if dice.one_in(2) {
                    let report = stragglers.wait();
                    assert!(report.is_final(), "{report:?}");
                    assert_law(report.stats());
                }
            }
            2 => self.pool.begin_shutdown(mode),
            3 => {
                self.pool.stop_event().set();
            }
            4 => {
                let graceful = Graceful::new()
                    .drain(dice.micros(300))
                    .stop_all(Duration::MAX);
                let report = self.pool.shutdown_graceful(graceful);
                assert!(report.is_final(), "{report:?}");
                assert_law(report.stats());
            }
            5 => {
                self.world.parent.set();
            }
            6 => self.world.parent.set_after(dice.micros(300)),
            _ => return,
        }
        self.world.cut();
    }
}
