// Blends frames over time. TYPE, TAPS (0: any number), THREADS and ITEMS come from cuda.py. A block works on one output frame: THREADS
// threads, each of which moves ITEMS times 16 bytes, all loads before the first store. Where the frames do not lie in
// one run, or not on multiples of 16 bytes, or for more than two taps, it goes element by element.
#include "pixel.cuh"
#include "vector.cuh"

#define LANES (16 / (int)sizeof(TYPE))  // elements in 16 bytes
#define CHUNK 8                         // elements that a thread adds up at a time, one by one

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

// Element by element: any strides, any number of taps.
GPUAUG_FN void elements(const char* bytes, const BlendJob& job, i64 nt, TYPE* out, i64 begin) {
    const int taps = TAPS ? TAPS : (int)job.k;
#pragma unroll 1
    for (int chunk = 0; chunk < ITEMS * LANES; chunk += CHUNK) {
        const i64 first = begin + chunk * THREADS + threadIdx.x;
        float value[CHUNK];
        for (int j = 0; j < CHUNK; ++j) value[j] = 0.f;
        for (int k = 0; k < taps; ++k) {
            i64 tap = nt * taps + k;
            BlendSource source = find_clip<BlendSource>(bytes, job.taps, tap);
            if (source.address == 0) continue;
            const TYPE* frame = (const TYPE*)source.address + at<int>(bytes, job.taps.frame)[tap] * source.frame_stride;
            float weight = at<float>(bytes, job.taps.weight)[tap];
            for (int j = 0; j < CHUNK; ++j) {
                i64 i = first + j * THREADS;
                if (i < job.per_frame) value[j] += weight * load(frame[offset(job, source.strides, i)]);
            }
        }
        for (int j = 0; j < CHUNK; ++j) {
            i64 i = first + j * THREADS;
            if (i < job.per_frame) out[offset(job, job.out_strides, i)] = Cast<TYPE>::of(value[j]);
        }
    }
}

#if TAPS
// 16 bytes at a time; false where these frames do not allow it.
GPUAUG_FN bool vectors(const char* bytes, const BlendJob& job, i64 nt, TYPE* out, i64 begin) {
    bool fit = job.flat && job.out_strides[5] == 1 && aligned(out) && job.per_frame % LANES == 0;
    const TYPE* frame[2] = {0, 0};
    float weight[2] = {0.f, 0.f};
#pragma unroll
    for (int k = 0; k < TAPS; ++k) {
        i64 tap = nt * TAPS + k;
        BlendSource source = find_clip<BlendSource>(bytes, job.taps, tap);
        if (source.address == 0) continue;
        frame[k] = (const TYPE*)source.address + at<int>(bytes, job.taps.frame)[tap] * source.frame_stride;
        weight[k] = at<float>(bytes, job.taps.weight)[tap];
        fit = fit && source.strides[5] == 1 && aligned(frame[k]);
    }
    if (!fit) return false;
    const bool both = frame[0] && frame[1];
    const TYPE* a = frame[0] ? frame[0] : frame[1];
    const float wa = frame[0] ? weight[0] : weight[1], wb = weight[1];
    const i64 first = begin + (i64)threadIdx.x * LANES;
    uint4 from_a[ITEMS], from_b[ITEMS];
#pragma unroll
    for (int j = 0; j < ITEMS; ++j) {
        const i64 i = first + j * THREADS * LANES;
        from_a[j] = from_b[j] = uint4();
        if (a && i < job.per_frame) from_a[j] = *(const uint4*)(a + i);
        if (both && i < job.per_frame) from_b[j] = *(const uint4*)(frame[1] + i);
    }
#pragma unroll
    for (int j = 0; j < ITEMS; ++j) {
        const i64 i = first + j * THREADS * LANES;
        if (i >= job.per_frame) break;
        uint4 word = from_a[j];  // a frame as it is: most frames of most plans
        if (both)
            word = zip<TYPE>(from_a[j], from_b[j],
                             [=](TYPE x, TYPE y) { return Cast<TYPE>::of(wa * load(x) + wb * load(y)); });
        else if (wa != 1.f)
            word = zip<TYPE>(from_a[j], from_a[j], [=](TYPE x, TYPE) { return Cast<TYPE>::of(wa * load(x)); });
        *(uint4*)(out + i) = word;
    }
    return true;
}
#endif

extern "C" __global__ void __launch_bounds__(THREADS) gpuaug_blend(const char* bytes, i64 blocks_per_frame) {
    const BlendJob& job = *(const BlendJob*)bytes;
    const u32 nt = blockIdx.x / (u32)blocks_per_frame, block = blockIdx.x - nt * (u32)blocks_per_frame;
    const u32 n = nt / (u32)job.t, t = nt - n * (u32)job.t;
    TYPE* out = (TYPE*)job.out + n * job.out_n + t * job.out_t;
    const i64 begin = (i64)block * THREADS * ITEMS * LANES;
#if TAPS
    if (vectors(bytes, job, nt, out, begin)) return;
#endif
    elements(bytes, job, nt, out, begin);
}
