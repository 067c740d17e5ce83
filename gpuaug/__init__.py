"""gpuaug: GPU-native, on-the-fly video augmentation."""

__version__ = "0.1.0"
