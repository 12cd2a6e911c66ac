//! Training batches, prepared by a few threads ahead of the trainer.
//!
//! What a batch holds is a function of (seed, epoch, sample): threads prepare single samples, in whatever order, and the caller puts them
//! together in the order of the epoch. At most two batches are under way.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Unreadable;
use super::batch_order::BatchOrder;
use super::images::ImageSource;
use super::memory::PictureMemory;
use super::workshop::{Done, Job, Workshop};
use crate::augment::ViewOptions;
use crate::error::{Error, Result};

/// How many batches are prepared ahead.
const PREFETCH: usize = 2;

/// What a [`Loader`] makes of its images.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderOptions {
    /// The views of a sample; at least one.
    pub views: Vec<ViewOptions>,
    /// C of a sample.
    pub channels: usize,
    /// What is subtracted from each channel of 0..1.
    pub mean: Vec<f32>,
    /// What each channel is divided by then.
    pub std: Vec<f32>,
    /// B.
    pub batch: usize,
    /// Seed of orders, crops, flips and colors.
    pub seed: u64,
    /// How many threads prepare samples; 0 counts as 1.
    pub threads: usize,
    /// How many MiB of decoded pictures are kept from epoch to epoch. Changes nothing but the time.
    pub cache_mib: usize,
    /// The epoch and the batch within it to begin with.
    pub start: (u64, u64),
}

/// A batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Its epoch, from 0.
    pub epoch: u64,
    /// Its place in the epoch, from 0.
    pub index_in_epoch: u64,
    /// The index of each sample's image in the source, `[B]`.
    pub samples: Vec<usize>,
    /// A number for each sample `[B]` that tells apart several samples of one image in one epoch: the index, and above bit 40 how often the image
    /// came before. For streams of random numbers: (seed, epoch, key, purpose).
    pub keys: Vec<u64>,
    /// The normalized pixels `[B, H, W, C]` of all first views, then those of all second ones, and so on.
    pub images: Vec<f32>,
    /// The files found unreadable here for the first time. In their place stand the next readable ones of the epoch's order.
    pub failed: Vec<Unreadable>,
}

/// Prepares batches in threads of its own; dropping it stops and joins them.
pub struct Loader {
    order: BatchOrder,
    shared: Arc<Workshop>,
    jobs: Option<Sender<Job>>,
    results: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
    /// Finished samples whose turn has not come.
    waiting: HashMap<u64, Done>,
    /// Number of the next batch to hand out, and of the next to ask the threads for, counted from the first epoch on.
    next_out: u64,
    next_in: u64,
    reported: HashSet<usize>,
    /// The memory of a batch that is no longer needed.
    spare: Option<Vec<f32>>,
    waited_secs: f64,
}

impl Loader {
    /// Starts the threads. Every epoch is a new order of `indices`; the last samples that do not fill a batch are left out. If there are fewer
    /// than a batch, an epoch is one batch, filled by going through its order again (with other crops).
    ///
    /// # Errors
    /// [`Error::Usage`] for sizes of zero or a normalization of another number of channels; [`Error::Data`] when there are no images;
    /// [`Error::Io`] when the system gives no threads.
    pub fn start(source: Arc<dyn ImageSource>, indices: Vec<usize>, options: LoaderOptions) -> Result<Self> {
        if indices.is_empty() {
            return Err(Error::data("", "there are no images to train on", "choose data with at least one readable image"));
        }
        check(&options)?;
        let order = BatchOrder { indices, seed: options.seed, batch: options.batch, order: None };
        let first = options.start.0.saturating_mul(order.batches_per_epoch()).saturating_add(options.start.1);
        let capacity = options.batch * PREFETCH;
        let (job_sender, job_receiver) = bounded::<Job>(capacity);
        let (result_sender, results) = bounded::<Done>(capacity);
        let num_threads = options.threads.max(1);
        let memory = PictureMemory::new(options.cache_mib);
        let shared = Arc::new(Workshop { source, options, memory, unreadable: Mutex::default(), stop: AtomicBool::new(false) });
        let mut loader = Self {
            order,
            shared: shared.clone(),
            jobs: Some(job_sender),
            results,
            threads: Vec::new(),
            waiting: HashMap::new(),
            next_out: first,
            next_in: first,
            reported: HashSet::new(),
            spare: None,
            waited_secs: 0.0,
        };
        for number in 0..num_threads {
            let (shared, jobs, results) = (shared.clone(), job_receiver.clone(), result_sender.clone());
            let thread = std::thread::Builder::new().name(format!("loader {number}"));
            let thread =
                thread.spawn(move || shared.work(&jobs, &results)).map_err(Error::io("start a thread for", PathBuf::from("the loader")))?;
            loader.threads.push(thread);
        }
        Ok(loader)
    }

