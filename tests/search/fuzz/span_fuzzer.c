/* Any bytes as FASTA: every instruction set and every way to cut a file must agree.
 *
 * Built with AddressSanitizer and UndefinedBehaviorSanitizer by scripts/fuzz-search.sh, with
 * libFuzzer if clang has it and with random_inputs.c otherwise. The first bytes of an input
 * choose queries, buffer and cuts; the rest is the file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "span.h"

enum { HEAD = 12, MOST_QUERIES = 3, MOST_CUTS = 4 };

typedef struct {
  const uint8_t *bytes;
  uint64_t size;      /* what is there; a file may end before the size it had */
  uint64_t broken_at; /* where reading fails */
  uint32_t state;     /* of the lengths of reads */
} Source;

typedef struct {
  Query queries[MOST_QUERIES];
  const Query *pointers[MOST_QUERIES];
  size_t count;
} Queries;

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      abort();                                                                  \
    }                                                                           \
  } while (0)

static uint32_t next(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static int64_t read_some(void *from, uint8_t *into, size_t bytes, uint64_t offset) {
  Source *source = from;
  if (offset >= source->size) return 0;
  if (offset >= source->broken_at) return -5;
  const uint64_t left = source->size - offset;
  size_t length = bytes < left ? bytes : (size_t)left;
  if (length > 1) length = 1 + next(&source->state) % length;
  memcpy(into, source->bytes + offset, length);
  return (int64_t)length;
}

static void make_queries(Queries *made, const Isa *isa, const uint8_t *head) {
  static const int8_t usual[] = {-128, -6, -5, -4, -3, -3, -2, -1, 0, 1, 4, 7, 16, 127};
  static uint8_t least[LONGEST_TARGET + 1];
  uint32_t state = head[0];
  made->count = 1 + head[1] % MOST_QUERIES;
  for (size_t q = 0; q < made->count; q++) {
    const int length = 1 + (int)(((uint32_t)head[2] << 2 | next(&state) % 4) * (q + 1)) % 1600;
    int8_t *scores = malloc((size_t)CODES * (size_t)length);
    CHECK(scores != NULL);
    for (size_t i = 0; i < (size_t)CODES * (size_t)length; i++)
      scores[i] = usual[next(&state) % sizeof usual];
    memset(least, head[3], sizeof least);
    CHECK(query_prepare(&made->queries[q], isa, scores, length, least) == 0);
    made->pointers[q] = &made->queries[q];
    free(scores);
  }
}

static void release_queries(Queries *made) {
  for (size_t q = 0; q < made->count; q++) query_release(&made->queries[q]);
}

static void check_same(const SpanResult *one, const SpanResult *other, size_t count) {
  CHECK(one->state == other->state && one->offset == other->offset);
  CHECK(one->targets == other->targets && one->residues == other->residues);
  for (size_t q = 0; q < count; q++) {
    const Survivors *a = &one->survivors[q], *b = &other->survivors[q];
    CHECK(a->targets == b->targets && a->used == b->used);
    CHECK(a->used == 0 || memcmp(a->bytes, b->bytes, a->used) == 0);
  }
}

/* The spans between cuts must hold what the whole file holds, in its order. */
static void check_cuts(Span span, const SpanResult *whole, const uint8_t *head, size_t count) {
  size_t used[MOST_QUERIES] = {0};
  uint64_t targets = 0, begin = 0;
  for (size_t cut = 0; cut <= MOST_CUTS && begin < span.size; cut++) {
    uint64_t end = begin + 1 + head[4 + cut] * (span.size / 200 + 1);
    if (cut == MOST_CUTS || end > span.size) end = span.size;
    span.begin = begin;
    span.end = end;
    SpanResult part;
    scan_span(&span, &part);
    CHECK(part.state == SPAN_DONE);
    targets += part.targets;
    for (size_t q = 0; q < count; q++) {
      const Survivors *found = &part.survivors[q];
      CHECK(used[q] + found->used <= whole->survivors[q].used);
      CHECK(found->used == 0 ||
            memcmp(whole->survivors[q].bytes + used[q], found->bytes, found->used) == 0);
      used[q] += found->used;
    }
    span_result_release(&part, count);
    begin = end;
  }
  CHECK(targets == whole->targets);
  for (size_t q = 0; q < count; q++) CHECK(used[q] == whole->survivors[q].used);
}

/* The source is a copy: every instruction set gets the same lengths of reads. */
static void scan_with(const Isa *isa, Source source, const uint8_t *head, uint64_t size,
                      SpanResult *result) {
  Queries made;
  make_queries(&made, isa, head);
  const Span span = {.read = read_some, .source = &source, .begin = 0, .end = size, .size = size,
                     .buffer_bytes = 16 + (size_t)head[9] * 8, .queries = made.pointers,
                     .query_count = made.count};
  scan_span(&span, result);
  if (result->state == SPAN_DONE) check_cuts(span, result, head, made.count);
  release_queries(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size <= HEAD) return 0;
  const uint8_t *head = data;
  const size_t count = 1 + head[1] % MOST_QUERIES;
  const uint64_t length = size - HEAD;
  uint8_t *text = malloc(length);  /* of its own, so that the sanitizer knows its end */
  CHECK(text != NULL);
  memcpy(text, data + HEAD, length);
  Source source = {.bytes = text, .size = length, .broken_at = UINT64_MAX, .state = head[10]};
  uint64_t size_then = length;
  if (head[11] == 1) size_then += 1 + head[10];
  if (head[11] == 2) source.broken_at = length / 2;
  SpanResult plain, other;
  scan_with(find_isa("plain"), source, head, size_then, &plain);
  for (const Isa *const *isa = ISAS; *isa; isa++) {
    if (!(*isa)->usable()) continue;
    scan_with(*isa, source, head, size_then, &other);
    check_same(&plain, &other, count);
    span_result_release(&other, count);
  }
  span_result_release(&plain, count);
  free(text);
  return 0;
}
