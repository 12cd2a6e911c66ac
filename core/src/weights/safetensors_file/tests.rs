//! Files that come back as they were, and files that were made to do harm.

use std::collections::{BTreeMap, BTreeSet};

use super::{HostTensor, SafetensorsFile, TensorMap, read, read_metadata, to_bytes, write, write_as};
use crate::weights::precision::Precision;

#[test]
fn a_file_comes_back_and_equal_inputs_give_equal_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.safetensors");
    let tensors = TensorMap::from([
        ("b".to_owned(), HostTensor::new([2, 2], vec![1.0, -2.5, f32::MIN_POSITIVE, 4.0])),
        ("a".to_owned(), HostTensor::new([0], vec![])),
    ]);
    let metadata = BTreeMap::from([("step".to_owned(), "7".to_owned()), ("recipe".to_owned(), "x = \"1\"\n".to_owned())]);
    write(&path, &tensors, &metadata).expect("a written file");
    assert_eq!(read(&path).expect("a read file"), (tensors.clone(), metadata.clone()));
    assert_eq!(read_metadata(&path).expect("a read header"), metadata);
    assert_eq!(to_bytes(&tensors, &metadata), to_bytes(&tensors.clone(), &metadata.clone()));
    std::fs::write(&path, b"garbage").expect("a written file");
    assert_eq!(read_metadata(&path).expect_err("garbage is refused").exit_status(), 3);
    let error = read(&path).expect_err("garbage is refused");
    assert!(
        error.exit_status() == 3 && error.to_string().contains("x.safetensors") && error.to_string().contains("another copy"),
        "{error}"
    );
}

#[test]
fn counters_stand_before_the_numbers_of_sixteen_bits() {
    let tensors = TensorMap::from([("a".to_owned(), HostTensor::new([3], vec![1.0, 0.1, -2.0]))]);
    let counters = BTreeSet::from(["b.num_batches_tracked".to_owned()]);
    let written = |counters: &BTreeSet<String>, precision| {
        let mut bytes = Vec::new();
        write_as(&mut bytes, &tensors, counters, precision, &BTreeMap::new()).expect("written bytes");
        bytes
    };
    for (precision, tenth) in [(Precision::F16, 0.099_975_586), (Precision::Bf16, 0.100_097_656)] {
        let bytes = written(&counters, precision);
        let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))).expect("a length");
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
        let counter = &header["b.num_batches_tracked"];
        assert_eq!(*counter, serde_json::json!({"dtype": "I64", "shape": [], "data_offsets": [0, 8]}));
        assert!(length % 8 == 0 && bytes[8 + length..][..8] == [0; 8] && bytes.len() == 8 + length + 8 + 6);
        let file = SafetensorsFile::new(bytes).expect("a readable file");
        assert_eq!(file.tensor("a").expect("a tensor").expect("its numbers").values, [1.0, tenth, -2.0]);
    }
    assert_eq!(written(&BTreeSet::new(), Precision::F32), to_bytes(&tensors, &BTreeMap::new()));
}

/// A file of a header and of bytes that are the numbers.
fn file(header: &str, numbers: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), numbers].concat()
}

#[test]
fn numbers_of_all_kinds_are_read_and_others_passed_over() {
    let header = r#"{"d":{"dtype":"F64","shape":[1],"data_offsets":[6,14]},"h":{"shape":[1,2],"data_offsets":[0,4],"dtype":"F16"},
        "b":{"dtype":"BF16","shape":[],"data_offsets":[4,6]},"i":{"dtype":"I64","shape":[1],"data_offsets":[14,22]},
        "q":{"dtype":"F4","shape":[2,3],"data_offsets":[22,25]},"e":{"dtype":"F32","shape":[3,0],"data_offsets":[14,14]}}  "#;
    let numbers = [&[0x00, 0x3c, 0x00, 0xc0, 0x80, 0x3f][..], &0.25_f64.to_le_bytes(), &[0; 11]].concat();
    let bytes = file(header, &numbers);
    let opened = SafetensorsFile::new(bytes.as_slice()).unwrap();
    let tensors: Vec<(&str, HostTensor)> = opened.shapes().map(|(name, _)| (name, opened.tensor(name).unwrap().unwrap())).collect();
    let want = [
        ("b", HostTensor::new([], vec![1.0])),
        ("d", HostTensor::new([1], vec![0.25])),
        ("e", HostTensor::new([3, 0], vec![])),
        ("h", HostTensor::new([1, 2], vec![1.0, -2.0])),
    ];
    assert_eq!(tensors, want);
    assert!(opened.tensor("i").is_none() && opened.tensor("x").is_none());
}

