// blend on the CPU, the edits of arrays with dense frames, and what Python needs besides. Plain C interface for ctypes.
// render is in host_render.cpp.
#include "host.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace {

const int BLOCK = 512;  // elements blended at a time

struct BlendTap {
    const char* frame;
    BlendSource source;
    float weight;
};

// Weighted means of two uint8, as the general loop rounds them, faster: they need no clamping, and weights of whole
// 128ths no floats. False where the weights are none of a mean.
GPUAUG_FN bool blend_mean(u8* RESTRICT out, i64 so, const u8* RESTRICT a, i64 sa, float wa, const u8* RESTRICT b, i64 sb,
                          float wb, i64 n) {
    if (!(wa >= 0.f && wb >= 0.f && wa + wb < 1.001f)) return false;
    const u16 p = (u16)(wa * 128.f), q = (u16)(wb * 128.f);
    if (p + q == 128 && p == wa * 128.f && q == wb * 128.f) {
        for (i64 i = 0; i < n; ++i) out[i * so] = (u8)((u16)((u16)(p * a[i * sa]) + (u16)(q * b[i * sb]) + 64) >> 7);
    } else {
        for (i64 i = 0; i < n; ++i) out[i * so] = (u8)(int)(wa * load(a[i * sa]) + wb * load(b[i * sb]) + 0.5f);
    }
    return true;
}
template <typename T>
GPUAUG_FN bool blend_mean(T*, i64, const T*, i64, float, const T*, i64, float, i64) { return false; }

// A run of elements along the last dimension; UNIT: every stride there is 1.
template <typename T, bool UNIT>
GPUAUG_FN void blend_run(T* RESTRICT out, i64 out_step, const BlendTap* taps, int visible, const i64* begins, i64 n) {
    const i64 so = UNIT ? 1 : out_step;
    const T* RESTRICT a = visible > 0 ? (const T*)taps[0].frame + begins[0] : 0;
    const T* RESTRICT b = visible > 1 ? (const T*)taps[1].frame + begins[1] : 0;
    const i64 sa = UNIT || visible < 1 ? 1 : taps[0].source.strides[5], sb = UNIT || visible < 2 ? 1 : taps[1].source.strides[5];
    const float wa = visible > 0 ? taps[0].weight : 0.f, wb = visible > 1 ? taps[1].weight : 0.f;
    if (visible == 1 && UNIT && wa == 1.f) {
        memcpy((void*)out, (const void*)a, (size_t)n * sizeof(T));
    } else if (visible == 1) {
        for (i64 i = 0; i < n; ++i) out[i * so] = Cast<T>::of(wa * load(a[i * sa]));
    } else if (visible == 2 && blend_mean(out, so, a, sa, wa, b, sb, wb, n)) {
        return;
    } else if (visible == 2) {
        for (i64 i = 0; i < n; ++i) out[i * so] = Cast<T>::of(wa * load(a[i * sa]) + wb * load(b[i * sb]));
    } else {
        float sum[BLOCK];
        for (i64 begin = 0; begin < n; begin += BLOCK) {
            const int count = (int)(n - begin < BLOCK ? n - begin : BLOCK);
            for (int i = 0; i < count; ++i) sum[i] = 0.f;
            for (int k = 0; k < visible; ++k) {
                const T* RESTRICT from = (const T*)taps[k].frame + begins[k];
                const i64 step = UNIT ? 1 : taps[k].source.strides[5];
                for (int i = 0; i < count; ++i) sum[i] += taps[k].weight * load(from[(begin + i) * step]);
            }
            for (int i = 0; i < count; ++i) out[(begin + i) * so] = Cast<T>::of(sum[i]);
        }
    }
}

template <typename T> GPUAUG_FN void blend_frame(const char* bytes, i64 nt, char* scratch) {
    const BlendJob& job = *(const BlendJob*)bytes;
    BlendTap* taps = (BlendTap*)scratch;
    i64* begins = (i64*)(taps + job.k);
    int visible = 0;
    bool unit = job.out_strides[5] == 1;
    for (int k = 0; k < (int)job.k; ++k) {
        const i64 i = nt * job.k + k;
        const BlendSource source = find_clip<BlendSource>(bytes, job.taps, i);
        if (source.address == 0) continue;
        const T* frame = (const T*)source.address + at<int>(bytes, job.taps.frame)[i] * source.frame_stride;
        taps[visible] = {(const char*)frame, source, at<float>(bytes, job.taps.weight)[i]};
        unit = unit && source.strides[5] == 1;
        ++visible;
    }
    T* out = (T*)job.out + nt / job.t * job.out_n + nt % job.t * job.out_t;
    const i64 run = job.sizes[5], runs = job.per_frame / run;
    for (i64 r = 0; r < runs; ++r) {
        i64 to = 0, rest = r;
        for (int k = 0; k < visible; ++k) begins[k] = 0;
        for (int d = 4; d >= 0; --d) {
            if (job.sizes[d] == 1) continue;
            const i64 position = rest % job.sizes[d];
            rest /= job.sizes[d];
            to += position * job.out_strides[d];
            for (int k = 0; k < visible; ++k) begins[k] += position * taps[k].source.strides[d];
        }
        if (unit)
            blend_run<T, true>(out + to, 1, taps, visible, begins, run);
        else
            blend_run<T, false>(out + to, job.out_strides[5], taps, visible, begins, run);
    }
}

