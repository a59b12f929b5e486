//! Lock files: what they promise, what they survive, and what they catch.

use std::collections::BTreeMap;

use ottava_core::schema::{
    Declaration, Deprecation, Field, FieldDefault, Fingerprint, Kind, Lock, LockError, Record,
    TimeUnit, Type, Value, Version, deprecations,
};

fn node() -> Record {
    Record::new("Node")
        .field(Field::new("id", Type::str()))
        .field(Field::new("kind", Type::one_of(["code", "spec", "test"])))
        .field(Field::new(
            "seen",
            Type::new(Kind::DateTime { unit: TimeUnit::Micro, aware: Some(true) }),
        ))
        .field(Field::new("score", Type::float().nullable()).default(0.5))
        .field(Field::new("uuid", Type::uuid()).default(Value::Uuid(u128::MAX)))
}

fn locked(mode: &str) -> Lock {
    let mut lock = Lock::new("Node", mode.parse().unwrap());
    let layout = BTreeMap::from([("id".to_owned(), "Utf8View".to_owned())]);
    lock.add("1.0", &node().into(), layout).unwrap();
    lock
}

fn with(change: impl FnOnce(&mut Record)) -> Declaration {
    let mut record = node();
    change(&mut record);
    record.into()
}

#[test]
fn comes_back_from_its_file() {
    let lock = locked("backward");
    let json = lock.to_json();
    assert_eq!(Lock::parse(&json).unwrap(), lock);
    assert!(json.ends_with("}\n"));
    assert!(json.contains("\"mode\": \"backward\""), "{json}");
}

#[test]
fn survives_another_order_of_keys_and_other_white_space() {
    let lock = locked("full-transitive");
    // `serde_json::Value` sorts keys by name; the file does not.
    let value: serde_json::Value = serde_json::from_str(&lock.to_json()).unwrap();
    assert_ne!(serde_json::to_string(&value).unwrap(), lock.to_json());
    let small = node();
    let small: Declaration = Record { fields: small.fields[..4].to_vec(), ..small }.into();
    let mut lock = Lock::new("Node", "full-transitive".parse().unwrap());
    lock.add("1.0", &small, BTreeMap::new()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&lock.to_json()).unwrap();
    assert_eq!(Lock::parse(&serde_json::to_string(&value).unwrap()).unwrap(), lock);
}

#[test]
fn does_not_depend_on_the_physical_layout() {
    let mut other = Lock::new("Node", "backward".parse().unwrap());
    let layout = BTreeMap::from([("id".to_owned(), "LargeUtf8".to_owned())]);
    other.add("1.0", &node().into(), layout).unwrap();
    assert_eq!(
        other.latest().unwrap().fingerprint,
        locked("backward").latest().unwrap().fingerprint
    );
}

#[test]
fn catches_every_change_of_meaning() {
    let lock = locked("exact");
    let cases: [(&str, Declaration); 6] = [
        ("default", with(|r| r.fields[3].default = FieldDefault::Value(0.25.into()))),
        ("symbol order", with(|r| r.fields[1].ty = Type::one_of(["spec", "code", "test"]))),
        (
            "unit",
            with(|r| {
                r.fields[2].ty.kind = Kind::DateTime { unit: TimeUnit::Nano, aware: Some(true) }
            }),
        ),
        ("time zone", with(|r| r.fields[2].ty.rules.time_zone = Some("Europe/Vienna".to_owned()))),
        ("nullability", with(|r| r.fields[3].ty.nullable = false)),
        ("name", with(|r| r.fields[0].name = "key".to_owned())),
    ];
    for (what, changed) in cases {
        assert!(lock.find(&changed).is_none(), "{what}");
        let verdicts = lock.check(&changed);
        assert!(!verdicts[0].broken.is_empty(), "{what}");
    }
    assert!(lock.find(&node().into()).is_some());
}