#[test]
fn what_does_not_fit_is_refused_with_its_name_and_the_reason() {
    let one = |fields: &str| format!(r#"{{"w":{{{fields}}}}}"#);
    let of = |dtype: &str, shape: &str, offsets: &str| one(&format!(r#""dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}"#));
    let two = |first: &str, second: &str| {
        format!(r#"{{"a":{{"dtype":"U8","shape":[2],"data_offsets":{first}}},"w":{{"dtype":"U8","shape":[2],"data_offsets":{second}}}}}"#)
    };
    let nested = format!("{{\"w\":{}", "[".repeat(100_000));
    let deep = format!("{{\"w\":{}", "{\"a\":".repeat(100_000));
    let dimensions = format!("[{}]", ["1"; 33].join(","));
    let cases: Vec<(String, usize, &[&str])> = vec![
        // Where numbers lie.
        (two("[0,2]", "[1,3]"), 3, &["w: ", "overlaps"]),
        (two("[0,2]", "[0,2]"), 2, &["w: ", "overlaps"]),
        (two("[0,2]", "[3,5]"), 5, &["w: ", "1 bytes before it belong to no tensor"]),
        (two("[1,3]", "[3,5]"), 5, &["a: ", "1 bytes before it belong to no tensor"]),
        (two("[0,2]", "[2,4]"), 5, &["1 bytes at its end belong to no tensor"]),
        (two("[0,2]", "[2,4]"), 3, &["w: ", "ends at 4", "3 bytes"]),
        ("{}".into(), 4, &["4 bytes at its end"]),
        (of("F32", "[1]", "[4,0]"), 4, &["w: ", "before it begins"]),
        (of("F32", "[1]", "[0,18446744073709551615]"), 4, &["w: ", "ends at 18446744073709551615"]),
        (of("F32", "[1]", "[18446744073709551612,18446744073709551615]"), 4, &["w: "]),
        // How many they are.
        (of("F32", "[2]", "[0,4]"), 4, &["w: ", "[2] numbers of F32 are 8 bytes, and it has 4"]),
        (of("F16", "[1]", "[0,4]"), 4, &["w: ", "F16 are 2 bytes"]),
        (of("F4", "[3]", "[0,1]"), 1, &["w: ", "F4"]),
        (of("F32", "[]", "[0,0]"), 0, &["w: ", "are 4 bytes, and it has 0"]),
        (of("F32", "[4294967296,4294967296]", "[0,4]"), 4, &["w: ", "memory"]),
        (of("F64", "[2305843009213693952]", "[0,0]"), 0, &["w: ", "memory"]),
        (of("F32", &dimensions, "[0,4]"), 4, &["w: ", "33 dimensions"]),
        // What is no number, kind or field.
        (of("F32", "[-1]", "[0,4]"), 4, &["w: ", "-1"]),
        (of("F32", "[1.0]", "[0,4]"), 4, &["w: ", "1.0"]),
        (of("F32", "[1e0]", "[0,4]"), 4, &["w: ", "1.0"]),
        (of("F32", "[18446744073709551616]", "[0,4]"), 4, &["w: ", "1.8446744"]),
        (of("F32", "[null]", "[0,4]"), 4, &["w: ", "null"]),
        (of("F32", "1", "[0,4]"), 4, &["w: ", "sequence"]),
        (of("F32", "[1]", "[0]"), 4, &["w: ", "2"]),
        (of("F32", "[1]", "[0,4,4]"), 4, &["w: "]),
        (of("f32", "[1]", "[0,4]"), 4, &["w: ", "`f32` is no kind of numbers"]),
        (of("F\\u0007", "[1]", "[0,4]"), 4, &["w: ", "`F?`"]),
        (one(r#""dtype":"F32","shape":[1]"#), 4, &["w: ", "`data_offsets` is missing"]),
        (one(r#""dtype":"F32","data_offsets":[0,4]"#), 4, &["w: ", "`shape` is missing"]),
        (one(r#""shape":[1],"data_offsets":[0,4]"#), 4, &["w: ", "`dtype` is missing"]),
        (one(r#""dtype":"F32","shape":[1],"data_offsets":[0,4],"code":"x""#), 4, &["w: ", "`code`"]),
        (r#"{"w":["F32",[1],[0,4]]}"#.into(), 4, &["w: ", "sequence"]),
        // What is there twice.
        (one(r#""dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]"#), 4, &["w: ", "`dtype` is there twice"]),
        (one(r#""dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]"#), 4, &["w: ", "`shape` is there twice"]),
        (one(r#""dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]"#), 4, &["w: ", "`data_offsets` is there twice"]),
        (two("[0,2]", "[2,4]").replace("\"a\"", "\"w\""), 4, &["`w` is there twice"]),
        (two("[0,2]", "[2,4]").replace("\"a\"", "\"\\u0077\""), 4, &["`w` is there twice"]),
        (r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, &["`__metadata__` is there twice"]),
        (r#"{"__metadata__":{"a":"1","a":"2"}}"#.into(), 0, &["__metadata__: ", "`a` is there twice"]),
        (r#"{"__metadata__":{"a":1}}"#.into(), 0, &["__metadata__: ", "string"]),
        (r#"{"__metadata__":["a"]}"#.into(), 0, &["__metadata__: ", "words by name"]),
        // What is no header.
        (" {}".into(), 0, &["does not begin with `{`"]),
        ("[]".into(), 0, &["does not begin with `{`"]),
        (String::new(), 0, &["does not begin with `{`"]),
        ("{} x".into(), 0, &["its header", "trailing"]),
        ("{}{}".into(), 0, &["its header", "trailing"]),
        ("{\"w\":{\"dtype\"".into(), 0, &["its header", "EOF"]),
        (r#"{"\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#.into(), 0, &["its header"]),
        (nested, 0, &["w: ", "sequence"]),
        (deep, 0, &["w: "]),
    ];
    for (header, count, words) in cases {
        let reason = SafetensorsFile::new(file(&header, &vec![0; count])).err().unwrap_or_else(|| panic!("{header} is not refused"));
        let missing: Vec<_> = words.iter().filter(|word| !reason.contains(**word)).collect();
        assert!(missing.is_empty(), "{missing:?} not in: {reason}");
    }
    let mut no_text = file(&of("U8", "[0]", "[0,0]"), &[]);
    no_text[10] = 0xff;
    assert!(SafetensorsFile::new(no_text).is_err_and(|reason| reason.contains("its header")));
}

#[test]
fn headers_are_no_longer_than_their_file_and_the_format_allow() {
    let refused = |bytes: &[u8]| SafetensorsFile::new(bytes).expect_err("it is refused");
    let good = file("{}", &[]);
    assert!(SafetensorsFile::new(good.as_slice()).is_ok());
    for length in 0..good.len() {
        assert!(refused(&good[..length]).contains("truncated"), "{length}");
    }
    for length in [100_000_001, 1 << 40, u64::MAX - 7, u64::MAX] {
        let claims = [&length.to_le_bytes()[..], b"{}"].concat();
        assert!(refused(&claims).contains("none has more than 100000000"), "{length}");
    }
    let claims = [&100_000_000_u64.to_le_bytes()[..], b"{}"].concat();
    assert!(refused(&claims).contains("claims 100000000 bytes, and the file has 10"));
}
