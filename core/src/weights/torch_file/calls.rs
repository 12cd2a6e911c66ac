//! What a pickle may ask to be made: tensors, plain containers, and objects of classes that hold data, each as an inert value. Everything
//! else is refused by its name. Nothing is ever called.

use std::sync::Arc;

use super::machine::Outcome;
use super::value::{Id, Record, Storage, Tensor, Value, Values};
use crate::weights::dtype::Dtype;

/// How a refusal begins.
pub(super) const ASKS: &str = "it asks for ";

/// Classes of which objects are kept as what was written about them.
const DATA_CLASSES: [&str; 34] = [
    "addict.addict.Dict",
    "argparse.Namespace",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.object",
    "builtins.range",
    "builtins.slice",
    "builtins.xrange",
    "collections.deque",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "easydict.EasyDict",
    "functools.partial",
    "lightning_fabric.utilities.data.AttributeDict",
    "mmengine.config.config.ConfigDict",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "numpy.ndarray",
    "operator.getitem",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "timm.layers.format.Format",
    "torch.device",
    "torch.torch_version.TorchVersion",
    "types.SimpleNamespace",
    "uuid.UUID",
    "yacs.config.CfgNode",
    "fvcore.common.config.CfgNode",
];

/// Dimensions of a tensor at most.
const MAX_DIMENSIONS: usize = 32;

/// A name as Python 3 and today's NumPy have it.
pub(super) fn canonical(module: &str, name: &str) -> String {
    let module = match module {
        "__builtin__" => "builtins",
        "copy_reg" => "copyreg",
        "_operator" => "operator",
        "pathlib._local" => "pathlib",
        module => module,
    };
    let module = module.strip_prefix("numpy._core").map_or(module.to_owned(), |rest| format!("numpy.core{rest}"));
    format!("{module}.{name}")
}

/// What a function makes of a tuple of arguments.
pub(super) fn call(values: &mut Values, function: Id, arguments: Id) -> Outcome<Id> {
    values.spend(values.length(arguments))?;
    let (Some(name), Some(list)) = (values.name(function), values.elements(arguments)) else {
        return Err("it calls what is no function".into());
    };
    let (name, list) = (Arc::clone(name), list.to_vec());
    match (&*name, &list[..]) {
        ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2", [storage, offset, shape, strides, ..]) => {
            let tensor = tensor(values, [*storage, *offset, *shape, *strides], None)?;
            Ok(values.add(Value::Tensor(Box::new(tensor))))
        }
        ("torch._utils._rebuild_tensor_v3", [storage, offset, shape, strides, _, _, dtype, ..]) => {
            let tensor = tensor(values, [*storage, *offset, *shape, *strides], Some(*dtype))?;
            Ok(values.add(Value::Tensor(Box::new(tensor))))
        }
        ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", [data, ..]) => match values.get(*data) {
            Value::Tensor(_) => Ok(*data),
            _ => Err("a parameter is made of what is no tensor".into()),
        },
        // A tensor with fields, or of a class that adds to it: the tensor.
        ("torch._tensor._rebuild_from_type_v2", [function, _, inner, ..]) => match values.name(*function) {
            Some(name) if name.starts_with("torch._utils._rebuild_") => call(values, *function, *inner),
            name => Err(refusal(name.map_or("what is no function", |name| name))),
        },
        ("_codecs.encode", [text, ..]) => {
            values.spend(values.length(*text))?;
            let text = values.text(*text).ok_or("it encodes what is no text")?;
            let bytes = text.chars().map(u8::try_from).collect::<Result<_, _>>().map_err(|_| "it encodes letters that are no bytes")?;
            Ok(values.add(Value::Bytes(bytes)))
        }
        ("numpy.core.multiarray.scalar", [dtype, bytes]) => {
            let number = scalar(values, *dtype, *bytes);
            Ok(values.add(number.unwrap_or_else(|| record(name, arguments, true))))
        }
        ("numpy.core.multiarray._reconstruct", [class, ..]) => {
            let class = values.name(*class).cloned().ok_or("it makes an array of no class")?;
            if &*class == "numpy.ndarray" { Ok(values.add(record(class, arguments, true))) } else { Err(refusal(&class)) }
        }
        ("copyreg._reconstructor", [class, _, _]) => {
            let nothing = values.add(Value::Tuple(Vec::new()));
            instance(values, *class, nothing)
        }
        ("copyreg.__newobj__", [class, rest @ ..]) => {
            let rest = values.add(Value::Tuple(rest.to_vec()));
            instance(values, *class, rest)
        }
        _ => match plain(values, &name, arguments)? {
            Some(value) => Ok(values.add(value)),
            None => Err(refusal(&name)),
        },
    }
}

