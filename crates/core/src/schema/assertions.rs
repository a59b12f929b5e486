//! Constraints in the sense of JSON Schema.

use super::rules::Rules;
use super::types::Type;
use super::value::Value;

/// Assertions of a JSON Schema. Each says something about one kind of value, and values of other kinds pass it; a value is
/// right if it passes all. Values are not converted.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Assertions {
    /// `false` as a schema: nothing is right.
    pub never: bool,
    /// `type`: the kinds that are right.
    pub kinds: Option<Vec<JsonKind>>,
    /// `enum` and `const`: the values that are right.
    pub values: Option<Vec<Value>>,
    /// `minimum` and its like for numbers; `minLength`, `maxLength` and `pattern` for strings.
    pub rules: Rules,
    /// `format` of a string.
    pub format: Option<String>,
    /// Assertions about arrays.
    pub array: ArrayAssertions,
    /// Assertions about objects.
    pub object: ObjectAssertions,
    /// `allOf`, and `$ref` beside other keywords.
    pub all_of: Vec<Type>,
    /// `anyOf`.
    pub any_of: Vec<Type>,
    /// `oneOf`.
    pub one_of: Vec<Type>,
    /// `not`.
    pub not: Option<Box<Type>>,
    /// `if`, `then` and `else`.
    pub condition: Option<Box<Condition>>,
}

/// A kind of JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum JsonKind {
    /// `null`
    Null,
    /// `boolean`
    Boolean,
    /// `integer`: a number without a fraction, however it is written.
    Integer,
    /// `number`
    Number,
    /// `string`
    String,
    /// `array`
    Array,
    /// `object`
    Object,
}

/// Assertions about arrays.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct ArrayAssertions {
    /// `prefixItems`.
    pub prefix: Vec<Type>,
    /// `items`: all items after the prefix.
    pub items: Option<Box<Type>>,
    /// `contains`.
    pub contains: Option<Box<Type>>,
    /// `minContains`; 1 if it is not given.
    pub min_contains: Option<usize>,
    /// `maxContains`.
    pub max_contains: Option<usize>,
    /// `minItems`.
    pub min: Option<usize>,
    /// `maxItems`.
    pub max: Option<usize>,
    /// `uniqueItems`.
    pub unique: bool,
}

/// Assertions about objects.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct ObjectAssertions {
    /// `properties`.
    pub properties: Vec<(String, Type)>,
    /// `patternProperties`.
    pub patterns: Vec<(String, Type)>,
    /// `additionalProperties`: all that neither of the two above is about.
    pub additional: Option<Box<Type>>,
    /// `propertyNames`.
    pub names: Option<Box<Type>>,
    /// `required`.
    pub required: Vec<String>,
    /// `dependentRequired`: the properties that must be there if the first is.
    pub dependent_required: Vec<(String, Vec<String>)>,
    /// `dependentSchemas`: what must hold if the property is there.
    pub dependent: Vec<(String, Type)>,
    /// `minProperties`.
    pub min: Option<usize>,
    /// `maxProperties`.
    pub max: Option<usize>,
}

/// `if`, `then` and `else`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Condition {
    /// What decides.
    pub condition: Type,
    /// What must hold if it does.
    pub then: Option<Type>,
    /// What must hold if it does not.
    pub otherwise: Option<Type>,
}
