//! YAML text (and so JSON) to values with their lines.
//!
//! Built on the parser's events instead of its ready-made trees: those are
//! made by recursion without a limit, so a file of nested brackets would overflow
//! the agent's stack. Here depth, size and what aliases may add are bounded.

use std::{borrow::Cow, collections::HashMap};

use saphyr::{Marker, Scalar};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value, map::Entry};

use crate::objects::source::lines::{ChildLines, Lines, Step};

/// Far deeper than any Kubernetes object, and far from overflowing the stack.
const MAX_DEPTH: usize = 64;
/// Values in one file: 10,000 Services with 16 endpoints each have half of it.
const MAX_VALUES: usize = 4_000_000;
/// What all anchors and aliases of one file may copy: roughly bytes.
const MAX_COPIED: usize = 4 << 20;

/// One document of a file. Of an empty one, `value` is null.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    pub value: Value,
    pub lines: Lines,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SyntaxError {
    pub line: u32,
    pub message: String,
}

impl SyntaxError {
    fn new(line: u32, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// Reads the documents of a file one by one, so that only one is in memory.
pub fn for_each_document(text: &str, mut each: impl FnMut(Document)) -> Result<(), SyntaxError> {
    let mut builder = Builder { to_copy: MAX_COPIED, values: MAX_VALUES, ..Builder::default() };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| SyntaxError::new(line_of(e.marker()), e.info()))?;
        if let Some(document) = builder.take_event(event, line_of(&span.start))? {
            each(document);
        }
    }
    Ok(())
}

fn line_of(marker: &Marker) -> u32 {
    u32::try_from(marker.line()).unwrap_or(u32::MAX)
}

/// A sequence or mapping whose end has not come yet.
struct OpenNode {
    anchor: usize,
    line: u32,
    content: Content,
}

enum Content {
    Items(Vec<Value>, Vec<Lines>),
    Fields { values: Map<String, Value>, lines: Vec<(Step, Lines)>, key: Option<MappingKey> },
}

struct MappingKey {
    text: String,
    line: u32,
}

#[derive(Default)]
struct Builder {
    open: Vec<OpenNode>,
    anchors: HashMap<usize, Document>,
    to_copy: usize,
    values: usize,
}

impl Builder {
    /// Takes the next event. Returns a document when it is complete.
    fn take_event(&mut self, event: Event<'_>, line: u32) -> Result<Option<Document>, SyntaxError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(None),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(None)
            }
            Event::Alias(anchor) => self.copy_anchor(anchor, line),
            Event::Scalar(text, style, anchor, tag) => match self.awaited_key() {
                Some(key) => {
                    *key = Some(MappingKey { text: text.into_owned(), line });
                    Ok(None)
                }
                None => {
                    let value = scalar_value(text, style, tag, line)?;
                    self.place_value(value, Lines { line, below: ChildLines::Nothing }, anchor)
                }
            },
            Event::SequenceStart(anchor, _) => {
                self.open_node(anchor, line, Content::Items(Vec::new(), Vec::new()))
            }
            Event::MappingStart(anchor, _) => {
                let content = Content::Fields { values: Map::new(), lines: Vec::new(), key: None };
                self.open_node(anchor, line, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close_node(),
        }
    }

    /// Where the key goes, if a key comes next.
    fn awaited_key(&mut self) -> Option<&mut Option<MappingKey>> {
        match &mut self.open.last_mut()?.content {
            Content::Fields { key: key @ None, .. } => Some(key),
            _ => None,
        }
    }

    fn open_node(
        &mut self,
        anchor: usize,
        line: u32,
        content: Content,
    ) -> Result<Option<Document>, SyntaxError> {
        if self.awaited_key().is_some() {
            return Err(SyntaxError::new(line, "a field name must be plain text"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxError::new(line, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(OpenNode { anchor, line, content });
        Ok(None)
    }

    fn close_node(&mut self) -> Result<Option<Document>, SyntaxError> {
        let Some(OpenNode { anchor, line, content }) = self.open.pop() else { return Ok(None) };
        let (value, below) = match content {
            Content::Items(values, mut lines) => {
                lines.shrink_to_fit();
                (Value::Array(values), ChildLines::Items(lines))
            }
            Content::Fields { values, mut lines, .. } => {
                lines.shrink_to_fit();
                (Value::Object(values), ChildLines::Fields(lines))
            }
        };
        self.place_value(value, Lines { line, below }, anchor)
    }

    fn copy_anchor(&mut self, anchor: usize, line: u32) -> Result<Option<Document>, SyntaxError> {
        if self.awaited_key().is_some() {
            return Err(SyntaxError::new(line, "an alias cannot be a field name"));
        }
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(SyntaxError::new(line, "an alias to what contains it"));
        };
        self.to_copy = charge_copy(self.to_copy, &target.value, line)?;
        let Document { value, lines } = target.clone();
        self.place_value(value, lines, 0)
    }

    /// Puts a finished value where it belongs: it may be a whole document.
    fn place_value(
        &mut self,
        value: Value,
        mut lines: Lines,
        anchor: usize,
    ) -> Result<Option<Document>, SyntaxError> {
        self.values = self.values.checked_sub(1).ok_or_else(|| {
            SyntaxError::new(lines.line, format!("more than {MAX_VALUES} values in one file"))
        })?;
        if anchor > 0 {
            self.to_copy = charge_copy(self.to_copy, &value, lines.line)?;
            self.anchors.insert(anchor, Document { value: value.clone(), lines: lines.clone() });
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => return Ok(Some(Document { value, lines })),
            Some(Content::Items(values, item_lines)) => {
                values.push(value);
                item_lines.push(lines);
            }
            Some(Content::Fields { values, lines: field_lines, key }) => {
                let Some(MappingKey { text, line }) = key.take() else { return Ok(None) };
                // A field is where its name is, also if its value starts below.
                lines.line = line;
                field_lines.push((Step::new(&text), lines));
                match values.entry(text) {
                    Entry::Vacant(entry) => {
                        entry.insert(value);
                    }
                    Entry::Occupied(entry) => {
                        let message = format!("the field `{}` is there twice", entry.key());
                        return Err(SyntaxError::new(line, message));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn scalar_value(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<Cow<'_, Tag>>,
    line: u32,
) -> Result<Value, SyntaxError> {
    let value = match Scalar::parse_from_cow_and_metadata(Cow::Borrowed(&*text), style, tag.as_ref()) {
        // Without the text: it may be a password.
        None => return Err(SyntaxError::new(line, "a value is not what its tag says")),
        Some(Scalar::Null) => Some(Value::Null),
        Some(Scalar::Boolean(value)) => Some(value.into()),
        Some(Scalar::Integer(value)) => Some(value.into()),
        Some(Scalar::String(_)) => None,
        // JSON has no infinity and no NaN; as text they meet the type check.
        Some(Scalar::FloatingPoint(value)) => Number::from_f64(value.into_inner()).map(Value::Number),
    };
    Ok(value.unwrap_or_else(|| Value::String(text.into_owned())))
}

/// Subtracts the size of a copy from what is left for copies.
fn charge_copy(left: usize, copied: &Value, line: u32) -> Result<usize, SyntaxError> {
    left.checked_sub(copied_size(copied))
        .ok_or_else(|| SyntaxError::new(line, "anchors and aliases that expand to too much"))
}

/// Roughly the size of a value in bytes.
fn copied_size(value: &Value) -> usize {
    const EACH: usize = 32;
    EACH + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(copied_size).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + copied_size(value)).sum(),
    }
}
