//! The compiled form of a declaration: a flat table of nodes that refer to each other by number.

use std::sync::Arc;

use ottava_core::schema::{Extra, FieldDefault, Form, Value};
use rustc_hash::FxHashMap;

use crate::issue::Loc;
use crate::json::QuotedKey;
use crate::rules::assertions::AssertPlan;
use crate::rules::bytes::DecimalRules;
use crate::rules::collection::SizeRules;
use crate::rules::number::{FloatRules, IntRules};
use crate::rules::temporal::TimeBounds;
use crate::rules::text::StrRules;
use crate::rules::union::UnionPlan;

/// The number of a node in a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The node's place in the program, from 0, for tables that a host keeps beside it.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A compiled declaration.
#[derive(Debug)]
pub struct Program {
    pub(crate) nodes: Vec<Node>,
    pub(crate) records: Vec<RecordPlan>,
    pub(crate) enums: Vec<EnumPlan>,
    pub(crate) literals: Vec<LiteralPlan>,
    pub(crate) root: NodeId,
    pub(crate) any: NodeId,
    pub(crate) needs_host: bool,
}

impl Program {
    /// The node of a whole value.
    #[must_use]
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// A node that takes anything. A host's hook checks a value with it to get hold of it as it is.
    #[must_use]
    pub fn any(&self) -> NodeId {
        self.any
    }

    /// All records, numbered by [`RecordPlan::id`].
    #[must_use]
    pub fn records(&self) -> &[RecordPlan] {
        &self.records
    }

    /// All enums, numbered by [`EnumPlan::id`].
    #[must_use]
    pub fn enums(&self) -> &[EnumPlan] {
        &self.enums
    }

    /// All literals, numbered by [`LiteralPlan::id`].
    #[must_use]
    pub fn literals(&self) -> &[LiteralPlan] {
        &self.literals
    }

    /// Whether the program calls validators or defaults of a host, so that only an output with a host can run it.
    #[must_use]
    pub fn needs_host(&self) -> bool {
        self.needs_host
    }

    /// The record of the root, looked up through hooks and null.
    #[must_use]
    pub fn root_record(&self) -> Option<&RecordPlan> {
        self.record_of(self.root)
    }

    /// The record of a node, looked up through hooks and null.
    pub(crate) fn record_of(&self, mut at: NodeId) -> Option<&RecordPlan> {
        loop {
            match self.node(at).op {
                Op::Record(record) => return Some(&self.records[record as usize]),
                Op::Alias(inner) | Op::Nullable(inner) | Op::Hook(_, inner) => at = inner,
                _ => return None,
            }
        }
    }

    /// Finds out which nodes lead to a definition that contains itself: what is left once those that lead to an end are taken away.
    pub(crate) fn mark_loops(&mut self) {
        let mut users = vec![Vec::new(); self.nodes.len()];
        let mut open = vec![0_usize; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            let mut each = |part: NodeId| {
                users[part.index()].push(index);
                open[index] += 1;
            };
            match node.op {
                Op::Record(record) => {
                    let fields = &self.records[record as usize].fields;
                    fields.iter().for_each(|field| each(field.node));
                }
                _ => node.op.each_part(each),
            }
        }
        let mut ends: Vec<_> = (0..open.len()).filter(|index| open[*index] == 0).collect();
        while let Some(end) = ends.pop() {
            for user in &users[end] {
                open[*user] -= 1;
                if open[*user] == 0 {
                    ends.push(*user);
                }
            }
        }
        for (node, open) in self.nodes.iter_mut().zip(open) {
            node.loops = open > 0;
        }
    }

    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) strict: bool,
    /// Whether it leads to a definition that contains itself.
    pub(crate) loops: bool,
}

impl Op {
    /// Calls `each` with the nodes that it refers to, those of a record but for its fields.
    fn each_part(&self, mut each: impl FnMut(NodeId)) {
        match self {
            Op::Alias(inner) | Op::Nullable(inner) | Op::Hook(_, inner) => each(*inner),
            Op::Union(plan) => plan.members.iter().for_each(|member| each(member.node)),
            Op::Assert(plan) => plan.each_part(each),
            Op::Seq(plan) => plan.items.iter().chain(&plan.rest).copied().for_each(each),
            Op::Dict(plan) => [plan.key, plan.value].into_iter().for_each(each),
            _ => {}
        }
    }
}

