//! Damaged files at random: no reader of weights panics, takes its time, or takes more memory than the bytes of a file call for. Each file is a
//! function of its number, so that one that fails is made again.

mod corpus;
mod damage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use damage::Corpus;
use rayon::prelude::*;

use super::hugging_face;
use super::safetensors_file::SafetensorsFile;
use super::torch_file::TorchFile;

/// A reader and what it is given.
struct Reader {
    name: &'static str,
    corpus: fn() -> Corpus,
    /// Whether it can read a file. Panics if it takes what it must not.
    read: fn(&[u8]) -> bool,
}

fn as_it_is(_: &mut [u8]) {}

const READERS: [Reader; 5] = [
    Reader {
        name: "safetensors",
        corpus: || Corpus::new(corpus::safetensors_files(), &corpus::SAFETENSORS_WORDS, corpus::mend_safetensors),
        read: read_safetensors,
    },
    Reader {
        name: "pickles",
        corpus: || Corpus::new(corpus::pickles(), &corpus::PICKLE_WORDS, as_it_is),
        read: |pickle| read_torch(&corpus::checkpoint(pickle)),
    },
    Reader { name: "archives", corpus: || Corpus::new(corpus::archives(), &corpus::ARCHIVE_WORDS, as_it_is), read: read_torch },
    Reader {
        name: "files of before PyTorch 1.6",
        corpus: || Corpus::new(corpus::legacy_files(), &corpus::PICKLE_WORDS, as_it_is),
        read: read_torch,
    },
    Reader {
        name: "settings of Hugging Face",
        corpus: || Corpus::new(corpus::settings(), &corpus::SETTINGS_WORDS, as_it_is),
        read: hugging_face::reads,
    },
];

/// What its header promises, the file has; and the crate, which takes more for granted, can read whatever is read here.
fn read_safetensors(bytes: &[u8]) -> bool {
    let Ok(file) = SafetensorsFile::new(bytes) else { return false };
    let mut num_values = 0;
    for (name, shape) in file.shapes() {
        let tensor = file.tensor(name).expect("a tensor that was listed").expect("numbers that are there");
        assert_eq!((tensor.shape.as_slice(), tensor.values.len()), (shape, shape.iter().product()));
        num_values += tensor.values.len();
    }
    assert!(2 * num_values <= bytes.len(), "{num_values} numbers in {} bytes", bytes.len());
    safetensors::SafeTensors::deserialize(bytes).expect("a file that the crate reads too");
    true
}

/// Tensors have no more numbers, and names no more letters, than a file of so many bytes may have; those without repetition can be read.
fn read_torch(bytes: &[u8]) -> bool {
    let Ok(file) = TorchFile::new(bytes) else { return false };
    let (mut num_values, mut num_letters) = (0, 0);
    for (name, tensor) in &file.contents.tensors {
        let count = tensor.shape.iter().map(|&side| side as u64).product::<u64>();
        if count <= 16 * bytes.len() as u64 {
            assert!(file.read(tensor).map_or(true, |read| read.values.len() as u64 == count));
        }
        num_values += count;
        num_letters += name.len();
    }
    assert!(num_values <= bytes.len() as u64 + (1 << 20), "{num_values} numbers in {} bytes", bytes.len());
    num_letters += file.contents.settings.keys().map(String::len).sum::<usize>();
    assert!(num_letters <= 256 * bytes.len() + (1 << 20), "{num_letters} letters in {} bytes", bytes.len());
    true
}

/// What became of damaged files.
#[derive(Default, Clone, Copy)]
struct Tally {
    readable: u64,
    refused: u64,
    /// How long the slowest took, and its number.
    slowest: (Duration, u64),
}

impl Tally {
    fn with(self, other: Self) -> Self {
        Self { readable: self.readable + other.readable, refused: self.refused + other.refused, slowest: self.slowest.max(other.slowest) }
    }
}

fn run(reader: &Reader, count: u64) -> Tally {
    const BATCH: u64 = 256;
    let corpus = (reader.corpus)();
    for (index, file) in corpus.files().iter().enumerate() {
        assert!((reader.read)(file), "{}: good file {index} is refused", reader.name);
    }
    let batch = |batch: u64| {
        let (mut bytes, mut tally) = (Vec::new(), Tally::default());
        for number in batch * BATCH..count.min((batch + 1) * BATCH) {
            corpus.damaged(number, &mut bytes);
            let start = Instant::now();
            let read = catch_unwind(AssertUnwindSafe(|| (reader.read)(&bytes)));
            let is_readable = read.unwrap_or_else(|_| panic!("{}: damaged file {number} is not handled", reader.name));
            tally = tally.with(Tally {
                readable: u64::from(is_readable),
                refused: u64::from(!is_readable),
                slowest: (start.elapsed(), number),
            });
        }
        tally
    };
    (0..count.div_ceil(BATCH)).into_par_iter().map(batch).reduce(Tally::default, Tally::with)
}

#[test]
fn readers_withstand_thousands_of_damaged_files() {
    const COUNT: u64 = 20_000;
    for reader in &READERS {
        let Tally { readable, refused, slowest } = run(reader, COUNT);
        assert!(readable > COUNT / 100 && refused > COUNT / 10, "{}: {readable} readable, {refused} refused", reader.name);
        assert!(slowest.0 < Duration::from_secs(5), "{}: {:?} for damaged file {}", reader.name, slowest.0, slowest.1);
    }
}

/// `MASKROOM_FUZZ_INPUTS` is how many per reader.
#[test]
#[ignore = "takes minutes; run it with --nocapture for figures"]
fn readers_withstand_millions_of_damaged_files() {
    let count = std::env::var("MASKROOM_FUZZ_INPUTS").map_or(10_000_000, |count| count.parse().expect("a number of inputs"));
    for reader in &READERS {
        let start = Instant::now();
        let Tally { readable, refused, slowest: (slowest, number) } = run(reader, count);
        let secs = start.elapsed().as_secs_f64();
        println!(
            "{}: {count} in {secs:.0} s, {:.0} a second; {readable} readable, {refused} refused; the slowest, {number}, took {slowest:?}",
            reader.name,
            count as f64 / secs
        );
        assert!(slowest < Duration::from_secs(5), "{}: {slowest:?} for damaged file {number}", reader.name);
    }
}
