//! The part of Python's pickle format that the state dict of a PyTorch network needs; nothing is ever called.
//!
//! A pickle is a program for a small stack machine. The opcodes that build numbers, texts, tuples, lists and dicts are
//! followed; those that would call a function are not: the five that `torch.save` writes for a tensor are recognised by
//! name and turned into a description of the tensor, and any other is an error that names it.
//! Format: `pickletools.py` of CPython describes each opcode; `torch.save`'s archive is described in PyTorch's notes on
//! serialisation.

use std::collections::HashMap;
use std::rc::Rc;

/// Containers within containers: a state dict needs 5.
const MOST_DEEP: u32 = 32;

/// What is wrong with a pickle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PickleError {
    /// It would call this.
    Calls(String),
    /// It is damaged or holds what a state dict does not.
    Damaged(String),
}

fn damaged<T>(detail: impl Into<String>) -> Result<T, PickleError> {
    Err(PickleError::Damaged(detail.into()))
}

/// Type of the numbers in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    /// Integers and truth values of this many bytes.
    Whole(usize),
}

impl Element {
    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Whole(size) => size,
        }
    }
}

/// Numbers in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub element: Element,
    /// Name of the entry below `data/`.
    pub key: Rc<str>,
    /// How many numbers it says it has.
    pub len: usize,
}

/// A window on a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorRecord {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Value {
    Mark,
    None,
    Other,
    Int(i64),
    Text(Rc<str>),
    Global(Rc<str>),
    /// Shared, so that a tuple named twice takes no more memory; with its depth, so that dropping it ends.
    Tuple(Rc<[Value]>, u32),
    List(Vec<Value>, u32),
    Dict(Vec<(Value, Value)>, u32),
    Storage(Storage),
    Tensor(Rc<TensorRecord>),
}

impl Value {
    fn depth(&self) -> u32 {
        match self {
            Self::Tuple(_, d) | Self::List(_, d) | Self::Dict(_, d) => *d,
            _ => 0,
        }
    }
}

/// The depth of a container around these.
fn around<'a>(values: impl IntoIterator<Item = &'a Value>) -> Result<u32, PickleError> {
    let depth = values.into_iter().map(Value::depth).max().unwrap_or(0) + 1;
    if depth > MOST_DEEP { damaged("its lists go too deep") } else { Ok(depth) }
}

/// The tensors of a pickled state dict by name. Under `state_dict` or `model` one may lie within another dict, as
/// training scripts write it.
pub(super) fn state_dict(bytes: &[u8]) -> Result<Vec<(String, TensorRecord)>, PickleError> {
    let Value::Dict(mut entries, _) = run(bytes)? else { return damaged("it is not a dict") };
    let inner = entries.iter().position(|(key, value)| {
        matches!(key, Value::Text(t) if matches!(&**t, "state_dict" | "model"))
            && matches!(value, Value::Dict(..))
    });
    if let Some(at) = inner
        && let (_, Value::Dict(within, _)) = entries.swap_remove(at)
    {
        entries = within;
    }
    let mut tensors = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if let (Value::Text(name), Value::Tensor(record)) = (key, value) {
            tensors.push((name.to_string(), Rc::unwrap_or_clone(record)));
        }
    }
    if tensors.is_empty() { damaged("its dict has no tensors") } else { Ok(tensors) }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], PickleError> {
        match self.bytes.split_at_checked(n) {
            Some((head, tail)) => {
                self.bytes = tail;
                Ok(head)
            }
            None => damaged("it ends early"),
        }
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of up to eight bytes, without its sign.
    fn number(&mut self, n: usize) -> Result<u64, PickleError> {
        Ok(self.take(n)?.iter().rev().fold(0, |value, b| (value << 8) | u64::from(*b)))
    }

    fn text(&mut self, n: usize) -> Result<Rc<str>, PickleError> {
        match std::str::from_utf8(self.take(n)?) {
            Ok(text) => Ok(text.into()),
            Err(_) => damaged("a name is not UTF-8"),
        }
    }

    fn line(&mut self) -> Result<Rc<str>, PickleError> {
        let Some(n) = self.bytes.iter().position(|b| *b == b'\n') else { return damaged("it ends early") };
        let text = self.text(n)?;
        self.byte()?;
        Ok(text)
    }
}

fn run(bytes: &[u8]) -> Result<Value, PickleError> {
    let mut reader = Reader { bytes };
    let mut machine = Machine::default();
    loop {
        if let Some(value) = machine.step(&mut reader)? {
            return Ok(value);
        }
    }
}

#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    memo: HashMap<u64, Value>,
}

impl Machine {
    fn pop(&mut self) -> Result<Value, PickleError> {
        match self.stack.pop() {
            Some(Value::Mark) | None => damaged("it takes more than there is"),
            Some(value) => Ok(value),
        }
    }

