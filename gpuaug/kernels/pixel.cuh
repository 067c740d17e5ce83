// The arithmetic of blend and render, shared by the GPU (NVRTC) and the CPU (C++17). reference.py defines what it means.
//
// Legend: N samples, T output frames, K taps, S clips, H W source, Y X output, C channels.
// A job is one block of bytes: a header of 64-bit integers, then the arrays it points to by offset from the header. The
// same bytes serve both devices. kernel_args.py reads the order of the fields from the structs below.
#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define GPUAUG_FN __device__ __forceinline__
#else
#include <math.h>
#include <string.h>
#if defined(_MSC_VER)
#define GPUAUG_FN __forceinline
#else
#define GPUAUG_FN inline __attribute__((always_inline))
#endif
#endif

typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// ---- jobs -----------------------------------------------------------------------------------------------------------

struct Taps {      // the plan and the clips it shows
    i64 clips;     // S
    i64 row_step;  // 1: a row of `sources` per clip; 0: one row for all, clip i begins i * clip_stride bytes later
    i64 clip_stride;
    i64 clip, frame, weight;  // offsets of int32, int32, float32 (N,T,K)
    i64 sources;              // offset of the rows
};

struct BlendJob {
    i64 n, t, k;
    Taps taps;                      // rows are BlendSource
    i64 out, out_n, out_t;          // address; strides in elements
    i64 per_frame;                  // elements of a frame
    i64 flat;                       // 1: all sizes but the last are 1
    i64 sizes[6], out_strides[6];   // the dimensions behind (N,T), innermost last
};
struct BlendSource {  // strides in elements
    i64 address, frames, frame_stride, strides[6];
};

struct RenderJob {
    i64 n, t, k, y, x, c;
    Taps taps;                                // rows are RenderSource
    i64 out, out_n, out_t, out_c, out_y, out_x;  // address; strides in elements
    i64 axes, axes_n, axes_t, axes_k;         // offset of Axis pairs (y then x) per box; strides in boxes, 0: shared
    i64 colors, colors_n;                     // offset of float32 (C,C+1) matrices on pixels 0…255; stride in matrices
    i64 diagonal;                             // 1: every matrix is zero off its diagonal and last column
    i64 widest;                               // greatest W
};
struct RenderSource {  // uint8, strides in bytes
    i64 address, frames, height, width, frame_stride, row_stride;
};

// What a GPU's kernel takes by value, beside the arrays of its job in memory: a header is read by every thread.
struct BlendLaunch {
    BlendJob job;
    BlendSource source;     // the first row of `sources`, which serves all clips where row_step is 0
    i64 bytes;              // address of the job
    i64 first_n, first_t;   // sample and frame of the first block
    i64 full;               // bits of 2^23
};
struct RenderLaunch {
    RenderJob job;
    RenderSource source;
    i64 bytes, first_n, first_t;
    i64 columns, multiplier, shift;  // threads per row, and thread / columns = thread * multiplier >> 32 >> shift
    i64 words;              // 1: rows begin on multiples of 4 bytes, and are wide enough to be read by fours of words
    i64 pairs;              // 1: two neighbouring values of the output lie on a multiple of their size
};

struct MixJob {    // an edit of one or two arrays with dense frames, on the CPU
    i64 n, t;
    i64 per_frame, out;                         // elements of a frame; address
    i64 a, a_frames, a_clip_step, a_frame_step;  // address; frames of a clip; steps in bytes
    i64 b, b_frames, b_clip_step, b_frame_step;
    i64 first, first_n, first_t;                // address of int64; steps in elements, 0: shared
    i64 second, second_n, second_t;
    i64 weight, weight_n, weight_t;             // of float32: b's share
};

// Output index i → source position: base + clamp(start + |step| * j, low, high), where j counts backwards if step < 0.
// Positions are relative to `base`, so that float32 loses nothing to large coordinates. `full` is 2^23: a GPU's threads
// keep what they have read in a register, and make constants anew at each use.
struct Axis { float base, start, step, low, high, full; };

template <typename T> GPUAUG_FN const T* at(const void* job, i64 offset) {
    return (const T*)((const char*)job + offset);
}

// ---- casts ----------------------------------------------------------------------------------------------------------

// A GPU has one instruction for what stands here in the arithmetic of any processor; only the bits of a NaN differ.

enum Half : u16 {};    // bits of IEEE binary16; enumerations, so that they are types of their own and yet scalars
enum BFloat : u16 {};  // the upper 16 bits of a float

union Bits { float value; u32 bits; };  // every compiler named above defines reading the other member
GPUAUG_FN u32 to_bits(float x) { Bits b; b.value = x; return b.bits; }
GPUAUG_FN float from_bits(u32 u) { Bits b; b.bits = u; return b.value; }

// yes ? a : b, without the branch that would keep a compiler from vectorising
GPUAUG_FN u32 select(bool yes, u32 a, u32 b) { return b ^ ((a ^ b) & (0u - (u32)yes)); }

GPUAUG_FN float load(u8 v) { return (float)(int)v; }
GPUAUG_FN float load(float v) { return v; }
GPUAUG_FN float load(BFloat v) { return from_bits((u32)v << 16); }
GPUAUG_FN float load(Half v) {
#if defined(__CUDA_ARCH__)
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"((u16)v));
    return value;
#else
    u32 magnitude = (u32)(v & 0x7fff) << 13;
    u32 scaled = to_bits(from_bits(magnitude) * from_bits(0x77800000u));  // × 2^112 moves the exponent bias 15 → 127
    scaled |= magnitude >= 0x0f800000u ? 0x7f800000u : 0u;                // infinity and NaN stay so
    return from_bits(scaled | (u32)(v & 0x8000) << 16);
#endif
}

