//! Pickles and archives put together byte by byte, for tests.

/// `module.name`.
pub fn name(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

pub fn int(number: i64) -> Vec<u8> {
    match i32::try_from(number) {
        Ok(number) => [b"J", &number.to_le_bytes()[..]].concat(),
        Err(_) => [&[0x8a, 8], &number.to_le_bytes()[..]].concat(),
    }
}

pub fn tuple(parts: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &parts.concat()[..], b"t"].concat()
}

pub fn ints(numbers: &[i64]) -> Vec<u8> {
    tuple(&numbers.iter().map(|&number| int(number)).collect::<Vec<_>>())
}

pub fn dict(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pairs: Vec<u8> = pairs.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &pairs[..], b"u"].concat()
}

pub fn call(function: &[u8], arguments: &[Vec<u8>]) -> Vec<u8> {
    [function, &tuple(arguments), b"R"].concat()
}

/// An object of a class without arguments, and its fields.
pub fn object(class: &[u8], state: &[u8]) -> Vec<u8> {
    [class, b")\x81", state, b"b"].concat()
}

pub fn storage(class: &str, key: &str, count: i64) -> Vec<u8> {
    [tuple(&[text("storage"), name("torch", class), text(key), text("cpu"), int(count)]), b"Q".to_vec()].concat()
}

pub fn tensor(storage: Vec<u8>, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let hooks = call(&name("collections", "OrderedDict"), &[]);
    call(&name("torch._utils", "_rebuild_tensor_v2"), &[storage, int(offset), ints(shape), ints(strides), vec![0x89], hooks])
}

pub fn program(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

pub fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The archive that `torch.save` writes of a pickle and storages, below a folder.
pub fn archive(folder: &str, pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    zip(&files(folder, pickle, storages), false)
}

/// The same with the fields of large files.
pub fn large_archive(folder: &str, pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    zip(&files(folder, pickle, storages), true)
}

fn files(folder: &str, pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![(format!("{folder}/data.pkl"), pickle.to_vec()), (format!("{folder}/byteorder"), b"little".to_vec())];
    files.extend(storages.iter().map(|(key, bytes)| (format!("{folder}/data/{key}"), bytes.clone())));
    files
}

fn zip(files: &[(String, Vec<u8>)], is_large: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let (offset, size) = (bytes.len() as u64, content.len() as u64);
        bytes.extend(b"PK\x03\x04\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend([(size as u32).to_le_bytes(); 2].concat());
        bytes.extend([(name.len() as u16).to_le_bytes(), 5_u16.to_le_bytes()].concat());
        // Padding before the data, as PyTorch aligns it.
        bytes.extend([name.as_bytes(), b"FB\x01\0Z", content].concat());
        directory.extend(b"PK\x01\x02\x2d\0\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0");
        let narrow = |wide: u64| if is_large { u32::MAX } else { wide as u32 }.to_le_bytes();
        directory.extend([narrow(size), narrow(size)].concat());
        let extra = if is_large { [&[1, 0, 24, 0][..], &[size, size, offset].map(u64::to_le_bytes).concat()].concat() } else { Vec::new() };
        directory.extend([(name.len() as u16).to_le_bytes(), (extra.len() as u16).to_le_bytes()].concat());
        directory.extend([0; 10]);
        directory.extend([&narrow(offset)[..], name.as_bytes(), &extra].concat());
    }
    let (start, size, count) = (bytes.len() as u64, directory.len() as u64, files.len() as u64);
    bytes.extend(&directory);
    if is_large {
        let record = bytes.len() as u64;
        bytes.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
        bytes.extend([count, count, size, start].map(u64::to_le_bytes).concat());
        bytes.extend([&b"PK\x06\x07\0\0\0\0"[..], &record.to_le_bytes(), &[1, 0, 0, 0]].concat());
        bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &[0xff; 12], &[0, 0]].concat());
    } else {
        bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &[(count as u16).to_le_bytes(); 2].concat()].concat());
        bytes.extend([&(size as u32).to_le_bytes()[..], &(start as u32).to_le_bytes(), &[0, 0]].concat());
    }
    bytes
}

/// The file that `torch.save` wrote before version 1.6.
pub fn legacy(pickle: &[u8], storages: &[(&str, u64, Vec<u8>)]) -> Vec<u8> {
    let magic = program(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
    let system = program(&dict(&[("protocol_version", int(1001)), ("little_endian", vec![0x88])]));
    let keys: Vec<u8> = storages.iter().flat_map(|(key, ..)| text(key)).collect();
    let keys = program(&[b"](", &keys[..], b"e"].concat());
    let numbers = storages.iter().flat_map(|(_, count, bytes)| [&count.to_le_bytes()[..], bytes].concat());
    [magic, program(&int(1001)), system, pickle.to_vec(), keys, numbers.collect()].concat()
}
