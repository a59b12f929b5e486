use std::fs::File;
use std::io::{ErrorKind, Read, Write, pipe};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ottava_streams::{
    Cancel, Ending, Fd, Progress, PumpOptions, StreamError, Tried, Way, consume, pump, pump_all,
    try_pump,
};
use proptest::prelude::*;

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

fn feed(bytes: Vec<u8>) -> (OwnedFd, thread::JoinHandle<()>) {
    let (read, mut write) = pipe().unwrap();
    (read.into(), thread::spawn(move || drop(write.write_all(&bytes))))
}

fn both() -> [PumpOptions; 2] {
    [PumpOptions::default(), PumpOptions { in_kernel: false, ..PumpOptions::default() }]
}

#[test]
fn pipe_to_pipe() {
    for options in both() {
        let bytes = payload(3_000_000);
        let (source, producer) = feed(bytes.clone());
        let (mut read, write) = pipe().unwrap();
        let consumer = thread::spawn(move || {
            let mut got = Vec::new();
            read.read_to_end(&mut got).unwrap();
            got
        });
        let report = pump(source, OwnedFd::from(write), &options).unwrap();
        assert_eq!(report.bytes, 3_000_000);
        assert_eq!(report.ending, Ending::Eof);
        let want = if options.in_kernel { Way::Splice } else { Way::ReadWrite };
        assert_eq!(report.way, want);
        assert!(consumer.join().unwrap() == bytes);
        producer.join().unwrap();
    }
}

#[test]
fn several_writers() {
    for options in both() {
        let bytes = payload(3_000_000);
        let (source, producer) = feed(bytes.clone());
        let mut files = Vec::new();
        let mut writers: Vec<Fd<'_>> = Vec::new();
        let mut consumers = Vec::new();
        for i in 0..3 {
            let (mut read, write) = pipe().unwrap();
            writers.push(OwnedFd::from(write).into());
            consumers.push(thread::spawn(move || {
                let mut got = Vec::new();
                let mut piece = vec![0; 1 << (10 + 4 * i)];
                loop {
                    match read.read(&mut piece).unwrap() {
                        0 => break got,
                        n => got.extend_from_slice(&piece[..n]),
                    }
                }
            }));
        }
        for append in [false, true] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let open = File::options().write(true).append(append).open(file.path()).unwrap();
            writers.push(OwnedFd::from(open).into());
            files.push(file);
        }
        let report = pump_all(source, writers, &options).unwrap();
        assert_eq!(report.bytes, 3_000_000);
        assert_eq!(report.way, if options.in_kernel { Way::Tee } else { Way::ReadWrite });
        for consumer in consumers {
            assert!(consumer.join().unwrap() == bytes);
        }
        for file in files {
            assert!(std::fs::read(file.path()).unwrap() == bytes);
        }
        producer.join().unwrap();
    }
}

#[test]
fn cancel_wakes_a_blocked_pump() {
    for full in [false, true] {
        for options in both() {
            let (source, producer) = pipe().unwrap();
            let (_read, write) = pipe().unwrap();
            let (over, until) = mpsc::channel::<()>();
            let feeder = thread::spawn(move || {
                let mut producer = producer;
                if full {
                    let _ = producer.write_all(&payload(8 << 20));
                }
                let _ = until.recv();
            });
            let cancel = Cancel::new().unwrap();
            let options = PumpOptions { cancel: Some(cancel.clone()), ..options };
            let pumper = thread::spawn(move || pump(OwnedFd::from(source), &write, &options));
            thread::sleep(Duration::from_millis(60));
            cancel.cancel();
            let result = pumper.join().unwrap();
            drop(over);
            assert!(matches!(result, Err(StreamError::Cancelled { .. })), "{result:?}");
            feeder.join().unwrap();
        }
    }
}

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

#[test]
fn cancel_wakes_a_pump_from_a_quiet_socket() {
    for nonblocking in [false, true] {
        for options in both() {
            let (ours, _theirs) = tcp();
            ours.set_nonblocking(nonblocking).unwrap();
            let (_read, write) = pipe().unwrap();
            let cancel = Cancel::new().unwrap();
            let options = PumpOptions { cancel: Some(cancel.clone()), ..options };
            let pumper = thread::spawn(move || pump(OwnedFd::from(ours), &write, &options));
            thread::sleep(Duration::from_millis(60));
            cancel.cancel();
            let result = pumper.join().unwrap();
            assert!(matches!(result, Err(StreamError::Cancelled { bytes: 0 })), "{result:?}");
        }
    }
}

