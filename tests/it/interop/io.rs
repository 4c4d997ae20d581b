//! Readers and writers that fail from the set on, between calls.

use crate::common::finishes;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, ErrorKind, Read, Seek, Write};
use stoppable::{Outcome, StopEvent, StopReader, StopReason, StopWriter, Stopped, ThreadPool};

#[track_caller]
fn is_stopped<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert_ne!(error.kind(), ErrorKind::Interrupted);
    let stopped = error.downcast::<Stopped>().unwrap();
    assert_eq!(stopped.reason(), StopReason::custom("enough"));
}

fn enough(stop: &StopEvent) {
    stop.set_with(StopReason::custom("enough"));
}

#[test]
fn every_way_to_read_passes_through_and_then_fails() {
    let stop = StopEvent::new();
    let mut reader = StopReader::new(Cursor::new(b"one\ntwo\nthree".to_vec()), &stop);
    let mut line = String::new();
    assert_eq!(reader.read_line(&mut line).unwrap(), 4);
    let mut three = [0; 3];
    reader.read_exact(&mut three).unwrap();
    assert_eq!((line.as_str(), &three), ("one\n", b"two"));
    enough(&stop);
    is_stopped(reader.read(&mut three));
    is_stopped(reader.read_vectored(&mut [io::IoSliceMut::new(&mut three)]));
    is_stopped(reader.read_exact(&mut three));
    is_stopped(reader.read_to_end(&mut Vec::new()));
    is_stopped(reader.read_to_string(&mut String::new()));
    is_stopped(reader.fill_buf().map(<[u8]>::len));
    is_stopped(reader.lines().next().unwrap());
}

#[test]
fn a_stop_leaves_the_inner_reader_where_it_was() {
    let stop = StopEvent::new();
    let mut reader = StopReader::new(Cursor::new([1, 2, 3]), &stop);
    reader.read_exact(&mut [0]).unwrap();
    enough(&stop);
    is_stopped(reader.read(&mut [0]));
    assert_eq!(reader.stream_position().unwrap(), 1);
    assert_eq!(reader.get_ref().position(), 1);
    assert_eq!(reader.get_mut().read(&mut [0]).unwrap(), 1);
    let mut rest = Vec::new();
    reader.into_inner().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [3]);
}

#[test]
fn every_way_to_write_passes_through_and_then_fails() {
    let stop = StopEvent::new();
    let mut writer = StopWriter::new(Cursor::new(Vec::new()), &stop);
    writer.write_all(b"one").unwrap();
    write!(writer, " {}", 2).unwrap();
    writer.flush().unwrap();
    enough(&stop);
    is_stopped(writer.write(b"x"));
    is_stopped(writer.write_vectored(&[io::IoSlice::new(b"x")]));
    is_stopped(writer.write_all(b"x"));
    is_stopped(write!(writer, "x"));
    is_stopped(writer.flush());
    assert_eq!(writer.stream_position().unwrap(), 5);
    assert_eq!(writer.get_ref().get_ref(), b"one 2");
    writer.get_mut().write_all(b"!").unwrap();
    assert_eq!(writer.into_inner().into_inner(), b"one 2!");
}

#[test]
fn inside_of_a_buffer_the_poll_is_at_each_refill() {
    let stop = StopEvent::new();
    let mut reader = BufReader::with_capacity(4, StopReader::new(Cursor::new([7; 9]), &stop));
    reader.read_exact(&mut [0]).unwrap();
    enough(&stop);
    reader.read_exact(&mut [0; 3]).unwrap();
    is_stopped(reader.read(&mut [0]));
    let mut writer = BufWriter::new(StopWriter::new(Vec::new(), &stop));
    writer.write_all(b"kept back").unwrap();
    is_stopped(writer.flush());
}

#[test]
fn a_copy_without_end_is_ended_and_the_task_has_seen_its_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for through_reader in [true, false] {
            let task = pool.submit(move |stop| {
                if through_reader {
                    io::copy(&mut StopReader::new(io::repeat(1), stop), &mut io::sink())
                } else {
                    io::copy(&mut io::repeat(1), &mut StopWriter::new(io::sink(), stop))
                }
            });
            task.wait_started();
            task.cancel();
            let Outcome::Cancelled {
                partial: Some(Err(error)),
                ..
            } = task.outcome()
            else {
                panic!("it was not cancelled");
            };
            assert!(error.downcast::<Stopped>().is_ok());
        }
    });
}
