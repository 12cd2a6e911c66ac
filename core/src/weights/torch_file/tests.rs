//! Good files, files that were made to do harm, and good files with something wrong in them.

use super::hand_made::{
    archive, bytes_of, call, dict, int, ints, large_archive, legacy, name, object, program, storage, tensor, text, tuple,
};
use super::{Setting, TorchFile, is_torch_file, open};
use crate::error::Error;
use crate::random::{Purpose, Stream};
use crate::weights::safetensors_file::HostTensor;

type File = TorchFile<Vec<u8>>;

fn opened(bytes: Vec<u8>) -> Result<File, String> {
    TorchFile::new(bytes)
}

/// All its tensors.
fn read(file: &mut File) -> Result<Vec<(String, HostTensor)>, String> {
    let tensors = file.contents.tensors.clone();
    tensors.into_iter().map(|(name, tensor)| Ok((name, file.read(&tensor)?))).collect()
}

fn numbers() -> Vec<f32> {
    (0..12).map(|index| index as f32).collect()
}

/// A checkpoint with one tensor, described as `body`, of a storage of twelve numbers.
fn with(body: &[u8]) -> Vec<u8> {
    archive("weights", &program(body), &[("0", bytes_of(&numbers()))])
}

fn twelve() -> Vec<u8> {
    storage("FloatStorage", "0", 12)
}

#[track_caller]
fn refused(bytes: Vec<u8>, words: &[&str]) {
    let reason = opened(bytes).and_then(|mut file| read(&mut file)).expect_err("it is refused");
    let missing: Vec<_> = words.iter().filter(|word| !reason.contains(**word)).collect();
    assert!(missing.is_empty(), "{missing:?} not in: {reason}");
}

/// What is asked for is not given, and the message names it.
#[track_caller]
fn refused_by_name(body: &[u8], name: &str) {
    refused(with(body), &["it asks for", &format!("`{name}`"), "nothing of the file was executed"]);
}

/// Elements before a tensor, its shape, its strides, and the numbers that it has.
type Case<'a> = (i64, &'a [i64], &'a [i64], &'a [f32]);

#[test]
fn tensors_come_in_any_order() {
    let cases: [Case<'_>; 8] = [
        (0, &[3, 4], &[4, 1], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]),
        (0, &[4, 3], &[1, 4], &[0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0]),
        (2, &[2, 2], &[4, 2], &[2.0, 4.0, 6.0, 8.0]),
        (5, &[3], &[0], &[5.0, 5.0, 5.0]),
        (1, &[2, 2, 2], &[6, 0, 1], &[1.0, 2.0, 1.0, 2.0, 7.0, 8.0, 7.0, 8.0]),
        (11, &[], &[], &[11.0]),
        (11, &[1, 1], &[i64::MAX, 1000], &[11.0]),
        (12, &[0, 5], &[5, 1], &[]),
    ];
    for (offset, shape, strides, want) in cases {
        for large in [false, true] {
            let pickle = program(&dict(&[("a", dict(&[("w", tensor(twelve(), offset, shape, strides))]))]));
            let make = if large { large_archive } else { archive };
            let mut file = opened(make("any name", &pickle, &[("0", bytes_of(&numbers()))])).unwrap();
            let tensors = read(&mut file).unwrap();
            let shape: Vec<usize> = shape.iter().map(|&side| side as usize).collect();
            assert_eq!(tensors, [("a.w".to_owned(), HostTensor::new(shape, want.to_vec()))]);
        }
    }
}

