//! Stopping an "extended thread class": a type with a state of its own that runs in a thread.
//!
//! The type implements `Runnable`, `StoppableThread::run` starts it, and the outcome gives it back,
//! with its state as it was when it stopped.
//!
//! Expect three or four times `Worker thread running...`, then `Main stopping thread`, then
//! `Worker closing down` and the number of rounds.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use stoppable::{Runnable, StopEvent, StoppableThread};

struct Worker {
    rounds: u32,
    progress: Sender<()>,
}

impl Runnable for Worker {
    fn run(&mut self, stop: &StopEvent) {
        // A sleep that the stop ends, so that nobody waits for the rest of it.
        while stop.sleep(Duration::from_millis(100)).is_ok() {
            println!("Worker thread running...");
            self.rounds += 1;
            // Nobody listens any more once main has seen enough.
            let _ = self.progress.send(());
        }
        println!("Worker closing down");
    }
}

fn main() {
    let (progress, rounds) = channel();
    let thread = StoppableThread::run(Worker {
        rounds: 0,
        progress,
    });

    rounds.iter().take(3).for_each(drop);
    println!("Main stopping thread");
    thread.stop();

    if let Some(worker) = thread.outcome().into_value() {
        println!("The worker did {} rounds", worker.rounds);
    }
}