    /// Everything above the last mark.
    fn above_mark(&mut self) -> Result<Vec<Value>, PickleError> {
        let Some(at) = self.stack.iter().rposition(|v| matches!(v, Value::Mark)) else {
            return damaged("it lacks a mark");
        };
        let above = self.stack.split_off(at + 1);
        self.stack.pop();
        Ok(above)
    }

    fn push_tuple(&mut self, values: Vec<Value>) -> Result<(), PickleError> {
        let depth = around(&values)?;
        self.stack.push(Value::Tuple(values.into(), depth));
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), PickleError> {
        let depth = around(&items)?;
        let Some(Value::Dict(entries, d)) = self.stack.last_mut() else {
            return damaged("it puts an entry into what is no dict");
        };
        *d = depth.max(*d);
        let mut items = items.into_iter();
        while let Some(key) = items.next() {
            let Some(value) = items.next() else { return damaged("a key has no value") };
            entries.push((key, value));
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), PickleError> {
        let depth = around(&items)?;
        let Some(Value::List(list, d)) = self.stack.last_mut() else {
            return damaged("it appends to what is no list");
        };
        *d = depth.max(*d);
        list.extend(items);
        Ok(())
    }

    /// Notes the top of the stack down. A container that is still to be filled is noted as something unknown: nothing in
    /// a state dict refers back to one.
    fn memoize(&mut self, key: u64) -> Result<(), PickleError> {
        let value = match self.stack.last() {
            None | Some(Value::Mark) => return damaged("it notes down nothing"),
            Some(Value::List(..) | Value::Dict(..)) => Value::Other,
            Some(value) => value.clone(),
        };
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), PickleError> {
        let Some(value) = self.memo.get(&key) else { return damaged("it recalls what it never noted down") };
        self.stack.push(value.clone());
        Ok(())
    }

    /// One opcode; the result at the last.
    fn step(&mut self, reader: &mut Reader<'_>) -> Result<Option<Value>, PickleError> {
        let opcode = reader.byte()?;
        match opcode {
            // PROTO and FRAME say how to read on, and there is one way.
            0x80 => drop(reader.take(1)?),
            0x95 => drop(reader.take(8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.stack.push(Value::Mark),
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Other),
            b'K' => self.whole(reader, 1)?,
            b'M' => self.whole(reader, 2)?,
            b'J' => {
                let value = reader.number(4)? as u32 as i32;
                self.stack.push(Value::Int(value.into()));
            }
            0x8a => self.long(reader)?,
            b'G' => {
                reader.take(8)?;
                self.stack.push(Value::Other);
            }
            b'X' => self.text(reader, 4)?,
            0x8c => self.text(reader, 1)?,
            b'}' => self.stack.push(Value::Dict(Vec::new(), 1)),
            b']' => self.stack.push(Value::List(Vec::new(), 1)),
            b')' => self.push_tuple(Vec::new())?,
            0x85..=0x87 => {
                let mut values = Vec::new();
                for _ in 0x84..opcode {
                    values.push(self.pop()?);
                }
                values.reverse();
                self.push_tuple(values)?;
            }
            b't' => {
                let values = self.above_mark()?;
                self.push_tuple(values)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set_items(items)?;
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])?;
            }
            b'e' => {
                let items = self.above_mark()?;
                self.append(items)?;
            }
            b'q' => {
                let key = reader.number(1)?;
                self.memoize(key)?;
            }
            b'r' => {
                let key = reader.number(4)?;
                self.memoize(key)?;
            }
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'h' => {
                let key = reader.number(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = reader.number(4)?;
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (reader.line()?, reader.line()?);
                self.stack.push(Value::Global(format!("{module}.{name}").into()));
            }
            0x93 => {
                let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
                    return damaged("a name is not text");
                };
                self.stack.push(Value::Global(format!("{module}.{name}").into()));
            }
            b'Q' => {
                let id = self.pop()?;
                self.stack.push(Value::Storage(storage(&id)?));
            }
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                let value = reduce(&function, arguments)?;
                self.stack.push(value);
            }
            // BUILD gives an object attributes: of a dict, those PyTorch notes beside its entries.
            b'b' => {
                self.pop()?;
                if !matches!(self.stack.last(), Some(Value::Dict(..))) {
                    return damaged("it gives attributes to what is no dict");
                }
            }
            other => return damaged(format!("opcode {other:#04x} has no place in a state dict")),
        }
        Ok(None)
    }

    fn whole(&mut self, reader: &mut Reader<'_>, n: usize) -> Result<(), PickleError> {
        let value = reader.number(n)? as i64;
        self.stack.push(Value::Int(value));
        Ok(())
    }

    fn long(&mut self, reader: &mut Reader<'_>) -> Result<(), PickleError> {
        let n = usize::from(reader.byte()?);
        if n > 8 {
            reader.take(n)?;
            self.stack.push(Value::Other);
            return Ok(());
        }
        let value = reader.number(n)?;
        let unused = 64 - 8 * n as u32;
        // Shifted up and down again, the sign fills the bytes that were not written.
        let value = if n == 0 { 0 } else { ((value << unused) as i64) >> unused };
        self.stack.push(Value::Int(value));
        Ok(())
    }

    fn text(&mut self, reader: &mut Reader<'_>, n: usize) -> Result<(), PickleError> {
        let len = reader.number(n)? as usize;
        let text = reader.text(len)?;
        self.stack.push(Value::Text(text));
        Ok(())
    }
}