#[test]
fn all_kinds_of_numbers_are_read() {
    let cases: [(&str, Vec<u8>); 10] = [
        ("FloatStorage", bytes_of(&[1.0, -2.0])),
        ("DoubleStorage", [1.0_f64, -2.0].map(f64::to_le_bytes).concat()),
        ("HalfStorage", vec![0x00, 0x3c, 0x00, 0xc0]),
        ("BFloat16Storage", vec![0x80, 0x3f, 0x00, 0xc0]),
        ("LongStorage", [1_i64, -2].map(i64::to_le_bytes).concat()),
        ("IntStorage", [1_i32, -2].map(i32::to_le_bytes).concat()),
        ("ShortStorage", [1_i16, -2].map(i16::to_le_bytes).concat()),
        ("CharStorage", vec![1, 0xfe]),
        ("ByteStorage", vec![1, 254]),
        ("BoolStorage", vec![1, 0]),
    ];
    for (class, bytes) in cases {
        let pickle = program(&dict(&[("w", tensor(storage(class, "7", 2), 0, &[2], &[1]))]));
        let second = if class == "ByteStorage" {
            254.0
        } else if class == "BoolStorage" {
            0.0
        } else {
            -2.0
        };
        let mut file = opened(archive("x", &pickle, &[("7", bytes.clone())])).unwrap();
        assert_eq!(read(&mut file).unwrap()[0].1.values, [1.0, second], "{class}");
        let mut file = opened(legacy(&pickle, &[("7", 2, bytes)])).unwrap();
        assert_eq!(read(&mut file).unwrap()[0].1.values, [1.0, second], "{class}");
    }
    let untyped = tuple(&[text("storage"), name("torch.storage", "UntypedStorage"), text("0"), text("cpu"), int(48)]);
    let arguments =
        [[untyped, b"Q".to_vec()].concat(), int(1), ints(&[2]), ints(&[1]), vec![0x89], b"N".to_vec(), name("torch", "float32")];
    let body = dict(&[("w", call(&name("torch._utils", "_rebuild_tensor_v3"), &arguments))]);
    assert_eq!(read(&mut opened(with(&body)).unwrap()).unwrap()[0].1.values, [1.0, 2.0]);
    let complex = dict(&[("w", tensor(storage("ComplexFloatStorage", "0", 6), 0, &[6], &[1]))]);
    refused(with(&complex), &["numbers of 8 bytes"]);
}

#[test]
fn plain_values_and_data_classes_are_kept_as_settings() {
    let namespace =
        dict(&[("arch", text("vit_small")), ("lr", [b"G".to_vec(), 0.5_f64.to_be_bytes().to_vec()].concat()), ("fp16", vec![0x88])]);
    let modules = call(&name("collections", "OrderedDict"), &[]);
    let module = dict(&[
        (
            "_parameters",
            dict(&[(
                "weight",
                call(&name("torch._utils", "_rebuild_parameter"), &[tensor(twelve(), 0, &[2], &[1]), vec![0x88], b"N".to_vec()]),
            )]),
        ),
        ("_modules", modules),
    ]);
    let dtype = object(&name("numpy", "dtype"), &tuple(&[int(3), text("<")]));
    let scalar_type = call(&name("numpy", "dtype"), &[text("f8"), vec![0x89], vec![0x88]]);
    let encoded: String = 0.25_f64.to_le_bytes().iter().map(|&byte| char::from(byte)).collect();
    let bytes = call(&name("_codecs", "encode"), &[text(&encoded), text("latin1")]);
    let body = dict(&[
        ("args", object(&name("argparse", "Namespace"), &namespace)),
        ("best", call(&name("numpy._core.multiarray", "scalar"), &[scalar_type, bytes])),
        ("size", call(&name("torch", "Size"), &[ints(&[3, 4])])),
        ("kind", name("torch", "float32")),
        ("type", dtype),
        ("seen", [b"(", &int(1)[..], b"\x91"].concat()),
        ("device", call(&name("torch", "device"), &[text("cuda")])),
        ("default", call(&name("collections", "defaultdict"), &[name("__builtin__", "list")])),
        ("net", object(&name("__main__", "Net"), &module)),
        (
            "config",
            object(
                &name("omegaconf.dictconfig", "DictConfig"),
                &dict(&[("_content", dict(&[("depth", int(4))])), ("_parent", b"N".to_vec())]),
            ),
        ),
        ("nothing", b"N".to_vec()),
        ("long", [&[0x8a, 9][..], &[1; 9]].concat()),
    ]);
    let file = opened(with(&body)).unwrap();
    assert_eq!(file.contents.tensors.keys().collect::<Vec<_>>(), ["net.weight"]);
    let settings: Vec<(&str, &Setting)> = file.contents.settings.iter().map(|(path, setting)| (path.as_str(), setting)).collect();
    let want = [
        ("args.arch", &Setting::Word("vit_small".into())),
        ("args.fp16", &Setting::Flag(true)),
        ("args.lr", &Setting::Number(0.5)),
        ("best", &Setting::Number(0.25)),
        ("config.depth", &Setting::Number(4.0)),
        ("size.0", &Setting::Number(3.0)),
        ("size.1", &Setting::Number(4.0)),
    ];
    assert!(want.iter().all(|setting| settings.contains(setting)), "{settings:?}");
}

