//! Lock files: what they promise, what they survive, and what they catch.

use std::collections::BTreeMap;

use ottava_core::schema::{
    Declaration, Deprecation, Extra, Field, FieldDefault, Fingerprint, Kind, Lock, LockError,
    Record, TimeUnit, Type, Value, Version, deprecations, diff,
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

#[test]
fn a_check_says_what_a_lock_would_refuse() {
    let field = |name: &str| Field::new(name, Type::int().nullable()).default_null();
    let of = |fields: Vec<Field>| {
        let record = Record::new("N").field(Field::new("id", Type::int()));
        Declaration::from(fields.into_iter().fold(record, Record::field))
    };
    let broken = |lock: &Lock, declaration: &Declaration| {
        let mut verdicts = lock.check(declaration);
        let last = verdicts.pop().unwrap();
        last.broken.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let mut lock = Lock::new("N", "backward".parse().unwrap());
    lock.add("1.0", &of(vec![field("a")]), BTreeMap::new()).unwrap();
    // A new name, and the old one as its alias; without it, both are gone.
    lock.add("1.1", &of(vec![field("b").alias("a")]), BTreeMap::new()).unwrap();
    lock.add("1.2", &of(vec![]), BTreeMap::new()).unwrap();
    let reserved: Vec<_> = lock.reserved().iter().map(|r| r.field.as_str()).collect();
    assert_eq!(reserved, ["a", "b"]);
    for fields in [vec![field("a")], vec![field("b")], vec![field("c").alias("a")]] {
        let declaration = of(fields);
        assert_eq!(broken(&lock, &declaration).len(), 1);
        assert!(broken(&lock, &declaration)[0].contains("is reserved"));
        let refused = lock.add("1.3", &declaration, BTreeMap::new()).unwrap_err();
        assert!(matches!(refused, LockError::Reserved { .. }), "{refused}");
    }
    let mut late = field("c");
    late.docs.removed_in = Some("1.2".to_owned());
    assert_eq!(broken(&lock, &of(vec![late])), ["c: was to be removed in version 1.2"]);
    assert!(broken(&lock, &of(vec![field("c")])).is_empty());
}

#[test]
fn deprecations_are_found_inside() {
    let mut old = Field::new("x", Type::int().nullable()).default_null();
    old.docs.deprecated_since = Some("1.0".to_owned());
    old.docs.removed_in = Some("2.0".to_owned());
    let part = Record::new("Part").field(old);
    let record = Record::new("N")
        .field(Field::new("id", Type::int()))
        .field(Field::new("sub", Type::reference("Part").nullable()).default_null())
        .field(Field::new("subs", Type::list(Type::reference("Part"))))
        .field(Field::new("map", Type::dict(Type::str(), Type::reference("Part"))))
        .field(Field::new("next", Type::reference("N").nullable()).default_null());
    let declaration = Declaration::new("N", Type::reference("N"))
        .define("N", record.into())
        .define("Part", part.into());
    let paths: Vec<_> = deprecations(&declaration).unwrap().into_iter().map(|d| d.field).collect();
    assert_eq!(paths, ["map{}.x", "sub.x", "subs[].x"]);
    let mut lock = Lock::new("N", "backward".parse().unwrap());
    lock.add("1.0", &declaration, BTreeMap::new()).unwrap();
    let late = lock.add("2.0", &declaration, BTreeMap::new()).unwrap_err();
    assert!(matches!(late, LockError::Overdue { .. }), "{late}");
}

#[test]
fn what_cannot_be_read_again_is_not_locked() {
    let nested = |depth: usize| {
        let ty = (0..depth).fold(Type::int(), |ty, _| Type::list(ty));
        Declaration::from(Record::new("N").field(Field::new("v", ty)))
    };
    let mut lock = Lock::new("N", "backward".parse().unwrap());
    assert_eq!(lock.add("1.0", &nested(80), BTreeMap::new()).unwrap_err(), LockError::Deep);
    assert_eq!(lock.versions().len(), 0);
    lock.add("1.0", &nested(20), BTreeMap::new()).unwrap();
    assert_eq!(Lock::parse(&lock.to_json()).unwrap(), lock);
}

#[test]
fn forbidding_undeclared_fields_is_about_data() {
    let open = with(|_| {});
    let closed = with(|r| r.config.extra = Extra::Forbid);
    assert_ne!(Fingerprint::of(&open), Fingerprint::of(&closed));
    let more = with(|r| {
        r.config.extra = Extra::Forbid;
        r.fields.push(Field::new("more", Type::int().nullable()).default_null());
    });
    let one = |old: &Declaration, new: &Declaration| {
        let changes = diff(old, new);
        assert_eq!(changes.len(), 1, "{changes:?}");
        (changes[0].backward, changes[0].forward)
    };
    assert_eq!(one(&open, &closed), (false, true));
    assert_eq!(one(&closed, &open), (true, false));
    assert_eq!(one(&closed, &more), (true, false), "an old reader refuses the new field");
    let float = |default: Value| with(|r| r.fields[3].default = FieldDefault::Value(default));
    assert_eq!(Fingerprint::of(&float(1.into())), Fingerprint::of(&float(1.0.into())));
}
