//! smoke
use std::sync::{Arc, Barrier, mpsc};
use stoppable::*;

#[test]
fn smoke() {
    let pool = ThreadPool::new(2);
    let hs: Vec<_> = (0..100_000u64)
        .map(|n| pool.submit(move |_| n * 2))
        .collect();
    for (n, h) in hs.into_iter().enumerate() {
        assert_eq!(h.join().unwrap(), n as u64 * 2);
    }
    let r = pool.shutdown(Shutdown::Drain);
    println!("{r}\n{r:?}");
    assert_eq!(r.completed(), 100_000);
}

#[test]
fn chain() {
    let pool = Arc::new(ThreadPool::new(1));
    let gate = Arc::new(Barrier::new(2));
    let g = gate.clone();
    let _b = pool.submit(move |_| {
        g.wait();
    });
    // last first? queued after: task k joins task k+1, so submit with channels
    let n = 10_000usize;
    let mut senders = vec![];
    let mut handles = vec![];
    for k in 0..n {
        let (tx, rx) = mpsc::channel::<TaskHandle<u64>>();
        senders.push(tx);
        handles.push(pool.submit(move |_| {
            if k + 1 == n {
                1u64
            } else {
                1 + rx.recv().unwrap().join().unwrap()
            }
        }));
    }
    let mut it = handles.into_iter();
    let first = it.next().unwrap();
    for (h, tx) in it.zip(&senders) {
        tx.send(h).unwrap();
    }
    gate.wait();
    assert_eq!(first.join().unwrap(), n as u64);
}

#[test]
fn stuck_cancel() {
    let pool = ThreadPool::new(1);
    let (tx, rx) = mpsc::channel::<()>();
    let b = pool.submit(move |_| rx.recv().unwrap());
    b.wait_started();
    for _ in 0..1_000_000 {
        let h = pool.submit(|_| ());
        assert_eq!(h.cancel(), CancelOutcome::NeverStarted);
    }
    tx.send(()).unwrap();
    println!("{}", pool.shutdown(Shutdown::StopAll));
}