#[test]
fn an_edit_by_hand_is_found() {
    let json = locked("backward").to_json();
    let edit = |from: &str, to: &str| {
        assert!(json.contains(from), "{from} is not in the file");
        Lock::parse(&json.replacen(from, to, 1))
    };
    let version: Version = "1.0".parse().unwrap();
    assert_eq!(edit("\"spec\"", "\"spek\""), Err(LockError::Edited { version: version.clone() }));
    assert_eq!(edit("0.5", "0.25"), Err(LockError::Edited { version }));
    assert_eq!(edit("\"mode\": \"backward\"", "\"mode\": \"forward\""), Err(LockError::Seal));
    assert_eq!(edit("Utf8View", "Utf8"), Err(LockError::Seal));
    assert_eq!(edit("\"name\": \"Node\"", "\"name\": \"Edge\""), Err(LockError::Seal));
    assert!(matches!(edit("\"seal\": \"sha256:", "\"seal\": \""), Err(LockError::Json { .. })));
    assert!(matches!(edit("\"mode\"", "\"mod\""), Err(LockError::Json { .. })));
    assert!(matches!(
        edit("\"versions\": [", "\"versions\": [ ,"),
        Err(LockError::Json { line: 5.., .. })
    ));
    assert_eq!(
        edit("ottava-schema-lock-1", "ottava-schema-lock-9"),
        Err(LockError::Format { found: "ottava-schema-lock-9".to_owned() })
    );
    assert!(matches!(Lock::parse(""), Err(LockError::Json { .. })));
    assert!(matches!(Lock::parse("[1]"), Err(LockError::Json { .. })));
}

#[test]
fn versions_go_up() {
    let mut lock = locked("backward");
    for version in ["1.0", "1", "0.9", "1.0.0"] {
        assert!(matches!(
            lock.add(version, &node().into(), BTreeMap::new()),
            Err(LockError::Order { .. })
        ));
    }
    for version in ["", "1.", "v1", "1.x", "-1", "99999999999999999999"] {
        assert!(matches!(
            lock.add(version, &node().into(), BTreeMap::new()),
            Err(LockError::Version { .. })
        ));
    }
    lock.add("1.9", &node().into(), BTreeMap::new()).unwrap();
    lock.add("1.10", &node().into(), BTreeMap::new()).unwrap();
    assert_eq!(lock.versions().len(), 3);
}

#[test]
fn a_refused_version_leaves_the_lock_as_it_was() {
    let mut lock = locked("backward");
    let before = lock.to_json();
    let changed = with(|r| r.fields.push(Field::new("extra", Type::int())));
    let refused = lock.add("1.1", &changed, BTreeMap::new()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "not backward compatible with version 1.0: extra: added, without a default"
    );
    assert_eq!(lock.to_json(), before);
}

#[test]
fn removed_names_are_reserved() {
    let mut lock = locked("backward");
    let without = with(|r| {
        r.fields.remove(3);
    });
    lock.add("2.0", &without, BTreeMap::new()).unwrap();
    assert_eq!(lock.reserved()[0].field, "score");
    let again = lock.add("3.0", &node().into(), BTreeMap::new()).unwrap_err();
    assert_eq!(
        again.to_string(),
        "field score: the name was removed in version 2.0 and is reserved"
    );
    let read = Lock::parse(&lock.to_json()).unwrap();
    assert_eq!(read.reserved(), lock.reserved());
}

#[test]
fn a_deprecated_field_must_be_gone_when_it_was_promised() {
    let mut lock = locked("backward");
    let deprecated = with(|r| {
        r.fields[3].docs.deprecated_since = Some("1.1".to_owned());
        r.fields[3].docs.removed_in = Some("2.0".to_owned());
    });
    assert_eq!(Fingerprint::of(&deprecated), Fingerprint::of(&node().into()), "no change of data");
    lock.add("1.1", &deprecated, BTreeMap::new()).unwrap();
    let version = |text: &str| Some(text.parse().unwrap());
    let expected = Deprecation {
        field: "score".to_owned(),
        since: version("1.1"),
        removed_in: version("2.0"),
    };
    assert_eq!(lock.latest().unwrap().deprecated, [expected]);
    let overdue = lock.add("2.0", &deprecated, BTreeMap::new()).unwrap_err();
    assert_eq!(overdue.to_string(), "field score: it was to be removed in version 2.0");
    let wrong = with(|r| r.fields[3].docs.removed_in = Some("soon".to_owned()));
    assert!(matches!(deprecations(&wrong), Err(LockError::Version { .. })));
}

#[test]
fn fingerprints_are_read_and_refused() {
    let fingerprint = Fingerprint::of(&node().into());
    assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    assert_eq!(fingerprint.as_bytes().len(), 32);
    for text in ["", "sha256:", "md5:00", "sha256:é", &fingerprint.to_string().to_uppercase()] {
        assert!(text.parse::<Fingerprint>().is_err(), "{text}");
    }
    let signs = format!("sha256:{}", "+f".repeat(32));
    assert!(signs.parse::<Fingerprint>().is_err());
}
