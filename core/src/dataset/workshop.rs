//! What a loader's thread does: from the number of a sample to its pixels.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::decode::{Need, isolated};
use super::images::ImageSource;
use super::loader::LoaderOptions;
use super::memory::PictureMemory;
use super::picture::Picture;
use super::sample;
use crate::augment::Resizer;

/// What the threads of a loader share.
pub(super) struct Workshop {
    pub(super) source: Arc<dyn ImageSource>,
    pub(super) options: LoaderOptions,
    pub(super) memory: PictureMemory,
    pub(super) unreadable: Mutex<HashMap<usize, String>>,
    pub(super) stop: AtomicBool,
}

/// A sample to prepare.
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) epoch: u64,
    pub(super) order: Arc<Vec<usize>>,
    pub(super) position: usize,
}

/// A prepared sample.
pub(super) struct Done {
    pub(super) number: u64,
    pub(super) sample: usize,
    pub(super) key: u64,
    /// Its views; nothing when no image is readable.
    pub(super) views: Option<Vec<Picture>>,
    pub(super) failed: Vec<(usize, String)>,
}

impl Workshop {
    /// Prepares samples until there are no more jobs.
    pub(super) fn work(&self, jobs: &Receiver<Job>, results: &Sender<Done>) {
        let mut resizer = Resizer::new();
        for job in jobs {
            if self.stop.load(Ordering::Relaxed) || results.send(self.prepare(job, &mut resizer)).is_err() {
                return;
            }
        }
    }

    /// The sample of a job, or of the next image of the order that is readable.
    fn prepare(&self, job: Job, resizer: &mut Resizer) -> Done {
        let Job { number, epoch, order, position } = job;
        let mut failed = Vec::new();
        for step in 0..order.len() {
            let index = order[(position + step) % order.len()];
            // A stand-in must not equal the image's own sample of the same epoch.
            let repetition = (position / order.len()) as u64 + if step > 0 { STAND_IN } else { 0 };
            let key = sample::key(index, repetition);
            let known = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).get(&index).cloned();
            let outcome = match known {
                Some(reason) => Err(reason),
                None => {
                    let decode = |need: &dyn Fn(usize, usize) -> Need| self.memory.picture(&*self.source, index, need);
                    isolated(|| sample::render(&self.options, epoch, key, decode, resizer))
                }
            };
            match outcome {
                Ok(rendered) => return Done { number, sample: index, key, views: Some(rendered.pictures), failed },
                Err(reason) => {
                    self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).insert(index, reason.clone());
                    failed.push((index, reason));
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        let sample = order[position % order.len()];
        Done { number, sample, key: sample as u64, views: None, failed }
    }
}

/// Added to the repetition of a sample that stands in for an unreadable one.
const STAND_IN: u64 = 1 << 20;
