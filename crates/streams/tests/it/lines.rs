use std::io::{Write, pipe};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::thread;

use ottava_streams::{
    LineBatch, LineOptions, PumpOptions, StreamError, count_lines, lines, lines_tee,
};

fn feed(chunks: Vec<Vec<u8>>) -> OwnedFd {
    let (read, mut write) = pipe().unwrap();
    thread::spawn(move || chunks.iter().all(|chunk| write.write_all(chunk).is_ok()));
    read.into()
}

fn gather(into: &mut Vec<Vec<u8>>) -> impl FnMut(LineBatch<'_>) -> ControlFlow<()> {
    |batch: LineBatch<'_>| {
        into.extend(batch.iter().map(<[u8]>::to_vec));
        ControlFlow::Continue(())
    }
}

#[test]
fn counts_what_it_splits() {
    let text: Vec<Vec<u8>> =
        (0..5_000u32).map(|i| format!("{i}\r\n\r{i}\n").into_bytes()).collect();
    let mut got = Vec::new();
    let report = lines(feed(text.clone()), &LineOptions::default(), &mut gather(&mut got)).unwrap();
    assert_eq!((report.lines, got.len()), (15_000, 15_000));
    assert_eq!(report.bytes, text.concat().len() as u64);
    let options = PumpOptions { buffer_size: 7, ..PumpOptions::default() };
    assert_eq!(count_lines(feed(text), &options).unwrap().lines, 15_000);
}

#[test]
fn a_long_line_comes_after_the_lines_before_it() {
    let mut got = Vec::new();
    let options = LineOptions { max_line: 5, ..LineOptions::default() };
    let result = lines(
        feed(vec![b"one\ntwo\nthree\n".to_vec(), b"sixsix\nlast".to_vec()]),
        &options,
        &mut gather(&mut got),
    );
    assert!(
        matches!(result, Err(StreamError::LineTooLong { line: 3, limit: 5, .. })),
        "{result:?}"
    );
    assert_eq!(got, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
}

#[test]
fn a_sink_can_stop() {
    let mut seen = 0;
    let mut sink = |batch: LineBatch<'_>| {
        seen += batch.spans().len();
        ControlFlow::Break(())
    };
    lines(feed(vec![b"a\n".repeat(1_000_000)]), &LineOptions::default(), &mut sink).unwrap();
    assert!(seen > 0 && seen < 1_000_000);
}

#[test]
fn tee_sees_the_bytes_as_they_came() {
    let text = b"one\r\ntwo\rthree".to_vec();
    let mut got = Vec::new();
    let copy = tempfile::NamedTempFile::new().unwrap();
    let writer = OwnedFd::from(copy.reopen().unwrap()).into();
    let report = lines_tee(
        feed(vec![text.clone()]),
        vec![writer],
        &LineOptions::default(),
        &mut gather(&mut got),
    )
    .unwrap();
    assert_eq!(got, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    assert_eq!(report.sinks[0].bytes, text.len() as u64);
    assert_eq!(std::fs::read(copy.path()).unwrap(), text);
}