    /// The next batch; epochs follow each other without end.
    ///
    /// # Errors
    /// [`Error::Data`] when not one image is readable.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and it may fail")]
    pub fn next(&mut self) -> Result<Batch> {
        if self.jobs.is_none() {
            return Err(ended());
        }
        while self.next_in < self.next_out + PREFETCH as u64 {
            self.ask_for_a_batch()?;
        }
        let shared = self.shared.clone();
        let options = &shared.options;
        let (epoch, index_in_epoch) = self.order.place(self.next_out);
        let sizes: Vec<usize> = options.views.iter().map(|view| view.height * view.width * options.channels).collect();
        let mut images = self.spare.take().unwrap_or_default();
        images.resize(options.batch * sizes.iter().sum::<usize>(), 0.0);
        let mut batch = Batch {
            epoch,
            index_in_epoch,
            samples: Vec::with_capacity(options.batch),
            keys: Vec::with_capacity(options.batch),
            images,
            failed: Vec::new(),
        };
        for slot in 0..options.batch as u64 {
            let done = self.wait_for(self.next_out * options.batch as u64 + slot)?;
            for (index, reason) in done.failed {
                if self.reported.insert(index) {
                    batch.failed.push(Unreadable { path: self.shared.source.name(index), reason });
                }
            }
            let Some(views) = done.views else {
                // The samples of this batch are spent; there is no going on.
                self.jobs = None;
                let first = batch.failed.first().map_or_else(String::new, |file| format!(" ({}: {})", file.path, file.reason));
                let reason = format!("not one of its {} images can be read{first}", self.order.indices.len());
                return Err(Error::data(
                    self.shared.source.name(done.sample),
                    reason,
                    "run `maskroom data inspect` and repair or replace the files",
                ));
            };
            batch.samples.push(done.sample);
            batch.keys.push(done.key);
            let mut of_view = 0;
            for (picture, &size) in views.iter().zip(&sizes) {
                let out = &mut batch.images[of_view + slot as usize * size..][..size];
                picture.write_normalized(options.channels, &options.mean, &options.std, out).map_err(Error::Failed)?;
                of_view += options.batch * size;
            }
        }
        self.next_out += 1;
        Ok(batch)
    }

    /// Takes back the pixels of a batch that is no longer needed: the next one is written to the same memory, which the system otherwise
    /// takes away and gives anew, zeroed, for every batch.
    pub fn reuse(&mut self, images: Vec<f32>) {
        self.spare = Some(images);
    }

    /// How many batches make an epoch; at least one.
    pub fn batches_per_epoch(&self) -> u64 {
        self.order.batches_per_epoch()
    }

    /// The seconds that the caller has spent waiting for samples so far.
    pub fn waited_secs(&self) -> f64 {
        self.waited_secs
    }

