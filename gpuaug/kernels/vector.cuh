// What only the GPU's kernels use: words of several values, and instructions that C++ has no operator for.
#pragma once

#define FULL_ROUND 8388608.f  // 2^23: floats from here to 2^24 are the whole numbers, as their lower 23 bits say

// Blocks that some runs take and others do not. `block` stands at their begin: they stay branches, and are not run by
// all threads and thrown away by most.
enum Block { NOTHING, APART, SWAP, SINGLE, MIRRORED, MIXED, ELEMENTS, FADE, WEIGHT };

GPUAUG_FN bool aligned(const void* address) { return ((u64)address & 15) == 0; }

#if defined(__CUDA_ARCH__)
// Memory of the job's sources, which nobody writes meanwhile, and of its output.
GPUAUG_FN u32 read_byte(const u8* p) {
    u32 byte;
    asm("ld.global.nc.u8 %0, [%1];" : "=r"(byte) : "l"(p));
    return byte;
}
GPUAUG_FN u32 read_word(const u8* p) {
    u32 word;
    asm("ld.global.nc.u32 %0, [%1];" : "=r"(word) : "l"(p));
    return word;
}
GPUAUG_FN uint4 read_quad(const void* p) {
    uint4 quad;
    asm("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(quad.x), "=r"(quad.y), "=r"(quad.z), "=r"(quad.w) : "l"(p));
    return quad;
}
GPUAUG_FN void write_quad(void* p, uint4 quad) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
                 :: "l"(p), "r"(quad.x), "r"(quad.y), "r"(quad.z), "r"(quad.w));
}

GPUAUG_FN u32 bytes_of(u32 low, u32 high, u32 selector) { return __byte_perm(low, high, selector); }
GPUAUG_FN u32 funnel(u32 low, u32 high, u32 bits) { return __funnelshift_r(low, high, bits); }
GPUAUG_FN float add_down(float a, float b) { return __fadd_rd(a, b); }
GPUAUG_FN const u8* ahead(const u8* address, u32 count, u32 bytes) {
    asm("" : "+r"(bytes));  // of 32 bits, also where it comes from 64
    return address + (u64)count * bytes;
}
// One address, to which others are added, instead of sums of all its parts.
template <typename T> GPUAUG_FN T* whole(T* address) { asm volatile("" : "+l"(address)); return address; }
#if defined(MARKED)  // benchmarks/sass.py finds the blocks in the machine code by these
template <Block NAME> GPUAUG_FN void block() { asm volatile("pmevent %0;" ::"n"((int)NAME)); }
#else
template <Block NAME> GPUAUG_FN void block() { asm volatile(""); }
#endif
#else
GPUAUG_FN u32 read_byte(const u8* p) { return *p; }
GPUAUG_FN u32 read_word(const u8* p) { return *(const u32*)p; }
GPUAUG_FN uint4 read_quad(const void* p) { return *(const uint4*)p; }
GPUAUG_FN void write_quad(void* p, uint4 quad) { *(uint4*)p = quad; }

// Four of the eight bytes, each by its number in a digit of `selector`.
GPUAUG_FN u32 bytes_of(u32 low, u32 high, u32 selector) {
    const u64 both = (u64)high << 32 | low;
    u32 out = 0;
    for (int i = 0; i < 4; ++i) out |= ((u32)(both >> 8 * (selector >> 4 * i & 7)) & 255u) << 8 * i;
    return out;
}
GPUAUG_FN u32 funnel(u32 low, u32 high, u32 bits) { return (u32)(((u64)high << 32 | low) >> (bits & 31)); }
GPUAUG_FN float add_down(float a, float b) { return floorf(a) + b; }  // as used here: in the sum, 1 is the last place
GPUAUG_FN const u8* ahead(const u8* address, u32 count, u32 bytes) { return address + (u64)count * bytes; }
template <typename T> GPUAUG_FN T* whole(T* address) { return address; }
template <Block NAME> GPUAUG_FN void block() {}
#endif