#[test]
fn what_would_run_something_is_refused_by_its_name() {
    let echo = [text("echo pwned > /tmp/pwned")];
    refused_by_name(&call(&name("os", "system"), &echo), "os.system");
    refused_by_name(&call(&name("posix", "system"), &echo), "posix.system");
    refused_by_name(&call(&name("__builtin__", "eval"), &echo), "builtins.eval");
    refused_by_name(&call(&name("builtins", "getattr"), &[name("os", "system"), text("__call__")]), "builtins.getattr");
    // Protocol 4's way of naming, its way of making objects, and protocol 0's.
    let by_stack = [text("os"), text("system"), b"\x93".to_vec()].concat();
    refused_by_name(&call(&by_stack, &echo), "os.system");
    refused_by_name(&[&name("subprocess", "Popen")[..], &tuple(&echo), b"\x81"].concat(), "subprocess.Popen");
    refused_by_name(&[&name("subprocess", "Popen")[..], &tuple(&echo), &dict(&[]), b"\x92"].concat(), "subprocess.Popen");
    refused_by_name(&[&b"("[..], &echo[0], b"ios\nsystem\n"].concat(), "os.system");
    refused_by_name(&[&b"("[..], &name("os", "system"), &echo[0], b"o"].concat(), "os.system");
    // Through a function that is known.
    let through = [name("os", "system"), name("torch", "Tensor"), tuple(&echo), dict(&[])];
    refused_by_name(&call(&name("torch._tensor", "_rebuild_from_type_v2"), &through), "os.system");
    refused_by_name(
        &call(&name("copyreg", "_reconstructor"), &[name("os", "system"), name("builtins", "object"), b"N".to_vec()]),
        "os.system",
    );
    refused_by_name(&call(&name("copy_reg", "__newobj__"), &[name("os", "system"), echo[0].clone()]), "os.system");
    refused_by_name(&call(&name("numpy.core.multiarray", "_reconstruct"), &[name("os", "system"), ints(&[0]), text("b")]), "os.system");
    // A class of nobody's with a state that is no module's, and with none.
    refused_by_name(&object(&name("a", "Evil"), &dict(&[("x", int(1))])), "a.Evil");
    refused_by_name(&[&name("a", "Evil")[..], b")\x81"].concat(), "a.Evil");
    refused_by_name(&[&name("os", "environ")[..], &dict(&[("PATH", text(""))]), b"b"].concat(), "os.environ");
    // Thrown away before anybody could see it.
    refused_by_name(&[&call(&name("os", "system"), &echo)[..], b"0", &dict(&[])].concat(), "os.system");
    let nested = text("PK\u{3}\u{4}");
    refused_by_name(&call(&name("torch.storage", "_load_from_bytes"), &[nested]), "torch.storage._load_from_bytes");
    assert!(!std::path::Path::new("/tmp/pwned").exists());
}

