//! Counting kernel launches: what a training step costs a GPU before it computes anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn_cubecl::cubecl::logging::{LaunchObservation, LaunchObserver};

/// Launches by kernel name.
pub type Launches = BTreeMap<&'static str, u64>;

/// Runs `work` and counts the kernels that the whole process launches meanwhile. `work` must end by waiting for the device, as launches
/// are queued.
pub fn launches_of<T>(work: impl FnOnce() -> T) -> (T, Launches) {
    let counter = Arc::new(Counter::default());
    let observation = LaunchObservation::new(counter.clone());
    let result = work();
    drop(observation);
    let counted = std::mem::take(&mut *counter.0.lock().unwrap_or_else(PoisonError::into_inner));
    (result, counted)
}

#[derive(Default)]
struct Counter(Mutex<Launches>);

impl LaunchObserver for Counter {
    fn launched(&self, kernel: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kernel).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{OpenDevice, shared_software};
    use crate::method::{Lesson, Network, Place};
    use crate::optim::adamw::{AdamW, global_norm};
    use crate::recipe::{Base, Recipe};
    use crate::train::trial::noise_images;

    /// Launches of the third of three equal steps: forward and backward, and the update.
    fn of_a_step(device: &OpenDevice, depth: usize) -> [Launches; 2] {
        let depth = depth.to_string();
        let sets = [
            ("data.image", "[32, 32]"),
            ("backbone.patch", "8"),
            ("backbone.width", "32"),
            ("backbone.depth", &depth),
            ("backbone.heads", "2"),
            ("decoder.width", "32"),
            ("decoder.depth", "1"),
            ("decoder.heads", "2"),
            ("optim.batch", "4"),
        ];
        let sets = sets.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let recipe = Recipe::resolve(Base::Preset("mae"), &sets).unwrap();
        let mut network = Network::new(&recipe, &device.device.clone().autodiff()).unwrap();
        let (lesson, images, keys) = (Lesson::new(&recipe).unwrap(), noise_images(&recipe, 4), [0, 1, 2, 3]);
        let mut optimizer = AdamW::new(&recipe.optim);
        let mut counted = [Launches::new(), Launches::new()];
        for _ in 0..3 {
            let (gradients, backward) = launches_of(|| {
                let prepared = lesson.prepare(&images, 0, &keys).unwrap();
                let loss = lesson.outcome(&network, &prepared, Place::default(), false).unwrap().loss;
                let gradients = network.parameters().take_gradients(&mut loss.backward());
                device.device.sync().unwrap();
                gradients
            });
            let ((), update) = launches_of(|| {
                let norm = global_norm(&gradients).unwrap();
                optimizer.step_clipped(network.parameters_mut(), gradients, 1e-3, Some((&norm, 1.0)));
                device.device.sync().unwrap();
            });
            counted = [backward, update];
        }
        counted
    }

    /// What one block may cost, forward and backward.
    const PER_BLOCK: u64 = 30;
    /// What everything else may cost, the update included.
    const BESIDES: u64 = 60;

    #[test]
    fn a_training_step_launches_few_kernels() {
        let Some(gpu) = shared_software() else { return };
        let total = |launches: &Launches| launches.values().sum::<u64>();
        let [one, two] = [1, 2].map(|depth| of_a_step(&gpu, depth));
        let block = total(&two[0]) - total(&one[0]);
        // Depth 1 has two blocks: one of the encoder and one of the decoder.
        let besides = total(&one[0]) - 2 * block;
        println!("a block: {block}, besides: {besides}, update: {} and {}", total(&one[1]), total(&two[1]));
        assert!(block <= PER_BLOCK, "{block} launches for a block: {:#?}", two[0]);
        assert!(besides + total(&one[1]) <= BESIDES, "{besides} launches besides blocks and {:#?}: {:#?}", one[1], one[0]);
    }
}