CLONES void blend_u8(const char* job, i64 nt, char* scratch) { blend_frame<u8>(job, nt, scratch); }
CLONES void blend_half(const char* job, i64 nt, char* scratch) { blend_frame<Half>(job, nt, scratch); }
CLONES void blend_bfloat(const char* job, i64 nt, char* scratch) { blend_frame<BFloat>(job, nt, scratch); }
CLONES void blend_float(const char* job, i64 nt, char* scratch) { blend_frame<float>(job, nt, scratch); }

template <typename T> GPUAUG_FN void mix_frame(char* out, const char* a, const char* b, float weight, i64 n) {
    BlendTap taps[2];
    const i64 begins[2] = {0, 0};
    int visible = 0;
    if (weight != 1.f) taps[visible++] = {a, {}, 1.f - weight};
    if (weight != 0.f) taps[visible++] = {b, {}, weight};
    blend_run<T, true>((T*)out, 1, taps, visible, begins, n);
}

CLONES void mix_u8(char* o, const char* a, const char* b, float w, i64 n) { mix_frame<u8>(o, a, b, w, n); }
CLONES void mix_half(char* o, const char* a, const char* b, float w, i64 n) { mix_frame<Half>(o, a, b, w, n); }
CLONES void mix_bfloat(char* o, const char* a, const char* b, float w, i64 n) { mix_frame<BFloat>(o, a, b, w, n); }
CLONES void mix_float(char* o, const char* a, const char* b, float w, i64 n) { mix_frame<float>(o, a, b, w, n); }

}  // namespace

// dtype: 0 uint8, 1 float16, 2 bfloat16, 3 float32. Returns 0, or 1 where there is no memory for scratch.
EXPORT int gpuaug_blend(const char* bytes, int dtype, int threads) {
    const BlendJob& job = *(const BlendJob*)bytes;
    void (*const frame[])(const char*, i64, char*) = {blend_u8, blend_half, blend_bfloat, blend_float};
    const i64 scratch = job.k * (i64)(sizeof(BlendTap) + sizeof(i64));
    return for_frames(job.n * job.t, threads, scratch, [=](i64 nt, char* s) { frame[dtype](bytes, nt, s); });
}

// out = (1 − weight)·a[first] + weight·b[second] for every frame; what has no weight is not read. dtype and result as for
// gpuaug_blend; 2 where a frame is none of its clip's, and then nothing was written.
EXPORT int gpuaug_mix(const char* bytes, int dtype, int threads) {
    const MixJob& job = *(const MixJob*)bytes;
    void (*const mix[])(char*, const char*, const char*, float, i64) = {mix_u8, mix_half, mix_bfloat, mix_float};
    const i64 *first = (const i64*)job.first, *second = (const i64*)job.second;
    const float* weight = (const float*)job.weight;
    for (i64 n = 0; n < (job.first_n ? job.n : 1); ++n)
        for (i64 t = 0; t < (job.first_t ? job.t : 1); ++t)
            if ((u64)first[n * job.first_n + t * job.first_t] >= (u64)job.a_frames) return 2;
    for (i64 n = 0; n < (job.second_n ? job.n : 1); ++n)
        for (i64 t = 0; t < (job.second_t ? job.t : 1); ++t)
            if ((u64)second[n * job.second_n + t * job.second_t] >= (u64)job.b_frames) return 2;
    const i64 size = job.per_frame * (dtype == 0 ? 1 : dtype == 3 ? 4 : 2);
    if (job.n * job.t * size < 1 << 20) threads = 1;  // copied before another thread has begun
    return for_frames(job.n * job.t, threads, 0, [&](i64 nt, char*) {
        const i64 n = nt / job.t, t = nt % job.t;
        const char* a = (const char*)job.a + n * job.a_clip_step + first[n * job.first_n + t * job.first_t] * job.a_frame_step;
        const char* b = (const char*)job.b + n * job.b_clip_step + second[n * job.second_n + t * job.second_t] * job.b_frame_step;
        mix[dtype]((char*)job.out + nt * size, a, b, weight[n * job.weight_n + t * job.weight_t], job.per_frame);
    });
}

// Red, green and blue planes (h, w) into pixels of three bytes. Rows, and pixels of `out`, are so many bytes apart.
EXPORT CLONES void gpuaug_interleave(u8* out, i64 row, i64 pixel, const u8* red, i64 red_row, const u8* green,
                                     i64 green_row, const u8* blue, i64 blue_row, i64 h, i64 w) {
    for (i64 y = 0; y < h; ++y) {
        u8* RESTRICT to = out + y * row;
        const u8 *RESTRICT r = red + y * red_row, *RESTRICT g = green + y * green_row, *RESTRICT b = blue + y * blue_row;
        if (pixel == 3)
            for (i64 x = 0; x < w; ++x) to[3 * x] = r[x], to[3 * x + 1] = g[x], to[3 * x + 2] = b[x];
        else
            for (i64 x = 0; x < w; ++x) to[pixel * x] = r[x], to[pixel * x + 1] = g[x], to[pixel * x + 2] = b[x];
    }
}

// Asks for huge pages in new memory: faulting in a batch's 300 MB in pages of 4 KiB takes longer than rendering it.
EXPORT void gpuaug_new_memory(char* begin, i64 bytes) {
#if defined(__linux__)
    const i64 page = sysconf(_SC_PAGESIZE), first = (i64)begin / page * page;  // with malloc's header: all of the mapping
    (void)madvise((void*)first, (size_t)((i64)begin + bytes - first), MADV_HUGEPAGE);  // where refused: as it was
#else
    (void)begin, (void)bytes;
#endif
}

EXPORT void* PyInit__host() { return nullptr; }  // loaded with ctypes; only Windows' linker asks for this name