#[test]
fn a_refusal_says_what_to_do_and_damage_does_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pth");
    std::fs::write(&path, with(&call(&name("os", "system"), &[text("true")]))).unwrap();
    assert!(is_torch_file(&path));
    let error = open(&path).expect_err("it is refused");
    assert!(
        matches!(error, Error::Data { .. }) && error.to_string().contains("os.system") && error.to_string().contains("state_dict"),
        "{error}"
    );
    std::fs::write(&path, b"garbage").unwrap();
    assert!(!is_torch_file(&path));
    let error = open(&path).expect_err("it is refused");
    assert!(error.to_string().contains("x.pth") && error.to_string().contains("another copy"), "{error}");
    refused(
        archive("x", &program(&dict(&[])), &[]).into_iter().map(|byte| if byte == b'k' { b'x' } else { byte }).collect(),
        &["data.pkl"],
    );
}

#[test]
fn tensors_that_do_not_fit_their_storage_are_refused() {
    let body = |offset, shape: &[i64], strides: &[i64]| with(&dict(&[("w", tensor(twelve(), offset, shape, strides))]));
    let huge = 1_i64 << 62;
    refused(body(0, &[13], &[1]), &["beyond its storage"]);
    refused(body(1, &[12], &[1]), &["beyond its storage"]);
    refused(body(-1, &[2], &[1]), &["begins before"]);
    refused(body(11, &[2], &[-1]), &["strides", "negative"]);
    refused(body(0, &[-2], &[1]), &["shape"]);
    refused(body(0, &[3, 4], &[5, 1]), &["beyond its storage"]);
    refused(body(0, &[2, 2], &[1]), &["2 dimensions and 1 strides"]);
    refused(body(0, &[huge, huge], &[0, 0]), &["beyond its storage"]);
    refused(body(0, &[2, 2], &[huge, huge]), &["beyond its storage"]);
    refused(body(i64::MAX, &[2], &[i64::MAX]), &["beyond its storage"]);
    refused(body(0, &[huge], &[0]), &["repeat the same ones"]);
    refused(body(0, &[1 << 28], &[0]), &["repeat the same ones"]);
    let lies = |count| with(&dict(&[("w", tensor(storage("FloatStorage", "0", count), 0, &[2], &[1]))]));
    refused(lies(13), &["storage `0` has 48 bytes"]);
    refused(lies(i64::MAX), &["storage `0` has 48 bytes"]);
    refused(lies(-1), &["no length"]);
    refused(with(&dict(&[("w", tensor(storage("FloatStorage", "1", 12), 0, &[2], &[1]))])), &["storage `1` is missing"]);
    refused(with(&dict(&[("w", tensor(storage("PickleStorage", "0", 12), 0, &[2], &[1]))])), &["torch.PickleStorage"]);
    let many = with(&dict(&(0..40).map(|_| ("w", tensor(twelve(), 0, &[1 << 20], &[0]))).collect::<Vec<_>>()));
    assert_eq!(read(&mut opened(many).unwrap()).unwrap().len(), 1, "the last of the same name");
    let pickle = program(&dict(&[("w", tensor(twelve(), 0, &[2], &[1]))]));
    refused(legacy(&pickle, &[("0", u64::MAX, bytes_of(&numbers()))]), &["ends within storage"]);
    refused(legacy(&pickle, &[("0", 11, bytes_of(&numbers()))]), &["storage `0` has 44 bytes"]);
    refused(legacy(&pickle, &[]), &["storage `0` is missing"]);
}

