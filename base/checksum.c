#include "base/checksum.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const unsigned char *at,
                                                               size_t n)
{
    uint64_t wide = crc;
    for (; n >= 8; at += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; n; at++, n--) {
        crc = _mm_crc32_u8(crc, *at);
    }
    return crc;
}
#endif

/* Bit by bit with a nibble table: for processors without the instruction; 16 entries need no set-up. */
static uint32_t crc_table(uint32_t crc, const unsigned char *at, size_t n)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (; n; at++, n--) {
        crc = nibble[(crc ^ *at) & 15] ^ crc >> 4;
        crc = nibble[(crc ^ (uint32_t)*at >> 4) & 15] ^ crc >> 4;
    }
    return crc;
}

uint32_t checksum_crc32c(uint32_t before, const void *bytes, size_t n)
{
    uint32_t crc = ~before;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~crc_hardware(crc, bytes, n);
    }
#endif
    return ~crc_table(crc, bytes, n);
}
