//! What both ends compare to know that they mean the same columns.

use arrow_schema::{DataType, Field, Schema};
use sha2::{Digest, Sha256};

/// The fingerprint of no schema in particular.
pub(super) const ANY: [u8; 32] = [0; 32];

/// SHA-256 over names, physical types, nullability and order of all fields, nested ones included. Metadata does not count.
#[must_use]
pub fn fingerprint(schema: &Schema) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((schema.fields().len() as u64).to_le_bytes());
    for field in schema.fields() {
        add_field(&mut hash, field);
    }
    hash.finalize().into()
}

/// Where `other` is not what `expected` is, given that their fingerprints differ.
pub(super) fn difference(expected: &Schema, other: &Schema) -> String {
    let names = |schema: &Schema| {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        names.join(", ")
    };
    if !expected.fields().iter().map(|f| f.name()).eq(other.fields().iter().map(|f| f.name())) {
        return format!("has the columns {}, expected {}", names(other), names(expected));
    }
    let type_of = |field: &Field| {
        let nullable = if field.is_nullable() { "nullable " } else { "" };
        format!("{nullable}{}", field.data_type())
    };
    let of_one = |field: &Field| fingerprint(&Schema::new(vec![field.clone()]));
    let mut pairs = expected.fields().iter().zip(other.fields());
    match pairs.find(|(own, other)| of_one(own) != of_one(other)) {
        Some((own, other)) => {
            format!("column {:?} is {}, expected {}", own.name(), type_of(other), type_of(own))
        }
        None => "is another one".to_owned(),
    }
}

fn add_field(hash: &mut Sha256, field: &Field) {
    add_text(hash, field.name());
    hash.update([u8::from(field.is_nullable())]);
    add_type(hash, field.data_type());
}

fn add_type(hash: &mut Sha256, data_type: &DataType) {
    use DataType::*;
    match data_type {
        List(child) | LargeList(child) | ListView(child) | LargeListView(child) => {
            add_text(
                hash,
                match data_type {
                    List(_) => "list",
                    LargeList(_) => "large list",
                    ListView(_) => "list view",
                    _ => "large list view",
                },
            );
            add_field(hash, child);
        }
        FixedSizeList(child, size) => {
            add_text(hash, &format!("list of {size}"));
            add_field(hash, child);
        }
        Map(child, sorted) => {
            add_text(hash, &format!("map {sorted}"));
            add_field(hash, child);
        }
        Struct(children) => {
            add_text(hash, &format!("struct {}", children.len()));
            children.iter().for_each(|child| add_field(hash, child));
        }
        Union(children, mode) => {
            add_text(hash, &format!("union {mode:?} {}", children.len()));
            for (id, child) in children.iter() {
                hash.update([id as u8]);
                add_field(hash, child);
            }
        }
        RunEndEncoded(ends, values) => {
            add_text(hash, "run ends");
            add_field(hash, ends);
            add_field(hash, values);
        }
        Dictionary(keys, values) => {
            add_text(hash, "dictionary");
            add_type(hash, keys);
            add_type(hash, values);
        }
        // No other type contains a field, so its text has no metadata in it.
        leaf => add_text(hash, &format!("{leaf:?}")),
    }
}

fn add_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_does_not_count_and_all_else_does() {
        let base = Schema::new(vec![
            Field::new("a", DataType::Int32, false),
            Field::new_list("b", Field::new("item", DataType::Utf8, true), true),
        ]);
        let metadata = [("k".to_owned(), "v".to_owned())].into();
        assert_eq!(fingerprint(&base), fingerprint(&base.clone().with_metadata(metadata)));
        let item = Field::new("item", DataType::Utf8, true);
        let others = [
            vec![Field::new("a", DataType::Int32, true), base.field(1).clone()],
            vec![Field::new("x", DataType::Int32, false), base.field(1).clone()],
            vec![Field::new("a", DataType::UInt32, false), base.field(1).clone()],
            vec![base.field(1).clone(), base.field(0).clone()],
            vec![base.field(0).clone()],
            vec![base.field(0).clone(), Field::new_large_list("b", item, true)],
        ];
        for other in others {
            let other = Schema::new(other);
            assert_ne!(fingerprint(&base), fingerprint(&other), "{other:?}");
            let differs = difference(&base, &other);
            let named = other.fields().iter().any(|field| differs.contains(field.name()));
            assert!(named && differs.contains("expected"), "{differs}");
        }
    }
}