fn storage(id: &Value) -> Result<Storage, PickleError> {
    if let Value::Tuple(parts, _) = id
        && let [Value::Text(tag), Value::Global(class), Value::Text(key), _, Value::Int(len)] = &**parts
        && &**tag == "storage"
    {
        let element = match &**class {
            "torch.FloatStorage" => Element::F32,
            "torch.DoubleStorage" => Element::F64,
            "torch.HalfStorage" => Element::F16,
            "torch.BFloat16Storage" => Element::Bf16,
            "torch.LongStorage" => Element::Whole(8),
            "torch.IntStorage" => Element::Whole(4),
            "torch.ShortStorage" => Element::Whole(2),
            "torch.CharStorage" | "torch.ByteStorage" | "torch.BoolStorage" => Element::Whole(1),
            other => return damaged(format!("a tensor consists of {other}")),
        };
        let Ok(len) = usize::try_from(*len) else { return damaged("a tensor has a negative length") };
        return Ok(Storage { element, key: key.clone(), len });
    }
    damaged("a tensor does not say where its numbers are")
}

/// What a call would give, for those that make tensors and dicts.
fn reduce(function: &Value, arguments: Value) -> Result<Value, PickleError> {
    let Value::Global(name) = function else { return damaged("it calls what is no function") };
    let Value::Tuple(arguments, _) = arguments else { return damaged("a call has no arguments") };
    match (&**name, &*arguments) {
        ("collections.OrderedDict", []) => Ok(Value::Dict(Vec::new(), 1)),
        ("torch._utils._rebuild_parameter", [Value::Tensor(tensor), ..]) => Ok(Value::Tensor(tensor.clone())),
        (
            "torch._utils._rebuild_tensor_v2",
            [
                Value::Storage(storage),
                Value::Int(offset),
                Value::Tuple(shape, _),
                Value::Tuple(strides, _),
                ..,
            ],
        ) => {
            let sizes = |values: &[Value]| -> Result<Vec<usize>, PickleError> {
                let one = |v: &Value| match v {
                    Value::Int(v) => usize::try_from(*v).ok(),
                    _ => None,
                };
                match values.iter().map(one).collect() {
                    Some(sizes) => Ok(sizes),
                    None => damaged("a tensor has a shape that is not of numbers"),
                }
            };
            let Ok(offset) = usize::try_from(*offset) else { return damaged("a tensor begins nowhere") };
            Ok(Value::Tensor(Rc::new(TensorRecord {
                storage: storage.clone(),
                offset,
                shape: sizes(shape)?,
                strides: sizes(strides)?,
            })))
        }
        (
            "collections.OrderedDict" | "torch._utils._rebuild_parameter" | "torch._utils._rebuild_tensor_v2",
            _,
        ) => damaged(format!("{name} has other arguments than PyTorch gives it")),
        _ => Err(PickleError::Calls(name.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pickle_that_calls_something_is_refused_by_name() {
        // cos.system ("echo") as every text on pickle's dangers has it.
        let bytes = b"cposix\nsystem\n(X\x04\x00\x00\x00echotR.";
        assert_eq!(run(bytes).expect_err("refused"), PickleError::Calls("posix.system".to_owned()));
    }

    #[test]
    fn damaged_pickles_are_refused_without_a_panic() {
        // A billion laughs: each tuple holds the one before twice.
        let mut laughs = vec![b')'];
        for _ in 0..200 {
            laughs.extend([0x94, b'h', 0, 0x86]);
        }
        laughs.push(b'.');
        for bytes in [
            &b""[..],
            b".",
            b"(",
            b"t.",
            b"u",
            b"h\x01.",
            b"X\xff\xff\xff\xffa",
            b"\x8a\xff.",
            b"}b.",
            &laughs,
        ] {
            assert!(matches!(run(bytes), Err(PickleError::Damaged(_))), "{bytes:?}");
        }
        // Every single byte after a valid beginning.
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let _ = run(&[b'(', b'K', 1, b'}', a, b, b'.']);
            }
        }
    }

    #[test]
    fn numbers_keep_their_signs() {
        let int = |bytes: &[u8]| match run(bytes) {
            Ok(Value::Int(v)) => v,
            other => panic!("{other:?}"),
        };
        assert_eq!(int(b"K\xff."), 255);
        assert_eq!(int(b"J\xff\xff\xff\xff."), -1);
        assert_eq!(int(b"\x8a\x01\xff."), -1);
        assert_eq!(int(b"\x8a\x05\x00\x00\x00\x00\x01."), 1 << 32);
        assert_eq!(int(b"\x8a\x00."), 0);
    }
}
