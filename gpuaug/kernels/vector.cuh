// What a GPU's thread moves at once: 16 bytes, the most that one instruction takes.
#pragma once

GPUAUG_FN bool aligned(const void* address) { return ((u64)address & 15) == 0; }

// A value from, and to, the lowest bits of 32.
template <typename T> struct Raw {
    GPUAUG_FN static T of(u32 bits) { return (T)(bits & ((1u << 8 * sizeof(T)) - 1)); }
    GPUAUG_FN static u32 bits(T value) { return (u32)value; }
};
template <> struct Raw<float> {
    GPUAUG_FN static float of(u32 bits) { return from_bits(bits); }
    GPUAUG_FN static u32 bits(float value) { return to_bits(value); }
};

// made(x, y) for every pair of values in two times 32 bits.
template <typename T, typename Made> GPUAUG_FN u32 zip(u32 a, u32 b, Made made) {
    u32 out = 0;
#pragma unroll
    for (int bit = 0; bit < 32; bit += 8 * (int)sizeof(T))
        out |= Raw<T>::bits(made(Raw<T>::of(a >> bit), Raw<T>::of(b >> bit))) << bit;
    return out;
}

template <typename T, typename Made> GPUAUG_FN uint4 zip(uint4 a, uint4 b, Made made) {
    uint4 out;
    out.x = zip<T>(a.x, b.x, made), out.y = zip<T>(a.y, b.y, made);
    out.z = zip<T>(a.z, b.z, made), out.w = zip<T>(a.w, b.w, made);
    return out;
}
