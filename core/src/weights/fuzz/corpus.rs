//! Good files of every format, most of them as small as one can be that has everything in it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::weights::safetensors_file::{HostTensor, TensorMap, to_bytes};
use crate::weights::torch_file::hand_made::{
    archive, bytes_of, call, dict, int, ints, large_archive, legacy, name, object, program, storage, tensor, text, tuple,
};

fn golden(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A header, its length before it, and so many bytes of numbers.
pub fn safetensors(header: &str, count: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; count]].concat()
}

pub fn safetensors_files() -> Vec<Vec<u8>> {
    let tensors = TensorMap::from([
        ("blocks.0.norm1.weight".to_owned(), HostTensor::new([3], vec![1.0, -2.0, 0.5])),
        ("cls_token".to_owned(), HostTensor::new([1, 1, 2], vec![0.0; 2])),
    ]);
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned()), ("step".to_owned(), "7".to_owned())]);
    let kinds = r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]},"c":{"dtype":"F64","shape":[],"data_offsets":[8,16]},"d":{"dtype":"I64","shape":[1],"data_offsets":[16,24]},"e":{"dtype":"BOOL","shape":[3],"data_offsets":[24,27]},"f":{"dtype":"F32","shape":[0,4],"data_offsets":[27,27]},"g":{"dtype":"F4","shape":[2],"data_offsets":[27,28]}}"#;
    vec![
        to_bytes(&tensors, &metadata),
        to_bytes(&tensors, &BTreeMap::new()),
        safetensors(kinds, 28),
        safetensors("{}  ", 0),
        golden("hugging_face/vit/model.safetensors"),
    ]
}

/// The header's length is that of what looks like a header.
pub fn mend_safetensors(bytes: &mut [u8]) {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"}}") else { return };
    let spaces = bytes[end + 2..].iter().take_while(|&&byte| byte == b' ').count();
    if let Some(length) = (end + 2 + spaces).checked_sub(8) {
        bytes[..8].copy_from_slice(&(length as u64).to_le_bytes());
    }
}

pub const SAFETENSORS_WORDS: [&[u8]; 14] = [
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"null",
    b"\"dtype\":\"F32\",",
    b"\"shape\":[1],",
    b"\"data_offsets\":[0,4],",
    b"\"__metadata__\":{},",
    b"\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},",
    b"\\ud800",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

fn numbers() -> Vec<u8> {
    bytes_of(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0])
}

/// Pickles of tensors in a storage of twelve numbers.
pub fn pickles() -> Vec<Vec<u8>> {
    let twelve = || storage("FloatStorage", "0", 12);
    let weight = || tensor(twelve(), 0, &[3, 4], &[4, 1]);
    let rate = || [&b"G"[..], &0.5_f64.to_be_bytes()].concat();
    let arguments = object(&name("argparse", "Namespace"), &dict(&[("arch", text("vit")), ("lr", rate()), ("fp16", vec![0x88])]));
    let ordered = || call(&name("collections", "OrderedDict"), &[]);
    let parameter = call(&name("torch._utils", "_rebuild_parameter"), &[weight(), vec![0x88], ordered()]);
    let module = dict(&[("_parameters", dict(&[("weight", parameter)])), ("_buffers", ordered()), ("_modules", ordered())]);
    let untyped =
        [tuple(&[text("storage"), name("torch.storage", "UntypedStorage"), text("0"), text("cpu"), int(48)]), b"Q".to_vec()].concat();
    let third = [untyped, int(1), ints(&[2]), ints(&[1]), vec![0x89], b"N".to_vec(), name("torch", "float32")];
    let scalar = call(&name("numpy", "dtype"), &[text("f8"), vec![0x89], vec![0x88]]);
    let encoded = call(&name("_codecs", "encode"), &[text("\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{e0}?"), text("latin1")]);
    vec![
        program(&dict(&[("w", weight()), ("epoch", int(3))])),
        program(&dict(&[
            ("model", dict(&[("a.weight", weight()), ("a.bias", tensor(twelve(), 2, &[2, 2], &[4, 2]))])),
            ("args", arguments),
        ])),
        program(&object(&name("__main__", "Net"), &module)),
        program(&dict(&[("w", call(&name("torch._utils", "_rebuild_tensor_v3"), &third))])),
        program(&dict(&[("wide", tensor(twelve(), 5, &[3], &[0]))])),
        program(&dict(&[
            ("best", call(&name("numpy._core.multiarray", "scalar"), &[scalar, encoded])),
            ("size", call(&name("torch", "Size"), &[ints(&[3, 4])])),
        ])),
        // A list in a list that holds it, by memory; the text instructions of the first protocol.
        program(b"]q\x00(K\x01M\x02\x01h\x00]r\x01\x00\x00\x00\x94(NNe\x8c\x01ah\x01e"),
        b"(dp0\nS'epoch'\np1\nI3\nsS'lr'\nF0.5\nsV\\u00e9\nL7L\nsg1\n(lp2\ng1\nas.".to_vec(),
    ]
}

