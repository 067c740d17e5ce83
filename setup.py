"""Package description. Settings of tools (ruff, mypy, pytest) are in pyproject.toml.

The repository has no public address yet, so there are no project URLs, and the pictures of the README, whose paths are
relative, do not show where only the description is read.
"""

import ast
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent


def version() -> str:
    """`__version__` of gpuaug, without importing it: what it imports may not be installed yet."""
    file = HERE / "gpuaug" / "__init__.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__version__"]:
            return str(ast.literal_eval(node.value))
    raise SystemExit(f"{file}: __version__ must be set to a string")


if sys.platform == "win32":
    compile_args, link_args = ["/O2", "/openmp", "/std:c++17"], []
elif sys.platform == "darwin":  # Apple's compiler has no OpenMP; the kernels then run on one thread per call
    compile_args, link_args = ["-O3", "-std=c++17", "-ffp-contract=fast", "-fno-wrapv"], []
else:
    compile_args = ["-O3", "-g0", "-std=c++17", "-fopenmp"]
    compile_args += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
    compile_args += ["-fno-wrapv"]  # Python's own flags have -fwrapv, which makes the row loops up to 1.7 times slower
    link_args = ["-fopenmp"]

host_kernels = Extension(
    "gpuaug.kernels._host",
    sources=[f"gpuaug/kernels/{name}.cpp" for name in ("host", "host_compose", "host_compose_wide", "host_render")],
    depends=[
        *(f"gpuaug/kernels/{name}.cuh" for name in ("pixel", "layers")),
        *(
            f"gpuaug/kernels/{name}.h"
            for name in ("host", "host_rows", "host_compose", "host_layers", "host_direct", "host_masks", "host_passes")
        ),
    ],
    extra_compile_args=compile_args,
    extra_link_args=link_args,
    optional=True,  # without a compiler the NumPy reference serves, with one warning
)


class BuildKernels(build_ext):
    """Compiles the files side by side: each takes a minute or more, and setuptools would wait for one after another."""

    def build_extensions(self) -> None:
        one_by_one = self.compiler.compile

        def side_by_side(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor() as pool:
                made = pool.map(lambda file: one_by_one([file], **options), sources)
                return [path for paths in made for path in paths]

        self.compiler.compile = side_by_side
        super().build_extensions()


setup(
    name="gpuaug",
    version=version(),
    author="gpuaug contributors",
    description="GPU-native, on-the-fly video augmentation and pre-training for temporal localisation (BSP, PAL, TSP)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords="video augmentation, GPU, temporal action localization, self-supervised learning, pre-training, PyTorch",
    license_expression="Apache-2.0",  # with it, package indexes refuse a licence among the classifiers
    license_files=["LICENSE", "NOTICE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: GPU :: NVIDIA CUDA",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C++",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Topic :: Multimedia :: Video",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",  # PyAV 18 needs it
    packages=find_packages(include=["gpuaug", "gpuaug.*", "pretrain", "pretrain.*"]),
    py_modules=["gpuaug_console"],
    entry_points={"console_scripts": ["gpuaug = gpuaug_console:main"]},
    package_data={
        "gpuaug": ["py.typed"],
        "gpuaug.kernels": ["*.cu", "*.cuh", "*.cpp", "*.h"],
        "pretrain": ["py.typed"],
        "pretrain.commands": ["demo.json"],
        "pretrain.reports": ["templates/*.j2"],
        "pretrain.shots": ["weights.pt"],
    },
    ext_modules=[host_kernels],
    cmdclass={"build_ext": BuildKernels},
    install_requires=[
        "numpy>=1.26",
        "torch>=2.6",
        "av>=18",  # PyAV: FFmpeg's demuxers and decoders in a wheel; decoding and probing without a GPU
        "tqdm>=4.60",  # progress bars
    ],
    extras_require={
        # NVIDIA's decoder and CuPy, which compiles the kernels for the GPU
        "cuda12": ["nvidia-dali-cuda120>=1.50", "cupy-cuda12x>=13.4"],
        "cuda13": ["nvidia-dali-cuda130>=2.0", "cupy-cuda13x>=14.0"],
        "torchcodec": ["torchcodec>=0.5"],  # NVDEC without DALI; on the CPU the system's FFmpeg
        "pretrain": [
            "torchvision>=0.21",  # the encoders
            "huggingface_hub>=0.30",  # weights as folders that its tools read and upload: PyTorchModelHubMixin
            "safetensors>=0.4.3",  # their file: tensors alone, which cannot hold code
            "h5py>=3.10",  # feature files in the form TSP and the localisers read
            "matplotlib>=3.8",  # training curves, confusion matrices, Figure 2 and Figure 4
            "scipy>=1.11",  # Student's t, for intervals
            "scikit-learn>=1.4",  # for linear classifiers of features, with folds of whole videos
            "opentimelineio>=0.17",  # timelines that editors open; the format's own library, of the ASWF
            "jinja2>=3.1",  # for the HTML pages: templates that escape; torch brings it along
        ],
        "tensorboard": ["tensorboard>=2.15"],  # for `train --tensorboard`
        "ray": ["ray[data]>=2.40"],  # for the example of Ray Data, 150 MB; not among the tests' packages
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",  # the suite on all cores
            "pytest-timeout>=2.3",  # a hanging decoder fails its test instead of the whole run
            "hypothesis>=6.100",  # property tests of the plan algebra
            "imageio-ffmpeg>=0.5",  # an ffmpeg binary: an independent decoder to compare with
            "timm>=1.0",  # encoders by name, the tested cases: an image model …
            "transformers>=4.50",  # … and VideoMAE
            "jax>=0.4.30",  # arrays of another library through DLPack
            "pytorch-lightning>=2.4",  # runs the example that has it
            "ruff>=0.6",
            "mypy>=1.11",
        ],
        "docs": [
            # reads the Markdown that GitHub shows; mended until May 2027, then zensical reads the same mkdocs.yml
            "mkdocs-material>=9.6",
            "mkdocstrings[python]>=0.29",  # the reference from docstrings, without importing what it describes
        ],
        "mutants": ["mutmut>=3.8"],  # plants faults: the only kept tool that forks, so that torch is imported once
        "bench": ["pytest-benchmark>=5", "torchcodec>=0.5", "kornia>=0.8", "matplotlib>=3.8"],
    },
)
