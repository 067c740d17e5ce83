// Blends frames over time. TYPE and TAPS (0: read from the job) come from cuda.py. A block of 256 threads works on
// 2048 neighbouring elements of one output frame, a thread on every 256th of them.
#include "pixel.cuh"

#define ITEMS 8

// Offset of element i of a frame, in a tensor with these strides. Unused leading dimensions have size 1.
GPUAUG_FN i64 offset(const BlendJob& job, const i64* strides, i64 i) {
    if (job.flat) return i * strides[5];
    i64 sum = 0;
    for (int d = 5; d >= 0; --d) {
        sum += i % job.sizes[d] * strides[d];
        i /= job.sizes[d];
    }
    return sum;
}

extern "C" __global__ void __launch_bounds__(256) gpuaug_blend(const char* bytes, i64 blocks_per_frame) {
    const BlendJob& job = *(const BlendJob*)bytes;
    const int taps = TAPS ? TAPS : (int)job.k;
    i64 nt = blockIdx.x / blocks_per_frame;
    i64 n = nt / job.t, t = nt - n * job.t;
    i64 begin = (blockIdx.x - nt * blocks_per_frame) * 256 * ITEMS + threadIdx.x;

    float value[ITEMS];
    for (int j = 0; j < ITEMS; ++j) value[j] = 0.f;
    for (int k = 0; k < taps; ++k) {
        i64 tap = nt * taps + k;
        BlendSource source = find_clip<BlendSource>(bytes, job.taps, tap);
        if (source.address == 0) continue;
        const TYPE* frame = (const TYPE*)source.address + at<int>(bytes, job.taps.frame)[tap] * source.frame_stride;
        float weight = at<float>(bytes, job.taps.weight)[tap];
        for (int j = 0; j < ITEMS; ++j) {
            i64 i = begin + j * 256;
            if (i < job.per_frame) value[j] += weight * load(frame[offset(job, source.strides, i)]);
        }
    }
    TYPE* out = (TYPE*)job.out + n * job.out_n + t * job.out_t;
    for (int j = 0; j < ITEMS; ++j) {
        i64 i = begin + j * 256;
        if (i < job.per_frame) out[offset(job, job.out_strides, i)] = Cast<TYPE>::of(value[j]);
    }
}