// Byte i of a word, plus FULL_ROUND, whose bits are `full`: no conversion. Differences of two are exact, and so is
// FULL_ROUND taken off.
GPUAUG_FN float biased(u32 word, int i, u32 full) { return from_bits(bytes_of(word, full, 0x7650u | (u32)i)); }

// The byte that Cast<u8> gives, as the lowest of 32 bits; above it are those of FULL_ROUND.
GPUAUG_FN u32 rounded_byte(float x) {
    return to_bits(add_down(least(most(x, 0.f), 255.f) + 0.5f, FULL_ROUND));
}

// A value from, and to, the lowest bits of 32.
template <typename T> struct Raw {
    GPUAUG_FN static T of(u32 bits) { return (T)(bits & ((1u << 8 * sizeof(T)) - 1)); }
    GPUAUG_FN static u32 bits(T value) { return (u32)value; }
};
template <> struct Raw<float> {
    GPUAUG_FN static float of(u32 bits) { return from_bits(bits); }
    GPUAUG_FN static u32 bits(float value) { return to_bits(value); }
};

// made(x, y), cast, for every pair of values in two words.
template <typename T> struct Zip {
    template <typename Made> GPUAUG_FN static u32 of(u32 a, u32 b, u32, Made made) {
        u32 out = 0;
#pragma unroll
        for (int bit = 0; bit < 32; bit += 8 * (int)sizeof(T)) {
            const float value = made(load(Raw<T>::of(a >> bit)), load(Raw<T>::of(b >> bit)));
            out |= Raw<T>::bits(Cast<T>::of(value)) << bit;
        }
        return out;
    }
};
template <> struct Zip<u8> {  // without a GPU's slow conversions; the values are those of load and Cast
    template <typename Made> GPUAUG_FN static u32 of(u32 a, u32 b, u32 full, Made made) {
        u32 byte[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float x = biased(a, i, full) - FULL_ROUND, y = biased(b, i, full) - FULL_ROUND;
            byte[i] = rounded_byte(made(x, y));
        }
        return bytes_of(bytes_of(byte[0], byte[1], 0x40u), bytes_of(byte[2], byte[3], 0x40u), 0x5410u);
    }
};

template <typename T, typename Made> GPUAUG_FN uint4 zip(uint4 a, uint4 b, u32 full, Made made) {
    uint4 out;
    out.x = Zip<T>::of(a.x, b.x, full, made), out.y = Zip<T>::of(a.y, b.y, full, made);
    out.z = Zip<T>::of(a.z, b.z, full, made), out.w = Zip<T>::of(a.w, b.w, full, made);
    return out;
}

// Two values as one word; 64 bits for float.
template <typename T> struct Two;
template <> struct Two<u8> {
    typedef u16 Word;
    GPUAUG_FN static Word of(float a, float b) { return (u16)bytes_of(rounded_byte(a), rounded_byte(b), 0x40u); }
};
template <> struct Two<float> {
    struct alignas(8) Word { float first, second; };
    GPUAUG_FN static Word of(float a, float b) { return {a, b}; }
};
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define CAST_TWO(NAME)                                                                       \
    u32 word;                                                                                \
    asm("cvt.rn." NAME "x2.f32 %0, %1, %2;" : "=r"(word) : "f"(b), "f"(a));                  \
    return word
template <> struct Two<BFloat> {
    typedef u32 Word;
    GPUAUG_FN static Word of(float a, float b) { CAST_TWO("bf16"); }
};
template <> struct Two<Half> {
    typedef u32 Word;
    GPUAUG_FN static Word of(float a, float b) { CAST_TWO("f16"); }
};
#else
template <> struct Two<BFloat> {
    typedef u32 Word;
    GPUAUG_FN static Word of(float a, float b) { return (u32)Cast<BFloat>::of(a) | (u32)Cast<BFloat>::of(b) << 16; }
};
template <> struct Two<Half> {
    typedef u32 Word;
    GPUAUG_FN static Word of(float a, float b) { return (u32)Cast<Half>::of(a) | (u32)Cast<Half>::of(b) << 16; }
};
#endif
