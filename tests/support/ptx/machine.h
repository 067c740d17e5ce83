// What the C++ that translate.py makes of PTX needs: types, checked memory, and the instructions that C++ lacks.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
typedef int8_t s8; typedef int16_t s16; typedef int32_t s32; typedef int64_t s64;

// ---- memory ---------------------------------------------------------------------------------------------------------

enum Fault { NONE, MISALIGNED, READ, WRITE };
struct Range { u64 begin, end, writable; };
static std::vector<Range> ranges;
static long faults;
static u64 fault_address;
static int fault_kind;

static inline bool allowed(u64 address, u64 size, bool write) {
    int kind = write ? WRITE : READ;
    if (address % size)
        kind = MISALIGNED;
    else
        for (const Range& range : ranges)
            if (address >= range.begin && address + size <= range.end && range.writable >= (u64)write) return true;
    if (!faults++) fault_address = address, fault_kind = kind;
    return false;
}
// A vector is aligned as a whole.
template <int N> struct Vector { u32 part[N]; };
template <class T> static inline T load(u64 address) {
    T value{};
    if (allowed(address, sizeof(T), false)) memcpy(&value, (const void*)address, sizeof(T));
    return value;
}
template <class T> static inline void store(u64 address, T value) {
    if (allowed(address, sizeof(T), true)) memcpy((void*)address, &value, sizeof(T));
}
template <class T> static inline T parameter(u64 address) {
    T value;
    memcpy(&value, (const void*)address, sizeof(T));
    return value;
}

// ---- numbers --------------------------------------------------------------------------------------------------------

static inline float as_float(u32 bits) { float value; memcpy(&value, &bits, 4); return value; }
static inline u32 bits_of(float value) { u32 bits; memcpy(&bits, &value, 4); return bits; }
static inline float flushed(float value) {  // .ftz
    return bits_of(value) & 0x7f800000u ? value : as_float(bits_of(value) & 0x80000000u);
}
static inline float add_down(float a, float b) {  // .rm; the error of a rounded sum is a float itself
    float sum = a + b, of_b = sum - a, error = (a - (sum - of_b)) + (b - of_b);
    return error < 0.f ? std::nextafterf(sum, -INFINITY) : sum;
}
static inline float smaller(float a, float b) { return a != a ? b : b != b ? a : a < b ? a : b; }
static inline float larger(float a, float b) { return a != a ? b : b != b ? a : a > b ? a : b; }
template <class T> static inline T smaller(T a, T b) { return a < b ? a : b; }
template <class T> static inline T larger(T a, T b) { return a > b ? a : b; }
static inline s32 to_s32(float x) {  // .rzi: saturates, NaN gives 0
    return x != x ? 0 : x >= 2147483648.f ? 2147483647 : x < -2147483648.f ? -2147483647 - 1 : (s32)x;
}
static inline u16 to_bf16(float x) {
    u32 bits = bits_of(x);
    return x != x ? 0x7fff : (u16)((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}
static inline u16 to_f16(float x) {
    if (x != x) return 0x7fff;
    _Float16 half = (_Float16)x;
    u16 bits;
    memcpy(&bits, &half, 2);
    return bits;
}
static inline float of_f16(u16 bits) { _Float16 half; memcpy(&half, &bits, 2); return (float)half; }

// ---- bits -----------------------------------------------------------------------------------------------------------

static inline u32 prmt(u32 a, u32 b, u32 selector) {
    const u64 both = (u64)b << 32 | a;
    u32 out = 0;
    for (int i = 0; i < 4; ++i) {
        const u32 pick = selector >> 4 * i & 15, byte = (u32)(both >> 8 * (pick & 7)) & 255;
        out |= (pick & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
    }
    return out;
}
static inline u32 funnel_right(u32 low, u32 high, u32 n) { return (u32)(((u64)high << 32 | low) >> (n & 31)); }
static inline u32 funnel_left(u32 low, u32 high, u32 n) { return (u32)(((u64)high << 32 | low) << (n & 31) >> 32); }
template <class T> static inline T insert(T from, T into, u32 at, u32 count) {
    const T mask = count >= 8 * sizeof(T) ? ~(T)0 : ((T)1 << count) - 1;
    return (T)((into & ~(mask << at)) | ((from & mask) << at));
}
template <class T> static inline T extract(T from, u32 at, u32 count) {
    return (T)(at >= 8 * sizeof(T) ? 0 : (from >> at) & (count >= 8 * sizeof(T) ? ~(T)0 : ((T)1 << count) - 1));
}
template <class T> static inline T shifted_left(T a, u32 n) { return (T)(n >= 8 * sizeof(T) ? 0 : (T)(a << n)); }
template <class T> static inline T shifted_right(T a, u32 n) {  // of a signed type: the sign comes in
    const u32 most = 8 * sizeof(T) - 1;
    return (T)(n > most ? (a < 0 ? (T)-1 : (T)0) : (T)(a >> n));
}
static inline u32 lop3(u32 a, u32 b, u32 c, u32 table) {
    u32 out = 0;
    for (int i = 0; i < 8; ++i)
        if (table >> i & 1) out |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return out;
}

// ---- a grid of blocks -----------------------------------------------------------------------------------------------

// Blocks one after the other, and in each the threads, from barrier to barrier. Returns how many accesses were wrong;
// fault: where the first was, and of which kind.
template <class Thread, class Step>
static long run_blocks(Step step, u64 parameters, const u32* grid, u32 threads, int barriers, u32 shared_bytes,
                       const Range* allowed, int count, u64* fault) {
    std::vector<char> memory(shared_bytes + 16);
    const u64 shared = ((u64)memory.data() + 15) & ~15ull;
    ranges.assign(allowed, allowed + count);
    ranges.push_back({shared, shared + shared_bytes, 1});
    faults = fault_address = fault_kind = 0;
    std::vector<Thread> state(threads);
    const u32 ntid[3] = {threads, 1, 1};
    u32 at[3];
    for (at[2] = 0; at[2] < grid[2]; ++at[2])
        for (at[1] = 0; at[1] < grid[1]; ++at[1])
            for (at[0] = 0; at[0] < grid[0]; ++at[0]) {
                memset(memory.data(), 0xaa, memory.size());
                memset((void*)state.data(), 0, threads * sizeof(Thread));
                for (int phase = 0; phase <= barriers; ++phase)
                    for (u32 t = 0; t < threads; ++t) {
                        const u32 tid[3] = {t, 0, 0};
                        if (state[t].at >= 0) step(state[t], parameters, shared, at, tid, ntid);
                    }
            }
    fault[0] = fault_address, fault[1] = (u64)fault_kind;
    return faults;
}
