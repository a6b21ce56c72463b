/* Is a target kept from its score on, and dropped from one more on, by every instruction set?
 *
 * The score is computed here by the recurrence of kernel.h, without a vector. For processors
 * that the Python tests do not run on: scripts/fuzz-search.sh runs this under an emulator, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "span.h"

enum { TARGETS = 120, MOST_QUERY = 2400, MOST_TEXT = 1 << 17 };

static const char LETTERS[] = "ACDEFGHIKLMNPQRSTVWYXBZacdy";
/* As in a real query: few high scores and a negative mean. */
static const int8_t USUAL[] = {-6, -6, -5, -5, -4, -4, -3, -3, -2, -2, -1, -1, 0, 1, 2, 4, 7, 16};
/* Around the borders of vectors and parts: 16, 32 and 64 lanes, up to 16 vectors each. */
static const int LENGTHS[] = {1,   2,   15,  16,  17,  31,  32,  33,  63,  64,  65,   95,  127, 128,
                              191, 192, 238, 255, 256, 257, 319, 320, 321, 511, 639,  640, 641, 767,
                              768, 769, 1000, 1023, 1024, 1025, 1535, 1536, 2400};

static char text[MOST_TEXT];
static size_t used;
static int8_t scores[CODES * MOST_QUERY];
static uint8_t exact[LONGEST_TARGET + 1], above[LONGEST_TARGET + 1];

static int64_t read_text(void *source, uint8_t *into, size_t bytes, uint64_t offset) {
  (void)source;
  const size_t left = used - offset;
  const size_t length = bytes < left ? bytes : left;
  memcpy(into, text + offset, length);
  return (int64_t)length;
}

static int score_of(const char *residues, size_t count, int length) {
  static int values[MOST_QUERY + 1];
  int best = FLOOR;
  for (int k = 0; k <= length; k++) values[k] = FLOOR;
  for (size_t i = 0; i < count; i++) {
    const int8_t *row = scores + (residues[i] & 31) * length;
    for (int k = length; k > 0; k--) {
      int value = values[k - 1] + row[k - 1];
      value = value > 127 ? 127 : value < FLOOR ? FLOOR : value;
      values[k] = value;
      if (value > best) best = value;
    }
  }
  return best - FLOOR;
}

/* Writes targets of different lengths; their thresholds are their scores, and one more. */
static size_t make_targets(int length) {
  size_t below = 0;
  used = 0;
  memset(exact, 255, sizeof exact);
  memset(above, 255, sizeof above);
  for (size_t count = 1; count <= TARGETS; count++) {
    memcpy(text + used, ">t\n", 3);
    char *residues = text + used + 3;
    for (size_t i = 0; i < count; i++)
      residues[i] = LETTERS[(size_t)rand() % (sizeof LETTERS - 1)];
    used += 3 + count;
    text[used++] = '\n';
    const int score = score_of(residues, count, length);
    exact[count] = (uint8_t)score;
    /* The highest score of all has nothing above it. */
    above[count] = (uint8_t)(score < 255 ? score + 1 : 255);
    below += score < 255;
  }
  return TARGETS - below;
}

static int wrong_with(const Isa *isa, int length, size_t highest) {
  Query queries[2];
  const Query *pointers[2] = {&queries[0], &queries[1]};
  if (query_prepare(&queries[0], isa, scores, length, exact) != 0 ||
      query_prepare(&queries[1], isa, scores, length, above) != 0)
    abort();
  const Span span = {.read = read_text, .end = used, .size = used, .buffer_bytes = 4096,
                     .queries = pointers, .query_count = 2};
  SpanResult result;
  scan_span(&span, &result);
  const int wrong = result.state != SPAN_DONE || result.survivors[0].targets != TARGETS ||
                    result.survivors[1].targets != highest;
  if (wrong) fprintf(stderr, "%s: a query of %d positions: wrong targets\n", isa->name, length);
  span_result_release(&result, 2);
  for (size_t q = 0; q < 2; q++) query_release(&queries[q]);
  return wrong;
}

int main(void) {
  int wrong = 0;
  for (size_t l = 0; l < sizeof LENGTHS / sizeof *LENGTHS; l++) {
    const int length = LENGTHS[l];
    for (int i = 0; i < CODES * length; i++) scores[i] = USUAL[(size_t)rand() % sizeof USUAL];
    const size_t highest = make_targets(length);
    for (const Isa *const *isa = ISAS; *isa; isa++)
      if ((*isa)->usable()) wrong += wrong_with(*isa, length, highest);
  }
  printf("exact scores:");
  for (const Isa *const *isa = ISAS; *isa; isa++)
    if ((*isa)->usable()) printf(" %s", (*isa)->name);
  printf(" %s\n", wrong ? "FAILED" : "as computed");
  return wrong != 0;
}
