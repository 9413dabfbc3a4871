#include "ingest/report.h"

#include "base/clock.h"
#include "bridge/gap.h"

void report_gap(struct buffer *body, const struct ledger_row *row)
{
    const struct gap gap = {.from = row->from,
                            .to = row->to,
                            .cause = row->cause,
                            .detail = row->detail,
                            .undelivered = row->undelivered};
    gap_write(body, &gap);
}

void report_count(struct buffer *body, int64_t from, int64_t to, const struct source_counts *then,
                  const struct source_counts *now)
{
    char first[CLOCK_TEXT_SIZE], last[CLOCK_TEXT_SIZE];
    buffer_print(body, "{\"from\":\"%s\",\"to\":\"%s\"", clock_format(from, first), clock_format(to, last));
    if (now) {
        buffer_print(body, ",\"received\":%llu,\"posts\":%llu,\"events\":%llu",
                     (unsigned long long)(now->received - then->received),
                     (unsigned long long)(now->posts - then->posts),
                     (unsigned long long)(now->events - then->events));
        buffer_print(body, ",\"filtered\":%llu,\"repeated\":%llu,\"unreadable\":%llu",
                     (unsigned long long)(now->filtered - then->filtered),
                     (unsigned long long)(now->repeated - then->repeated),
                     (unsigned long long)(now->unreadable - then->unreadable));
    }
    buffer_add_byte(body, '}');
}
