//! `.columns`: a run's events as the window has reduced them, kept beside the log, so that a run of a million steps opens in milliseconds.
//! Nothing depends on it: whatever does not fit the log is passed over, and deleting it costs one reading of the log.
//!
//! ```text
//! "maskroom columns 1\n"
//! u64 length of the head │ head: JSON, how far the log was read, the names of the columns, and the view without them │ u64 its sum
//! entries × u64 step │ entries × f64 epoch │ entries × f64 seconds │ entries × f32 for each column, in the order of the names │ u64 their sum
//! ```
//!
//! All numbers are little-endian. Another first line is another format, which is passed over.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::PathBuf;

use maskroom_core::files::write_atomic_with;
use maskroom_core::run::{RunFolder, Tail};
use serde::{Deserialize, Serialize};

use super::run_view::{Columns, RunView};

const FORMAT: &[u8] = b"maskroom columns 1\n";
/// Heads are small; a length beyond this is damage.
const MAX_HEAD_BYTES: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Head<View> {
    /// Bytes of the log that are in here, and the last of them.
    log_bytes: u64,
    landmark: Vec<u8>,
    entries: u64,
    columns: Vec<String>,
    view: View,
}

/// Where the file of a run lies.
pub fn path(run: &RunFolder) -> PathBuf {
    run.root.join(".columns")
}

/// Keeps a view, which must have its columns, and how far into the log it reaches.
///
/// # Errors
/// If the file cannot be written; the old one then stays.
pub fn write(run: &RunFolder, view: &RunView, tail: &Tail) -> maskroom_core::error::Result<()> {
    let columns = &view.columns;
    let head = Head {
        log_bytes: tail.offset(),
        landmark: tail.landmark().to_vec(),
        entries: columns.len() as u64,
        columns: columns.values.keys().cloned().collect(),
        view,
    };
    write_atomic_with(&path(run), |file| {
        let head = serde_json::to_vec(&head)?;
        file.write_all(FORMAT)?;
        file.write_all(&(head.len() as u64).to_le_bytes())?;
        file.write_all(&head)?;
        file.write_all(&Sum::default().with(&head).to_le_bytes())?;
        let mut body = Body { file, sum: Sum::default() };
        body.write(&columns.step, u64::to_le_bytes)?;
        body.write(&columns.epoch, f64::to_le_bytes)?;
        body.write(&columns.seconds, f64::to_le_bytes)?;
        columns.values.values().try_for_each(|column| body.write(column, f32::to_le_bytes))?;
        let sum = body.sum.0;
        file.write_all(&sum.to_le_bytes())
    })
}

/// The view as it was kept, and the log's reader at the place it reaches to; folded unless the columns are wanted. `None` if there is no
/// file, or one that is damaged or of another format.
pub fn open(run: &RunFolder, with_columns: bool) -> Option<(RunView, Tail)> {
    match read(run, with_columns) {
        Ok(kept) => Some(kept),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            tracing::debug!("{} is passed over: {error}", path(run).display());
            None
        }
    }
}

fn read(run: &RunFolder, with_columns: bool) -> io::Result<(RunView, Tail)> {
    let file = File::open(path(run))?;
    let length = file.metadata()?.len();
    let mut file = BufReader::with_capacity(1 << 18, file);
    let mut format = [0; FORMAT.len()];
    file.read_exact(&mut format)?;
    let head_bytes = read_u64(&mut file)?;
    if format != FORMAT || head_bytes > MAX_HEAD_BYTES.min(length) {
        return Err(damaged("another format"));
    }
    let mut text = vec![0; head_bytes as usize];
    file.read_exact(&mut text)?;
    if read_u64(&mut file)? != Sum::default().with(&text) {
        return Err(damaged("its head is damaged"));
    }
    let head: Head<RunView> = serde_json::from_slice(&text)?;
    let entry_bytes = 24 + 4 * head.columns.len() as u64;
    let before = FORMAT.len() as u64 + 8 + head_bytes + 8;
    if head.entries.checked_mul(entry_bytes).and_then(|body| body.checked_add(before + 8)) != Some(length) {
        return Err(damaged("it is torn"));
    }
    if (head.log_bytes == 0) != head.landmark.is_empty() {
        return Err(damaged("its place in the log is unknown"));
    }
    let columns = if with_columns { Some(read_columns(&mut file, head.entries as usize, head.columns)?) } else { None };
    Ok((head.view.kept(columns), Tail::resumed(run.events_path(), head.log_bytes, head.landmark)))
}

fn read_columns(file: &mut impl Read, entries: usize, names: Vec<String>) -> io::Result<Columns> {
    let mut body = Body { file, sum: Sum::default() };
    let columns = Columns {
        step: body.read(entries, u64::from_le_bytes)?,
        epoch: body.read(entries, f64::from_le_bytes)?,
        seconds: body.read(entries, f64::from_le_bytes)?,
        values: names.into_iter().map(|name| Ok((name, body.read(entries, f32::from_le_bytes)?))).collect::<io::Result<_>>()?,
    };
    let sum = body.sum.0;
    if read_u64(file)? != sum {
        return Err(damaged("its columns are damaged"));
    }
    Ok(columns)
}

/// Numbers on their way, with the sum over them.
struct Body<'a, File: ?Sized> {
    file: &'a mut File,
    sum: Sum,
}

/// Numbers that are turned into bytes at once.
const BLOCK: usize = 1 << 14;

