//! Stopping a thread that has already stopped does nothing.
//!
//! `stop` says what it did: it asked, or it came when there was nobody left to ask. Neither is an
//! error, and a result that is there stays there.
//!
//! Expect `Requested` and then `AlreadyDone(Cancelled)` for the first thread, `AlreadyDone(Completed)`
//! and the result 42 for the second, which had ended by itself.

use stoppable::StoppableThread;

fn main() {
    let thread = StoppableThread::spawn(|stop| {
        println!("Worker thread running...");
        stop.wait();
        println!("Worker closing down");
    });
    println!("Main stopping thread");
    println!("First stop: {:?}", thread.stop());
    thread.wait();
    println!("Second stop: {:?}", thread.stop());
    println!("It was {}", thread.outcome().status());

    let quick = StoppableThread::spawn(|_stop| 6 * 7);
    quick.wait();
    println!("Stop of a thread that had ended: {:?}", quick.stop());
    println!("Its result: {:?}", quick.join());
}
