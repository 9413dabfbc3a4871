/* cli/rules_print.c - see cli/rules.h. */
#include "cli/rules.h"

const char *rules_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void rules_print_packing(const struct rules *rules, FILE *out)
{
    long long length = (long long)rules->limits.rule_length, most = (long long)rules->limits.rules_maximum;
    fprintf(out,
            "  rules: %zu of at most %lld, %lld remain; the longest has %zu of %lld characters; version %s\n",
            rules->count, most, most - (long long)rules->count, rules->longest, length, rules->version);
    if (rules->brimful) {
        fputs("    note: filled to the brim, since there would be too many otherwise: a change of one "
              "keyword then "
              "changes many rules\n",
              out);
    }
    if (rules->common.length) {
        fprintf(out, "    in each: %.*s\n", VIEW_PRINT(view_trim(rules->common)));
    }
    if (rules->languages_left_out) {
        fprintf(out, "    note: X has no code for %zu of the languages, so it is not asked for %s\n",
                rules->languages_left_out, rules->languages_left_out == 1 ? "it" : "them");
    }
    if (rules->exclusions_left_out) {
        fprintf(out,
                "    note: %zu of %zu exclusions find no room in a rule: roost leaves those posts out "
                "itself, and X "
                "counts them as read\n",
                rules->exclusions_left_out, rules->exclusions);
    }
}

static bool only_excludes(const struct keyword *k)
{
    for (size_t i = 0; i < k->part_count; i++) {
        if (!k->parts[i].excluded) {
            return false;
        }
    }
    return k->part_count > 0;
}

void rules_print_line(const struct rules *rules, uint32_t line, FILE *out)
{
    const struct filter_keyword *k = &rules->filter->keywords[line];
    uint32_t rule = rules->rule_of_line[line];
    if (rule) {
        fprintf(out, "      server:  rule %u%s asks for %.*s\n", rule,
                rules->items[rule - 1].raw ? ", as it is," : "", VIEW_PRINT(rules->alternatives[line]));
    } else if (only_excludes(&k->keyword)) {
        fputs("      server:  excluded in each rule that has room for it\n", out);
    } else {
        fputs("      server:  not asked for it: it is no name of X's\n", out);
    }
    if (!view_absent(k->keyword.rule)) {
        fputs("      beyond:  languages, switches and exclusions of the list are not added to it\n", out);
    }
}
