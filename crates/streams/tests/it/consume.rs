use std::io::{Write, pipe};
use std::os::fd::OwnedFd;
use std::thread;

use ottava_streams::{OnInvalid, PumpOptions, StreamError, consume, consume_tee, consume_text};

fn feed(bytes: Vec<u8>) -> OwnedFd {
    let (read, mut write) = pipe().unwrap();
    thread::spawn(move || drop(write.write_all(&bytes)));
    read.into()
}

#[test]
fn limit_is_exact() {
    let at_most = |limit| PumpOptions { limit: Some(limit), ..PumpOptions::default() };
    assert_eq!(consume(feed(vec![1; 70_000]), &at_most(70_000)).unwrap().bytes.len(), 70_000);
    let over = consume(feed(vec![1; 70_001]), &at_most(70_000));
    assert!(matches!(over, Err(StreamError::TooLarge { limit: 70_000, .. })), "{over:?}");
}

#[test]
fn text() {
    let options = PumpOptions::default();
    let text = consume_text(feed("grüße".into()), OnInvalid::Strict, &options).unwrap();
    assert_eq!(text, "grüße");
    let text = consume_text(feed(b"a\xffb".to_vec()), OnInvalid::Replace, &options).unwrap();
    assert_eq!(text, "a\u{fffd}b");
    let failed = consume_text(feed(b"ab\xff".to_vec()), OnInvalid::Strict, &options);
    assert!(matches!(failed, Err(StreamError::Decode { offset: 2 })), "{failed:?}");
}

#[test]
fn a_dead_tee_does_not_matter() {
    let (gone, dead) = pipe().unwrap();
    drop(gone);
    let payload = vec![3; 500_000];
    let writers = vec![OwnedFd::from(dead).into()];
    let consumed = consume_tee(feed(payload.clone()), writers, &PumpOptions::default()).unwrap();
    assert!(consumed.bytes == payload);
    assert!(consumed.sinks[0].gone.is_some());
}

#[test]
fn files_are_read_from_where_they_stand() {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(4)).unwrap();
    assert_eq!(consume(&file, &PumpOptions::default()).unwrap().bytes, b"456789");
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}