    fn ask_for_a_batch(&mut self) -> Result<()> {
        let (epoch, index) = self.order.place(self.next_in);
        let order = self.order.order(epoch);
        for slot in 0..self.order.batch {
            let number = self.next_in * self.order.batch as u64 + slot as u64;
            let position = index as usize * self.order.batch + slot;
            let job = Job { number, epoch, order: order.clone(), position };
            // Never blocks: no more jobs are ever under way than the queue holds.
            let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
            if !sent {
                return Err(ended());
            }
        }
        self.next_in += 1;
        Ok(())
    }

    fn wait_for(&mut self, number: u64) -> Result<Done> {
        if let Some(done) = self.waiting.remove(&number) {
            return Ok(done);
        }
        let start = Instant::now();
        loop {
            let done = self.results.recv().map_err(|_| ended())?;
            if done.number == number {
                self.waited_secs += start.elapsed().as_secs_f64();
                return Ok(done);
            }
            self.waiting.insert(done.number, done);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Without a sender the threads' queue ends; results never block, for their queue holds everything under way.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to give back.
            let _ = thread.join();
        }
    }
}

fn ended() -> Error {
    Error::Failed("the loader has ended; start the run again".into())
}

fn check(options: &LoaderOptions) -> Result<()> {
    let sides = options.views.iter().flat_map(|view| [view.height, view.width]);
    if options.views.is_empty() || sides.chain([options.channels, options.batch]).any(|count| count == 0) {
        return Err(Error::Usage("data.image, data.channels and optim.batch must be at least 1".into()));
    }
    if options.mean.len() != options.channels || options.std.len() != options.channels || options.std.contains(&0.0) {
        let (means, stds) = (options.mean.len(), options.std.len());
        return Err(Error::Usage(format!(
            "the normalization has {means} means and {stds} deviations for {} channels; give one of each per channel, no deviation 0",
            options.channels
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::decode::Need;
    use crate::dataset::images::InMemory;
    use crate::dataset::sample_files::{grainy_photo, jpeg, varied_photo};
    use crate::dataset::{Dataset, Picture, Pixels};

    fn view() -> ViewOptions {
        ViewOptions { crop_scale: [0.2, 1.0], crop_ratio: [0.75, 4.0 / 3.0], flip: 0.5, ..ViewOptions::plain(16, 24) }
    }

    fn options() -> LoaderOptions {
        LoaderOptions {
            views: vec![view()],
            channels: 3,
            mean: vec![0.5; 3],
            std: vec![0.25; 3],
            batch: 4,
            seed: 5,
            threads: 2,
            cache_mib: 0,
            start: (0, 0),
        }
    }

    /// Eleven files of various sizes, two of them unreadable, one of a single pixel.
    fn folder() -> (tempfile::TempDir, Arc<dyn ImageSource>) {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..11_u32 {
            let bytes = match index {
                3 => b"garbage".to_vec(),
                7 => jpeg(&varied_photo(60, 60, 7))[..500].to_vec(),
                8 => jpeg(&varied_photo(1, 1, 8)),
                _ => jpeg(&varied_photo(40 + 90 * index, 60 + 50 * index, u64::from(index))),
            };
            std::fs::write(folder.path().join(format!("{index:02}.jpg")), bytes).unwrap();
        }
        let dataset = Dataset::open(folder.path()).unwrap();
        (folder, Arc::new(dataset))
    }

    fn batches(source: &Arc<dyn ImageSource>, options: LoaderOptions, count: usize) -> Vec<Batch> {
        let mut loader = Loader::start(source.clone(), (0..source.len()).collect(), options).unwrap();
        (0..count).map(|_| loader.next().unwrap()).collect()
    }

    #[test]
    fn batches_do_not_depend_on_threads_or_memory() {
        let (_folder, source) = folder();
        let one = batches(&source, LoaderOptions { threads: 1, ..options() }, 7);
        assert_eq!(one, batches(&source, LoaderOptions { threads: 5, ..options() }, 7));
        assert_eq!(one, batches(&source, LoaderOptions { cache_mib: 1, ..options() }, 7));
        assert_eq!(one, batches(&source, LoaderOptions { cache_mib: 100, ..options() }, 7));
        assert_ne!(one, batches(&source, LoaderOptions { seed: 6, ..options() }, 7));
        let places: Vec<_> = one.iter().map(|batch| (batch.epoch, batch.index_in_epoch)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]);
    }

    #[test]
    fn a_run_resumes_in_the_middle() {
        let (_folder, source) = folder();
        let all = batches(&source, options(), 6);
        let resumed = batches(&source, LoaderOptions { start: (1, 1), ..options() }, 3);
        for (a, b) in all[3..].iter().zip(&resumed) {
            assert_eq!(
                (a.epoch, a.index_in_epoch, &a.samples, &a.keys, &a.images),
                (b.epoch, b.index_in_epoch, &b.samples, &b.keys, &b.images)
            );
        }
    }

    #[test]
    fn unreadable_files_are_replaced_and_reported_once() {
        let (_folder, source) = folder();
        let batches = batches(&source, options(), 8);
        let failed: Vec<&str> = batches.iter().flat_map(|batch| &batch.failed).map(|file| file.path.as_str()).collect();
        assert_eq!(failed.iter().collect::<HashSet<_>>().len(), failed.len());
        assert!(failed.contains(&"03.jpg") && failed.contains(&"07.jpg") && failed.len() == 2, "{failed:?}");
        for batch in &batches {
            assert_eq!(batch.images.len(), 4 * 16 * 24 * 3);
            assert!(batch.samples.iter().all(|sample| ![3, 7].contains(sample)) && batch.images.iter().all(|value| value.abs() <= 2.001));
            assert_eq!(batch.keys.iter().collect::<HashSet<_>>().len(), 4);
        }
    }

    #[test]
    fn an_epoch_shows_every_image_once_in_a_new_order() {
        let pictures = (0..12).map(|value| Picture::new(5, 5, 3, Pixels::U8(vec![value * 20; 75])).unwrap()).collect();
        let source: Arc<dyn ImageSource> = Arc::new(InMemory { pictures, names: Vec::new() });
        let batches = batches(&source, options(), 6);
        let epoch = |from: usize| batches[from..from + 3].iter().flat_map(|batch| batch.samples.clone()).collect::<Vec<_>>();
        let sorted = |mut order: Vec<usize>| {
            order.sort_unstable();
            order
        };
        assert_eq!((sorted(epoch(0)), sorted(epoch(3))), ((0..12).collect(), (0..12).collect()));
        assert_ne!(epoch(0), epoch(3));
        for (sample, pixels) in batches[0].samples.iter().zip(batches[0].images.chunks_exact(16 * 24 * 3)) {
            let expected = ((sample * 20) as f32 / 255.0 - 0.5) / 0.25;
            assert!(pixels.iter().all(|value| (value - expected).abs() < 1e-5));
        }
    }

    #[test]
    fn a_batch_larger_than_the_data_repeats_it_with_other_crops() {
        let source: Arc<dyn ImageSource> = Arc::new(InMemory {
            pictures: vec![Picture::new(30, 30, 3, Pixels::U8(varied_photo(30, 30, 1).into_raw())).unwrap()],
            names: vec!["only".into()],
        });
        let mut loader = Loader::start(source, vec![0], options()).unwrap();
        assert_eq!(loader.batches_per_epoch(), 1);
        let batch = loader.next().unwrap();
        assert_eq!(batch.samples, [0; 4]);
        assert_eq!(batch.keys, [0, 1 << 40, 2 << 40, 3 << 40]);
        let images: Vec<&[f32]> = batch.images.chunks_exact(16 * 24 * 3).collect();
        assert!(images[0] != images[1] && images[1] != images[2]);
        assert_eq!(loader.next().unwrap().epoch, 1);
    }

    #[test]
    fn nothing_readable_and_nonsense_are_errors() {
        struct Broken;
        impl ImageSource for Broken {
            fn len(&self) -> usize {
                9
            }
            fn picture(&self, index: usize, _: &dyn Fn(usize, usize) -> Need) -> Result<crate::dataset::decode::Reduced, String> {
                assert!(index.is_multiple_of(2), "a decoder's bug");
                Err("broken".into())
            }
            fn name(&self, index: usize) -> String {
                format!("file {index}")
            }
        }
        let mut loader = Loader::start(Arc::new(Broken), (0..9).collect(), options()).unwrap();
        let error = loader.next().unwrap_err();
        assert!(error.exit_status() == 3 && error.to_string().contains("not one of its 9 images"), "{error}");
        assert!(loader.next().is_err(), "a second call neither hangs nor panics");
        drop(loader);
        assert_eq!(Loader::start(Arc::new(Broken), vec![], options()).err().unwrap().exit_status(), 3);
        let wrong = LoaderOptions { mean: vec![0.5], ..options() };
        assert_eq!(Loader::start(Arc::new(Broken), vec![0], wrong).err().unwrap().exit_status(), 2);
    }

    #[test]
    fn dropping_stops_the_threads_at_any_time() {
        let (_folder, source) = folder();
        for taken in 0..3 {
            let mut loader = Loader::start(source.clone(), (0..11).collect(), options()).unwrap();
            (0..taken).for_each(|_| drop(loader.next().unwrap()));
            let shared = Arc::downgrade(&loader.shared);
            drop(loader);
            assert!(shared.upgrade().is_none(), "a thread is still alive");
        }
    }

    /// Printed by `cargo test --release -- --ignored --nocapture throughput`.
    #[test]
    #[ignore = "a measurement"]
    fn throughput() {
        for (count, height, width, size) in [(1000, 375, 500, "500x375"), (16, 3000, 4000, "12 megapixels")] {
            let folder = tempfile::tempdir().unwrap();
            let mut bytes = 0;
            for index in 0..count {
                let photo = jpeg(&grainy_photo(height, width, index));
                bytes += photo.len();
                std::fs::write(folder.path().join(format!("{index:04}.jpg")), photo).unwrap();
            }
            println!("{size}: {} KiB a file", bytes / count as usize / 1024);
            let source: Arc<dyn ImageSource> = Arc::new(Dataset::open(folder.path()).unwrap());
            for divisor in [1, 2, 4, 8] {
                let start = Instant::now();
                (0..8).for_each(|index| drop(source.picture(index, &|_, _| Need::whole(divisor)).unwrap()));
                println!("{size}, decoded at 1/{divisor}: {:.2} ms", start.elapsed().as_secs_f64() * 1e3 / 8.0);
            }
            let start = Instant::now();
            let full = source.picture(0, &|_, _| Need::whole(1)).unwrap();
            let decoded = start.elapsed();
            crate::augment::Resizer::new().resize(&full.picture, crate::augment::Area::whole(&full.picture), 224, 224, 3).unwrap();
            println!("{size}, decoded whole: {decoded:.1?}, then resized: {:.1?}", start.elapsed() - decoded);
            for (threads, cache_mib) in [(1, 0), (2, 0), (1, 2000)] {
                let options = LoaderOptions {
                    views: vec![ViewOptions { height: 224, width: 224, ..view() }],
                    batch: 8,
                    threads,
                    cache_mib,
                    ..options()
                };
                let mut loader = Loader::start(source.clone(), (0..source.len()).collect(), options).unwrap();
                let mut seconds = 0.0;
                for _ in 0..if cache_mib > 0 { 2 } else { 1 } {
                    let start = Instant::now();
                    (0..loader.batches_per_epoch()).for_each(|_| drop(loader.next().unwrap()));
                    seconds = start.elapsed().as_secs_f64();
                }
                let images = loader.batches_per_epoch() * 8;
                println!("{size}, {threads} threads, {cache_mib} MiB kept: {:.0} images/s", images as f64 / seconds);
            }
        }
    }
}