/// A new object of a class. Of one that is not known, [`set_state`] must find out that it is a module of a network.
pub(super) fn instance(values: &mut Values, class: Id, arguments: Id) -> Outcome<Id> {
    let (Some(class), Some(list)) = (values.name(class).cloned(), values.elements(arguments)) else {
        return Err("it makes an object of what is no class".into());
    };
    let has_none = list.is_empty();
    let value = match plain(values, &class, arguments)? {
        Some(value) => value,
        None if has_none => record(class, arguments, false),
        None => return Err(refusal(&class)),
    };
    Ok(values.add(value))
}

/// Containers, and objects of data classes.
fn plain(values: &mut Values, class: &Arc<str>, arguments: Id) -> Outcome<Option<Value>> {
    let first = values.elements(arguments).and_then(|arguments| arguments.first().copied());
    values.spend(first.map_or(0, |first| values.length(first)))?;
    let content = first.map(|first| values.get(first));
    let elements = || match content {
        None => Ok(Vec::new()),
        Some(Value::List(list) | Value::Tuple(list) | Value::Set(list)) => Ok(list.clone()),
        Some(_) => Err(format!("a `{class}` is made of what is no list")),
    };
    Ok(Some(match &**class {
        "collections.OrderedDict" | "builtins.dict" | "collections.Counter" => Value::Dict(match content {
            None => Vec::new(),
            Some(Value::Dict(pairs)) => pairs.clone(),
            Some(Value::List(list)) => list.iter().filter_map(|&pair| pair_of(values, pair)).collect(),
            Some(_) => return Err(format!("a `{class}` is made of what is no list of pairs")),
        }),
        "collections.defaultdict" => Value::Dict(Vec::new()),
        "builtins.set" | "builtins.frozenset" => Value::Set(elements()?),
        "builtins.list" => Value::List(elements()?),
        "builtins.tuple" | "torch.Size" => Value::Tuple(elements()?),
        name if DATA_CLASSES.contains(&name) || name.starts_with("omegaconf.") => record(Arc::clone(class), arguments, true),
        _ => return Ok(None),
    }))
}

fn pair_of(values: &Values, pair: Id) -> Option<(Id, Id)> {
    match values.elements(pair)? {
        &[key, value] => Some((key, value)),
        _ => None,
    }
}

fn record(class: Arc<str>, arguments: Id, is_known: bool) -> Value {
    Value::Record(Box::new(Record { class, arguments, state: None, items: Vec::new(), is_known }))
}

/// Sets the fields of an object.
pub(super) fn set_state(values: &mut Values, object: Id, state: Id) -> Outcome {
    values.spend(values.length(state))?;
    let is_module = ["_parameters", "_modules"].iter().all(|key| values.entry(state, key).is_some());
    match values.get_mut(object) {
        Value::Record(record) => {
            if !record.is_known && !is_module {
                return Err(refusal(&record.class));
            }
            record.is_known = true;
            record.state = Some(state);
            Ok(())
        }
        // Fields that a dictionary or a tensor has besides, such as the versions of modules, tell nothing about weights.
        Value::Dict(_) | Value::List(_) | Value::Set(_) | Value::Tensor(_) => Ok(()),
        Value::Name(name) => Err(refusal(name)),
        _ => Err("it sets fields of what has none".into()),
    }
}