#[derive(Debug)]
pub(crate) enum Op {
    /// Taken by a node before its children are compiled; never left in a finished program.
    Pending,
    Any,
    Null,
    /// A definition that others refer to.
    Alias(NodeId),
    Nullable(NodeId),
    Hook(u32, NodeId),
    Bool,
    Int(IntRules),
    Float(FloatRules),
    Str(Arc<StrRules>),
    DateTime(Box<TimeBounds>),
    Date(Box<TimeBounds>),
    Time(Box<TimeBounds>),
    Duration(Box<TimeBounds>),
    Decimal(Box<DecimalRules>),
    Bytes(SizeRules),
    Uuid,
    Union(Box<UnionPlan>),
    Assert(Box<AssertPlan>),
    Enum(u32),
    Literal(u32),
    Seq(Box<SeqPlan>),
    Dict(Box<DictPlan>),
    Record(u32),
}

#[derive(Debug)]
pub(crate) struct SeqPlan {
    pub(crate) kind: crate::input::Collection,
    /// The leading items of a tuple.
    pub(crate) items: Vec<NodeId>,
    /// All other items; `None` allows no others.
    pub(crate) rest: Option<NodeId>,
    pub(crate) size: SizeRules,
    pub(crate) unique: bool,
}

#[derive(Debug)]
pub(crate) struct DictPlan {
    pub(crate) key: NodeId,
    pub(crate) value: NodeId,
    pub(crate) size: SizeRules,
}

/// A compiled record.
#[derive(Debug)]
pub struct RecordPlan {
    /// Its place in [`Program::records`].
    pub id: usize,
    /// Its name.
    pub name: String,
    /// The host's own number for it, from the declaration.
    pub host: Option<u32>,
    /// Its fields, in order of declaration.
    pub fields: Arc<[FieldPlan]>,
    /// What happens to fields that are not declared.
    pub extra: Extra,
    /// Whether fields may be read from an object's attributes.
    pub from_attributes: bool,
    /// Whether the result is a plain map.
    pub as_map: bool,
    /// What it is for the host.
    pub form: Form,
    /// The field of each accepted key.
    pub(crate) keys: FxHashMap<Box<str>, u32>,
}

impl RecordPlan {
    /// The index of the field that is found under `key`.
    #[must_use]
    #[inline]
    pub fn field_of(&self, key: &str) -> Option<usize> {
        self.keys.get(key).map(|index| *index as usize)
    }
}

/// A compiled field.
#[derive(Debug)]
pub struct FieldPlan {
    /// Its name in the program.
    pub name: String,
    /// Its name in data: the alias, if it has one.
    pub key: String,
    /// Whether it is found under its name, too.
    pub by_name: bool,
    /// What its values must satisfy.
    pub node: NodeId,
    /// What stands in when it is missing.
    pub default: FieldDefault,
    /// The key as JSON text has it.
    pub(crate) quoted: QuotedKey,
    /// The step that issues show.
    pub(crate) loc: Loc,
}

/// A compiled enum.
#[derive(Debug)]
pub struct EnumPlan {
    /// Its place in [`Program::enums`].
    pub id: usize,
    /// Its name.
    pub name: String,
    /// The host's own number for it, from the declaration.
    pub host: Option<u32>,
    /// Its members, in order.
    pub members: Vec<ottava_core::schema::EnumMember>,
    /// Whether text that is a number stands for the member with that value.
    pub(crate) of_ints: bool,
    pub(crate) choices: Choices,
}

/// A compiled literal.
#[derive(Debug)]
pub struct LiteralPlan {
    /// Its place in [`Program::literals`].
    pub id: usize,
    /// Its values, in order.
    pub values: Vec<Value>,
    pub(crate) choices: Choices,
}

/// The plain values that an enum or a literal accepts.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    pub(crate) strs: FxHashMap<Box<str>, u32>,
    pub(crate) ints: FxHashMap<i64, u32>,
    pub(crate) bools: [Option<u32>; 2],
    pub(crate) null: Option<u32>,
    /// Values of other kinds, in order.
    pub(crate) others: Vec<(Value, u32)>,
    /// `'a', 'b' or 'c'`
    pub(crate) expected: String,
}
