//! Which device trains: always named, never guessed behind the person's back.

use std::path::Path;
use std::str::FromStr;

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, DeviceKind, DeviceType};

use crate::error::{Error, Result};

/// What the person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A real GPU if one opens and proves itself, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The n-th GPU.
    Gpu(usize),
    /// A software GPU driver such as lavapipe, for tests.
    Software,
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(index) => write!(f, "gpu:{index}"),
            Self::Software => f.write_str("software"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(0)),
            "software" => Ok(Self::Software),
            other => other
                .strip_prefix("gpu:")
                .and_then(|index| index.parse().ok())
                .map(Self::Gpu)
                .ok_or_else(|| format!("unknown device `{other}`: use auto, cpu, gpu, gpu:N or software")),
        }
    }
}

/// An opened device.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// Burn's handle, without differentiation.
    pub device: Device,
    /// `cpu`, or the adapter's name.
    pub name: String,
    /// Why this one.
    pub reason: String,
}

impl OpenDevice {
    /// The CPU.
    pub fn cpu(reason: &str) -> Self {
        Self { device: Device::flex(), name: "cpu".into(), reason: reason.into() }
    }

    /// Opens what was asked for. `Auto` falls back to the CPU with the reason; a device asked for by name that does not open is an error.
    ///
    /// # Errors
    /// [`Error::Failed`] with the driver's reason and what to do.
    pub fn open(choice: DeviceChoice) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu("asked for")),
            DeviceChoice::Gpu(index) => {
                let kinds = [DeviceKind::DiscreteGpu(index), DeviceKind::IntegratedGpu(index), DeviceKind::VirtualGpu(index)];
                let opened = kinds.into_iter().find_map(|kind| open_gpu(kind, "asked for").ok());
                opened.ok_or_else(|| Error::Failed(format!("no GPU number {index} could be opened: check its driver, or use --device cpu")))
            }
            DeviceChoice::Software => open_gpu(DeviceKind::Cpu, "asked for").map_err(|reason| {
                Error::Failed(format!("no software GPU driver: {reason}; install one (Debian: mesa-vulkan-drivers), or use --device cpu"))
            }),
            DeviceChoice::Auto if !has_gpu() => Ok(Self::cpu("no GPU: no driver, or only a software driver")),
            DeviceChoice::Auto => Ok(open_gpu(DeviceKind::DefaultDevice, "the fastest device found")
                .unwrap_or_else(|reason| Self::cpu(&format!("no GPU: {reason}")))),
        }
    }

    /// True for Burn's CPU back-end.
    pub fn is_cpu(&self) -> bool {
        self.device == Device::flex()
    }
}

/// Whether any adapter is more than a software driver, which is not opened only to be turned down: it would stay in memory, 80 MiB of it.
fn has_gpu() -> bool {
    if cfg!(target_os = "linux") && !GPU_FILES.iter().any(|file| Path::new(file).exists()) {
        return false;
    }
    let software = Device::wgpu(DeviceKind::Cpu);
    std::panic::catch_unwind(|| Device::enumerate(DeviceType::Wgpu)).is_ok_and(|found| found.iter().any(|device| *device != software))
}

/// What Linux has of a GPU, if there is one that programs may use: of Mesa's drivers, NVIDIA's, AMD's compute driver, WSL, Mali and Adreno.
const GPU_FILES: [&str; 6] = ["/dev/dri", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/dev/mali0", "/dev/kgsl-3d0"];

fn open_gpu(kind: DeviceKind, reason: &str) -> Result<OpenDevice, String> {
    let software_wanted = matches!(kind, DeviceKind::Cpu);
    // Short submissions keep the desktop responsive and stay clear of the driver's watchdog.
    let opened = std::panic::catch_unwind(move || Device::wgpu_options().device_kind(kind).tasks_max(16).init_with_setup());
    let (device, setup) = opened.map_err(|_| "the driver failed while opening".to_owned())?.map_err(|error| error.to_string())?;
    let info = setup.adapter.get_info();
    if info.device_type == wgpu::DeviceType::Cpu && !software_wanted {
        return Err(format!("only a software driver ({})", info.name));
    }
    Ok(OpenDevice { device, name: info.name, reason: reason.into() })
}

/// The software GPU, which a process can open only once, for one test after the other, as launches are counted for the whole process;
/// `None`, and a word about it, where no driver is installed.
#[cfg(test)]
pub(crate) fn shared_software() -> Option<std::sync::MutexGuard<'static, OpenDevice>> {
    use std::sync::{LazyLock, Mutex, PoisonError};
    static OPENED: LazyLock<Option<Mutex<OpenDevice>>> = LazyLock::new(|| OpenDevice::open(DeviceChoice::Software).ok().map(Mutex::new));
    if OPENED.is_none() {
        eprintln!("no software GPU driver: not compared");
    }
    OPENED.as_ref().map(|opened| opened.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A GPU's first training step beside the CPU's.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// The loss of the same step on the CPU and on the GPU.
    pub losses: [f64; 2],
    /// The norm of the gradient on the CPU and on the GPU.
    pub gradient_norms: [f64; 2],
    /// Seconds of a warmed-up step on the CPU and on the GPU.
    pub seconds: [f64; 2],
}

impl Trial {
    /// Whether `auto` may use the GPU.
    ///
    /// # Errors
    /// Why not, in words: wrong values (more than 0.1 % off, or not finite) or slower than the CPU.
    pub fn judge(&self) -> Result<(), String> {
        let agree = |[cpu, gpu]: [f64; 2]| gpu.is_finite() && (cpu - gpu).abs() <= 1e-3 * cpu.abs().max(1e-6);
        if !agree(self.losses) || !agree(self.gradient_norms) {
            let ([cpu, gpu], [cpu_norm, gpu_norm]) = (self.losses, self.gradient_norms);
            return Err(format!(
                "it computes wrong values (loss {gpu:.6} instead of {cpu:.6}, gradient {gpu_norm:.6} instead of {cpu_norm:.6})"
            ));
        }
        if self.seconds[1] >= self.seconds[0] {
            return Err(format!("it is slower than the CPU ({:.3} s a step against {:.3} s)", self.seconds[1], self.seconds[0]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_with_wrong_values_or_a_slow_one_is_not_trusted() {
        let good = Trial { losses: [1.0, 1.000_01], gradient_norms: [0.5, 0.500_01], seconds: [1.0, 0.1] };
        assert!(good.judge().is_ok());
        assert!(Trial { losses: [1.0, 1.1], ..good }.judge().expect_err("wrong").contains("wrong values"));
        assert!(Trial { losses: [1.0, f64::NAN], ..good }.judge().is_err());
        assert!(Trial { gradient_norms: [0.5, 0.6], ..good }.judge().is_err());
        assert!(Trial { seconds: [1.0, 1.5], ..good }.judge().expect_err("slow").contains("slower"));
    }

    #[test]
    fn devices_are_named() {
        assert_eq!("gpu:2".parse(), Ok(DeviceChoice::Gpu(2)));
        assert!("gpu:x".parse::<DeviceChoice>().expect_err("no number").contains("software"));
    }
}