/// Refuses objects of unknown classes that turned out to be no modules.
pub(super) fn check_all_known(values: &Values) -> Outcome {
    let unknown = values.iter().find_map(|value| match value {
        Value::Record(record) if !record.is_known => Some(&record.class),
        _ => None,
    });
    unknown.map_or(Ok(()), |class| Err(refusal(class)))
}

fn refusal(name: &str) -> String {
    let shown: String = name.chars().take(100).map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    format!("{ASKS}`{shown}`, which is not a tensor or a plain container: nothing of the file was executed")
}

fn tensor(values: &Values, [storage, offset, shape, strides]: [Id; 4], dtype: Option<Id>) -> Outcome<Tensor> {
    let Value::Storage(storage) = values.get(storage) else { return Err("a tensor has no storage".into()) };
    let offset = values.count(offset).ok_or("a tensor begins before its storage")?;
    let numbers = |list: Id| -> Option<Vec<u64>> { values.elements(list)?.iter().map(|&number| values.count(number)).collect() };
    let (shape, strides) =
        (numbers(shape).ok_or("a tensor's shape is none")?, numbers(strides).ok_or("a tensor's strides are none, or negative")?);
    if shape.len() != strides.len() || shape.len() > MAX_DIMENSIONS {
        return Err(format!("a tensor has {} dimensions and {} strides", shape.len(), strides.len()));
    }
    let (dtype, available) = match (storage.dtype, dtype) {
        (Some(dtype), _) => (dtype, storage.count),
        (None, Some(dtype)) => {
            let dtype = values.name(dtype).and_then(|name| Dtype::named(name)).ok_or("a tensor is of an unknown kind")?;
            (dtype, storage.count / dtype.size())
        }
        (None, None) => return Err("a tensor's kind is not said".into()),
    };
    let too_large = || format!("a tensor of {shape:?} reaches beyond its storage of {available} elements");
    let count = shape.iter().try_fold(1_u64, |count, &side| count.checked_mul(side)).ok_or_else(too_large)?;
    let reach = |(&side, &stride): (&u64, &u64)| (side - 1).checked_mul(stride);
    let last = match count {
        0 => Some(0),
        _ => shape
            .iter()
            .zip(&strides)
            .map(reach)
            .try_fold(offset, |sum, reach| sum.checked_add(reach?))
            .and_then(|last| last.checked_add(1)),
    };
    last.filter(|&last| last <= available).ok_or_else(too_large)?;
    let first = first_of(storage, dtype).and_then(|first| first.checked_add(offset)).ok_or_else(too_large)?;
    let shape: Vec<usize> = shape.iter().map(|&side| usize::try_from(side)).collect::<Result<_, _>>().map_err(|_| too_large())?;
    Ok(Tensor { key: Arc::clone(&storage.key), dtype, offset: first, shape, strides })
}

/// Elements before a storage's part. That of bytes must begin with a whole one.
fn first_of(storage: &Storage, dtype: Dtype) -> Option<u64> {
    match storage.dtype {
        Some(_) => Some(storage.first),
        None => storage.first.is_multiple_of(dtype.size()).then(|| storage.first / dtype.size()),
    }
}

/// A number of NumPy's.
fn scalar(values: &Values, dtype: Id, bytes: Id) -> Option<Value> {
    let Value::Record(dtype) = values.get(dtype) else { return None };
    let Value::Bytes(bytes) = values.get(bytes) else { return None };
    let kind = values.text(*values.elements(dtype.arguments)?.first()?)?;
    Some(match kind {
        "f8" => Value::Float(f64::from_le_bytes(bytes.as_slice().try_into().ok()?)),
        "f4" => Value::Float(f64::from(f32::from_le_bytes(bytes.as_slice().try_into().ok()?))),
        "i8" => Value::Int(i64::from_le_bytes(bytes.as_slice().try_into().ok()?)),
        "i4" => Value::Int(i64::from(i32::from_le_bytes(bytes.as_slice().try_into().ok()?))),
        "b1" => Value::Bool(*bytes.first()? != 0),
        _ => return None,
    })
}