#[test]
fn programs_that_make_no_sense_end_soon() {
    let huge = u32::MAX.to_le_bytes();
    for (body, word) in [
        (b"".to_vec(), "not there"),
        (b"t".to_vec(), "mark"),
        (b"0".to_vec(), "not there"),
        (b"h\x05".to_vec(), "remembers nothing"),
        (b"\xff".to_vec(), "0xff"),
        (b"\x82\x01".to_vec(), "0x82"),
        (b"}K\x01a".to_vec(), "no container"),
        (b"}(K\x01u".to_vec(), "has no value"),
        (b"K\x01K\x02Q".to_vec(), "outside of it"),
        (b"Pfile\n".to_vec(), "never does"),
        (b"Iabc\n".to_vec(), "number"),
        ([&b"X"[..], &huge].concat(), "truncated"),
        ([&b"\x8d"[..], &[0xff; 8]].concat(), "truncated"),
        ([&b"\x8b"[..], &huge].concat(), "truncated"),
        ([&b"\x96"[..], &[0x7f; 8]].concat(), "truncated"),
        (b"K\x01)R".to_vec(), "no function"),
        (b"K\x01)\x81".to_vec(), "no class"),
        (b"K\x01}b".to_vec(), "fields"),
    ] {
        refused(with(&body), &[word]);
    }
    // A list that holds itself, a dictionary whose value is itself, and a tuple of a list of that tuple.
    for body in [&b"]q\x00h\x00a"[..], b"}q\x00X\x01\x00\x00\x00ah\x00s", b"](q\x00h\x00te"] {
        assert!(opened(with(body)).is_ok_and(|file| file.contents.tensors.is_empty()) || opened(with(body)).is_err());
    }
    // Each list holds the one before it twice: 2^60 ways.
    let mut doubling = b"]q\x00".to_vec();
    (0..60_u8).for_each(|index| doubling.extend([b']', b'(', b'h', index, b'h', index, b'e', b'q', index + 1]));
    let deep = opened(with(&doubling));
    assert!(deep.is_ok_and(|file| file.contents.settings.is_empty()) || opened(with(&doubling)).is_err());
    // A large dictionary that is copied again and again.
    let mut copies = [&b"}("[..], &(0..10_000).flat_map(|_| *b"K\x01K\x02").collect::<Vec<u8>>(), b"uq\x00"].concat();
    copies.extend((0..10_000).flat_map(|_| [&b"ccollections\nOrderedDict\n"[..], b"h\x00\x85R0"].concat()));
    refused(with(&copies), &["again and again"]);
    refused(with(&vec![b'N'; 3 << 20]), &["values"]);
    refused(with(&vec![b'('; 5 << 20]), &["values"]);
}

#[test]
fn a_file_that_ends_early_is_refused_wherever_it_ends() {
    let pickle = program(&dict(&[("w", tensor(twelve(), 0, &[3, 4], &[4, 1])), ("epoch", int(3))]));
    let good = [
        archive("x", &pickle, &[("0", bytes_of(&numbers()))]),
        large_archive("x", &pickle, &[("0", bytes_of(&numbers()))]),
        legacy(&pickle, &[("0", 12, bytes_of(&numbers()))]),
    ];
    for good in good {
        assert!(opened(good.clone()).is_ok_and(|mut file| read(&mut file).is_ok()));
        for length in 0..good.len() {
            assert!(opened(good[..length].to_vec()).is_err(), "of {} bytes, {length}", good.len());
        }
    }
}

#[test]
fn a_flipped_bit_gives_other_values_or_an_error_and_never_a_panic() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/torch");
    let pickle = program(&dict(&[("w", tensor(twelve(), 0, &[3, 4], &[4, 1])), ("epoch", int(3))]));
    let mut files = vec![large_archive("x", &pickle, &[("0", bytes_of(&numbers()))]), legacy(&pickle, &[("0", 12, bytes_of(&numbers()))])];
    files.extend(["dino_full.pth", "dino_backbone.pth", "whole_module.pth"].map(|name| std::fs::read(golden.join(name)).unwrap()));
    let mut stream = Stream::new(11, 0, 0, Purpose::Bench);
    let (mut good, mut bad) = (0, 0);
    for file in files {
        assert!(opened(file.clone()).is_ok_and(|mut file| read(&mut file).is_ok()));
        for _ in 0..5000 {
            let mut bytes = file.clone();
            let place = stream.range(0.0, bytes.len() as f64) as usize;
            bytes[place] ^= 1 << (stream.range(0.0, 8.0) as u32);
            match opened(bytes).and_then(|mut file| read(&mut file)) {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
        }
    }
    assert!(good > 1000 && bad > 1000, "{good} readable, {bad} refused");
}