template <typename T> struct Cast;
template <> struct Cast<float> {
    GPUAUG_FN static float of(float x) { return x; }
};
template <> struct Cast<u8> {  // nearest, halves upwards; NaN gives 0
    GPUAUG_FN static u8 of(float x) {
        x = x > 0.f ? x : 0.f;
        x = x < 255.f ? x : 255.f;
        return (u8)(int)(x + 0.5f);
    }
};
template <> struct Cast<BFloat> {  // nearest, ties to even
    GPUAUG_FN static BFloat of(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800  // older ones have no such instruction
        u16 bits;
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
        return (BFloat)bits;
#else
        u32 u = to_bits(x), rounded = u + 0x7fffu + ((u >> 16) & 1u);
        return (BFloat)((x == x ? rounded : u | 0x400000u) >> 16);
#endif
    }
};
template <> struct Cast<Half> {  // nearest, ties to even
    GPUAUG_FN static Half of(float x) {
#if defined(__CUDA_ARCH__)
        u16 bits;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
        return (Half)bits;
#else
        u32 u = to_bits(x), sign = (u >> 16) & 0x8000u;
        u &= 0x7fffffffu;
        u32 normal = (u + 0xfffu + ((u >> 13) & 1u) - (112u << 23)) >> 13;
        u32 small = to_bits(from_bits(u) + 0.5f) - 0x3f000000u;  // 0.5's last place is 2^-24, as that of a subnormal half
        u32 bits = select(u < 0x38800000u, small, normal);
        bits = select(u >= 0x47800000u, select(u > 0x7f800000u, 0x7e00u, 0x7c00u), bits);
        return (Half)(bits | sign);
#endif
    }
};

// ---- plan -----------------------------------------------------------------------------------------------------------

// The source row of tap `i` (index into (N,T,K)), `one` where all clips have it, moved to the clip's begin; address 0
// where nothing may be read: weight 0, or an index out of range.
template <typename Source> GPUAUG_FN Source find_clip(const void* job, const Taps& taps, i64 i, const Source* one = 0) {
    const u32 clip = (u32)at<int>(job, taps.clip)[i], frame = (u32)at<int>(job, taps.frame)[i];  // below 0: beyond all
    bool inside = clip < (u32)taps.clips && at<float>(job, taps.weight)[i] != 0.f;
    Source source = one ? *one : at<Source>(job, taps.sources)[inside ? clip * taps.row_step : 0];
    inside = inside && frame < (u32)source.frames;
    source.address = inside ? source.address + clip * taps.clip_stride : 0;
    return source;
}

// ---- sample, blend, colour ------------------------------------------------------------------------------------------

struct Lerp { int first, second; float part; };  // value = mix(pixel[first], pixel[second], part)

// a · b + c; on a GPU rounded once, whatever stands around it, so that equal pixels are equal wherever they are made.
GPUAUG_FN float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
    return __fmaf_rn(a, b, c);
#else
    return a * b + c;
#endif
}

// Of two numbers, as one instruction on a GPU; a comparison is what other compilers vectorise.
#if defined(__CUDA_ARCH__)
GPUAUG_FN float least(float a, float b) { return fminf(a, b); }
GPUAUG_FN float most(float a, float b) { return fmaxf(a, b); }
GPUAUG_FN int least(int a, int b) { return min(a, b); }
#else
GPUAUG_FN float least(float a, float b) { return a < b ? a : b; }
GPUAUG_FN float most(float a, float b) { return a > b ? a : b; }
GPUAUG_FN int least(int a, int b) { return a < b ? a : b; }
#endif

struct Whole { float value; int number; };

// The greatest whole number ≤ x, |x| < 2^22. A GPU's conversions are slow: there, a sum in which 1 is the last place.
GPUAUG_FN Whole floored(float x) {
#if defined(__CUDA_ARCH__)
    const float sum = __fadd_rd(x, 12582912.f);
    return {sum - 12582912.f, (int)(to_bits(sum) - to_bits(12582912.f))};
#else
    const float whole = floorf(x);
    return {whole, (int)whole};
#endif
}

// Where output j lies, counted in the direction of the box. Of an axis' bounds `low` keeps `first` ≥ 0.
GPUAUG_FN Lerp sample_at(const Axis& axis, float j, int pixels) {
    const float position = least(most(fused(fabsf(axis.step), j, axis.start), axis.low), axis.high);
    const Whole whole = floored(position);
    const int first = (int)axis.base + whole.number;
    return {first, least(first + 1, pixels - 1), position - whole.value};
}

GPUAUG_FN Lerp sample(const Axis& axis, int i, int outputs, int pixels) {
    return sample_at(axis, (float)(axis.step < 0.f ? outputs - 1 - i : i), pixels);
}

GPUAUG_FN float mix(float a, float b, float part) { return fused(part, b - a, a); }

// Row c of a colour matrix with CH channels, on a pixel's values 0…255.
template <int CH> GPUAUG_FN float color(const float* matrix, const float* pixel, int c) {
    const float* row = matrix + c * (CH + 1);
    float value = row[CH];
    for (int i = 0; i < CH; ++i) value = fused(row[i], pixel[i], value);
    return value;
}