#[test]
fn a_socket_that_resets_is_a_reader_that_fails() {
    for nonblocking in [false, true] {
        for options in both() {
            let (mut ours, mut theirs) = tcp();
            ours.write_all(b"never read").unwrap();
            theirs.write_all(b"half").unwrap();
            ours.set_nonblocking(nonblocking).unwrap();
            let (mut read, write) = pipe().unwrap();
            let pumper = thread::spawn(move || pump(OwnedFd::from(ours), &write, &options));
            read.read_exact(&mut [0; 4]).unwrap();
            drop(theirs);
            let result = pumper.join().unwrap();
            let Err(StreamError::Read { bytes: 4, source, .. }) = result else {
                panic!("{result:?}")
            };
            assert_eq!(source.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn little_of_a_large_file_is_copied_at_once() {
    for options in both() {
        let (source, target) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        source.set_len(256 << 20).unwrap();
        let tried = try_pump(&source, vec![(&target).into()], &options).unwrap();
        assert!(matches!(tried, Tried::Begun(_)), "{tried:?}");
        assert!(target.metadata().unwrap().len() <= 16 << 20);
    }
}

#[test]
fn consume_reads_all() {
    let bytes = payload(5_000_000);
    let (source, producer) = feed(bytes.clone());
    let consumed = consume(source, &PumpOptions::default()).unwrap();
    assert!(consumed.bytes == bytes);
    producer.join().unwrap();
}

#[test]
fn a_short_pump_needs_no_thread_and_a_long_one_goes_on() {
    let (source, mut feeder) = pipe().unwrap();
    let (mut read, write) = pipe().unwrap();
    feeder.write_all(b"begun ").unwrap();
    let writers = vec![OwnedFd::from(write).into()];
    let begun = try_pump(OwnedFd::from(source), writers, &PumpOptions::default()).unwrap();
    let Tried::Begun(begun) = begun else { panic!("the reader is still open: {begun:?}") };
    feeder.write_all(b"and done").unwrap();
    drop(feeder);
    let progress = Arc::new(Progress::default());
    let report = begun.run(None, Some(progress.clone())).unwrap();
    assert_eq!((report.bytes, progress.bytes()), (14, 14));
    let mut got = String::new();
    read.read_to_string(&mut got).unwrap();
    assert_eq!(got, "begun and done");

    let (source, producer) = feed(b"short".to_vec());
    producer.join().unwrap();
    let (_read, write) = pipe().unwrap();
    let done = try_pump(source, vec![(&write).into()], &PumpOptions::default()).unwrap();
    assert!(matches!(done, Tried::Done(report) if report.bytes == 5));
}

#[test]
fn a_writer_that_fails_is_an_error_with_its_place() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (source, producer) = feed(b"x".to_vec());
    let result = pump(source, &full, &PumpOptions::default());
    assert!(matches!(result, Err(StreamError::Write { sink: 0, .. })), "{result:?}");
    producer.join().unwrap();
}

#[test]
fn a_writer_that_is_gone_ends_the_pump_unless_it_drains() {
    for options in both() {
        for drain in [false, true] {
            let (source, producer) = feed(payload(300_000));
            let (gone, write) = pipe().unwrap();
            drop(gone);
            let options = PumpOptions { drain, ..options.clone() };
            let report = pump(source, &write, &options).unwrap();
            if drain {
                assert_eq!((report.ending, report.discarded), (Ending::Eof, 300_000));
            } else {
                assert_eq!(report.ending, Ending::WriterGone);
            }
            producer.join().unwrap();
        }
    }
}

#[test]
fn options_out_of_range() {
    let (source, write) = pipe().unwrap();
    for buffer_size in [0, (64 << 20) + 1, usize::MAX] {
        let options = PumpOptions { buffer_size, ..PumpOptions::default() };
        let result = pump(&source, &write, &options);
        assert!(matches!(result, Err(StreamError::Option { option: "buffer_size", .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_chunks_arrive_in_order(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 0..12),
        buffer_size in 1usize..5000,
        pipe_size in prop::sample::select(vec![0usize, 4096, 1 << 20]),
        in_kernel in any::<bool>(),
        limit in prop::option::of(0u64..20_000),
        sinks in 1usize..4,
        piece in 1usize..6000,
    ) {
        let whole = chunks.concat();
        let (source, mut write) = pipe().unwrap();
        let producer = thread::spawn(move || chunks.iter().all(|c| write.write_all(c).is_ok()));
        let options = PumpOptions { buffer_size, pipe_size, in_kernel, limit, ..PumpOptions::default() };
        let mut writers: Vec<Fd<'_>> = Vec::new();
        let mut consumers = Vec::new();
        for _ in 0..sinks {
            let (mut read, write) = pipe().unwrap();
            writers.push(OwnedFd::from(write).into());
            consumers.push(thread::spawn(move || {
                let (mut got, mut room) = (Vec::new(), vec![0; piece]);
                loop {
                    match read.read(&mut room).unwrap() {
                        0 => break got,
                        n => got.extend_from_slice(&room[..n]),
                    }
                }
            }));
        }
        let report = pump_all(&source, writers, &options).unwrap();
        let rest = consume(OwnedFd::from(source), &PumpOptions::default()).unwrap().bytes;
        let moved = limit.map_or(whole.len(), |l| whole.len().min(l as usize));
        prop_assert_eq!(report.bytes, moved as u64);
        for consumer in consumers {
            prop_assert!(consumer.join().unwrap() == whole[..moved]);
        }
        prop_assert!(rest == whole[moved..]);
        prop_assert!(producer.join().unwrap());
    }
}