/// The archive of a pickle and its storage.
pub fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    archive("x", pickle, &[("0", numbers())])
}

pub fn archives() -> Vec<Vec<u8>> {
    let pickles = pickles();
    let mut files: Vec<Vec<u8>> = pickles.iter().map(|pickle| checkpoint(pickle)).collect();
    files.extend(pickles.iter().map(|pickle| large_archive("weights", pickle, &[("0", numbers())])));
    files.extend(["torch/encoder_of_positions.pth", "torch/dino_backbone.pth", "torch/moco_v3.pth.tar"].map(golden));
    files
}

pub fn legacy_files() -> Vec<Vec<u8>> {
    let has = |pickle: &[u8], word: &[u8]| pickle.windows(word.len()).any(|there| there == word);
    let mut pickles = pickles();
    pickles.retain(|pickle| has(pickle, b"storage"));
    // Bytes without a type are counted one by one.
    let count = |pickle: &[u8]| if has(pickle, b"Untyped") { 48 } else { 12 };
    pickles.iter().map(|pickle| legacy(pickle, &[("0", count(pickle), numbers())])).collect()
}

pub const PICKLE_WORDS: [&[u8]; 32] = [
    b"cos\nsystem\n",
    b"ccollections\nOrderedDict\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"c__main__\nNet\n",
    b"X\x07\x00\x00\x00storage",
    b"X\x01\x00\x00\x000",
    b")R",
    b")\x81",
    b"q\x00",
    b"h\x00",
    b"\x94",
    b"(",
    b")",
    b"]",
    b"}",
    b"N",
    b"2",
    b"0",
    b"t",
    b"\x85",
    b"\x86",
    b"\x87",
    b"e",
    b"u",
    b"s",
    b"b",
    b"R",
    b"\x93",
    b"Q",
    b".",
    b"J\xff\xff\xff\xff",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
];

pub const ARCHIVE_WORDS: [&[u8]; 10] = [
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x06\x07",
    b"data.pkl",
    b"x/data/0",
    b"byteorder",
    b"\xff\xff\xff\xff",
    b"\x01\x00\x18\x00",
];

pub fn settings() -> Vec<Vec<u8>> {
    let folders = ["vit_mae", "vit", "beit_own", "beit_shared", "swin"];
    let mut files: Vec<Vec<u8>> = folders.iter().map(|folder| golden(&format!("hugging_face/{folder}/config.json"))).collect();
    files.push(
        br#"{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#
            .to_vec(),
    );
    files
}

pub const SETTINGS_WORDS: [&[u8]; 12] = [
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"true",
    b"\"../x\"",
    b"\"hidden_size\": 16384,",
    b"\"image_size\": [8192, 8192],",
    b"\"depths\": [256, 256, 256, 256],",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];
