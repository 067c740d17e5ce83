// Plans whose taps lie over each other, on the CPU: the plain C interface for ctypes, and the first half of the loops.
#include "host_compose.h"

COMPOSE(compose_u8, u8, u8)
COMPOSE(compose_u8_half, u8, Half)
COMPOSE(compose_half, Half, Half)

// those of host_compose_wide.cpp
void compose_u8_bfloat(const char* job, i64 nt, char* scratch, i64 most);
void compose_u8_float(const char* job, i64 nt, char* scratch, i64 most);
void compose_bfloat(const char* job, i64 nt, char* scratch, i64 most);
void compose_float(const char* job, i64 nt, char* scratch, i64 most);

namespace {

i64 compose_scratch(const ComposeJob& job, i64 most) {
    const i64 own = (2 * most + 2 + 4) * job.x + job.widest * 3 + 4 + PAD;
    const i64 bytes = job.k * (i64)(sizeof(Piece) + sizeof(Pass) + sizeof(Source<float>));
    return (i64)sizeof(float) * (3 * 4 * job.x + job.x + 6 * PAD + job.k * own) + bytes;
}

// The greatest number of samples along x of any tap.
i64 most_samples(const char* bytes) {
    const ComposeJob& job = *(const ComposeJob*)bytes;
    const Layer* layers = at<Layer>(bytes, job.layers);
    int most = 1;
    for (i64 i = 0; i < job.n * job.t * job.k; ++i) most = layers[i].across > most ? layers[i].across : most;
    return most;
}

}  // namespace

// dtype of the output: 0 uint8, 1 float16, 2 bfloat16, 3 float32. Returns 0, or 1 where there is no memory for scratch rows.
EXPORT int gpuaug_compose(const char* bytes, int dtype, int threads) {
    const ComposeJob& job = *(const ComposeJob*)bytes;
    void (*const bytes_to[])(const char*, i64, char*, i64) = {compose_u8, compose_u8_half, compose_u8_bfloat, compose_u8_float};
    void (*const same[])(const char*, i64, char*, i64) = {compose_u8, compose_half, compose_bfloat, compose_float};
    const auto frame = job.same ? same[dtype] : bytes_to[dtype];
    const i64 most = most_samples(bytes);
    return for_frames(job.n * job.t, threads, compose_scratch(job, most), [=](i64 nt, char* s) { frame(bytes, nt, s, most); });
}
