// What both host loops need: exported names, one copy per instruction set, and work spread over threads.
#pragma once
#include <new>

#include "pixel.cuh"

#if defined(_OPENMP)
#include <omp.h>
#endif

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif
#define RESTRICT __restrict

// One copy per instruction set; the loader picks the best one that the processor has.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

// Runs work(nt, scratch) for every output frame, on `threads` threads with `bytes` of scratch memory each.
template <typename Work> int for_frames(i64 frames, int threads, i64 bytes, Work work) {
    if (threads == 1 && bytes == 0) {
        for (i64 nt = 0; nt < frames; ++nt) work(nt, nullptr);
        return 0;
    }
    bytes = (bytes + 63) / 64 * 64;
    char* memory = new (std::nothrow) char[(size_t)(threads * bytes)];
    if (!memory) return 1;
#if defined(_OPENMP)
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (i64 nt = 0; nt < frames; ++nt) work(nt, memory + omp_get_thread_num() * bytes);
#else
    for (i64 nt = 0; nt < frames; ++nt) work(nt, memory);
#endif
    delete[] memory;
    return 0;
}
