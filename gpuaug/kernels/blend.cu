// Blends frames over time. TYPE, TAPS (0: any number), ONE, THREADS and ITEMS come from cuda.py. A block works on one
// output frame, the grid is (blocks of a frame, T, N): THREADS threads, each of which moves ITEMS times 16 bytes, all
// loads before the first store. Where the frames do not lie in one run, or not on multiples of 16 bytes, or for more
// than two taps, it goes element by element.
#include "pixel.cuh"
#include "vector.cuh"

#define LANES (16 / (int)sizeof(TYPE))  // elements in 16 bytes
#define CHUNK 8                         // elements that a thread adds up at a time, one by one
// Blocks on a multiprocessor, at least: while some wait for their plan, others copy. Measured on an H200.
#define RESIDENT (TAPS == 1 ? 6 : 5)

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
GPUAUG_FN void elements(const BlendLaunch& p, i64 nt, TYPE* out, i64 begin) {
    const BlendJob& job = p.job;
    const char* bytes = (const char*)p.bytes;
    const int taps = TAPS ? TAPS : (int)job.k;
#pragma unroll 1
    for (int chunk = 0; chunk < ITEMS * LANES; chunk += CHUNK) {
        const i64 first = begin + chunk * THREADS + threadIdx.x;
        float value[CHUNK];
        for (int j = 0; j < CHUNK; ++j) value[j] = 0.f;
        for (int k = 0; k < taps; ++k) {
            i64 tap = nt * taps + k;
            BlendSource source = find_clip<BlendSource>(bytes, job.taps, tap, ONE ? &p.source : 0);
            if (source.address == 0) continue;
            const TYPE* frame = (const TYPE*)source.address + at<int>(bytes, job.taps.frame)[tap] * source.frame_stride;
            float weight = at<float>(bytes, job.taps.weight)[tap];
            for (int j = 0; j < CHUNK; ++j) {
                i64 i = first + j * THREADS;
                if (i < job.per_frame) value[j] = fused(weight, load(frame[offset(job, source.strides, i)]), value[j]);
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
GPUAUG_FN bool vectors(const BlendLaunch& p, i64 nt, TYPE* out, i64 begin) {
    const BlendJob& job = p.job;
    const char* bytes = (const char*)p.bytes;
    bool fit = job.flat && job.out_strides[5] == 1 && aligned(out) && job.per_frame % LANES == 0;
    const TYPE* frame[2] = {0, 0};
    float weight[2] = {0.f, 0.f};
#pragma unroll
    for (int k = 0; k < TAPS; ++k) {
        i64 tap = nt * TAPS + k;
        BlendSource source = find_clip<BlendSource>(bytes, job.taps, tap, ONE ? &p.source : 0);
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
    const u32 full = (u32)p.full;
    uint4 from_a[ITEMS], from_b[ITEMS];
#pragma unroll
    for (int j = 0; j < ITEMS; ++j) {
        const i64 i = first + j * THREADS * LANES;
        from_a[j] = from_b[j] = uint4();
        if (a && i < job.per_frame) from_a[j] = read_quad(a + i);
        if (both && i < job.per_frame) from_b[j] = read_quad(frame[1] + i);
    }
#pragma unroll
    for (int j = 0; j < ITEMS; ++j) {
        const i64 i = first + j * THREADS * LANES;
        if (i >= job.per_frame) break;
        uint4 word = from_a[j];  // a frame as it is: most frames of most plans
        if (both) {
            block<FADE>();
            word = zip<TYPE>(from_a[j], from_b[j], full, [=](float x, float y) { return fused(wb, y, wa * x); });
        } else if (wa != 1.f) {
            block<WEIGHT>();
            word = zip<TYPE>(from_a[j], from_a[j], full, [=](float x, float) { return wa * x; });
        }
        write_quad(out + i, word);
    }
    return true;
}
#endif

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) gpuaug_blend(const __grid_constant__ BlendLaunch p) {
    const u32 n = (u32)p.first_n + blockIdx.z, t = (u32)p.first_t + blockIdx.y;
    const i64 nt = n * p.job.t + t, begin = (i64)blockIdx.x * THREADS * ITEMS * LANES;
    TYPE* out = (TYPE*)p.job.out + n * p.job.out_n + t * p.job.out_t;
#if TAPS
    if (vectors(p, nt, out, begin)) return;
#endif
    block<ELEMENTS>();
    elements(p, nt, out, begin);
}
