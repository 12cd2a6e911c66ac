//! How an operation of our own gets into Burn's queue of GPU work: it runs in its turn, and nobody waits for it.

use burn::backend::Cube;
use burn::backend::fusion::custom::{CustomOpIr, HandleContainer, OperationFn, OperationIr, StreamId, TensorIr};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::fusion::CubeFusionHandle;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// A tensor whose values may still be in the making.
pub type Queued = FloatTensor<Cube>;

/// Queues `run`, which turns the contiguous inputs into tensors of `shapes`. Returns those; nothing if there is no input.
pub fn enqueue(
    name: &'static str,
    inputs: Vec<Queued>,
    shapes: Vec<Shape>,
    run: impl Fn(Vec<CubeTensor>) -> Vec<CubeTensor> + Send + Sync + 'static,
) -> Vec<Queued> {
    let Some(client) = inputs.first().map(|input| input.client.clone()) else { return Vec::new() };
    let inputs: Vec<TensorIr> = inputs.into_iter().map(Queued::into_ir).collect();
    let outputs: Vec<TensorIr> =
        shapes.into_iter().map(|shape| TensorIr::uninit(client.create_empty_handle(), shape, DType::F32)).collect();
    let description = CustomOpIr::new(name, &inputs, &outputs);
    let operation = OperationFn(move |handles: &mut HandleContainer<CubeFusionHandle>| {
        let values = inputs.iter().map(|input| into_contiguous(handles.get_float_tensor::<CubeBackend>(input))).collect();
        for (output, tensor) in outputs.iter().zip(run(values)) {
            handles.register_float_tensor::<CubeBackend>(&output.id, tensor);
        }
        Ok(())
    });
    client.register(StreamId::current(), OperationIr::Custom(description), operation)
}

/// A tensor beside `like` whose values are to be written.
pub fn empty<const D: usize>(like: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), Shape::new(shape), DType::F32)
}

/// The same values under another shape of as many elements.
pub fn viewed<const D: usize>(tensor: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    shaped(tensor, Shape::new(shape))
}

/// The same values under another shape of as many elements.
pub fn shaped(tensor: &CubeTensor, shape: Shape) -> CubeTensor {
    CubeTensor::new_contiguous(tensor.client.clone(), tensor.device.clone(), shape, tensor.handle.clone(), tensor.dtype)
}
