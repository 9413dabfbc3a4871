/* Fuzz target: a segment file of the spool with any bytes in it. */
#include "bridge/segment.h"

#include "bridge/frame.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    struct segment_reader reader;
    struct segment_record record;
    struct err e;
    uint64_t end = 0;
    int found;
    segment_reader_init(&reader, fd, 0);
    while ((found = segment_read(&reader, size, &record, &e)) > 0) {
        if (record.offset != end + record.skipped || record.end > size ||
            record.end != record.offset + SEGMENT_HEAD_SIZE + record.payload.length ||
            frame_checksum(record.sequence, record.payload) != record.checksum) {
            abort();
        }
        end = record.end;
    }
    if (found < 0 || end + record.skipped != size) {
        abort();
    }
    segment_reader_free(&reader);
    uint64_t guess = segment_guess_last(fd, 0, size, 1);
    if (guess > 1000000) {
        abort();
    }
    close(fd);
    return 0;
}
