//! One stop event for many threads.
//!
//! A `StopEvent` is a flag that is set once; its clones are the same flag. It goes into any thread,
//! here into plain ones of the standard library, and setting it once stops them all. A child stops
//! with its parent, or earlier by itself.
//!
//! Expect four workers running, the third one closing down first, then the others in any order.

use std::thread;
use stoppable::StopEvent;

fn worker(number: u32, stop: &StopEvent) {
    println!("Worker thread running... ({number})");
    stop.wait();
    println!("Worker closing down ({number})");
}

fn main() {
    let everyone = StopEvent::new();
    let third = everyone.child();

    thread::scope(|scope| {
        // If anything here panics, the guard stops the threads that the scope would wait for.
        let _guard = everyone.set_on_drop();
        for number in [1, 2, 4] {
            let stop = everyone.clone();
            scope.spawn(move || worker(number, &stop));
        }
        let lonely = scope.spawn(|| worker(3, &third));

        println!("Main stopping thread 3");
        third.set();
        if lonely.join().is_ok() {
            println!("The others have not been asked: {}", !everyone.is_set());
        }
        println!("Main stopping thread");
        everyone.set();
    });
    println!("All threads have ended");
}