impl<File: Write + ?Sized> Body<'_, File> {
    fn write<T: Copy, const N: usize>(&mut self, numbers: &[T], bytes: impl Fn(T) -> [u8; N]) -> io::Result<()> {
        let mut block = Vec::with_capacity(BLOCK * N);
        for numbers in numbers.chunks(BLOCK) {
            block.clear();
            numbers.iter().for_each(|&number| block.extend_from_slice(&bytes(number)));
            self.sum.add(&block);
            self.file.write_all(&block)?;
        }
        Ok(())
    }
}

impl<File: Read + ?Sized> Body<'_, File> {
    fn read<T, const N: usize>(&mut self, entries: usize, number: impl Fn([u8; N]) -> T) -> io::Result<Vec<T>> {
        let mut numbers = Vec::with_capacity(entries);
        let mut block = vec![0; BLOCK.min(entries) * N];
        while numbers.len() < entries {
            let block = &mut block[..BLOCK.min(entries - numbers.len()) * N];
            self.file.read_exact(block)?;
            self.sum.add(block);
            numbers.extend(block.as_chunks::<N>().0.iter().map(|&bytes| number(bytes)));
        }
        Ok(numbers)
    }
}

/// A sum that notices damage: FNV-1a (Fowler, Noll, Vo) over words of eight bytes. Both sides cut their bytes into the same blocks.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let rest = (!rest.is_empty()).then_some(&last);
        self.0 = words.iter().chain(rest).fold(self.0, |sum, word| (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3));
    }

    fn with(mut self, bytes: &[u8]) -> u64 {
        self.add(bytes);
        self.0
    }
}

fn read_u64(file: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use maskroom_core::run::{Event, EventWriter, Started, Step, Validation};

    use super::*;

    /// A run folder in a place of its own, removed at the end.
    struct Scratch(RunFolder);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0.root);
        }
    }

    fn scratch(name: &str) -> Scratch {
        let root = std::env::temp_dir().join(format!("maskroom-columns-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        Scratch(RunFolder { root })
    }

    fn events(steps: std::ops::RangeInclusive<u64>) -> Vec<Event> {
        let step = |step: u64| {
            let loss = if step == 3 { f64::NAN } else { 1.0 / step as f64 };
            let metrics = if step > 5 { [("entropy".to_owned(), 0.5)].into() } else { Default::default() };
            Event::Step(Step { step, loss, epoch: step as f64 / 7.0, seconds: step as f64, metrics, ..Step::default() })
        };
        let validation = Event::Validation(Validation { step: *steps.end(), loss: 0.25, ..Validation::default() });
        steps.map(step).chain([validation]).collect()
    }

    fn log(run: &RunFolder, events: &[Event]) {
        let mut writer = EventWriter::open(&run.events_path()).unwrap();
        events.iter().for_each(|event| writer.write(event).unwrap());
    }

    fn drain(tail: &mut Tail, view: &mut RunView) {
        loop {
            let events = tail.poll();
            if events.is_empty() {
                return;
            }
            events.into_iter().for_each(|event| view.apply(event));
        }
    }

    fn read_log(run: &RunFolder) -> (RunView, Tail) {
        let (mut view, mut tail) = (RunView::default(), Tail::new(run.events_path()));
        drain(&mut tail, &mut view);
        (view, tail)
    }

    /// Columns as text: NaN differs from itself.
    fn text(view: &RunView) -> String {
        format!("{:?} {:?} {:?} {}", view.columns, view.course, view.validations, view.step())
    }

    #[test]
    fn a_view_comes_back_and_goes_on_with_the_log() {
        let Scratch(run) = &scratch("round");
        log(run, &[Event::Started(Started { steps: 100, ..Started::default() })]);
        log(run, &events(1..=40));
        let (view, tail) = read_log(run);
        write(run, &view, &tail).unwrap();
        let (back, mut rest) = open(run, true).unwrap();
        assert_eq!((text(&back), back.steps, back.is_folded()), (text(&view), 100, false));
        assert!(rest.poll().is_empty() && rest.restarts() == 0);
        let (folded, _) = open(run, false).unwrap();
        assert!(folded.is_folded() && folded.columns.is_empty() && folded.latest("loss") == Some(0.025));
        log(run, &events(41..=60));
        let (mut back, mut rest) = open(run, true).unwrap();
        drain(&mut rest, &mut back);
        assert_eq!(text(&back), text(&read_log(run).0));
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let Scratch(run) = &scratch("damage");
        log(run, &events(1..=12));
        let (view, tail) = read_log(run);
        write(run, &view, &tail).unwrap();
        let whole = std::fs::read(path(run)).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(path(run), &whole[..cut]).unwrap();
            assert!(open(run, true).is_none() && open(run, false).is_none(), "cut at byte {cut}");
        }
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            std::fs::write(path(run), bytes).unwrap();
            assert!(open(run, true).is_none(), "byte {place}");
        }
        std::fs::write(path(run), [&whole[..], b"more"].concat()).unwrap();
        assert!(open(run, true).is_none());
        std::fs::write(path(run), &whole).unwrap();
        assert!(open(run, true).is_some());
    }

    #[test]
    fn a_log_that_is_another_one_by_now_is_read_anew() {
        let Scratch(run) = &scratch("another");
        log(run, &events(1..=12));
        let (view, tail) = read_log(run);
        write(run, &view, &tail).unwrap();
        std::fs::remove_file(run.events_path()).unwrap();
        log(run, &events(1..=30));
        let (_, mut rest) = open(run, true).unwrap();
        assert_eq!((rest.poll().len(), rest.restarts()), (31, 1));
    }
}
