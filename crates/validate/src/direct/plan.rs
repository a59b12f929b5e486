//! What the direct way knows of a schema.

use super::symbols::Symbols;
use crate::input::Collection;
use crate::program::{NodeId, Op, Program};

/// The records of a program, as the direct way reads them.
#[derive(Debug)]
pub(crate) struct Direct {
    pub(crate) root: usize,
    /// By number; none where the direct way would not pay.
    pub(crate) records: Vec<Option<Vec<DirectField>>>,
}

#[derive(Debug)]
pub(crate) struct DirectField {
    pub(super) key: Key,
    /// What the engine checks, where the direct way does not.
    pub(super) node: NodeId,
    pub(crate) nullable: bool,
    pub(crate) kind: DirectKind,
}

/// What a value must be.
#[derive(Debug)]
pub(crate) enum DirectKind {
    Int {
        low: i64,
        high: i64,
    },
    Float,
    Bool,
    FreeText,
    /// Text with rules, which are those of this node.
    Text(NodeId),
    /// Text that is one of a few.
    Literal {
        plan: usize,
        symbols: Symbols,
    },
    Enum {
        plan: usize,
        symbols: Symbols,
    },
    DateTime,
    Record(usize),
    /// A list of items, all of which are right if they are this.
    List {
        item: Box<DirectKind>,
        min: usize,
        max: usize,
    },
    /// Everything else.
    Other,
}

impl Direct {
    /// The direct way of a program, if its root is a record of which it can read the most.
    pub(crate) fn compile(program: &Program) -> Option<Self> {
        let Op::Record(root) = program.node(program.root).op else { return None };
        let fields = |plan: &crate::program::RecordPlan| {
            let fields: Vec<DirectField> = plan
                .fields
                .iter()
                .map(|field| {
                    let (nullable, kind) = kind_of(program, field.node, false);
                    DirectField { key: Key::new(&field.key), node: field.node, nullable, kind }
                })
                .collect();
            let others =
                fields.iter().filter(|field| matches!(field.kind, DirectKind::Other)).count();
            (2 * others <= fields.len()).then_some(fields)
        };
        let records: Vec<_> = program.records.iter().map(fields).collect();
        let root = root as usize;
        records[root].is_some().then_some(Self { root, records })
    }
}

fn kind_of(program: &Program, node: NodeId, nullable: bool) -> (bool, DirectKind) {
    let kind = match &program.node(node).op {
        Op::Alias(inner) => return kind_of(program, *inner, nullable),
        Op::Nullable(inner) => return kind_of(program, *inner, true),
        Op::Bool => DirectKind::Bool,
        Op::Int(rules) => match rules.range() {
            Some((low, high)) => DirectKind::Int { low, high },
            None => DirectKind::Other,
        },
        Op::Float(rules) if rules.is_free() => DirectKind::Float,
        Op::Str(rules) if rules.free => DirectKind::FreeText,
        Op::Str(rules) if !rules.changes() => DirectKind::Text(node),
        Op::DateTime(bounds) if bounds.is_free() => DirectKind::DateTime,
        Op::Literal(plan) => match Symbols::new(&program.literals[*plan as usize].choices.strs) {
            Some(symbols) => DirectKind::Literal { plan: *plan as usize, symbols },
            None => DirectKind::Other,
        },
        Op::Enum(plan) => match Symbols::new(&program.enums[*plan as usize].choices.strs) {
            Some(symbols) => DirectKind::Enum { plan: *plan as usize, symbols },
            None => DirectKind::Other,
        },
        Op::Record(record) => DirectKind::Record(*record as usize),
        Op::Seq(plan) => match plan.rest {
            Some(item)
                if plan.kind == Collection::List && plan.items.is_empty() && !plan.unique =>
            {
                match kind_of(program, item, false) {
                    (
                        false,
                        item @ (DirectKind::Int { .. }
                        | DirectKind::Float
                        | DirectKind::Bool
                        | DirectKind::FreeText
                        | DirectKind::Text(_)),
                    ) => DirectKind::List {
                        item: Box::new(item),
                        min: plan.size.min,
                        max: plan.size.max,
                    },
                    _ => DirectKind::Other,
                }
            }
            _ => DirectKind::Other,
        },
        _ => DirectKind::Other,
    };
    (nullable, kind)
}

/// A key in quotes with the colon behind it, ready to be compared with sixteen bytes of text at once.
#[derive(Debug)]
pub(super) struct Key {
    word: u128,
    mask: u128,
    /// Empty for a key that JSON may have to escape; it is recognized nowhere.
    text: Box<[u8]>,
}

impl Key {
    fn new(key: &str) -> Self {
        if key.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            return Self { word: 1, mask: 0, text: Box::default() };
        }
        let text = format!("\"{key}\":").into_bytes().into_boxed_slice();
        let (mut word, mut mask) = ([0; 16], [0; 16]);
        let length = text.len().min(16);
        word[..length].copy_from_slice(&text[..length]);
        mask[..length].fill(0xff);
        Self { word: u128::from_le_bytes(word), mask: u128::from_le_bytes(mask), text }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether the key stands at `at`, where the sixteen bytes `near` begin.
    #[inline(always)]
    pub(super) fn stands(&self, near: u128, bytes: &[u8], at: usize) -> bool {
        near & self.mask == self.word && (self.text.len() <= 16 || self.goes_on(bytes, at + 16))
    }

    #[inline(never)]
    fn goes_on(&self, bytes: &[u8], at: usize) -> bool {
        bytes.get(at..).is_some_and(|rest| rest.starts_with(&self.text[16..]))
    }
}
