//! Sockets whose blocked calls a stop ends.

use crate::common::finishes;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use stoppable::{Outcome, StopEvent, StopStream, Stopped, ThreadPool};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

#[track_caller]
fn is_stopped<T: std::fmt::Debug>(result: io::Result<T>) {
    assert!(result.unwrap_err().downcast::<Stopped>().is_ok());
}

#[test]
fn data_goes_through_and_a_stop_is_not_the_end_of_the_stream() {
    finishes(|| {
        let stop = StopEvent::new();
        let (ours, mut peer) = pair();
        let mut stream = StopStream::new(ours, &stop);
        stream.write_all(b"question").unwrap();
        stream.flush().unwrap();
        let mut question = [0; 8];
        peer.read_exact(&mut question).unwrap();
        peer.write_all(b"answer").unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!((&question, &answer), (b"question", b"answer"));
        // The true end.
        drop(peer);
        assert_eq!(stream.read(&mut answer).unwrap(), 0);
        stop.set();
        is_stopped(stream.read(&mut answer));
        is_stopped(stream.read(&mut []));
        is_stopped(stream.write(b"x"));
        is_stopped(stream.flush());
    });
}

#[test]
fn a_read_that_blocks_is_ended_and_the_peer_sees_the_end() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (ours, mut peer) = pair();
        peer.write_all(b"x").unwrap();
        let (first, read) = mpsc::channel();
        let task = pool.submit(move |stop| {
            let mut stream = StopStream::new(ours, stop);
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            first.send(()).unwrap();
            stream.read(&mut byte)
        });
        read.recv().unwrap();
        task.cancel();
        let Outcome::Cancelled {
            partial: Some(result),
            ..
        } = task.outcome()
        else {
            panic!("it was not cancelled");
        };
        is_stopped(result);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_reader_and_a_writer_that_block_on_one_stream_are_both_ended() {
    finishes(|| {
        let stop = StopEvent::new();
        // The peer neither reads nor writes.
        let (ours, peer) = pair();
        let stream = StopStream::new(ours, &stop);
        let (sent, sending) = mpsc::channel();
        thread::scope(|s| {
            let reader = s.spawn(|| (&stream).read(&mut [0]));
            let writer = s.spawn(|| {
                let full = loop {
                    match (&stream).write_all(&[0; 1 << 12]) {
                        Ok(()) => sent.send(()).unwrap(),
                        Err(error) => break Err::<(), _>(error),
                    }
                };
                drop(sent);
                full
            });
            sending.recv().unwrap();
            stop.set();
            is_stopped(reader.join().unwrap());
            is_stopped(writer.join().unwrap());
        });
        drop(peer);
    });
}

#[test]
fn no_stop_is_missed_whenever_it_comes() {
    finishes(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..300 {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let _peer = listener.accept().unwrap();
            let stop = StopEvent::new();
            let setter = thread::spawn({
                let stop = stop.clone();
                move || stop.set()
            });
            is_stopped(StopStream::new(ours, &stop).read(&mut [0]));
            setter.join().unwrap();
        }
    });
}

