/* base/checksum.h - CRC-32C (Castagnoli; RFC 3720, appendix B.4): what guards frames on disk and on the
 * bridge. */
#ifndef ROOST_BASE_CHECKSUM_H
#define ROOST_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of n bytes that follow bytes whose checksum was `before` (0 at the start). "123456789" gives
 * e3069283. */
uint32_t checksum_crc32c(uint32_t before, const void *bytes, size_t n);

#endif
