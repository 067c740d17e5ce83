#!/bin/sh
# The first calls on a GPU that is lent by the minute, in their order: `sh benchmarks/gpu_calls.sh CALL OUT [VIDEOS]`.
#
#   prepare   here, before: the benchmarks' videos, and PyAV for the Python of the machine (TARGET, 3.12), into OUT
#   1         correctness and counters, 480 s: the GPU's tests, compute-sanitizer, Nsight Compute's counters
#   2         the kernels, 560 s: render and blend against plain copies, then against torch.compile
#   3         training, 580 s: the step with synthesis by the step on a frozen batch, then the feed
#   4         what is left: the examples, doctor, decoding (needs libnvcuvid.so.1 and DALI)
#
# Each writes into OUT what is done when its time is up; the next one needs nothing of it. PYTHON is the machine's; packages
# that it lacks and that no call needs are named in GPUAUG_ABSENT.
set -u
call=$1 out=$(mkdir -p "$2" && cd "$2" && pwd) videos=${3:-$2/videos}
PYTHON=${PYTHON:-python3}
export GPUAUG_ABSENT=${GPUAUG_ABSENT:-nvidia.dali,torchcodec,kornia,pytorch_lightning} PYTHONPATH="$PWD:$out/packages" GPUAUG_REQUIRE_GPU=1

limited() { # SECONDS NAME COMMAND…: interrupted when its time is up, so that it writes what it has
    seconds=$1 name=$2
    shift 2
    echo "== $name, at most $seconds s"
    timeout -s INT -k 10 "$seconds" "$@" >"$out/$name.log" 2>&1
    echo "== $name: exit status $?"
}
tests() { # SECONDS NAME FILES…
    seconds=$1 name=$2
    shift 2
    limited "$seconds" "$name" "$PYTHON" -m pytest -m gpu "$@" --junitxml="$out/$name.xml" -o cache_dir="$out/cache"
}
benchmark() { # SECONDS NAME FLAGS…
    seconds=$1 name=$2
    shift 2
    GPUAUG_RESULTS=$out GPUAUG_BENCHMARK_VIDEOS=$videos limited "$seconds" "$name" \
        "$PYTHON" -m "benchmarks.$name" --device cuda "$@"
}
sample() { # a program that runs each kernel a few times
    cat <<'PROGRAM'
import numpy as np, torch, gpuaug
bank = torch.randint(0, 256, (32, 8, 256, 340, 3), dtype=torch.uint8, device="cuda")
first = gpuaug.Plan.take(range(32), range(8))
both = gpuaug.fade(first, gpuaug.Plan.take(range(31, -1, -1), range(8)), np.full((32, 8), 0.3))
for plan in (first, both):
    gpuaug.render(bank, plan, size=(224, 224), box=[[16, 20, 240, 244]] * 32, dtype=torch.bfloat16)
    gpuaug.blend(bank, plan)
torch.cuda.synchronize()
PROGRAM
}

case $call in
[1-4]) limited 60 build "$PYTHON" setup.py --quiet build_ext --inplace ;; # the CPU's kernels, for this Python
esac

case $call in
prepare)
    "$PYTHON" -m benchmarks.prepare "$videos"
    "$PYTHON" -m pip install --quiet --no-deps --only-binary=:all: --python-version "${TARGET:-3.12}" \
        --platform manylinux_2_28_x86_64 --target "$out/packages" av
    ;;
1)
    nvidia-smi -L
    ldconfig -p | grep nvcuvid || echo "no libnvcuvid.so.1: no NVDEC"
    sample >"$out/sample.py"
    tests 240 tests tests/gpu tests/gpuaug
    for tool in memcheck racecheck; do
        limited 60 "sanitizer_$tool" compute-sanitizer --tool "$tool" "$PYTHON" "$out/sample.py"
    done
    limited 90 counters ncu --set full -k regex:gpuaug -c 8 -o "$out/counters" "$PYTHON" "$out/sample.py"
    ;;
2)
    benchmark 240 render --no-compile
    benchmark 120 edits --no-compile
    benchmark 190 render
    ;;
3)
    benchmark 380 training --no-growth
    benchmark 190 feed
    ;;
4)
    tests 90 examples tests/end_to_end/test_examples.py
    limited 60 doctor "$PYTHON" -m gpuaug doctor
    benchmark 60 windows
    benchmark 240 decode
    ;;
*)
    echo "usage: sh benchmarks/gpu_calls.sh prepare|1|2|3|4 OUT [VIDEOS]" >&2
    exit 2
    ;;
esac