#[test]
fn taken_out_in_time_it_is_left_open() {
    finishes(|| {
        let stop = StopEvent::new();
        let (ours, mut peer) = pair();
        let mut ours = StopStream::new(ours, &stop).into_inner().unwrap();
        stop.set();
        peer.write_all(b"x").unwrap();
        ours.read_exact(&mut [0]).unwrap();
        assert!(StopStream::new(ours, &stop).into_inner().is_none());
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn when_it_is_dropped_the_connection_is_closed() {
    finishes(|| {
        let stop = StopEvent::new();
        let (ours, mut peer) = pair();
        drop(StopStream::new(ours, &stop));
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        stop.set();
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_ended_as_well() {
    finishes(|| {
        let stop = StopEvent::new();
        let (ours, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut stream = StopStream::new(ours, &stop);
        let setter = thread::spawn(move || stop.set());
        is_stopped(stream.read(&mut [0]));
        setter.join().unwrap();
    });
}

#[test]
fn one_that_is_shut_under_another_clone_has_ended_and_is_then_stopped() {
    finishes(|| {
        let stop = StopEvent::new();
        let (ours, _peer) = pair();
        let clone = ours.try_clone().unwrap();
        let mut stream = StopStream::new(ours, &stop);
        let closer = thread::spawn(move || clone.shutdown(std::net::Shutdown::Both));
        // It is the end of the stream, and no stop.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        closer.join().unwrap().unwrap();
        assert!(
            stream
                .write_all(&[0])
                .unwrap_err()
                .downcast::<Stopped>()
                .is_err()
        );
        // The callback finds nothing to shut.
        stop.set();
        is_stopped(stream.read(&mut [0]));
        is_stopped(stream.write(&[0]));
    });
}

#[test]
fn a_peer_that_breaks_off_is_an_error_and_then_a_stop() {
    finishes(|| {
        let stop = StopEvent::new();
        let (ours, peer) = pair();
        let mut stream = StopStream::new(ours, &stop);
        stream.write_all(b"nobody reads this").unwrap();
        // With data that was not read the connection is reset.
        drop(peer);
        let broken = loop {
            if let Err(error) = stream.write_all(&[0; 1 << 12]) {
                break error;
            }
        };
        assert!(broken.downcast::<Stopped>().is_err());
        stop.set();
        is_stopped(stream.write(&[0]));
        is_stopped(stream.read(&mut [0]));
    });
}

#[test]
fn what_had_come_before_the_stop_is_not_given_to_a_later_read() {
    finishes(|| {
        // But what a read that was under way had got is returned.
        let stop = StopEvent::new();
        let (ours, mut peer) = pair();
        let mut stream = StopStream::new(ours, &stop);
        peer.write_all(b"abc").unwrap();
        assert_eq!(stream.read(&mut [0; 2]).unwrap(), 2);
        stop.set();
        is_stopped(stream.read(&mut [0; 2]));
    });
}

#[cfg(target_os = "linux")]
mod listener {
    use super::*;
    use crate::common::Gate;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    use stoppable::StopListener;

    #[test]
    fn connections_are_accepted_until_the_stop_and_all_threads_end() {
        finishes(|| {
            let stop = StopEvent::new();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let listener = StopListener::new(listener, &stop).unwrap();
            assert_eq!(listener.get_ref().local_addr().unwrap(), address);
            thread::scope(|s| {
                let gate = Gate::new();
                let acceptors: Vec<_> = (0..3)
                    .map(|_| {
                        let (listener, gate) = (&listener, gate.clone());
                        s.spawn(move || {
                            let mut accepted = 0;
                            loop {
                                match listener.accept() {
                                    Ok(_) => accepted += 1,
                                    Err(error) => break (accepted, error),
                                }
                                gate.open();
                            }
                        })
                    })
                    .collect();
                drop(TcpStream::connect(address).unwrap());
                gate.pass();
                stop.set();
                let mut accepted = 0;
                for acceptor in acceptors {
                    let (count, error) = acceptor.join().unwrap();
                    accepted += count;
                    is_stopped(Err::<(), _>(error));
                }
                assert_eq!(accepted, 1);
            });
            assert!(TcpStream::connect(address).is_err());
            is_stopped(listener.accept());
        });
    }

    #[test]
    fn one_that_is_shut_under_another_clone_is_an_error_and_then_a_stop() {
        finishes(|| {
            let stop = StopEvent::new();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let clone = listener.try_clone().unwrap();
            let listener = StopListener::new(listener, &stop).unwrap();
            // Its own event is another one.
            let other = StopEvent::new();
            let closer = StopListener::new(clone, &other).unwrap();
            let setter = thread::spawn(move || other.set());
            let error = listener.accept().unwrap_err();
            assert!(error.downcast::<Stopped>().is_err());
            setter.join().unwrap();
            drop(closer);
            stop.set();
            is_stopped(listener.accept());
        });
    }

    #[test]
    fn no_stop_is_missed_whenever_it_comes() {
        finishes(|| {
            for _ in 0..300 {
                let stop = StopEvent::new();
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let listener = StopListener::new(listener, &stop).unwrap();
                let setter = thread::spawn(move || stop.set());
                is_stopped(listener.accept());
                setter.join().unwrap();
            }
        });
    }

    #[test]
    fn on_a_unix_socket_and_taken_out_in_time() {
        finishes(|| {
            let name = format!("stoppable-{}", std::process::id());
            let address = SocketAddr::from_abstract_name(name).unwrap();
            let stop = StopEvent::new();
            let listener = UnixListener::bind_addr(&address).unwrap();
            let listener = StopListener::new(listener, &stop.child()).unwrap();
            let listener = listener.into_inner();
            stop.set();
            let _caller = UnixStream::connect_addr(&address).unwrap();
            listener.accept().unwrap();
            let stop = StopEvent::new();
            let listener = StopListener::new(listener, &stop).unwrap();
            let setter = thread::spawn(move || stop.set());
            is_stopped(listener.accept());
            setter.join().unwrap();
        });
    }
}
