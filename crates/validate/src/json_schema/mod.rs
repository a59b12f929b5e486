//! JSON Schema, draft 2020-12, to and from a declaration.

mod lift;
mod read;
mod write;

use ottava_core::schema::{Declaration, Value};

use crate::error::SchemaError;
use crate::json;
use crate::schema::{CompileOptions, Schema};

/// The dialect that is read and written.
pub(crate) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON Schema of a declaration: what a value must be to be read.
///
/// Validators and defaults of a host have no words in JSON Schema and are left out.
#[must_use]
pub fn to_json_schema(declaration: &Declaration) -> Value {
    write::write(declaration)
}

/// Reads a JSON Schema. Assertions keep their meaning exactly; nothing converts.
///
/// Objects with known properties become records (so they have columns), other parts [`Kind::Schema`](ottava_core::schema::Kind::Schema).
/// Supported: `type`, `const`, `enum`, limits of numbers, strings, arrays and objects, `multipleOf`, `pattern`, `properties`, `required`,
/// `additionalProperties`, `patternProperties`, `propertyNames`, `items`, `prefixItems`, `contains`, `uniqueItems`,
/// `dependentRequired`, `dependentSchemas`, `if`/`then`/`else`, `allOf`, `anyOf`, `oneOf`, `not`, local `$ref` and `$defs`, and the formats
/// `date-time`, `date`, `time`, `duration`, `email`, `uri`, `uuid`, which are checked. Patterns are regular expressions of this
/// crate, whose classes such as `\d` are those of Unicode.
///
/// # Errors
/// [`SchemaError::JsonSchema`] with the JSON pointer of a keyword that is malformed or not supported. None is ignored, save those that
/// assert nothing, such as `title`. Patterns are looked at when the declaration is compiled.
pub fn from_json_schema(schema: &Value) -> Result<Declaration, SchemaError> {
    read::read(schema, None)
}

/// Reads a JSON Schema that is to be compiled with these options. See [`from_json_schema`].
///
/// # Errors
/// As [`from_json_schema`], and also for a pattern that does not compile, with its JSON pointer as the place.
pub fn from_json_schema_with(
    schema: &Value,
    options: &CompileOptions<'_>,
) -> Result<Declaration, SchemaError> {
    read::read(schema, Some(options))
}

impl Schema {
    /// Compiles a JSON Schema, given as JSON text. See [`from_json_schema`].
    ///
    /// # Errors
    /// [`SchemaError`] with the place in the schema.
    pub fn from_json_schema(
        text: &[u8],
        options: &CompileOptions<'_>,
    ) -> Result<Self, SchemaError> {
        Self::compile_with(from_json_schema_with(&json::parse(text)?, options)?, options)
    }
}
